"""HR feeds: taking one in, and deciding about the exits that wait. All of one import is one transaction.

`reconciler.facts.rows` reads the rows, `reconciler.facts.comparison` says what they mean; here is what surrounds
them: what is known before, the guard's last 24 hours, and what is recorded. Importing the same file again records
nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from reconciler.errors import Problem, ReconcilerError
from reconciler.facts.comparison import compare, shrinkage
from reconciler.facts.decision import Ahead, Decision, FeedFinding, Occasion, Waiting, event_id, is_out
from reconciler.facts.events import effective_instant, when_text
from reconciler.facts.feed_state import (
    FEED_ACCEPTED,
    IMPORT_CONFIRMED,
    ROW_MISSING,
    AcceptedImport,
    FeedState,
    last_cursor,
    read_feed_state,
    read_import,
)
from reconciler.facts.ledger import CHUNK, Json, NewEntry, canonical, chunks, part, read_numbered
from reconciler.facts.model import Person
from reconciler.facts.oddities import oddities
from reconciler.facts.people import Facts
from reconciler.facts.rows import REQUIRED_COLUMNS, ReadRow, content_digest, feed_columns, read_rows
from reconciler.facts.stored import many_objects
from reconciler.policy.model import Attribute, Guards
from reconciler.sources import Feed

__all__ = [
    "REQUIRED_COLUMNS",
    "ConfirmReport",
    "FeedFinding",
    "FeedHeld",
    "ImportReport",
    "ImportUnknown",
    "Preview",
    "Waiting",
    "confirm_import",
    "feed_columns",
    "feed_cursor",
    "import_people",
    "preview_people",
]


class FeedHeld(ReconcilerError):
    """A feed that is empty or has shrunk too far: nothing of it was recorded."""

    code = "feed-held"
    exit_status = 3


class ImportUnknown(ReconcilerError):
    """There is no such import, or a newer one has taken its place."""

    code = "import-unknown"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a feed. Counts are of people, `quarantined` has a problem or more for each bad row; `entries` is
    how many the ledger has more.

    `import_id` is what `people confirm` is given. `held`: something waits for that decision.
    """

    source: str
    import_id: str
    entries: int
    new: int
    changed: int
    unchanged: int
    quarantined: tuple[Problem, ...]
    waiting: tuple[Waiting, ...]
    findings: tuple[FeedFinding, ...]

    @property
    def held(self) -> bool:
        """Whether something waits for a decision: exit status 3."""
        return bool(self.waiting)

    @property
    def nothing_new(self) -> bool:
        """Whether the ledger is as it was."""
        return self.entries == 0


@dataclass(frozen=True, slots=True)
class ConfirmReport:
    """Whose exits were recorded, and who was out already."""

    import_id: str
    recorded: tuple[str, ...]
    already: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What taking a feed in would come to: the report, and the entries that would be recorded."""

    report: ImportReport
    entries: tuple[NewEntry, ...]


def import_people(
    facts: Facts,
    feed: Feed,
    *,
    source: str,
    attributes: Mapping[str, Attribute],
    guards: Guards,
    now: datetime,
    actor: str,
) -> ImportReport:
    """Take a delivery of this source in: of a full one whoever is missing is asked about, of one that holds changes
    alone nobody is.

    Raises `FeedHeld` where a full one is empty or has shrunk beyond the guard (nothing is recorded), and whatever the
    source raises while it is read.
    """
    with many_objects():
        rows = read_rows(feed.rows, attributes)
        with facts.store.writing() as connection:
            judged = _judge(facts, connection, feed, rows, source, attributes, guards, now, actor)
            recorded = _record(facts, connection, judged, feed)
    return judged.report(feed, attributes, recorded)


def preview_people(
    facts: Facts,
    feed: Feed,
    *,
    source: str,
    attributes: Mapping[str, Attribute],
    guards: Guards,
    now: datetime,
    actor: str,
) -> Preview:
    """What `import_people` would do, without doing it. Raises as that does."""
    rows = read_rows(feed.rows, attributes)
    with facts.store.reading() as connection:
        judged = _judge(facts, connection, feed, rows, source, attributes, guards, now, actor)
    entries = judged.entries(feed)
    return Preview(judged.report(feed, attributes, len(entries)), tuple(entries))


def feed_cursor(facts: Facts, source: str) -> str:
    """Where this source's next delivery goes on; blank where everything has to be read."""
    with facts.store.reading() as connection:
        return last_cursor(connection, source)


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a feed leads to, and on which ground."""

    decision: Decision
    state: FeedState
    occasion: Occasion

    @property
    def waiting(self) -> list[Json]:
        """What waits for a decision once this is taken, as it stands in the ledger."""
        return [item.stored() for item in self.decision.waiting]

    def entries(self, feed: Feed) -> list[NewEntry]:
        """What is new for the record; nothing at all where nothing is."""
        before = self.state.last.waiting if self.state.last else ()
        if not self.decision.entries and _essence(self.waiting) == _essence(before):
            return []
        payload: dict[str, Json] = {
            "source": self.occasion.source,
            "import": self.occasion.import_id,
            "content": self.occasion.content,
            "delivery": feed.digest,
            "people": self.decision.people,
            "quarantined": len(self.decision.quarantined),
            "waiting": self.waiting,
            "cursor": feed.cursor,
        }
        accepted = NewEntry(FEED_ACCEPTED, f"source:{self.occasion.source}", self.occasion.actor, payload)
        return [*self.decision.entries, accepted]

    def report(self, feed: Feed, attributes: Mapping[str, Attribute], recorded: int) -> ImportReport:
        """What a person is told."""
        source, last = self.occasion.source, self.state.last
        lost = _lost_columns(feed, self.state, source, attributes) if feed.full else []
        import_id = last.import_id if last is not None and not recorded else self.occasion.import_id
        return _report(source, import_id, recorded, self.decision, [*lost, *_ignored(feed, source)])


def _judge(
    facts: Facts,
    connection: Connection,
    feed: Feed,
    rows: Sequence[ReadRow],
    source: str,
    attributes: Mapping[str, Attribute],
    guards: Guards,
    now: datetime,
    actor: str,
) -> _Judged:
    state = read_feed_state(connection, source)
    known = facts.population_in(connection, evidence=False).by_id
    if feed.full and (why := shrinkage(rows, state, known, guards)) is not None:
        raise FeedHeld(
            f"source `{source}`: the feed changes nothing, because {why}",
            remedy="fetch it again; where it is right, let `guards.feed.shrink_percent` in the policy admit it",
        )
    content, present = content_digest(rows), {row.person for row in rows}
    occasion = Occasion(
        source=source,
        import_id=_import_id(source, content, state.last),
        content=content,
        actor=actor,
        now=now.astimezone(UTC),
        zone=facts.zone,
        guards=guards,
        departures=frozenset(facts.departures(connection, now)),
        ahead=_ahead(connection, [known[person] for person in present & known.keys()], now),
    )
    erased = facts.erased(connection, present)
    told = [row for row in rows if row.person not in erased]
    decision = compare(told, state if feed.full else _of_these(state, told), known, occasion)
    decision.findings += [_named_again(person, entry) for person, entry in sorted(erased.items())]
    decision.findings += oddities(told, attributes, occasion.now.astimezone(facts.zone).date())
    if not feed.full:
        decision.waiting = [*_standing(state, told, known), *decision.waiting]
    return _Judged(decision, state, occasion)


def _ahead(connection: Connection, people: Iterable[Person], now: datetime) -> dict[int, Ahead]:
    """The events that are true from now or later on and of which assignments come that have not begun."""
    posts = (post for person in people for post in person.assignments)
    coming = sorted({post.span.entry for post in posts if post.span.start is not None and post.span.start >= now})
    found: dict[int, Ahead] = {}
    for some in chunks(coming, CHUNK):
        for entry in read_numbered(connection, some):
            if entry.effective_at is not None and entry.effective_at >= now:
                name = part(entry.payload, "feed").get("after") or entry.payload["id"]
                found[entry.seq] = Ahead(entry.effective_at, str(name))
    return found


def _of_these(state: FeedState, rows: Sequence[ReadRow]) -> FeedState:
    """What the source said last of the assignments that these rows name: of the others they say nothing."""
    named = {(row.person, row.assignment) for row in rows}
    kept = {
        person: {name: seen for name, seen in own.items() if (person, name) in named}
        for person, own in state.rows.items()
    }
    return FeedState({person: own for person, own in kept.items() if own}, state.last)


def _standing(state: FeedState, rows: Sequence[ReadRow], known: Mapping[str, Person]) -> Iterator[Waiting]:
    """The exits that wait since an earlier delivery, of those that this one says nothing about and who are still in."""
    told = {row.person for row in rows}
    for item in state.last.waiting if state.last else ():
        person = known.get(str(item["person"]))
        if person is not None and person.id not in told and not is_out(person):
            stored: Any = item["entries"]
            yield Waiting(person.id, str(item["reason"]), str(item["text"]), tuple(stored))


def confirm_import(facts: Facts, import_id: str, *, now: datetime, actor: str) -> ConfirmReport:
    """Record the exits that wait in this import, each confirmed by `actor`.

    Raises `ImportUnknown` where there is no such import, nothing waits, or a newer feed of the same source was
    accepted since.
    """
    with facts.store.writing() as connection:
        asked, last = read_import(connection, import_id)
        if asked is None or last is None:
            raise ImportUnknown(f"there is no import `{import_id}`", remedy="the report of `people import` names it")
        if asked.import_id != last.import_id:
            raise ImportUnknown(
                f"a newer feed of `{asked.source}` was accepted since import `{import_id}`",
                remedy=f"look at what waits now, then confirm `{last.import_id}`",
            )
        if not asked.waiting:
            raise ImportUnknown(f"nothing waits in import `{import_id}`", remedy="it may have been confirmed already")
        return _confirm(facts, connection, asked, now.astimezone(UTC), actor)


def _named_again(person: str, entry: int) -> FeedFinding:
    text = f"what was on record of this person was erased (ledger entry {entry}); the row counts for nothing"
    return FeedFinding("erased-person", person, text)


def _import_id(source: str, content: str, last: AcceptedImport | None) -> str:
    """Short, and another one whenever the ground has changed: the same feed after another one is another import."""
    before = last.import_id if last else ""
    return hashlib.sha256("\n".join((source, content, before)).encode()).hexdigest()[:12]


def _record(facts: Facts, connection: Connection, judged: _Judged, feed: Feed) -> int:
    """Append what is new: how many entries."""
    entries = judged.entries(feed)
    return len(facts.ledger.append(connection, entries, judged.occasion.now)) if entries else 0


def _essence(waiting: Sequence[Json]) -> list[bytes]:
    """Whose what waits, apart from the words about it and from what their rows say beside it."""
    items = (item for item in waiting if isinstance(item, Mapping))
    return sorted(canonical([item["person"], item["reason"], *_effects(item)]) for item in items)


def _effects(item: Mapping[str, Json]) -> Iterator[Json]:
    entries = item["entries"] if isinstance(item["entries"], Sequence) else ()
    for entry in entries:
        if isinstance(entry, Mapping):
            yield {**entry, "feed": {name: value for name, value in part(entry, "feed").items() if name != "cells"}}


def _report(
    source: str, import_id: str, recorded: int, decision: Decision, findings: Sequence[FeedFinding]
) -> ImportReport:
    return ImportReport(
        source=source,
        import_id=import_id,
        entries=recorded,
        new=decision.new,
        changed=decision.changed,
        unchanged=decision.unchanged,
        quarantined=tuple(decision.quarantined),
        waiting=tuple(decision.waiting),
        findings=(*decision.findings, *findings),
    )


def _lost_columns(feed: Feed, state: FeedState, source: str, attributes: Mapping[str, Attribute]) -> list[FeedFinding]:
    """Columns that the last feed had and this one lacks: what they said stays as it was."""
    had = set(chain.from_iterable(row.cells for rows in state.rows.values() for row in rows.values()))
    lost = sorted((had & set(feed_columns(attributes))) - set(feed.columns))
    return [
        FeedFinding("column-lost", source, f"the column `{name}` is not in this feed; what it said stays as it was")
        for name in lost
    ]


def _ignored(feed: Feed, source: str) -> list[FeedFinding]:
    if not feed.ignored_columns:
        return []
    names = ", ".join(f"`{name}`" for name in feed.ignored_columns)
    return [FeedFinding("columns-ignored", source, f"no policy asks about these columns: {names}")]


def _confirm(facts: Facts, connection: Connection, asked: AcceptedImport, now: datetime, actor: str) -> ConfirmReport:
    people = [str(item["person"]) for item in asked.waiting]
    known = facts.population_in(connection, people, evidence=False).by_id
    entries: list[NewEntry] = []
    recorded: list[str] = []
    already: list[str] = []
    for item in asked.waiting:
        person = known[str(item["person"])]
        stored = item["entries"] if isinstance(item["entries"], Sequence) else ()
        if is_out(person):
            already.append(person.id)
            continue
        recorded.append(person.id)
        entries += [_confirmed(facts, asked, person, one, now, actor) for one in stored if isinstance(one, Mapping)]
    payload: dict[str, Json] = {"source": asked.source, "import": asked.import_id, "people": list(recorded)}
    entries.append(NewEntry(IMPORT_CONFIRMED, f"source:{asked.source}", actor, payload))
    facts.ledger.append(connection, entries, now)
    return ConfirmReport(asked.import_id, tuple(recorded), tuple(already))


def _confirmed(
    facts: Facts, asked: AcceptedImport, person: Person, stored: Mapping[str, Json], now: datetime, actor: str
) -> NewEntry:
    kind, feed = str(stored["kind"]), part(stored, "feed")
    after = str(feed.get("after", ""))
    where: dict[str, Json] = {"source": asked.source, "feed": {**feed, "import": asked.import_id}}
    if kind == ROW_MISSING:
        return NewEntry(kind, person.id, actor, where)
    when = _when(stored["effective_at"], now)
    event: dict[str, Json] = {
        "id": event_id(asked.import_id, person.id, str(feed["assignment"]), f"{kind}:confirmed", after=after, now=now),
        "type": kind,
        "person": person.id,
        "effective_at": when_text(when),
        "data": stored["data"],
        "confirmed": True,
    }
    return NewEntry(kind, person.id, actor, {**where, **event}, effective_instant(kind, when, facts.zone))


def _when(text: Json, now: datetime) -> date | datetime:
    if text is None:
        return now
    return date.fromisoformat(str(text)) if len(str(text)) == 10 else datetime.fromisoformat(str(text))
