"""Why a change is needed: what has become different since the entitlement was last in agreement.

For every entitlement the ledger remembers its *baseline*: who was given access and still should have it, and the
policy and the facts under which the whole entitlement last agreed. A change whose desired side equals the baseline is
drift: somebody changed the target. Otherwise the two counterfactuals decide: today's policy on the facts of then, and
the policy of then on today's facts. Whichever gives back the baseline is not what changed.

The leaver's lane is decided here as well, since it is a statement about causes: exits, notice, leave, lockouts, revoked
evidence, and expiries that were known a week ahead, never something that a policy change brought about.

Everything is decided for whole sets of people at once, and people of one cause share it; what only the single case
can tell (a ledger entry, an expiry, a lockout) is looked up for those whom it concerns (`attribution`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from pyroaring import BitMap

from reconciler.access import evaluate
from reconciler.access.model import Desired
from reconciler.access.sponsorship import people_needed
from reconciler.facts.model import Population
from reconciler.plan.attribution import Attribution
from reconciler.plan.explaining import Explaining
from reconciler.plan.model import Cause, CauseKind
from reconciler.policy.model import Entitlement, EntitlementRef, Mode, Policy


@dataclass(frozen=True, slots=True)
class Baseline:
    """What an entitlement was when it last agreed with the policy.

    `members` are `Person.number`s (and `services` names) that were in place and desired when last carried out.
    `policy_digest` and `ledger_seq` are those under which *all* of it agreed; `settled` is false until that happened
    once (first contact).
    """

    members: BitMap
    services: frozenset[str]
    policy_digest: str
    ledger_seq: int
    settled: bool


@dataclass(frozen=True, slots=True)
class FactRef:
    """A ledger entry about a person, as a cause names it."""

    seq: int
    kind: str
    text: str

    @property
    def is_evidence(self) -> bool:
        """Whether it speaks of a proof rather than of the person's employment."""
        return self.kind.startswith("evidence-")


class Memory(Protocol):
    """What the past looked like; answered from the ledger by whoever makes the plan."""

    def policy(self, digest: str) -> Policy | None:
        """The policy of this digest, or None where it is not on record (or is no longer readable by this version)."""
        ...

    def population(self, people: Collection[str], ledger_seq: int) -> Population:
        """These people as the ledger knew them at this position, numbers as they are now."""
        ...

    def facts_since(self, people: Collection[str], ledger_seq: int) -> Mapping[str, Sequence[FactRef]]:
        """Person id → entries about them after this position, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why, and whether the change belongs to the leaver's lane."""

    cause: Cause
    leaver: bool = False


Grouped = Iterator[tuple[Iterable[int], Verdict]]
"""People (by number) who share a verdict. Nobody is in two groups."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An entitlement that is to change: who is missing from it, and who is in it without being desired."""

    entitlement: Entitlement
    missing: BitMap
    superfluous: BitMap


@dataclass(frozen=True, slots=True)
class _Then:
    """The counterfactuals for one (policy, ledger position) that baselines name. `news` are the people about whom
    something was learned since then; about the others the facts are what they were. What it takes a whole evaluation to
    tell is asked for where it decides something.
    """

    news: BitMap
    since: Mapping[str, Sequence[FactRef]]
    facts_of_then: Callable[[], Desired]
    people_of_then: Callable[[], Desired]
    policy_of_then: Desired | None
    policy_changed: bool


class Causes:
    """Finds the causes of the changes of one plan. It is told of all of them first, so that the counterfactuals are
    worked out once.
    """

    def __init__(
        self,
        policy: Policy,
        population: Population,
        desired: Desired,
        baselines: Mapping[EntitlementRef, Baseline],
        memory: Memory,
        asked: Iterable[Asked],
    ) -> None:
        self._policy = policy
        self._population = population
        self._desired = desired
        self._baselines = baselines
        self._memory = memory
        self.explaining = Explaining(policy, population, desired)
        self._attribution = Attribution(policy, population, desired, self.explaining)
        self._verdicts: dict[tuple[Cause, bool], Verdict] = {}
        self._facts: dict[tuple[int, bool], Cause] = {}
        self._moments = self._counterfactuals(asked)

    def grants(self, entitlement: Entitlement, numbers: BitMap) -> Grouped:
        """Why these people are to be given the entitlement."""
        for people, cause in self._causes(entitlement, numbers, wanted=True):
            yield people, self._verdict(cause)

    def revocations(self, entitlement: Entitlement, numbers: BitMap) -> Grouped:
        """Why these people are to lose the entitlement, and which of them are leavers."""
        out = numbers & self._attribution.out
        denied = numbers & self.explaining.withheld_from(entitlement)
        baseline = self._baselines.get(entitlement.ref)
        settled = baseline is not None and baseline.settled
        for people, cause in self._causes(entitlement, numbers, wanted=False):
            group = BitMap(people)
            for number in group & out:
                # Beside an additive entitlement's own members there may always have been others: no drift either.
                left = cause.kind is CauseKind.POLICY or (
                    cause.kind is CauseKind.DRIFT and entitlement.mode is Mode.ADDITIVE
                )
                yield (number,), self._verdict(self._attribution.left(number) if left else cause, leaver=True)
            for number in (group - out) & denied:
                yield (number,), self._single(entitlement, number, cause, settled=settled)
            if rest := group - out - denied:
                yield rest, self._verdict(cause)

    def _single(self, entitlement: Entitlement, number: int, cause: Cause, *, settled: bool) -> Verdict:
        """For whom something is denied, the denial decides about the lane."""
        if cause.kind is not CauseKind.POLICY:
            return self._verdict(cause, leaver=self._attribution.is_leavers(entitlement, number, by_policy=False))
        # Who is locked out, or has given notice, is out for that, whatever a policy says as well. Before anything has
        # agreed only this speaks for the lane.
        state = self._attribution.by_state(entitlement, number)
        leaver = state is not None if not settled else self._attribution.is_leavers(entitlement, number, by_policy=True)
        return self._verdict(state or cause if leaver else cause, leaver=leaver)

    def _verdict(self, cause: Cause, *, leaver: bool = False) -> Verdict:
        return self._verdicts.setdefault((cause, leaver), Verdict(cause, leaver))

    # --- causes -----------------------------------------------------------------------------------------------------

    def _causes(
        self, entitlement: Entitlement, numbers: BitMap, *, wanted: bool
    ) -> Iterator[tuple[Iterable[int], Cause]]:
        baseline = self._baselines.get(entitlement.ref)
        if baseline is None or not baseline.settled:
            # Nothing has agreed yet, so nothing can have drifted: what a rule brings is policy.
            yield from self._attribution.by_policy(entitlement, numbers, wanted=wanted)
            return
        drifted = _alike(baseline.members, numbers, member=wanted)
        if drifted:
            yield drifted, drift(wanted=wanted)
        if changed := numbers - drifted:
            then = self._moments[baseline.policy_digest, baseline.ledger_seq]
            yield from self._what_changed(entitlement, changed, then, wanted=wanted)

    def _what_changed(
        self, entitlement: Entitlement, changed: BitMap, then: _Then, *, wanted: bool
    ) -> Iterator[tuple[Iterable[int], Cause]]:
        ref, news = entitlement.ref, changed & then.news
        by_facts, by_policy = news, BitMap()
        if then.policy_changed:
            if news:
                by_facts = _alike(_members(then.facts_of_then(), ref), news, member=not wanted)
            by_policy = changed - by_facts
            if then.policy_of_then is not None:
                by_policy = _alike(_members(then.policy_of_then, ref), by_policy, member=not wanted)
            by_facts |= news - by_policy
        for number in by_facts:
            told = then.since[self._attribution.id_of(number)]
            both = len({fact.is_evidence for fact in told}) > 1
            # Who is out goes for that, also where all that is known of them came after the last agreement.
            left = not wanted and number in self._attribution.out
            by_person = both and (left or (number in _members(then.people_of_then(), ref)) is not wanted)
            yield (number,), self._of_facts(told, person_changed=by_person)
        if by_policy:
            yield from self._attribution.by_policy(entitlement, by_policy, wanted=wanted)
        if by_time := changed - by_facts - by_policy:
            yield from self._attribution.by_time(entitlement, by_time, wanted=wanted)

    def _of_facts(self, told: Sequence[FactRef], *, person_changed: bool) -> Cause:
        known = (id(told), person_changed)  # all that was told is kept as long as this is
        if known not in self._facts:
            self._facts[known] = _of_facts(told, person_changed=person_changed)
        return self._facts[known]

    # --- counterfactuals --------------------------------------------------------------------------------------------

    def _counterfactuals(self, asked: Iterable[Asked]) -> Mapping[tuple[str, int], _Then]:
        changed: dict[tuple[str, int], BitMap] = defaultdict(BitMap)
        for each in asked:
            baseline = self._baselines.get(each.entitlement.ref)
            if baseline is not None and baseline.settled:
                otherwise = (each.missing - baseline.members) | (each.superfluous & baseline.members)
                changed[baseline.policy_digest, baseline.ledger_seq] |= otherwise
        under: dict[str, BitMap] = defaultdict(BitMap)
        for (digest, _), numbers in changed.items():
            if digest != self._policy.digest:
                under[digest] |= numbers
        policies = {digest: self._policy_of_then(digest, numbers) for digest, numbers in under.items() if numbers}
        return {
            (digest, seq): self._then(seq, numbers, policies.get(digest), policy_changed=digest != self._policy.digest)
            for (digest, seq), numbers in changed.items()
        }

    def _then(self, ledger_seq: int, numbers: BitMap, policy_of_then: Desired | None, *, policy_changed: bool) -> _Then:
        id_of = self._attribution.id_of
        ids = {id_of(number): number for number in numbers}
        since = self._memory.facts_since(ids, ledger_seq) if ids else {}
        told = [person for person in since if since[person]]
        past = cache(lambda: self._past(told, ledger_seq))
        return _Then(
            news=BitMap([ids[person] for person in told]),
            since=since,
            facts_of_then=cache(lambda: evaluate(self._policy, past(), self._desired.at)),
            people_of_then=cache(lambda: evaluate(self._policy, self._with_proofs_of_now(past()), self._desired.at)),
            policy_of_then=policy_of_then,
            policy_changed=policy_changed,
        )

    def _past(self, ids: Collection[str], ledger_seq: int) -> Population:
        """These people as they were known then, and those who answer for them."""
        past = self._memory.population(ids, ledger_seq)
        if others := people_needed(self._policy, past.people) - set(ids):
            past = self._memory.population({*ids, *others}, ledger_seq)
        return past

    def _with_proofs_of_now(self, past: Population) -> Population:
        return Population(past.people, self._population.evidence, past.ledger_seq, past.timezone)

    def _policy_of_then(self, digest: str, numbers: BitMap) -> Desired | None:
        policy, now = self._memory.policy(digest), self._population
        if policy is None:
            return None
        if len(numbers) * 2 < len(now.people):
            needed = people_needed(policy, (person for person in now if person.number in numbers))
            some = [person for person in now if person.id in needed]
            now = Population(some, now.evidence, now.ledger_seq, now.timezone)
        return evaluate(policy, now, self._desired.at)


_NOBODY = BitMap()


def _members(desired: Desired | None, ref: EntitlementRef) -> BitMap:
    return _NOBODY if desired is None else desired.members.get(ref, _NOBODY)


def _alike(members: BitMap, numbers: BitMap, *, member: bool) -> BitMap:
    """Those of whom it was so."""
    return numbers & members if member else numbers - members


def _of_facts(told: Sequence[FactRef], *, person_changed: bool) -> Cause:
    events = [fact for fact in told if not fact.is_evidence]
    proofs = [fact for fact in told if fact.is_evidence]
    if events and (not proofs or person_changed):
        return Cause(CauseKind.PERSON, f"ledger:{events[-1].seq}", events[-1].text)
    chosen = (proofs or events)[-1]
    return Cause(CauseKind.EVIDENCE if proofs else CauseKind.PERSON, f"ledger:{chosen.seq}", chosen.text)


def drift(*, wanted: bool) -> Cause:
    """Somebody changed the target: nothing that was desired at the last agreement is otherwise now."""
    return _TAKEN_AWAY if wanted else _GIVEN


_TAKEN_AWAY = Cause(CauseKind.DRIFT, "", "somebody took this access away on the target")
_GIVEN = Cause(CauseKind.DRIFT, "", "somebody gave this access on the target")
