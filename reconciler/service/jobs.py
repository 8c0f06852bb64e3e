"""What there is to do: let one person out, make one whole pass, look ahead. Who does it, a thread of the service, a
process of its own or a worker on another machine, calls these, and is answered in plain values that can be sent.

A job knows nothing of queues: it looks at the record as it stands, so that doing it twice, or late, does no harm. What
it cannot do it raises; what it did in part it says.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from threading import Event

from reconciler.access.boundaries import Boundaries, boundaries_of
from reconciler.access.sponsorship import people_needed
from reconciler.errors import ReconcilerError
from reconciler.facts.people import Facts, PersonUnknown
from reconciler.logs import log
from reconciler.passes import Applied, Look, apply_plan
from reconciler.passes.agenda import EVERYBODY, Agenda, Calendar, calendar_of, turns_of
from reconciler.passes.one_person import let_out, under_way
from reconciler.passes.wiring import Wiring
from reconciler.policy.model import Policy
from reconciler.service.premises import Premises
from reconciler.workspace import RunInProgress, StandingPolicy

__all__ = [
    "COURTESY",
    "Ahead",
    "AheadOfAll",
    "PersonPassed",
    "Stopping",
    "WholePassed",
    "look_ahead",
    "look_ahead_for",
    "pass_person",
    "pass_whole",
]

COURTESY = 5.0
"""For so many seconds a whole pass, which is much work, waits for leavers who are on their way out; and so does a pass
for a person while somebody else makes one.
"""

POLL = 0.05
"""Seconds between two looks at what somebody else is doing."""


class Stopping(ReconcilerError):
    """Whoever does the job was told to stop: no further batch is begun."""

    code = "stopping"


@dataclass(frozen=True, slots=True)
class Ahead:
    """When time alone next changes something about these people after that moment, by what the record said at its entry
    `known`; None where nothing is to come. `came`: those whose moment came between when it was asked from and `after`.
    """

    after: datetime
    known: int
    turns: Mapping[str, datetime | None]
    came: frozenset[str] = frozenset()

    def enter(self, agenda: Agenda) -> None:
        """What is to come for them."""
        for person, turn in self.turns.items():
            agenda.put(person, [turn] if turn else [], after=self.after, known=self.known)


@dataclass(frozen=True, slots=True)
class AheadOfAll:
    """The same for everybody, and about the policy's own dates."""

    calendar: Calendar
    came: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PersonPassed:
    """What became of one person's pass: whether it ended well, and whether there may be more to do than the lane does.
    Of somebody who is not known (yet) there was none to make.
    """

    well: bool = True
    goes_on: bool = False
    made: bool = False
    ahead: Ahead | None = None


@dataclass(frozen=True, slots=True)
class WholePassed:
    """What became of one whole pass: whether it did everything that nothing holds, everywhere; what was in the way;
    when it looked, how many seconds it took, which targets could not be read. `busy`: somebody else is making one, and
    this one has not begun.
    """

    well: bool = False
    trouble: str = ""
    looked_at: datetime | None = None
    busy: bool = False
    ahead: Calendar | None = field(default=None, repr=False)
    seconds: float = 0.0
    unread: Sequence[str] = ()


def pass_person(premises: Premises, person: str, stop: Event) -> PersonPassed:
    """Take from the person what the leaver's lane says. Raises `ReconcilerError`."""
    begun, now = time.perf_counter(), premises.clock()
    standing = premises.standing()
    wiring = premises.wired(standing)
    _give_way(wiring, person, stop)
    try:
        done = let_out(wiring, person)
    except PersonUnknown:
        return PersonPassed()  # what was told of them waits for the hire, and that asks for the pass again
    if done is not None:
        premises.notifier.person_passed(done, person)
    ahead = _ahead_of(premises, standing, person, now)
    failed = done is not None and done.failed
    changes = len(done.report.done) if done is not None and done.report is not None else 0
    seconds = round(time.perf_counter() - begun, 3)
    premises.measures.passed("person", seconds, well=not failed, unread=_unread(done))
    log.info("person-passed", person=person, changes=changes, failed=failed, seconds=seconds)
    # Who leaves may have answered for others, whom only a whole pass looks at.
    goes_on = (done is not None and done.still_due) or bool(standing.policy.sponsors)
    return PersonPassed(not failed, goes_on, True, ahead)


def pass_whole(premises: Premises, stop: Event, plans_ahead: bool = True) -> WholePassed:
    """Make one pass over everything, or over the leaver's lane alone while the policies do not pass; `plans_ahead`: and
    say when time next changes something. Raises `Stopping` between two batches, and whatever keeps it from looking.
    """
    standing = premises.standing()
    seen: list[Look] = []

    def go_on(_what: str, _done: int, _all: int) -> None:
        """Called after every batch, when all of it is on record."""
        if stop.is_set():
            raise Stopping("the service is being stopped")

    try:
        done = apply_plan(
            premises.wired(standing), leavers_only=standing.problems is not None, looked=seen.append, progress=go_on
        )
    except RunInProgress:
        return WholePassed(busy=True)
    if done is not None:
        premises.notifier.whole_passed(done, standing.policy)
    look = seen[-1]
    well = done is not None and not done.failed and standing.problems is None
    # By what the pass saw, so that nobody's moment is missed that came up with it.
    ahead = _ahead(boundaries_of(look.policy, look.population), look.desired.at) if plans_ahead else None
    trouble = "" if well else _what_went_wrong(done, standing.problems)
    return WholePassed(well, trouble, look.desired.at, ahead=ahead, unread=_unread(done))


def look_ahead(premises: Premises, since: datetime) -> AheadOfAll:
    """Everybody's next moment, and whose came since that one: much work for a large company.

    Raises `ReconcilerError`.
    """
    boundaries, now = boundaries_of(premises.standing().policy, premises.facts.population()), premises.clock()
    return AheadOfAll(_ahead(boundaries, now), _ahead(boundaries, since).until(now))


def look_ahead_for(premises: Premises, people: Mapping[str, datetime]) -> Ahead:
    """The same for these people, each since a moment of their own. Raises `ReconcilerError`."""
    boundaries = _boundaries_of_some(premises.standing().policy, premises.facts, people.keys())
    now = premises.clock()
    since, ahead = _ahead_of_some(boundaries, people, now), _ahead_of_some(boundaries, dict.fromkeys(people, now), now)
    came = (person for person, turn in since.turns.items() if turn is not None and turn <= now)
    return replace(ahead, came=frozenset(came))


def _ahead(boundaries: Boundaries, after: datetime) -> Calendar:
    everybody = ((person.id, _next(turns_of(boundaries, person), after)) for person in boundaries.population)
    turns = chain([(EVERYBODY, _next(boundaries.of_policy(), after))], everybody)
    return calendar_of(turns, after=after, known=boundaries.population.ledger_seq)


def _ahead_of_some(boundaries: Boundaries, people: Mapping[str, datetime], after: datetime) -> Ahead:
    own = (person for person in boundaries.population if person.id in people)
    turns = {person.id: _next(turns_of(boundaries, person), people[person.id]) for person in own}
    return Ahead(after, boundaries.population.ledger_seq, turns)


def _ahead_of(premises: Premises, standing: StandingPolicy, person: str, after: datetime) -> Ahead:
    """The person's own next moment, by what is on record now."""
    return _ahead_of_some(_boundaries_of_some(standing.policy, premises.facts, [person]), {person: after}, after)


def _boundaries_of_some(policy: Policy, facts: Facts, people: Collection[str]) -> Boundaries:
    """Those of these people, who may hang on others."""
    alone = facts.population(people)
    return boundaries_of(policy, facts.population(people_needed(policy, alone.people) | set(people)))


def _next(turns: Iterable[datetime], after: datetime) -> datetime | None:
    return min((instant for instant in turns if instant > after), default=None)


def _give_way(wiring: Wiring, person: str, stop: Event) -> None:
    """Whoever shuts somebody out on the command line is not to be told that their own pass was taken from them. Raises
    `Stopping`.
    """
    until = time.monotonic() + COURTESY
    while time.monotonic() < until and under_way(wiring, person):
        if stop.wait(POLL):
            raise Stopping("the service is being stopped")


def _what_went_wrong(done: Applied | None, problems: object) -> str:
    if problems is not None:
        return "the policies do not pass: under the last that did, only leavers are let out"
    if done is None:
        return "the pass was broken off"
    if unread := _unread(done):
        return f"could not be read: {', '.join(unread)}"
    return f"{len(done.report.failed) if done.report else 0} changes failed in the last pass"


def _unread(done: Applied | None) -> Sequence[str]:
    """The targets that could not be read."""
    return sorted(name for name, seen in done.plan.targets.items() if seen.error) if done is not None else []
