"""Whether what a plan wants is still wanted, by the facts and the policy of this moment: asked before every batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from zoneinfo import ZoneInfo

from pyroaring import BitMap
from sqlalchemy import Connection

from reconciler.access import Desired, LifecycleState, evaluate
from reconciler.access.boundaries import boundaries_of
from reconciler.access.days import FOREVER
from reconciler.access.sponsorship import people_needed, people_sponsored
from reconciler.facts.ledger import read_news
from reconciler.facts.model import Person, Population
from reconciler.facts.people import FACT_KINDS
from reconciler.passes.look import Look
from reconciler.passes.memory import recorded_policy
from reconciler.passes.wiring import Wiring
from reconciler.plan.accounts import is_shut_out
from reconciler.plan.model import Change
from reconciler.policy.model import EntitlementRef, Policy
from reconciler.targets import GIVING, Op, entitlement_key


class Present:
    """What the record says by now, held against what one plan saw. Asked from several threads.

    The policy is the plan's: a file that somebody edits meanwhile is not read, since what stands half written on a disk
    is nobody's decision. A policy that another run was made under since then is one: what it would not do is not done.
    """

    def __init__(self, wiring: Wiring, seen: Look) -> None:
        self._wiring = wiring
        self._seen = seen
        self._turn = Lock()
        self._read_until = seen.population.ledger_seq
        self._told: set[str] = set()
        self._boundaries = boundaries_of(seen.policy, seen.population)
        self._newer: tuple[str, Policy | None] | None = None
        self._until: datetime | None = None

    def no_longer_wanted(self, changes: Sequence[Change]) -> frozenset[str]:
        """The ids of those changes that would not be made any more."""
        with self._turn:
            with self._wiring.store.reading() as connection:
                told, digest = self._news(connection), self._newer_digest(connection)
            newer = self._newer_policy(digest) if digest is not None else None
        moved = _moved_people(self._seen, changes, told)
        unwanted = self._unwanted(self._seen.policy, moved, changes) if moved else set()
        unwanted |= self._overtaken_by_time(changes, moved)
        if newer is not None:
            unwanted |= self._unwanted_under(newer[1], changes)
        return frozenset(unwanted)

    def moved(self) -> frozenset[str]:
        """Everybody about whom something was recorded since the plan was made."""
        with self._turn, self._wiring.store.reading() as connection:
            return self._news(connection)

    def _news(self, connection: Connection) -> frozenset[str]:
        """Everybody about whom something was recorded since the plan was made; every entry is asked for once."""
        self._read_until, told = read_news(connection, after=self._read_until, kinds=FACT_KINDS)
        self._told |= told
        return frozenset(self._told)

    def _newer_digest(self, connection: Connection) -> str | None:
        """That of the policy that another run has been made under since."""
        own = self._seen.policy.digest
        return self._wiring.journal.policy_since(connection, own, self._seen.population.ledger_seq)

    def _newer_policy(self, digest: str) -> tuple[str, Policy | None]:
        """With the policy of this digest; None as the policy: it cannot be read here."""
        wiring = self._wiring
        if self._newer is None or self._newer[0] != digest:
            self._newer = digest, recorded_policy(wiring.facts, wiring.journal, digest)
        return self._newer

    def _unwanted_under(self, policy: Policy | None, changes: Sequence[Change]) -> set[str]:
        """By another policy; one that cannot be read here wants nothing to be given."""
        if policy is None:
            return {change.id for change in changes if change.op in GIVING}
        return self._unwanted(policy, {change.person for change in changes if change.person}, changes)

    def _unwanted(self, policy: Policy, people: Collection[str], changes: Sequence[Change]) -> set[str]:
        now = self._stand(policy, _with_sponsors(self._wiring, policy, people))
        return {change.id for change in self._of(people, changes) if not now.wants(change)}

    def _overtaken_by_time(self, changes: Sequence[Change], moved: Collection[str]) -> set[str]:
        """Those that are wanted no more although nothing was told: a proof ran out meanwhile, a last day ended. A run
        may last for hours. What the plan takes for another reason than what the rule says (an undone run) goes on; what
        it gives for one waits for the next plan, which knows what is denied by then.
        """
        seen, policy = self._seen, self._seen.policy
        with self._turn:
            if seen.desired.at <= self._wiring.clock() < self._nothing_turns_until():
                return set()
        known = seen.population.by_id
        concerned = {change.person for change in changes if change.person} - set(moved)
        own = [known[person] for person in concerned]
        with self._turn:
            people = {each.id for each in self._boundaries.turned(own, seen.desired.at, self._wiring.clock())}
        if not people:
            return set()
        needed = people_needed(policy, [known[person] for person in people])
        some = [known[person] for person in sorted(needed) if person in known]
        now = self._stand(policy, _part_of(seen.population, some))
        then = _Stand(policy, seen.desired, known, self._wiring.zone)
        return {
            change.id
            for change in self._of(people, changes)
            if not now.wants(change) and (change.op in GIVING or then.wants(change))
        }

    def _nothing_turns_until(self) -> datetime:
        """The first moment after the plan's at which time may change something for somebody whom it concerns."""
        if self._until is None:
            seen, boundaries = self._seen, self._boundaries
            concerned = {change.person for change in seen.plan.changes if change.person}
            own = (boundaries.of_person(seen.population.by_id[person]) for person in concerned)
            moments = (instant for some in (boundaries.of_policy(), *own) for instant in some)
            self._until = min((each for each in moments if each > seen.desired.at), default=FOREVER)
        return self._until

    def _of(self, people: Collection[str], changes: Sequence[Change]) -> Iterator[Change]:
        return (change for change in changes if change.person in people)

    def _stand(self, policy: Policy, population: Population) -> _Stand:
        desired = evaluate(policy, population, self._wiring.clock())
        return _Stand(policy, desired, population.by_id, self._wiring.zone)


def _part_of(population: Population, people: Sequence[Person]) -> Population:
    """Some of the people, with what is known of them."""
    return Population(people, population.evidence, population.ledger_seq, population.timezone)


def _moved_people(seen: Look, changes: Sequence[Change], told: Collection[str]) -> frozenset[str]:
    """Of the people whom the changes concern: those about whom there is news, or about whoever answers for them."""
    touched = {change.person for change in changes if change.person} if told else set()
    people = [seen.population.by_id[person] for person in touched]
    return frozenset(touched & set(told)) | people_sponsored(seen.policy, people, told)


def _with_sponsors(wiring: Wiring, policy: Policy, people: Collection[str]) -> Population:
    """These people, and those who answer for them."""
    found = wiring.facts.population(people)
    others = people_needed(policy, found.people) - set(people)
    return wiring.facts.population({*people, *others}) if others else found


@dataclass(frozen=True, slots=True)
class _Stand:
    """What a policy wants at a moment, and of whom."""

    policy: Policy
    desired: Desired
    people: Mapping[str, Person]
    zone: ZoneInfo

    def wants(self, change: Change) -> bool:
        """Whether the change, which concerns a person, would be made."""
        person = self.people[change.person or ""]
        if change.op in (Op.GRANT, Op.REVOKE):
            ref = EntitlementRef(change.target, entitlement_key(change.locator))
            return (person.number in self.desired.members.get(ref, BitMap())) is (change.op is Op.GRANT)
        exited = person.number in self.desired.states[LifecycleState.EXITED]
        if change.op is Op.DELETE_ACCOUNT:
            return exited
        barred = exited or person.number in self.desired.suspended
        barred = barred or is_shut_out(person, self.policy, self.desired.at, self.zone)
        return barred is (change.op not in GIVING)
