"""What a person's events add up to. Pure: the same events in any order, any of them twice, give the same person.

The order that counts is that of the world: by the time an event takes effect, exits last, then by id. An exit of a
whole day belongs to that day's end, and so comes before whatever the next day starts with. What an event cannot apply
to (a change to an assignment that nobody has yet) has no effect, and takes it once the missing event is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from itertools import pairwise

from reconciler.facts.days import day_end, day_start, end_instant
from reconciler.facts.events import MAIN, EventType, parse_data_day, parse_data_end
from reconciler.facts.ledger import Entry, Json
from reconciler.facts.model import Assignment, EvidenceRecord, Person, Span

_NO_ATTRIBUTES = frozenset({"assignment", "starts_on", "ends_on", "name", "email"})
_UNLIMITED = 9999


@dataclass(frozen=True, slots=True)
class PersonEvent:
    """An event as the ledger has it. `whole_day`: it was said of a day, not of a minute."""

    seq: int
    kind: str
    effective_at: datetime
    recorded_at: datetime
    source: str
    id: str
    whole_day: bool
    data: Mapping[str, Json]


def person_event(entry: Entry) -> PersonEvent:
    """The event that stands in a ledger entry of one of the event kinds."""
    payload = entry.payload
    data = payload.get("data")
    return PersonEvent(
        seq=entry.seq,
        kind=entry.kind,
        effective_at=entry.effective_at or entry.recorded_at,
        recorded_at=entry.recorded_at,
        source=str(payload.get("source", "")),
        id=str(payload.get("id", "")),
        whole_day=len(str(payload.get("effective_at", ""))) == 10,
        data=data if isinstance(data, Mapping) else {},
    )


def in_order(events: Iterable[PersonEvent]) -> list[PersonEvent]:
    """Each event once, in the order that counts."""
    first: dict[tuple[str, str], PersonEvent] = {}
    for event in events:
        known = first.get((event.source, event.id))
        if known is None or event.seq < known.seq:
            first[event.source, event.id] = event
    return sorted(first.values(), key=_rank)


def _rank(event: PersonEvent) -> tuple[datetime, int, str, str]:
    leaves = event.kind == EventType.EXITED
    place = 0 if leaves and event.whole_day else 2 if leaves else 1
    return event.effective_at, place, event.id, event.source


# --- people ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Stretch:
    """A span in the making."""

    start: datetime
    end: datetime | None
    entry: int
    end_entry: int = 0
    attributes: dict[str, str] = field(default_factory=dict)
    moved: bool = False
    """A transfer ended it."""

    def cut(self, at: datetime, entry: int) -> None:
        """End it at that instant, if it goes on beyond."""
        if self.end is None or self.end > at:
            self.stop(at, entry)

    def stop(self, at: datetime | None, entry: int, *, moved: bool = False) -> None:
        """End it at that instant, whatever was said before."""
        self.end, self.end_entry, self.moved = at, entry, moved

    @property
    def lasts(self) -> bool:
        """Whether it is a stretch at all: one that ends where it starts, or before, gives nothing and cuts nothing."""
        return self.end is None or self.start < self.end

    def span(self) -> Span:
        return Span(self.start, self.end, self.entry, self.end_entry if self.end_entry != self.entry else 0)


@dataclass(slots=True)
class _Folding:
    """What is known after some of the events."""

    zone: tzinfo
    name: str = ""
    email: str = ""
    posts: dict[str, list[_Stretch]] = field(default_factory=dict)
    notice: list[_Stretch] = field(default_factory=list)
    leave: list[_Stretch] = field(default_factory=list)
    exited: list[_Stretch] = field(default_factory=list)
    lockouts: dict[str, list[_Stretch]] = field(default_factory=dict)
    employed_since: datetime | None = None
    rehired: bool = False


def fold(number: int, person: str, events: Iterable[PersonEvent], zone: tzinfo, last_entry: int = 0) -> Person:
    """The person whom these events describe; `last_entry` where newer entries (evidence) are about them, too."""
    state = _Folding(zone)
    ordered = in_order(events)
    for event in ordered:
        act = _ACTS.get(event.kind)
        if act is not None:
            act(state, event)
    return Person(
        number=number,
        id=person,
        name=state.name,
        email=state.email,
        assignments=_assignments(state.posts),
        notice=_spans(state.notice),
        leave=_spans(state.leave),
        exited=_spans(state.exited),
        lockouts=_spans([stretch for stretches in state.lockouts.values() for stretch in stretches]),
        employed_since=state.employed_since,
        rehired=state.rehired,
        last_entry=max([last_entry, *(event.seq for event in ordered)]),
    )


def _assignments(posts: Mapping[str, list[_Stretch]]) -> tuple[Assignment, ...]:
    lasting = [(name, stretch) for name, stretches in posts.items() for stretch in stretches if stretch.lasts]
    return tuple(
        Assignment(name, dict(sorted(stretch.attributes.items())), stretch.span(), _moved_on(stretch, posts[name]))
        for name, stretch in sorted(lasting, key=lambda one: (one[1].start, one[0], one[1].entry))
    )


def _moved_on(stretch: _Stretch, stretches: list[_Stretch]) -> bool:
    """Whether a transfer ended it, and what that transfer began is still there: neither an exit nor the assignment's
    end at the same instant took it away.
    """
    if not stretch.moved:
        return False
    following = [other for other in stretches if other.start == stretch.end and other is not stretch]
    begun = any(other.entry == stretch.end_entry for other in following)
    return begun and any(other.lasts for other in following)


def _spans(stretches: list[_Stretch]) -> tuple[Span, ...]:
    if not stretches:
        return ()
    real = (stretch for stretch in stretches if stretch.lasts)
    return tuple(stretch.span() for stretch in sorted(real, key=lambda stretch: (stretch.start, stretch.entry)))


def _start(state: _Folding, event: PersonEvent) -> datetime | None:
    day = parse_data_day(event.data.get("starts_on"))
    return None if day is None else day_start(day, state.zone)


def _end(state: _Folding, event: PersonEvent) -> datetime | None:
    day = parse_data_day(event.data.get("ends_on"))
    return None if day is None or day.year == _UNLIMITED else day_end(day, state.zone)


def _said(event: PersonEvent) -> dict[str, str]:
    return {key: str(value) for key, value in event.data.items() if key not in _NO_ATTRIBUTES}


def _post_name(event: PersonEvent) -> str:
    return str(event.data.get("assignment") or MAIN)


def _name(state: _Folding, event: PersonEvent) -> None:
    state.name = str(event.data.get("name") or state.name)
    state.email = str(event.data.get("email", state.email))


def _begin(state: _Folding, event: PersonEvent) -> None:
    """An assignment starts; one of the same name that was there before, or was to come, gives way."""
    _name(state, event)
    start = _start(state, event) or event.effective_at
    attributes = {key: value for key, value in _said(event).items() if value}
    stretches = state.posts.setdefault(_post_name(event), [])
    _end_all(stretches, start, event.seq)
    stretches.append(_Stretch(start, _end(state, event), event.seq, attributes=attributes))


def _end_all(stretches: list[_Stretch], at: datetime, entry: int) -> None:
    """Nothing of these goes on after that instant, and nothing begins."""
    stretches[:] = [stretch for stretch in stretches if stretch.start < at]
    for stretch in stretches:
        stretch.cut(at, entry)


def _hire(state: _Folding, event: PersonEvent) -> None:
    _begin(state, event)
    state.employed_since = _start(state, event) or event.effective_at


def _rehire(state: _Folding, event: PersonEvent) -> None:
    start = _start(state, event) or event.effective_at
    for stretches in (state.exited, state.notice, state.leave):
        for stretch in stretches:
            stretch.cut(max(start, stretch.start), event.seq)
    _hire(state, event)
    state.rehired = True


def _exit(state: _Folding, event: PersonEvent) -> None:
    at = event.effective_at
    for stretches in (*state.posts.values(), state.notice, state.leave):
        _end_all(stretches, at, event.seq)
    _open(state.exited, event)


def _end_post(state: _Folding, event: PersonEvent) -> None:
    _end_all(state.posts.get(_post_name(event), []), event.effective_at, event.seq)


def _open(stretches: list[_Stretch], event: PersonEvent) -> None:
    if not any(stretch.end is None for stretch in stretches):
        stretches.append(_Stretch(event.effective_at, None, event.seq))


def _close(stretches: list[_Stretch], event: PersonEvent) -> None:
    for stretch in stretches:
        stretch.cut(event.effective_at, event.seq)


def _unlock(state: _Folding, event: PersonEvent) -> None:
    ref = str(event.data.get("ref") or "")
    for name, stretches in state.lockouts.items():
        if ref in ("", name):
            _close(stretches, event)


def _change(state: _Folding, event: PersonEvent) -> None:
    """Attributes, start or end of one assignment change from the event on."""
    _name(state, event)
    stretches = state.posts.get(_post_name(event), [])
    at = event.effective_at
    current = next((s for s in stretches if s.start <= at and (s.end is None or at < s.end)), None)
    coming = next((s for s in stretches if s.start > at), None)
    if current is not None:
        _change_running(state, event, stretches, current)
    elif coming is not None:
        past = [stretch.end for stretch in stretches if stretch.lasts and stretch.end and stretch.end <= at]
        coming.start = max([_start(state, event) or coming.start, *past])  # what was over before stays as it was
        coming.attributes, coming.entry = _merged(coming, event), event.seq
        _move_end(state, event, stretches, coming)
    elif stretches:
        _begin_again(state, event, stretches)
    _part(stretches)


def _part(stretches: list[_Stretch]) -> None:
    """INVARIANT: the stretches of one assignment stand in order and never overlap: each gives way to the next."""
    stretches.sort(key=lambda stretch: (stretch.start, stretch.entry))
    for one, following in pairwise(stretch for stretch in stretches if stretch.lasts):
        one.cut(following.start, following.entry)


def _change_running(state: _Folding, event: PersonEvent, stretches: list[_Stretch], current: _Stretch) -> None:
    at, start, attributes = event.effective_at, _start(state, event), _merged(current, event)
    if start is not None and start > at and (current.end is None or start > current.end):
        later = _Stretch(start, _end(state, event), event.seq, attributes=attributes)
        if current.end is None:  # it turns out not to have begun yet
            _end_all(stretches, at, event.seq)
        stretches.append(later)
        return
    if start is not None and start <= at:
        _move_start(stretches, current, start)
    if attributes != current.attributes:
        following = _Stretch(at, current.end, event.seq, current.end_entry, attributes)
        current.stop(at, event.seq, moved=event.kind == EventType.TRANSFERRED)
        stretches.insert(stretches.index(current) + 1, following)
        current = following
    _move_end(state, event, stretches, current)


def _move_start(stretches: list[_Stretch], current: _Stretch, start: datetime) -> None:
    """The unbroken run of stretches that leads to the current one began at another time than was said."""
    run = [current]
    for stretch in reversed(stretches[: stretches.index(current)]):
        if stretch.end == run[0].start:
            run.insert(0, stretch)
    while len(run) > 1 and run[0].end is not None and run[0].end <= start:
        stretches.remove(run.pop(0))
    run[0].start = start


def _move_end(state: _Folding, event: PersonEvent, stretches: list[_Stretch], current: _Stretch) -> None:
    if "ends_on" not in event.data:
        return
    end = _end(state, event)
    current.stop(end, event.seq if end else 0)
    if end is not None:
        _end_all(stretches, end, event.seq)


def _begin_again(state: _Folding, event: PersonEvent, stretches: list[_Stretch]) -> None:
    """An ended assignment goes on only where the event says from when, and that is not before it ended."""
    last, start = stretches[-1], _start(state, event)
    if start is not None and last.end is not None and start >= last.end:
        stretches.append(_Stretch(start, _end(state, event), event.seq, attributes=_merged(last, event)))


def _merged(stretch: _Stretch, event: PersonEvent) -> dict[str, str]:
    return {key: value for key, value in (stretch.attributes | _said(event)).items() if value}


_ACTS: Mapping[str, Callable[[_Folding, PersonEvent], None]] = {
    EventType.HIRED: _hire,
    EventType.REHIRED: _rehire,
    EventType.ASSIGNMENT_ADDED: _begin,
    EventType.ASSIGNMENT_ENDED: _end_post,
    EventType.TRANSFERRED: _change,
    EventType.ATTRIBUTES_CHANGED: _change,
    EventType.EXITED: _exit,
    EventType.RESIGNATION_SUBMITTED: lambda state, event: _open(state.notice, event),
    EventType.RESIGNATION_WITHDRAWN: lambda state, event: _close(state.notice, event),
    EventType.LEAVE_STARTED: lambda state, event: _open(state.leave, event),
    EventType.LEAVE_ENDED: lambda state, event: _close(state.leave, event),
    EventType.LOCKED_OUT: lambda state, event: _open(
        state.lockouts.setdefault(str(event.data.get("ref") or ""), []), event
    ),
    EventType.UNLOCKED: _unlock,
}


# --- evidence -------------------------------------------------------------------------------------------------------


def fold_evidence(person: str, events: Iterable[PersonEvent], zone: tzinfo) -> tuple[EvidenceRecord, ...]:
    """The proofs that these events record, in the order of the ledger, each with its revocation if there is one."""
    ordered = in_order(events)
    revoked: dict[str, Span] = {}
    for event in ordered:
        if event.kind == EventType.EVIDENCE_REVOKED:
            revoked.setdefault(str(event.data["evidence"]), Span(event.effective_at, None, event.seq))
    records = [
        _record(person, event, zone, revoked.get(event.id) or revoked.get(str(event.data.get("reference") or event.id)))
        for event in ordered
        if event.kind == EventType.EVIDENCE_RECORDED
    ]
    return tuple(sorted(records, key=lambda record: record.entry))


def _record(person: str, event: PersonEvent, zone: tzinfo, revoked: Span | None) -> EvidenceRecord:
    data = event.data
    valid_from = parse_data_day(data.get("valid_from"))
    valid_until = parse_data_end(data.get("valid_until"))
    return EvidenceRecord(
        entry=event.seq,
        person=person,
        kind=str(data["kind"]),
        scope=str(data.get("scope") or ""),
        version=int(str(data.get("version") or 1)),
        valid_from=event.effective_at if valid_from is None else day_start(valid_from, zone),
        valid_until=None if valid_until is None or valid_until.year == _UNLIMITED else end_instant(valid_until, zone),
        failed=data.get("result") == "failed",
        reference=str(data.get("reference") or ""),
        source=event.source,
        recorded_at=event.recorded_at,
        revoked=revoked,
    )
