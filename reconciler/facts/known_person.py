"""What a feed's rows about one person mean who is known already, compared with what the source said last. Pure.

The rules in `reconciler.facts.comparison` hold; this is how they apply to one person. A row is judged by what is known
of the person *and* by what the other rows of the same feed say: whoever comes back by one row is back for all of them,
and a post that another row adds is one to go on with. Therefore the same feed a second time says nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from reconciler.facts.days import day_end, day_start, last_day
from reconciler.facts.decision import (
    STATUS_EVENTS,
    FeedFinding,
    Occasion,
    accepted_row,
    begun_on,
    event_entry,
    left_on,
    missing_row,
    open_span,
    said_span,
    starts_at,
)
from reconciler.facts.events import MAIN, EventType, effective_instant
from reconciler.facts.feed_state import FeedState, SeenRow
from reconciler.facts.ledger import NewEntry
from reconciler.facts.model import Assignment, Person, Span
from reconciler.facts.rows import ReadRow, ending_cells, leaving_row, post_cells, status_cells

MOVES = frozenset({"department", "post"})
"""The attributes whose change is a transfer."""

_SOON = timedelta(hours=24)

_NEXT = timedelta(microseconds=1)
"""The next instant that the record can tell from one."""


class KnownPerson:
    """One person in one feed. After `read`: `entries` and `findings` as they are, and in `departing` an exit with the
    words about it, which the caller counts together with those of others.
    """

    def __init__(self, person: Person, state: FeedState, occasion: Occasion, *, cut: bool) -> None:
        """`cut`: the feed ends in the middle of a row, so that what is missing proves nothing."""
        self.person = person
        self.seen = state.rows.get(person.id, {})
        self.last = state.last
        self.at = occasion
        self.cut = cut
        self.entries: list[NewEntry] = []
        self.findings: list[FeedFinding] = []
        self.departing: tuple[NewEntry, str] | None = None
        self.adding: Sequence[Assignment] = ()
        self.ended: set[str] = set()

    def read(self, rows: Sequence[ReadRow]) -> None:
        """Take in what all the rows about this person say."""
        usable = list({row.assignment: row for row in rows if not row.cut}.values())  # of twins one: they say the same
        if not usable:
            return
        leaver = leaving_row(usable)
        leaves = leaver.cells.get("status") == "exited" and (leaver.assignment == MAIN or self._all_leave(rows))
        out = open_span(self.person.exited)
        if out is None or out.start is None:
            if leaves and self._exit_is_news(leaver):
                self._depart(leaver)
            self._read_posts(usable, rows, leaves=leaves)
        elif leaves:
            self._leave_earlier(leaver, out.start)
        elif again := self._again(usable, out.start):
            self._come_back(again, out.start)
            self._read_posts(usable, rows, again=again)
        else:
            self._stay_out(usable)
            if out.start > self.at.now:
                self._read_posts(usable, rows)

    def _read_posts(
        self,
        usable: Sequence[ReadRow],
        rows: Sequence[ReadRow],
        *,
        again: Sequence[ReadRow] = (),
        leaves: bool = False,
    ) -> None:
        self.adding = [] if leaves else self._added(usable)
        self._read_statuses(usable, leaves=leaves)
        for row in usable:
            if row in again or self._beyond_exit(row):
                continue
            if row.good:
                self._read_row(row)
            else:
                self._read_bad_row(row)
        self._miss(rows)

    def _all_leave(self, rows: Sequence[ReadRow]) -> bool:
        """Without a main assignment, a person leaves when every row says so and none is missing."""
        there = {row.assignment for row in rows}
        there |= {name for name, seen in self.seen.items() if self._is_over(seen)}
        whole = there >= set(self.seen) and not any(row.cut for row in rows)
        return whole and all(row.cells.get("status") == "exited" for row in rows)

    def _prior(self, assignment: str) -> SeenRow | None:
        return self.seen.get(assignment)

    def _held(self, row: ReadRow) -> list[Assignment]:
        return [post for post in self.person.assignments if post.name == row.assignment]

    def _exit_is_news(self, row: ReadRow) -> bool:
        """A row that said so before says nothing new, unless it now names another day."""
        prior = self._prior(row.assignment)
        if prior is None or prior.cells.get("status") != "exited":
            return True
        return bool(row.cells.get("ends_on")) and row.cells["ends_on"] != prior.cells.get("ends_on")

    def _depart(self, row: ReadRow) -> None:
        cells = ending_cells(row)
        event = self._event(EventType.EXITED, row, self._departed_on(row), {}, cells)
        self.departing = (event, f"{row.place}: the status is `exited`")

    def _departed_on(self, row: ReadRow) -> date | datetime:
        """From when: a row that said otherwise before takes back a return that came after the day it names."""
        when, prior = left_on(self.at, row), self._prior(row.assignment)
        returned = self.person.rehired and prior is not None and prior.cells.get("status") != "exited"
        since = self.person.employed_since if returned else None
        return self.at.now if since is not None and self._exit_instant(when) <= since else when

    def _exit_instant(self, when: date | datetime) -> datetime:
        return effective_instant(EventType.EXITED, when, self.at.zone)

    def _leave_earlier(self, leaver: ReadRow, since: datetime) -> None:
        """Who is out leaves once more only by an earlier exit."""
        earlier = self._exit_instant(left_on(self.at, leaver)) < since
        if earlier and self._exit_is_news(leaver):
            self._depart(leaver)
        elif _differs(leaver, self._prior(leaver.assignment)):
            self._accept(leaver, ending_cells(leaver))

    def _stay_out(self, rows: Sequence[ReadRow]) -> None:
        """A row never brings anybody back, except with an assignment that starts later than the exit."""
        for row in rows:
            prior = self._prior(row.assignment)
            if row.cells.get("status") not in ("", None, "exited") and prior and prior.cells.get("status") == "exited":
                self._not_reversed(row, "an exit", "`rehired`, or a later `starts_on`")

    def _again(self, rows: Sequence[ReadRow], since: datetime) -> list[ReadRow]:
        """The rows that bring somebody back who is out since that instant, the first to start first."""
        able = (row for row in rows if row.good and row.cells.get("status") != "exited")
        later = [row for row in able if self._starts_later(row, since)]
        return sorted(later, key=lambda row: row.cells["starts_on"])

    def _come_back(self, rows: Sequence[ReadRow], since: datetime) -> None:
        """Their other rows are judged by the person as these rows bring them back."""
        posts = list(self.person.assignments)
        for number, row in enumerate(rows):
            self._return(row, EventType.ASSIGNMENT_ADDED if number else EventType.REHIRED, since)
            posts.append(Assignment(row.assignment, post_cells(row.cells), said_span(self.at, row)))
        back = starts_at(self.at, rows[0])
        exited = tuple(replace(span, end=back) if span.start == since else span for span in self.person.exited)
        self.person = replace(self.person, assignments=tuple(posts), exited=exited)

    def _starts_later(self, row: ReadRow, than: datetime) -> bool:
        """Whether the row now says that an assignment starts, and not before that instant."""
        prior, starts = self._prior(row.assignment), row.cells.get("starts_on", "")
        news = bool(starts) and starts != (prior.cells.get("starts_on") if prior else None)
        return news and day_start(date.fromisoformat(starts), self.at.zone) >= than

    def _return(self, row: ReadRow, kind: EventType, out: datetime | None = None) -> None:
        """`out`: since when they are out, or will be; coming back is true after that."""
        yet = out is not None and out > self.at.now
        when = out + _NEXT if out is not None and yet else begun_on(self.at, row)
        self._add(self._event(kind, row, when, post_cells(row.cells), self._beside(row)))

    def _beyond_exit(self, row: ReadRow) -> bool:
        """Whether the row is about what comes after an exit that is yet to come: not a matter before they are out."""
        held = self._held(row)
        starts = held[-1].span.start if held else None
        exits = (span.start for span in self.person.exited)
        return starts is not None and any(out is not None and self.at.now < out <= starts for out in exits)

    def _beside(self, row: ReadRow) -> dict[str, str]:
        """What a row says beside the event that starts its assignment anew: the status, and what is blank now."""
        prior = self._prior(row.assignment)
        blank = {key: "" for key in (prior.cells if prior else ()) if row.cells.get(key) == ""}
        return _quiet_status(row) | blank

    def _not_reversed(self, row: ReadRow, what: str, takes: str) -> None:
        text = f"the row says `{row.cells.get('status')}`, but {what} is on record: that takes {takes}"
        self.findings.append(FeedFinding("not-reversed", self.person.id, text, row.place))

    def _read_statuses(self, rows: Sequence[ReadRow], *, leaves: bool) -> None:
        """Notice and leave begin, and leave ends, as the status says; once for a person, and of somebody who is yet to
        come back not before they do.
        """
        said: set[EventType] = set()
        on_leave = any(row.cells.get("status") == "leave" for row in rows)
        for row in rows:
            status, prior = row.cells.get("status", ""), self._prior(row.assignment)
            before = prior.cells.get("status", "") if prior else ""
            if not status or status == before or (status in STATUS_EVENTS and self._away()):
                continue
            if before == "leave" and on_leave and status not in ("notice", "exited"):
                continue  # leave lasts as long as a row says so
            if status == "exited":
                if not leaves and any(post.name == row.assignment for post in self.person.assignments):
                    self._end_assignment(row)
                elif not leaves and (row.good or prior is not None):
                    self._accept(row, ending_cells(row))
                continue
            if status not in ("notice", "leave") and before == "notice" and self._lasts(self.person.notice):
                self._not_reversed(row, "a resignation", "`resignation-withdrawn`")
                continue
            kind = self._status_event(status, before)
            if kind is not None and kind not in said:
                said.add(kind)
                self._add(self._event(kind, row, self.at.now, {}, {"status": status}))
            elif row.good or prior is not None:
                self._accept(row, {"status": status})

    def _away(self) -> bool:
        """Whether they are out at this moment, be it that they come back later."""
        return any(span.covers(self.at.now) for span in self.person.exited)

    def _status_event(self, status: str, before: str) -> EventType | None:
        if status == "notice":
            return None if self._lasts(self.person.notice) else EventType.RESIGNATION_SUBMITTED
        if status == "leave":
            return None if self._lasts(self.person.leave) else EventType.LEAVE_STARTED
        return EventType.LEAVE_ENDED if before == "leave" and self._lasts(self.person.leave) else None

    def _lasts(self, spans: Sequence[Span]) -> bool:
        return any(span.end is None or span.end > self.at.now for span in spans)

    def _end_assignment(self, row: ReadRow) -> None:
        ends = said_span(self.at, row).end or self.at.now
        post = self._current(self._held(row))
        begun = post.span.start if post else None
        when = self.at.now if begun is not None and ends <= begun else ends  # what ends before it began would go on
        cells = ending_cells(row)
        counts = self._counts(row.assignment) if when == self.at.now else (when, "")
        event = self._event(EventType.ASSIGNMENT_ENDED, row, counts, {}, cells)
        self._add_or_guard(row, event, when)

    # --- rows of known people ---------------------------------------------------------------------------------------

    def _added(self, rows: Sequence[ReadRow]) -> list[Assignment]:
        """The assignments that these rows are about to add, or to let go on after they had ended."""
        able = (row for row in rows if row.good and row.cells.get("status") != "exited")
        return [Assignment(row.assignment, {}, said_span(self.at, row)) for row in able if self._adds(row)]

    def _adds(self, row: ReadRow) -> bool:
        held = self._held(row)
        changed = self._changed(row, self._prior(row.assignment), held)
        if not held:
            return bool(changed)
        return self._current(held) is None and self._resumes(held[-1], changed)

    def _read_row(self, row: ReadRow) -> None:
        if row.cells.get("status") == "exited":
            return
        prior = self._prior(row.assignment)
        held = self._held(row)
        changed = self._changed(row, prior, held)
        if prior is None and held:  # what the record says already is from now on what this source said, too
            same = {key: value for key, value in row.cells.items() if value and key != "status" and key not in changed}
            self._accept(row, same)
        if not held:
            if changed:
                kind, when = EventType.ASSIGNMENT_ADDED, begun_on(self.at, row)
                self._add(self._event(kind, row, when, post_cells(row.cells), self._beside(row)))
        elif changed:
            self._changed_row(row, held, changed)
        elif prior is not None and prior.missing_since:
            self._accept(row, {})

    def _changed(self, row: ReadRow, prior: SeenRow | None, held: Sequence[Assignment]) -> dict[str, str]:
        """What the row says that the last accepted one (or, for a row that is new here, the record) did not."""
        cells = {key: value for key, value in row.cells.items() if key != "status"}
        if prior is not None:
            return {key: value for key, value in cells.items() if value != prior.cells.get(key, "")}
        known = self._known_cells(held) if held else {}
        return {
            key: value
            for key, value in cells.items()
            if value != known.get(key, "") and (value or key not in ("starts_on", "ends_on"))
        }

    def _known_cells(self, held: Sequence[Assignment]) -> dict[str, str]:
        post = self._current(held) or held[-1]
        starts, ends = held[0].span.start, post.span.end
        return {
            **post.attributes,
            "name": self.person.name,
            "email": self.person.email,
            "starts_on": starts.astimezone(self.at.zone).date().isoformat() if starts else "",
            "ends_on": last_day(ends, self.at.zone).isoformat() if ends else "",
        }

    def _current(self, held: Sequence[Assignment]) -> Assignment | None:
        """The stretch that runs now, or else the next to come."""
        now = self.at.now
        return next((post for post in held if post.span.end is None or post.span.end > now), None)

    def _changed_row(self, row: ReadRow, held: Sequence[Assignment], changed: dict[str, str]) -> None:
        if self._current(held) is None:
            self._ended_row(row, held[-1], changed)
            return
        if self._begins_before(held, changed):
            self._begin_before(row, held, changed)
        leaving, ends = self._leaving(row, held, changed)
        if leaving is not None and self._is_exit(row, leaving):
            data = {key: changed.pop(key) for key in ends}
            event = self._event(EventType.ATTRIBUTES_CHANGED, row, self._counts(row.assignment), data, tag="ends")
            self._add_or_guard(row, event, leaving)
        elif leaving is not None:
            self._note_end(row, leaving)
        if changed:
            kind = EventType.TRANSFERRED if MOVES & changed.keys() else EventType.ATTRIBUTES_CHANGED
            self._add(self._event(kind, row, self._counts(row.assignment), changed))

    def _begins_before(self, held: Sequence[Assignment], changed: Mapping[str, str]) -> bool:
        """Whether the row says that the assignment begins before the event by which it is yet to come."""
        when, after = self._counts(held[0].name)
        starts = day_start(date.fromisoformat(changed["starts_on"]), self.at.zone) if changed.get("starts_on") else when
        post = self._current(held)
        return bool(after) and post is not None and post.span.start is not None and starts < min(when, post.span.start)

    def _begin_before(self, row: ReadRow, held: Sequence[Assignment], changed: dict[str, str]) -> None:
        """Until that event it is as the row says, and nothing that the event says of it holds any earlier; but what is
        over stays over.
        """
        starts = changed.pop("starts_on")
        begins = day_start(date.fromisoformat(starts), self.at.zone)
        over = any(post.span.end is not None and begins < post.span.end <= self.at.now for post in held)
        if over or self._away():
            self._accept(row, {"starts_on": starts})
            self._not_reversed(row, "the end of this assignment", "a later `starts_on`")
        else:
            cells = post_cells(row.cells), self._beside(row)
            self._add(self._event(EventType.ASSIGNMENT_ADDED, row, begun_on(self.at, row), *cells))

    def _leaving(
        self, row: ReadRow, held: Sequence[Assignment], changed: Mapping[str, str]
    ) -> tuple[datetime | None, Sequence[str]]:
        """When the row takes the running assignment away, and by which cells: an earlier end, or a start that is yet
        to come.
        """
        if self._postponed(held, changed):
            return self.at.now, [key for key in ("starts_on", "ends_on") if key in changed]
        return self._shortened(row, held, changed), ["ends_on"]

    def _postponed(self, held: Sequence[Assignment], changed: Mapping[str, str]) -> bool:
        post, starts = self._current(held), changed.get("starts_on")
        if not starts or post is None or post.span.end is not None:
            return False
        begun = post.span.start is None or post.span.start <= self.at.now
        return begun and day_start(date.fromisoformat(starts), self.at.zone) > self.at.now

    def _shortened(self, row: ReadRow, held: Sequence[Assignment], changed: Mapping[str, str]) -> datetime | None:
        """When the assignment now ends, if that is earlier than was known."""
        if not changed.get("ends_on"):
            return None
        end, post = day_end(date.fromisoformat(changed["ends_on"]), self.at.zone), self._current(held)
        known = post.span.end if post else None
        return end if known is None or end < known else None

    def _ended_row(self, row: ReadRow, last: Assignment, changed: Mapping[str, str]) -> None:
        """An assignment that is over comes back only with a start that is not before its end."""
        if self._resumes(last, changed):
            contiguous = day_start(date.fromisoformat(changed["starts_on"]), self.at.zone) == last.span.end
            if contiguous or self._works_elsewhere(row.assignment, self.at.now):
                self._add(
                    self._event(EventType.ATTRIBUTES_CHANGED, row, self.at.now, post_cells(row.cells) | dict(changed))
                )
            else:
                self._return(row, EventType.REHIRED)
        elif "ends_on" in changed:
            self._not_reversed(row, "the end of this assignment", "a later `starts_on`")

    def _resumes(self, last: Assignment, changed: Mapping[str, str]) -> bool:
        starts, end = changed.get("starts_on"), last.span.end
        return bool(starts and end and day_start(date.fromisoformat(starts), self.at.zone) >= end)

    def _works_elsewhere(self, assignment: str, at: datetime) -> bool:
        """Whether another assignment of theirs goes on at that instant, or is to come."""
        return _any_lasts((post for post in self.person.assignments if post.name != assignment), at)

    def _is_exit(self, row: ReadRow, end: datetime) -> bool:
        """What ends somebody's last assignment within a day is an exit by another name, and counted as one."""
        return end <= self.at.now + _SOON and not self._goes_on(row.assignment)

    def _goes_on(self, assignment: str) -> bool:
        """Whether another assignment remains tomorrow, after all that this feed adds and has ended so far."""
        gone = {assignment, *self.ended}
        others = (post for post in (*self.person.assignments, *self.adding) if post.name not in gone)
        return _any_lasts(others, self.at.now + _SOON)

    def _add_or_guard(self, row: ReadRow, event: NewEntry, end: datetime) -> None:
        if not self._is_exit(row, end):
            self._note_end(row, end)
            self._add(event)
        elif self.departing is None:
            self.departing = (event, f"{row.place}: the last assignment ends")

    def _note_end(self, row: ReadRow, end: datetime) -> None:
        """Their other assignments can no longer count on this one."""
        if end <= self.at.now + _SOON and starts_at(self.at, row) <= self.at.now:
            self.ended.add(row.assignment)

    def _read_bad_row(self, row: ReadRow) -> None:
        """Of a row that cannot be trusted as a whole, an earlier end counts, beside the status."""
        prior = self._prior(row.assignment)
        held = self._held(row)
        ends = row.cells.get("ends_on")
        if row.cells.get("status") == "exited" or not ends or not held or ends < row.cells.get("starts_on", ""):
            return
        if (prior is not None and prior.cells.get("ends_on") == ends) or self._current(held) is None:
            return
        leaving = self._shortened(row, held, {"ends_on": ends})
        if leaving is not None:
            kind, data = EventType.ATTRIBUTES_CHANGED, {"ends_on": ends}
            status = {} if prior is not None else _quiet_status(row) if self._away() else status_cells(row)
            event = self._event(kind, row, self._counts(row.assignment), data, status, tag="ends")
            self._add_or_guard(row, event, leaving)

    def _miss(self, rows: Sequence[ReadRow]) -> None:
        """An assignment without its row ends when a second accepted feed lacks it, too."""
        if self.cut or not any(row.good for row in rows):
            return
        there = {row.assignment for row in rows}
        for assignment, seen in self.seen.items():
            if assignment in there:
                continue
            if not seen.missing_since:
                self._add(missing_row(self.at, self.person.id, assignment))
            elif self._is_over(seen):
                self._end_missing(assignment)

    def _is_over(self, seen: SeenRow) -> bool:
        """Whether a row that is missing here was missing from another feed before this one."""
        last = self.last
        if last is not None and last.content == self.at.content and last.import_id == seen.missing_since:
            return False  # that was this very feed
        return bool(seen.missing_since)

    def _end_missing(self, assignment: str) -> None:
        when, after = self._counts(assignment)
        event = event_entry(
            self.at, EventType.ASSIGNMENT_ENDED, self.person.id, assignment, when, forgotten=True, after=after
        )
        held = any(post.name == assignment and post.span.covers(self.at.now) for post in self.person.assignments)
        if held and not self._goes_on(assignment) and self.departing is None:
            self.departing = (event, f"the last assignment, `{assignment}`, is not in the feed")
        else:
            self.ended.add(assignment)
            self._add(event)

    # --- entries ----------------------------------------------------------------------------------------------------

    def _add(self, entry: NewEntry) -> None:
        self.entries.append(entry)

    def _event(
        self,
        kind: EventType,
        row: ReadRow,
        counts: date | datetime | tuple[date | datetime, str],
        data: Mapping[str, str] | None = None,
        cells: Mapping[str, str] | None = None,
        tag: str = "",
    ) -> NewEntry:
        when, after = counts if isinstance(counts, tuple) else (counts, "")
        return event_entry(self.at, kind, self.person.id, row.assignment, when, data, cells, tag=tag, after=after)

    def _counts(self, assignment: str) -> tuple[datetime, str]:
        """From when a change to the assignment counts, and after which event: now; of one that an event begins later,
        from its beginning on and after that event, since before it there is nothing to change.
        """
        post = self._current([post for post in self.person.assignments if post.name == assignment])
        ahead = self.at.ahead.get(post.span.entry) if post else None
        if post is None or ahead is None:
            return self.at.now, ""
        return max(ahead.effective_at, post.span.start or ahead.effective_at), ahead.name

    def _accept(self, row: ReadRow, cells: Mapping[str, str]) -> None:
        self._add(accepted_row(self.at, self.person.id, row.assignment, cells))


def _any_lasts(posts: Iterable[Assignment], at: datetime) -> bool:
    return any(post.span.end is None or post.span.end > at for post in posts)


def _quiet_status(row: ReadRow) -> dict[str, str]:
    """The status, unless an event of its own has to say it."""
    return {} if row.cells.get("status") in STATUS_EVENTS else status_cells(row)


def _differs(row: ReadRow, prior: SeenRow | None) -> bool:
    seen = prior.cells if prior else {}
    return any(row.cells.get(key, "") not in ("", seen.get(key, "")) for key in ("status", "ends_on"))
