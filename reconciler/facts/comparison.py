"""What an HR feed means, compared with the last accepted feed of its source and with what is known. Pure.

The rules: a feed that is empty or has shrunk changes nothing; an exit or a notice counts even where the rest of the row
cannot be read; a bad row changes nothing else; only what differs from the *last accepted feed* is news, so that a stale
feed undoes nothing; an exit, a notice or a lockout is never reversed by a row; absence waits for a decision; exits
beyond the guard wait for the same decision. What the rows of one known person mean is `reconciler.facts.known_person`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime

from reconciler.errors import Problem
from reconciler.facts.decision import (
    STATUS_EVENTS,
    Decision,
    FeedFinding,
    Occasion,
    Waiting,
    accepted_row,
    begun_on,
    event_entry,
    is_out,
    left_on,
    missing_row,
    open_span,
    trips,
)
from reconciler.facts.events import MAIN, EventType, effective_instant
from reconciler.facts.feed_state import ROW_MISSING, FeedState
from reconciler.facts.known_person import KnownPerson
from reconciler.facts.ledger import Json, NewEntry, part
from reconciler.facts.model import Person
from reconciler.facts.rows import ReadRow, ending_cells, leaving_row, post_cells, status_cells
from reconciler.policy.model import Guards


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
        self.departing: dict[str, tuple[NewEntry, str]] = {}
        self.cut = False
        self.folded = {person.casefold(): person for person in known}

    def decide(self, rows: Sequence[ReadRow]) -> Decision:
        grouped: dict[str, list[ReadRow]] = {}
        self.cut = any(row.cut for row in rows)
        for row in rows:
            self.decision.quarantined += row.problems
            if row.undeclared:
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
                self._known_person(person, rows)
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
        leaves = leaving_row(rows).cells.get("status") == "exited"
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
        leaver = leaving_row(rows)
        leaves = leaver.cells.get("status") == "exited"
        over = [row for row in rows if row.good and row.cells.get("status") == "exited" and not leaves]
        hired = [row for row in rows if row.good and row not in over]
        self.decision.entries += (accepted_row(self.at, person, row.assignment, {"status": "exited"}) for row in over)
        for number, row in enumerate(hired):
            kind = EventType.ASSIGNMENT_ADDED if number else EventType.HIRED
            self._add(self._event(kind, person, row, self._hired_on(row), post_cells(row.cells), status_cells(row)))
        if leaves:
            ending = ending_cells(leaver)
            self._add(self._event(EventType.EXITED, person, leaver, left_on(self.at, leaver), {}, ending))
            return
        for status, kind in STATUS_EVENTS.items():
            said = next((row for row in rows if row.cells.get("status") == status), None)
            if said is not None:
                self._add(self._event(kind, person, said, self.at.now, {}, status_cells(said)))

    def _hired_on(self, row: ReadRow) -> date | datetime:
        """From when: of somebody who has left already without a first day, not after they left."""
        starts = row.cells.get("starts_on")
        if row.cells.get("status") == "exited" and not starts:
            return min(self.at.now, effective_instant(EventType.EXITED, left_on(self.at, row), self.at.zone))
        return begun_on(self.at, row)

    def _known_person(self, person: str, rows: Sequence[ReadRow]) -> None:
        known = KnownPerson(self.known[person], self.state, self.at, cut=self.cut)
        known.read(rows)
        self.decision.entries += known.entries
        self.decision.findings += known.findings
        if known.departing is not None:
            self.departing[person] = known.departing

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
            self.decision.entries += (entry for entry, _ in self.departing.values())
            return
        for person, (entry, text) in self.departing.items():
            self.decision.waiting.append(Waiting(person, "exits", text, (self._stored(entry),)))

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

    def _event(
        self,
        kind: EventType,
        person: str,
        row: ReadRow,
        when: date | datetime,
        data: Mapping[str, str] | None = None,
        cells: Mapping[str, str] | None = None,
    ) -> NewEntry:
        return event_entry(self.at, kind, person, row.assignment, when, data, cells)
