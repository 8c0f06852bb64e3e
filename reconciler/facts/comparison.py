"""What an HR feed means, compared with the last accepted feed of its source and with what is known. Pure.

The rules, in the order in which they stand below: a feed that is empty or has shrunk changes nothing; an exit or a
notice counts even where the rest of the row cannot be read; a bad row changes nothing else; only what differs from
the *last accepted feed* is news, so that a stale feed undoes nothing; an exit, a notice or a lockout is never
reversed by a row; absence waits for a decision; exits beyond the guard wait for the same decision.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from reconciler.errors import Problem
from reconciler.facts.days import day_end, day_start, last_day
from reconciler.facts.decision import (
    STATUS_EVENTS,
    Decision,
    FeedFinding,
    Occasion,
    Waiting,
    accepted_row,
    event_entry,
    is_out,
    missing_row,
    open_span,
    trips,
)
from reconciler.facts.events import MAIN, EventType, effective_instant
from reconciler.facts.feed_state import ROW_MISSING, FeedState, SeenRow
from reconciler.facts.ledger import Json, NewEntry, part
from reconciler.facts.model import Assignment, Person, Span
from reconciler.facts.rows import ReadRow
from reconciler.policy.model import Guards

_MOVES = frozenset({"department", "post"})
"""The attributes whose change is a transfer."""

_SOON = timedelta(hours=24)


def shrinkage(rows: Sequence[ReadRow], state: FeedState, known: Mapping[str, Person], guards: Guards) -> str | None:
    """Why this feed must not be believed at all, in words, or None."""
    present = {row.person for row in rows if row.person and not row.cut}
    if not present:
        return "it names nobody"
    if state.last is None:
        return None
    waiting = {str(item["person"]) for item in state.last.waiting if item["reason"] == "absent"}
    before = set(state.rows) - waiting
    gone_for_good = sum(person in known and bool(open_span(known[person].exited)) for person in before - present)
    lost = len(before) - len(present) - gone_for_good
    if lost > 0 and lost * 100 > guards.shrink_percent * len(before):
        return f"it names {len(present)} people, the last accepted one named {len(before)}"
    return None


def compare(rows: Sequence[ReadRow], state: FeedState, known: Mapping[str, Person], occasion: Occasion) -> Decision:
    """What the feed leads to. `known` is everybody."""
    return _Comparison(state, known, occasion).decide(rows)


class _Comparison:
    """One comparison in progress: gathers the decision, person by person."""

    def __init__(self, state: FeedState, known: Mapping[str, Person], occasion: Occasion) -> None:
        self.state = state
        self.known = known
        self.at = occasion
        self.decision = Decision()
        self.departing: dict[str, tuple[list[NewEntry], str]] = {}
        self.cut = False
        self.folded = {person.casefold(): person for person in known}

    def decide(self, rows: Sequence[ReadRow]) -> Decision:
        grouped: dict[str, list[ReadRow]] = {}
        self.cut = any(row.cut for row in rows)
        for row in rows:
            self.decision.quarantined += row.problems
            self.decision.findings += self._undeclared(row)
            if row.person:
                grouped.setdefault(row.person, []).append(row)
        present = {person for person, mine in grouped.items() if not all(row.cut for row in mine)}
        self.decision.people = len(present)
        for person, mine in grouped.items():
            self._person(person, mine, present)
        self._absent(present | set(grouped))
        self._guard_exits()
        return self.decision

    def _undeclared(self, row: ReadRow) -> Iterator[FeedFinding]:
        for item in row.undeclared:
            text = f"`{item.column}` is `{item.value}`, which the policy does not declare: it counts as unknown"
            yield FeedFinding("undeclared-value", row.person, text, row.place)

    def _person(self, person: str, rows: Sequence[ReadRow], present: set[str]) -> None:
        before = self.decision.entries
        count, departing = len(before), len(self.departing)
        if person in self.known:
            if not self._unchanged(person, rows):
                self._known_person(self.known[person], rows)
        elif other := self.folded.get(person.casefold()):
            self._other_case(person, other, rows, present)
            return
        elif self._can_be_hired(rows):
            self.folded[person.casefold()] = person
            self._new_person(person, [row for row in rows if not row.cut])
            self.decision.new += 1
            return
        else:
            return
        moved = len(before) > count or len(self.departing) > departing
        self.decision.changed += moved
        self.decision.unchanged += not moved

    def _can_be_hired(self, rows: Sequence[ReadRow]) -> bool:
        """Whether a row can be read whole, and does not say of a side assignment alone that it is over."""
        leaves = _leaving_row(rows).cells.get("status") == "exited"
        return any(row.good and (leaves or row.cells.get("status") != "exited") for row in rows)

    def _other_case(self, person: str, other: str, rows: Sequence[ReadRow], present: set[str]) -> None:
        present.add(other)
        for row in rows:
            text = f"`{person}` differs from the known id `{other}` only in case: the row does not count"
            self.decision.quarantined.append(Problem("id-case", text, row.place, f"write `{other}`"))

    def _unchanged(self, person: str, rows: Sequence[ReadRow]) -> bool:
        """The quick way: every row says what it said in the last accepted feed."""
        seen = self.state.rows.get(person, {})
        return len(rows) == len(seen) and all(
            row.good
            and (prior := seen.get(row.assignment)) is not None
            and not prior.missing_since
            and {column: value for column, value in row.cells.items() if value} == prior.cells
            for row in rows
        )

    # --- people who are new -----------------------------------------------------------------------------------------

    def _new_person(self, person: str, rows: Sequence[ReadRow]) -> None:
        leaver = _leaving_row(rows)
        leaves = leaver.cells.get("status") == "exited"
        over = [row for row in rows if row.good and row.cells.get("status") == "exited" and not leaves]
        hired = [row for row in rows if row.good and row not in over]
        self.decision.entries += (accepted_row(self.at, person, row.assignment, {"status": "exited"}) for row in over)
        for number, row in enumerate(hired):
            kind = EventType.ASSIGNMENT_ADDED if number else EventType.HIRED
            self._add(self._event(kind, person, row, self._hired_on(row), _post(row.cells), _status_only(row)))
        if leaves:
            ending = _ending(leaver)
            self._add(self._event(EventType.EXITED, person, leaver, self._exit_time(leaver), {}, ending))
            return
        for status, kind in STATUS_EVENTS.items():
            said = next((row for row in rows if row.cells.get("status") == status), None)
            if said is not None:
                self._add(self._event(kind, person, said, self.at.now, {}, _status_only(said)))

    def _hired_on(self, row: ReadRow) -> date | datetime:
        """From when: of somebody who has left already without a first day, not after they left."""
        starts = row.cells.get("starts_on")
        if row.cells.get("status") == "exited" and not starts:
            return min(self.at.now, self._instant(EventType.EXITED, self._exit_time(row)))
        return date.fromisoformat(starts) if starts else self.at.now

    # --- people who are known ---------------------------------------------------------------------------------------

    def _known_person(self, person: Person, rows: Sequence[ReadRow]) -> None:
        usable = [row for row in rows if not row.cut]
        if not usable:
            return
        leaver = _leaving_row(usable)
        leaves = leaver.cells.get("status") == "exited" and (leaver.assignment == MAIN or self._all_leave(person, rows))
        out = open_span(person.exited)
        if out is not None and out.start is not None:
            if self._out(person, usable, leaver if leaves else None, out.start) or out.start <= self.at.now:
                return
        elif leaves and self._exit_is_news(person, leaver):
            self._depart(person, leaver)
        self._lifecycle(person, usable, leaves=leaves)
        for row in usable:
            if row.good:
                self._row(person, row)
            else:
                self._bad_row(person, row)
        self._missing_rows(person, rows)

    def _all_leave(self, person: Person, rows: Sequence[ReadRow]) -> bool:
        """Without a main assignment, a person leaves when every row says so and none is missing."""
        there = {row.assignment for row in rows}
        whole = there >= set(self.state.rows.get(person.id, {})) and not any(row.cut for row in rows)
        return whole and all(row.cells.get("status") == "exited" for row in rows)

    def _prior(self, person: str, assignment: str) -> SeenRow | None:
        return self.state.rows.get(person, {}).get(assignment)

    def _exit_is_news(self, person: Person, row: ReadRow) -> bool:
        """A row that said so before says nothing new, unless it now names another day."""
        prior = self._prior(person.id, row.assignment)
        if prior is None or prior.cells.get("status") != "exited":
            return True
        return bool(row.cells.get("ends_on")) and row.cells["ends_on"] != prior.cells.get("ends_on")

    def _depart(self, person: Person, row: ReadRow) -> None:
        cells = _ending(row)
        event = self._event(EventType.EXITED, person.id, row, self._exit_time(row), {}, cells)
        self.departing[person.id] = ([event], f"{row.place}: the status is `exited`")

    def _exit_time(self, row: ReadRow) -> date | datetime:
        ends = row.cells.get("ends_on")
        return date.fromisoformat(ends) if ends else self.at.now

    def _out(self, person: Person, rows: Sequence[ReadRow], leaver: ReadRow | None, since: datetime) -> bool:
        """A row never brings anybody back, except with an assignment that starts later than the exit. True: all is
        said.
        """
        if leaver is not None:
            earlier = self._instant(EventType.EXITED, self._exit_time(leaver)) < since
            if earlier and self._exit_is_news(person, leaver):
                self._depart(person, leaver)
            elif _differs(leaver, self._prior(person.id, leaver.assignment)):
                self._accept(person.id, leaver, _ending(leaver))
            return True
        again = [row for row in rows if row.good and self._starts_later(person, row, since)]
        for number, row in enumerate(again):
            self._return(person, row, EventType.ASSIGNMENT_ADDED if number else EventType.REHIRED)
        for row in rows if not again else ():
            prior = self._prior(person.id, row.assignment)
            if row.cells.get("status") not in ("", None, "exited") and prior and prior.cells.get("status") == "exited":
                self._not_reversed(person, row, "an exit", "`rehired`, or a later `starts_on`")
        return bool(again)

    def _starts_later(self, person: Person, row: ReadRow, than: datetime) -> bool:
        """Whether the row now says that an assignment starts, and not before that instant."""
        prior, starts = self._prior(person.id, row.assignment), row.cells.get("starts_on", "")
        news = bool(starts) and starts != (prior.cells.get("starts_on") if prior else None)
        return news and day_start(date.fromisoformat(starts), self.at.zone) >= than

    def _return(self, person: Person, row: ReadRow, kind: EventType) -> None:
        starts = date.fromisoformat(row.cells["starts_on"])
        self._add(self._event(kind, person.id, row, starts, _post(row.cells), self._beside(person, row)))

    def _beside(self, person: Person, row: ReadRow) -> dict[str, str]:
        """What a row says beside the event that starts its assignment anew: the status, and what is blank now."""
        prior = self._prior(person.id, row.assignment)
        blank = {key: "" for key in (prior.cells if prior else ()) if row.cells.get(key) == ""}
        return _status_only(row) | blank

    def _not_reversed(self, person: Person, row: ReadRow, what: str, takes: str) -> None:
        text = f"the row says `{row.cells.get('status')}`, but {what} is on record: that takes {takes}"
        self.decision.findings.append(FeedFinding("not-reversed", person.id, text, row.place))

    def _lifecycle(self, person: Person, rows: Sequence[ReadRow], *, leaves: bool) -> None:
        """Notice and leave begin, and leave ends, as the status says; once for a person."""
        said: set[EventType] = set()
        for row in rows:
            status, prior = row.cells.get("status", ""), self._prior(person.id, row.assignment)
            before = prior.cells.get("status", "") if prior else ""
            if not status or status == before:
                continue
            if status == "exited":
                if not leaves and any(post.name == row.assignment for post in person.assignments):
                    self._end_assignment(person, row)
                elif not leaves and (row.good or prior is not None):
                    self._accept(person.id, row, {"status": status})
                continue
            if status not in ("notice", "leave") and before == "notice" and self._lasts(person.notice):
                self._not_reversed(person, row, "a resignation", "`resignation-withdrawn`")
                continue
            kind = self._status_event(person, status, before)
            if kind is not None and kind not in said:
                said.add(kind)
                self._add(self._event(kind, person.id, row, self.at.now, {}, {"status": status}))
            elif row.good or prior is not None:
                self._accept(person.id, row, {"status": status})

    def _status_event(self, person: Person, status: str, before: str) -> EventType | None:
        if status == "notice":
            return None if self._lasts(person.notice) else EventType.RESIGNATION_SUBMITTED
        if status == "leave":
            return None if self._lasts(person.leave) else EventType.LEAVE_STARTED
        return EventType.LEAVE_ENDED if before == "leave" and self._lasts(person.leave) else None

    def _lasts(self, spans: Sequence[Span]) -> bool:
        return any(span.end is None or span.end > self.at.now for span in spans)

    def _end_assignment(self, person: Person, row: ReadRow) -> None:
        ends = row.cells.get("ends_on")
        when = day_end(date.fromisoformat(ends), self.at.zone) if ends else self.at.now
        cells = _ending(row)
        event = self._event(EventType.ASSIGNMENT_ENDED, person.id, row, when, {}, cells)
        self._add_or_guard(person, row, event, when)

    # --- rows of known people ---------------------------------------------------------------------------------------

    def _row(self, person: Person, row: ReadRow) -> None:
        if row.cells.get("status") == "exited":
            return
        prior = self._prior(person.id, row.assignment)
        held = [post for post in person.assignments if post.name == row.assignment]
        changed = self._changed(person, row, prior, held)
        if prior is None and held:  # what the record says already is from now on what this source said, too
            same = {key: value for key, value in row.cells.items() if value and key != "status" and key not in changed}
            self._accept(person.id, row, same)
        if not held:
            if changed:
                kind, when = EventType.ASSIGNMENT_ADDED, self._start_of(row)
                self._add(self._event(kind, person.id, row, when, _post(row.cells), self._beside(person, row)))
        elif changed:
            self._changed_row(person, row, held, changed)
        elif prior is not None and prior.missing_since:
            self._accept(person.id, row, {})

    def _start_of(self, row: ReadRow) -> date | datetime:
        starts = row.cells.get("starts_on")
        return date.fromisoformat(starts) if starts else self.at.now

    def _changed(
        self, person: Person, row: ReadRow, prior: SeenRow | None, held: Sequence[Assignment]
    ) -> dict[str, str]:
        """What the row says that the last accepted one (or, for a row that is new here, the record) did not."""
        cells = {key: value for key, value in row.cells.items() if key != "status"}
        if prior is not None:
            return {key: value for key, value in cells.items() if value != prior.cells.get(key, "")}
        known = self._known_cells(person, held) if held else {}
        return {
            key: value
            for key, value in cells.items()
            if value != known.get(key, "") and (value or key not in ("starts_on", "ends_on"))
        }

    def _known_cells(self, person: Person, held: Sequence[Assignment]) -> dict[str, str]:
        post = self._current(held) or held[-1]
        starts, ends = held[0].span.start, post.span.end
        return {
            **post.attributes,
            "name": person.name,
            "email": person.email,
            "starts_on": starts.astimezone(self.at.zone).date().isoformat() if starts else "",
            "ends_on": last_day(ends, self.at.zone).isoformat() if ends else "",
        }

    def _current(self, held: Sequence[Assignment]) -> Assignment | None:
        """The stretch that runs now, or else the next to come."""
        now = self.at.now
        return next((post for post in held if post.span.end is None or post.span.end > now), None)

    def _changed_row(self, person: Person, row: ReadRow, held: Sequence[Assignment], changed: dict[str, str]) -> None:
        if self._current(held) is None:
            self._ended_row(person, row, held[-1], changed)
            return
        leaving, ends = self._leaving(person, row, held, changed)
        if leaving is not None and self._is_exit(person, row, leaving):
            data = {key: changed.pop(key) for key in ends}
            event = self._event(EventType.ATTRIBUTES_CHANGED, person.id, row, self.at.now, data, tag="ends")
            self._add_or_guard(person, row, event, leaving)
        if changed:
            kind = EventType.TRANSFERRED if _MOVES & changed.keys() else EventType.ATTRIBUTES_CHANGED
            self._add(self._event(kind, person.id, row, self.at.now, changed))

    def _leaving(
        self, person: Person, row: ReadRow, held: Sequence[Assignment], changed: Mapping[str, str]
    ) -> tuple[datetime | None, Sequence[str]]:
        """When the row takes the running assignment away, and by which cells: an earlier end, or a start that is yet
        to come.
        """
        if self._postponed(held, changed):
            return self.at.now, [key for key in ("starts_on", "ends_on") if key in changed]
        return self._shortened(person, row, held, changed), ["ends_on"]

    def _postponed(self, held: Sequence[Assignment], changed: Mapping[str, str]) -> bool:
        post, starts = self._current(held), changed.get("starts_on")
        if not starts or post is None or post.span.end is not None:
            return False
        begun = post.span.start is None or post.span.start <= self.at.now
        return begun and day_start(date.fromisoformat(starts), self.at.zone) > self.at.now

    def _shortened(
        self, person: Person, row: ReadRow, held: Sequence[Assignment], changed: Mapping[str, str]
    ) -> datetime | None:
        """When the assignment now ends, if that is earlier than was known."""
        if not changed.get("ends_on"):
            return None
        end, post = day_end(date.fromisoformat(changed["ends_on"]), self.at.zone), self._current(held)
        known = post.span.end if post else None
        return end if known is None or end < known else None

    def _ended_row(self, person: Person, row: ReadRow, last: Assignment, changed: Mapping[str, str]) -> None:
        """An assignment that is over comes back only with a start that is not before its end."""
        starts, end = changed.get("starts_on"), last.span.end
        if starts and end is not None and day_start(date.fromisoformat(starts), self.at.zone) >= end:
            contiguous = day_start(date.fromisoformat(starts), self.at.zone) == end
            if contiguous or self._works_elsewhere(person, row.assignment, self.at.now):
                self._add(
                    self._event(
                        EventType.ATTRIBUTES_CHANGED, person.id, row, self.at.now, _post(row.cells) | dict(changed)
                    )
                )
            else:
                self._return(person, row, EventType.REHIRED)
        elif "ends_on" in changed:
            self._not_reversed(person, row, "the end of this assignment", "a later `starts_on`")

    def _works_elsewhere(self, person: Person, assignment: str, at: datetime) -> bool:
        """Whether another assignment of theirs goes on at that instant, or is to come."""
        others = (post for post in person.assignments if post.name != assignment)
        return any(post.span.end is None or post.span.end > at for post in others)

    def _is_exit(self, person: Person, row: ReadRow, end: datetime) -> bool:
        """What ends somebody's last assignment within a day is an exit by another name, and counted as one."""
        soon = self.at.now + _SOON
        return end <= soon and not self._works_elsewhere(person, row.assignment, soon)

    def _add_or_guard(self, person: Person, row: ReadRow, event: NewEntry, end: datetime) -> None:
        if not self._is_exit(person, row, end):
            self._add(event)
        elif person.id not in self.departing:
            self.departing[person.id] = ([event], f"{row.place}: the last assignment ends")

    def _bad_row(self, person: Person, row: ReadRow) -> None:
        """Of a row that cannot be trusted as a whole, an earlier end counts, beside the status."""
        prior = self._prior(person.id, row.assignment)
        held = [post for post in person.assignments if post.name == row.assignment]
        ends = row.cells.get("ends_on")
        if row.cells.get("status") == "exited" or not ends or not held or ends < row.cells.get("starts_on", ""):
            return
        if prior is None or prior.cells.get("ends_on") == ends or self._current(held) is None:
            return
        leaving = self._shortened(person, row, held, {"ends_on": ends})
        if leaving is not None:
            kind, data = EventType.ATTRIBUTES_CHANGED, {"ends_on": ends}
            event = self._event(kind, person.id, row, self.at.now, data, tag="ends")
            self._add_or_guard(person, row, event, leaving)

    def _missing_rows(self, person: Person, rows: Sequence[ReadRow]) -> None:
        """An assignment without its row ends when a second accepted feed lacks it, too."""
        if self.cut or not any(row.good for row in rows):
            return
        there = {row.assignment for row in rows}
        for assignment, seen in self.state.rows.get(person.id, {}).items():
            if assignment in there:
                continue
            if not seen.missing_since:
                self._add(missing_row(self.at, person.id, assignment))
            elif self.state.last is None or self.state.last.content != self.at.content:
                kind = EventType.ASSIGNMENT_ENDED
                self._add(event_entry(self.at, kind, person.id, assignment, self.at.now, forgotten=True))

    # --- people who are not there, and exits together ---------------------------------------------------------------

    def _absent(self, present: Collection[str]) -> None:
        for person, rows in self.state.rows.items():
            if person in present or person not in self.known:
                continue
            assignments = sorted(rows, key=lambda name: (name != MAIN, name))
            if is_out(self.known[person]):
                self.decision.entries += (missing_row(self.at, person, name, forgotten=True) for name in assignments)
                continue
            exit_entry = self._waiting_entry(EventType.EXITED, None, assignments[0])
            others = [self._waiting_entry(ROW_MISSING, None, name) for name in assignments[1:]]
            text = "absent from the feed"
            self.decision.waiting.append(Waiting(person, "absent", text, (exit_entry, *others)))

    def _waiting_entry(self, kind: str, when: str | None, assignment: str) -> dict[str, Json]:
        feed: dict[str, Json] = {"assignment": assignment, "forgotten": True}
        return {"kind": str(kind), "effective_at": when, "data": {}, "feed": feed}

    def _guard_exits(self) -> None:
        everybody = sum(not is_out(person) for person in self.known.values())
        count = len(set(self.departing) | self.at.departures)
        if not trips(self.at.guards.exits, count, everybody + len(self.at.departures - set(self.departing))):
            for entries, _ in self.departing.values():
                self.decision.entries += entries
            return
        for person, (entries, text) in self.departing.items():
            self.decision.waiting.append(Waiting(person, "exits", text, tuple(map(self._stored, entries))))

    def _stored(self, entry: NewEntry) -> dict[str, Json]:
        """An entry that waits; "now" becomes the moment of the decision."""
        feed, when = part(entry.payload, "feed"), entry.payload["effective_at"]
        return {
            "kind": entry.kind,
            "effective_at": None if entry.effective_at == self.at.now else when,
            "data": entry.payload["data"],
            "feed": {key: value for key, value in feed.items() if key != "import"},
        }

    # --- entries ----------------------------------------------------------------------------------------------------

    def _add(self, entry: NewEntry) -> None:
        self.decision.entries.append(entry)

    def _instant(self, kind: str, when: date | datetime) -> datetime:
        return effective_instant(kind, when, self.at.zone)

    def _event(
        self,
        kind: EventType,
        person: str,
        row: ReadRow,
        when: date | datetime,
        data: Mapping[str, str] | None = None,
        cells: Mapping[str, str] | None = None,
        tag: str = "",
    ) -> NewEntry:
        return event_entry(self.at, kind, person, row.assignment, when, data, cells, tag=tag)

    def _accept(self, person: str, row: ReadRow, cells: Mapping[str, str]) -> None:
        self._add(accepted_row(self.at, person, row.assignment, cells))


def _leaving_row(rows: Sequence[ReadRow]) -> ReadRow:
    """The row whose status speaks for the person: that of the main assignment, or else one that says they left."""
    main = next((row for row in rows if row.assignment == MAIN), None)
    return main or next((row for row in rows if row.cells.get("status") == "exited"), rows[0])


def _post(cells: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in cells.items() if value and key != "status"}


def _status_only(row: ReadRow) -> dict[str, str]:
    return {"status": row.cells["status"]} if row.cells.get("status") else {}


def _ending(row: ReadRow) -> dict[str, str]:
    """The cells that say that, and when, an assignment ends."""
    return {key: row.cells[key] for key in ("status", "ends_on") if key in row.cells}


def _differs(row: ReadRow, prior: SeenRow | None) -> bool:
    seen = prior.cells if prior else {}
    return any(row.cells.get(key, "") not in ("", seen.get(key, "")) for key in ("status", "ends_on"))
