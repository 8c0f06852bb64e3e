"""Whether what a plan wants is still wanted, by the facts and the policy of this moment: asked before every batch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from threading import Lock
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from reconciler.access import Desired, LifecycleState, evaluate
from reconciler.access.sponsorship import people_needed, people_sponsored
from reconciler.facts.model import Person, Population
from reconciler.facts.people import FACT_KINDS
from reconciler.passes.look import Look
from reconciler.passes.memory import recorded_policy
from reconciler.passes.wiring import Wiring
from reconciler.plan.accounts import is_shut_out, lockout_at
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
        self._newer: tuple[str, Policy | None] | None = None

    def no_longer_wanted(self, changes: Sequence[Change]) -> frozenset[str]:
        """The ids of those changes that would not be made any more."""
        with self._turn:
            told, newer = self._news(), self._newer_policy()
        moved = _moved_people(self._seen, changes, told)
        unwanted = self._unwanted(self._seen.policy, moved, changes) if moved else set()
        if newer is not None:
            unwanted |= self._unwanted_under(newer[1], changes)
        return frozenset(unwanted)

    def moved(self) -> frozenset[str]:
        """Everybody about whom something was recorded since the plan was made."""
        with self._turn:
            return self._news()

    def _news(self) -> frozenset[str]:
        """Everybody about whom something was recorded since the plan was made; every entry is read once."""
        ledger = self._wiring.ledger
        head = ledger.head()
        if head > self._read_until:
            self._told.update(entry.subject for entry in ledger.entries(after=self._read_until, kinds=FACT_KINDS))
            self._read_until = head
        return frozenset(self._told)

    def _newer_policy(self) -> tuple[str, Policy | None] | None:
        """The policy that another run has been made under since; None as the policy: it cannot be read here."""
        wiring, own = self._wiring, self._seen.policy.digest
        with wiring.store.reading() as connection:
            digest = wiring.journal.policy_since(connection, own, self._seen.population.ledger_seq)
        if digest is None:
            return None
        if self._newer is None or self._newer[0] != digest:
            self._newer = digest, recorded_policy(wiring.facts, wiring.journal, digest)
        return self._newer

    def _unwanted_under(self, policy: Policy | None, changes: Sequence[Change]) -> set[str]:
        """By another policy; one that cannot be read here wants nothing to be given."""
        if policy is None:
            return {change.id for change in changes if change.op in GIVING}
        return self._unwanted(policy, {change.person for change in changes if change.person}, changes)

    def _unwanted(self, policy: Policy, people: Collection[str], changes: Sequence[Change]) -> set[str]:
        at, zone = self._wiring.clock(), self._wiring.zone
        population = _with_sponsors(self._wiring, policy, people)
        now = evaluate(policy, population, at)
        known = {person: population.by_id[person] for person in people}
        concerned = [(change, known[change.person]) for change in changes if change.person in known]
        return {change.id for change, person in concerned if not _is_wanted(change, person, now, policy, zone)}


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


def _is_wanted(change: Change, person: Person, now: Desired, policy: Policy, zone: ZoneInfo) -> bool:
    if change.op in (Op.GRANT, Op.REVOKE):
        ref = EntitlementRef(change.target, entitlement_key(change.locator))
        return (person.number in now.members.get(ref, BitMap())) is (change.op is Op.GRANT)
    exited = person.number in now.states[LifecycleState.EXITED]
    if change.op is Op.DELETE_ACCOUNT:
        return exited
    out = exited or person.number in now.suspended
    if change.op in GIVING:
        return not out and not is_shut_out(person, policy, now.at, zone)
    return out or lockout_at(person, now.at) is not None
