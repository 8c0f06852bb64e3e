"""Why a change is needed: what has become different since the entitlement was last in agreement.

For every entitlement the ledger remembers its *baseline*: who was given access and still should have it, and the
policy and the facts under which the whole entitlement last agreed. A change whose desired side equals the baseline is
drift: somebody changed the target. Otherwise the two counterfactuals decide: today's policy on the facts of then, and
the policy of then on today's facts. Whichever gives back the baseline is not what changed.

The leaver's lane is decided here as well, since it is a statement about causes: exits, notice, leave, lockouts, revoked
evidence, and expiries that were known a week ahead, never something that a policy change brought about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from reconciler.access import Explainer, evaluate
from reconciler.access.model import (
    Denial,
    DenialKind,
    Desired,
    EvidenceState,
    Explanation,
    LifecycleState,
    Reason,
    ReasonKind,
)
from reconciler.facts.model import Person, Population
from reconciler.plan.model import Cause, CauseKind
from reconciler.policy.model import Entitlement, EntitlementRef, Permission, Policy

KNOWN_AHEAD = timedelta(days=7)
"""An expiry that was on record this long before it came belongs to the leaver's lane: nobody can be surprised by it."""


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


@dataclass(frozen=True, slots=True)
class _Pair:
    person: Person
    entitlement: Entitlement
    wanted: bool


@dataclass(frozen=True, slots=True)
class _Then:
    """The counterfactuals for one (policy, ledger position) that baselines name."""

    facts_of_then: Desired
    people_of_then: Desired
    policy_of_then: Desired | None
    policy_changed: bool
    since: Mapping[str, Sequence[FactRef]]


class Causes:
    """Finds the causes of the changes of one plan. `find` is asked once for all pairs, so that the counterfactuals
    are shared.
    """

    def __init__(
        self,
        policy: Policy,
        population: Population,
        desired: Desired,
        baselines: Mapping[EntitlementRef, Baseline],
        memory: Memory,
    ) -> None:
        self._policy = policy
        self._population = population
        self._desired = desired
        self._baselines = baselines
        self._memory = memory
        self._explainer = Explainer(policy, population, desired.at)
        self._explanations: dict[tuple[str, Permission], Explanation] = {}

    def find(self, pairs: Sequence[tuple[Person, Entitlement, bool]]) -> list[Verdict]:
        """One verdict per (person, entitlement, wanted now); `wanted` tells grants from revocations."""
        asked = [_Pair(*pair) for pair in pairs]
        then = self._counterfactuals(asked)
        return [self._verdict(pair, then) for pair in asked]

    def explanation(self, person: Person, permission: Permission) -> Explanation:
        """Why the person has the permission now, or why not; remembered for the length of one plan."""
        asked = (person.id, permission)
        if asked not in self._explanations:
            self._explanations[asked] = self._explainer.explain(person.id, permission)
        return self._explanations[asked]

    def _counterfactuals(self, pairs: Sequence[_Pair]) -> Mapping[tuple[str, int], _Then]:
        people: dict[tuple[str, int], set[str]] = defaultdict(set)
        for pair in pairs:
            baseline = self._baselines.get(pair.entitlement.ref)
            if baseline is not None and baseline.settled:
                people[baseline.policy_digest, baseline.ledger_seq].add(pair.person.id)
        return {moment: self._then(*moment, ids) for moment, ids in people.items()}

    def _then(self, policy_digest: str, ledger_seq: int, ids: Collection[str]) -> _Then:
        at = self._desired.at
        now = Population(
            [person for person in self._population if person.id in ids],
            self._population.evidence,
            self._population.ledger_seq,
            self._population.timezone,
        )
        past = self._memory.population(ids, ledger_seq)
        mixed = Population(past.people, self._population.evidence, past.ledger_seq, past.timezone)
        changed = policy_digest != self._policy.digest
        old_policy = self._memory.policy(policy_digest) if changed else None
        return _Then(
            facts_of_then=evaluate(self._policy, past, at),
            people_of_then=evaluate(self._policy, mixed, at),
            policy_of_then=evaluate(old_policy, now, at) if old_policy else None,
            policy_changed=changed,
            since=self._memory.facts_since(ids, ledger_seq),
        )

    def _verdict(self, pair: _Pair, moments: Mapping[tuple[str, int], _Then]) -> Verdict:
        baseline = self._baselines.get(pair.entitlement.ref)
        if baseline is None or not baseline.settled:
            return self._first_contact(pair)
        was = pair.person.number in baseline.members
        then = moments[baseline.policy_digest, baseline.ledger_seq]
        cause = drift(wanted=pair.wanted) if was == pair.wanted else self._what_changed(pair, was, then)
        leaver = not pair.wanted and self._in_leavers_lane(pair, cause)
        if leaver and cause.kind is CauseKind.POLICY:
            cause = self._by_person_state(pair) or cause  # who has left is out for that, whatever a policy says as well
        return Verdict(cause, leaver)

    def _first_contact(self, pair: _Pair) -> Verdict:
        # Nothing has agreed yet, so nothing can have drifted: what a rule brings is policy, and only leavers jump the
        # queue.
        state = None if pair.wanted else self._by_person_state(pair)
        return Verdict(state, leaver=True) if state else Verdict(self._by_policy(pair))

    def _what_changed(self, pair: _Pair, was: bool, then: _Then) -> Cause:
        news = then.since.get(pair.person.id, ())
        if news and _holds(then.facts_of_then, pair) == was:
            return self._by_facts(pair, was, then, news)
        if then.policy_changed and (then.policy_of_then is None or _holds(then.policy_of_then, pair) == was):
            return self._by_policy(pair)
        if news:
            return self._by_facts(pair, was, then, news)
        return self._by_time(pair)

    def _by_facts(self, pair: _Pair, was: bool, then: _Then, news: Sequence[FactRef]) -> Cause:
        events = [fact for fact in news if not fact.is_evidence]
        proofs = [fact for fact in news if fact.is_evidence]
        if events and (not proofs or _holds(then.people_of_then, pair) == was):
            return Cause(CauseKind.PERSON, f"ledger:{events[-1].seq}", events[-1].text)
        chosen = (proofs or events)[-1]
        kind = CauseKind.EVIDENCE if proofs else CauseKind.PERSON
        return Cause(kind, f"ledger:{chosen.seq}", chosen.text)

    def _by_policy(self, pair: _Pair) -> Cause:
        reason, denial = self._strongest(pair)
        if pair.wanted and reason is not None:
            if reason.kind is ReasonKind.EXCEPTION:
                return Cause(CauseKind.EXCEPTION, str(reason.holds_place), reason.text)
            return Cause(CauseKind.POLICY, str(reason.place), reason.text)
        if denial is not None:
            place = denial.place or pair.entitlement.place
            return Cause(CauseKind.POLICY, str(place), denial.text)
        return Cause(CauseKind.POLICY, str(pair.entitlement.place), "nothing in the policy gives this access")

    def _by_time(self, pair: _Pair) -> Cause:
        reason, denial = self._strongest(pair)
        if pair.wanted:
            if reason is not None and reason.kind is ReasonKind.EXCEPTION:
                return Cause(CauseKind.EXCEPTION, str(reason.holds_place), reason.text)
            ref = f"ledger:{reason.entry}" if reason is not None and reason.entry else ""
            return Cause(CauseKind.TIME, ref, reason.text if reason else "its day has come")
        if denial is not None and denial.kind is DenialKind.EVIDENCE:
            return Cause(CauseKind.EVIDENCE, f"ledger:{denial.entry}" if denial.entry else "", denial.text)
        if denial is not None:
            return Cause(CauseKind.TIME, f"ledger:{denial.entry}" if denial.entry else "", denial.text)
        ended = self._ended_exception(pair)
        if ended is not None:
            return ended
        state = self._by_person_state(pair)
        return Cause(CauseKind.TIME, state.ref if state else "", state.text if state else "an end date has passed")

    def _ended_exception(self, pair: _Pair) -> Cause | None:
        today = self._desired.at.astimezone(ZoneInfo(self._population.timezone)).date()
        for exception in self._policy.exceptions:
            gave = {grant.permission for grant in exception.grants} & set(pair.entitlement.permissions)
            if exception.person == pair.person.id and gave and exception.until < today:
                return Cause(CauseKind.EXCEPTION, str(exception.place), f"the exception ended on {exception.until}")
        return None

    def _strongest(self, pair: _Pair) -> tuple[Reason | None, Denial | None]:
        explained = [self.explanation(pair.person, permission) for permission in pair.entitlement.permissions]
        given = (
            [each for each in explained if each.allowed] or [each for each in explained if each.reasons] or explained
        )
        reasons, denials = given[0].reasons, given[0].denials
        return (reasons[0] if reasons else None), (denials[0] if given[0].reasons and denials else None)

    def _by_person_state(self, pair: _Pair) -> Cause | None:
        """The exit, notice, leave or lockout behind a revocation, where there is one."""
        if pair.person.number in self._desired.states[LifecycleState.EXITED]:
            span = next((span for span in reversed(pair.person.exited) if span.covers(self._desired.at)), None)
            entry = span.entry if span else pair.person.last_entry
            return Cause(CauseKind.PERSON, f"ledger:{entry}", f"{pair.person.id} has left")
        for permission in pair.entitlement.permissions:
            explanation = self.explanation(pair.person, permission)
            for denial in explanation.denials if explanation.reasons else ():
                if denial.kind is DenialKind.LOCKOUT or _is_step_down(denial):
                    ref = f"ledger:{denial.entry}" if denial.entry else str(denial.place or "")
                    kind = CauseKind.PERSON if denial.entry else CauseKind.POLICY
                    return Cause(kind, ref, denial.text)
        return None

    def _in_leavers_lane(self, pair: _Pair, cause: Cause) -> bool:
        if pair.person.number in self._desired.states[LifecycleState.EXITED]:
            return True
        denials = [
            denial
            for permission in pair.entitlement.permissions
            if (explanation := self.explanation(pair.person, permission)).reasons
            for denial in explanation.denials
        ]
        if any(denial.kind is DenialKind.LOCKOUT for denial in denials):
            return True
        if cause.kind is CauseKind.POLICY:
            return False
        return any(_is_step_down(denial) or _is_foreseen(denial) for denial in denials)


def _holds(desired: Desired, pair: _Pair) -> bool:
    return pair.person.number in desired.members.get(pair.entitlement.ref, BitMap())


def _is_step_down(denial: Denial) -> bool:
    return denial.kind is DenialKind.LIFECYCLE and denial.what in {
        LifecycleState.NOTICE.value,
        LifecycleState.LEAVE.value,
        LifecycleState.EXITED.value,
    }


def _is_foreseen(denial: Denial) -> bool:
    if denial.kind is not DenialKind.EVIDENCE:
        return False
    if denial.state is EvidenceState.REVOKED:
        return True
    return denial.state is EvidenceState.EXPIRED and _was_known(denial.since, denial.known_since)


def _was_known(since: datetime | None, known: datetime | None) -> bool:
    return since is not None and known is not None and known + KNOWN_AHEAD <= since


def drift(*, wanted: bool) -> Cause:
    """Somebody changed the target: nothing that was desired at the last agreement is otherwise now."""
    text = "somebody took this access away on the target" if wanted else "somebody gave this access on the target"
    return Cause(CauseKind.DRIFT, "", text)
