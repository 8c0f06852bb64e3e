"""To what a change is put down: the clause that gives, the denial that takes, the day that came.

For sets of people, clause by clause; single people are looked at only where the clause does not say it: what denies
them, which entry of theirs has taken effect, whether it is one for the leaver's lane.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from reconciler.access.model import (
    Denial,
    DenialKind,
    Desired,
    EvidenceState,
    GivenBy,
    LifecycleState,
    Reason,
    ReasonKind,
)
from reconciler.facts.model import Population
from reconciler.plan.explaining import Explaining
from reconciler.plan.model import Cause, CauseKind
from reconciler.policy.model import AccessException, Entitlement, Permission, Policy

KNOWN_AHEAD = timedelta(days=7)
"""An expiry that was on record this long before it came belongs to the leaver's lane: nobody can be surprised by it."""

Group = tuple[Iterable[int], Cause]


class Attribution:
    """Puts the changes of one plan down to policy, time and people."""

    def __init__(self, policy: Policy, population: Population, desired: Desired, explaining: Explaining) -> None:
        self._policy = policy
        self._population = population
        self._desired = desired
        self._explaining = explaining
        self._clauses: dict[Permission, list[tuple[BitMap, Cause]]] = {}
        self._shared: dict[Cause, Cause] = {}
        self._left: dict[int, Cause] = {}
        self.today = desired.at.astimezone(ZoneInfo(population.timezone)).date()
        self.exited = desired.states[LifecycleState.EXITED]
        held = (person for person in population if person.lockouts)
        locked = (person.number for person in held if any(span.covers(desired.at) for span in person.lockouts))
        self.out = self.exited | BitMap(locked)
        """Who is to have nothing at all: every account of theirs goes, by whatever it was given."""

    def id_of(self, number: int) -> str:
        """The person's id."""
        return self._explaining.id_of[number]

    # --- policy -----------------------------------------------------------------------------------------------------

    def by_policy(self, entitlement: Entitlement, numbers: BitMap, *, wanted: bool) -> Iterator[Group]:
        """The clause that gives it to them, or what the policy has against it."""
        return self._giving(entitlement, numbers) if wanted else self._taking(entitlement, numbers)

    def _giving(self, entitlement: Entitlement, numbers: BitMap) -> Iterator[Group]:
        left = numbers
        for permission in entitlement.permissions:
            for people, cause in self._clauses_of(permission):
                if group := left & people:
                    left = left - group
                    yield group, cause
        for number in left:
            yield (number,), self._of_reason(entitlement, self._strongest(entitlement, number))

    def _clauses_of(self, permission: Permission) -> list[tuple[BitMap, Cause]]:
        """Who may have it, by the strongest clause that gives it: roles before everyone before members before
        exceptions.
        """
        if permission not in self._clauses:
            allowed = self._desired.allowed[permission]
            clauses = sorted(self._desired.given_by.get(permission, ()), key=self._strength)
            self._clauses[permission] = [(each.people & allowed, self._of_clause(each)) for each in clauses]
        return self._clauses[permission]

    def _strength(self, clause: GivenBy) -> int:
        if clause.exception is not None:
            return 3
        role = self._policy.roles[clause.roles[0]]
        return 0 if role.matches_people else 1 if role.everyone else 2

    def _of_clause(self, clause: GivenBy) -> Cause:
        exception = clause.exception
        if exception is not None:
            ticket = f" ({exception.ticket})" if exception.ticket else ""
            text = f"exception until {exception.until}{ticket}: {exception.reason}"
            return Cause(CauseKind.EXCEPTION, str(exception.place), text)
        inherited = f", which inherits {' > '.join(clause.roles[1:])}" if len(clause.roles) > 1 else ""
        return Cause(CauseKind.POLICY, str(clause.grant.place), f"{self._holding(clause.roles[0])}{inherited}")

    def _holding(self, name: str) -> str:
        """How those who hold a role come to hold it, in words that are true of all of them."""
        role = self._policy.roles[name]
        if role.everyone:
            return f"everyone holds role {name}"
        if role.matches_people:
            return f"holds role {name}" if role.members else f"matches role {name}"
        return f"named as a member of role {name}"

    def _of_reason(self, entitlement: Entitlement, reason: Reason | None) -> Cause:
        if reason is None:
            return self._same(
                Cause(CauseKind.POLICY, str(entitlement.place), "nothing in the policy gives this access")
            )
        kind = CauseKind.EXCEPTION if reason.kind is ReasonKind.EXCEPTION else CauseKind.POLICY
        place = reason.holds_place if reason.kind is ReasonKind.EXCEPTION else reason.place
        return self._same(Cause(kind, str(place), reason.text))

    def _taking(self, entitlement: Entitlement, numbers: BitMap) -> Iterator[Group]:
        denied = numbers & self._explaining.withheld_from(entitlement)
        for number in denied:
            denial = self._first_denial(entitlement, number)
            place = denial.place or entitlement.place if denial else entitlement.place
            yield (number,), self._same(Cause(CauseKind.POLICY, str(place), denial.text if denial else _NOTHING_GIVES))
        if rest := numbers - denied:
            retired = entitlement.ref in self._policy.retired
            text = "the policy retires it, members included" if retired else _NOTHING_GIVES
            yield rest, self._same(Cause(CauseKind.POLICY, str(entitlement.place), text))

    # --- time -------------------------------------------------------------------------------------------------------

    def by_time(self, entitlement: Entitlement, numbers: BitMap, *, wanted: bool) -> Iterator[Group]:
        """The day that came: neither a fact nor the policy has changed."""
        if wanted:
            for number in numbers:
                yield (number,), self._begun(entitlement, self._strongest(entitlement, number))
            return
        denied = numbers & self._explaining.withheld_from(entitlement)
        for number in denied:
            yield (number,), self._expired(self._first_denial(entitlement, number))
        ended = self._ended_exceptions(entitlement)
        singly = (numbers - denied) & (self.exited | BitMap(ended))
        for number in singly:
            yield (number,), self._ended(number, ended.get(number))
        if rest := numbers - denied - singly:
            yield rest, self._same(self._ended_resource(entitlement) or Cause(CauseKind.TIME, "", _AN_END))

    def _begun(self, entitlement: Entitlement, reason: Reason | None) -> Cause:
        if reason is not None and reason.kind is ReasonKind.EXCEPTION:
            return self._of_reason(entitlement, reason)
        ref = f"ledger:{reason.entry}" if reason is not None and reason.entry else ""
        return self._same(Cause(CauseKind.TIME, ref, reason.text if reason else "its day has come"))

    def _expired(self, denial: Denial | None) -> Cause:
        if denial is None:
            return Cause(CauseKind.TIME, "", _AN_END)
        kind = CauseKind.EVIDENCE if denial.kind is DenialKind.EVIDENCE else CauseKind.TIME
        return self._same(Cause(kind, f"ledger:{denial.entry}" if denial.entry else "", denial.text))

    def _ended(self, number: int, exception: AccessException | None) -> Cause:
        if exception is not None:
            text = f"the exception ended on {exception.until}"
            return self._same(Cause(CauseKind.EXCEPTION, str(exception.place), text))
        state = self.left(number)
        return self._same(Cause(CauseKind.TIME, state.ref, state.text))

    def _ended_exceptions(self, entitlement: Entitlement) -> Mapping[int, AccessException]:
        found: dict[int, AccessException] = {}
        for exception in self._policy.exceptions:
            gave = {grant.permission for grant in exception.grants} & set(entitlement.permissions)
            person = self._population.by_id.get(exception.person)
            if gave and person and exception.until < self.today:
                found.setdefault(person.number, exception)
        return found

    def _ended_resource(self, entitlement: Entitlement) -> Cause | None:
        for permission in entitlement.permissions:
            resource = self._policy.resources[permission.resource]
            if resource.until is not None and date.min < resource.until < self.today:
                return Cause(CauseKind.TIME, str(resource.place), f"{resource.name} ended on {resource.until}")
        return None

    # --- single people ----------------------------------------------------------------------------------------------

    def left(self, number: int) -> Cause:
        """That the person has left, or is locked out, with the entry that says so."""
        if number not in self._left:
            person = self._population.by_id[self.id_of(number)]
            spans, state = (person.exited, "has left") if number in self.exited else (person.lockouts, "is locked out")
            span = next((span for span in reversed(spans) if span.covers(self._desired.at)), None)
            entry = span.entry if span else person.last_entry
            self._left[number] = Cause(CauseKind.PERSON, f"ledger:{entry}", f"{person.id} {state}")
        return self._left[number]

    def by_state(self, entitlement: Entitlement, number: int) -> Cause | None:
        """The notice, leave or lockout that denies it to the person, where there is one."""
        for denial in self._denials(entitlement, number):
            if denial.kind is DenialKind.LOCKOUT or _is_step_down(denial):
                ref = f"ledger:{denial.entry}" if denial.entry else str(denial.place or "")
                kind = CauseKind.PERSON if denial.entry else CauseKind.POLICY
                return self._same(Cause(kind, ref, denial.text))
        return None

    def is_leavers(self, entitlement: Entitlement, number: int, *, by_policy: bool) -> bool:
        """Whether what denies it to the person belongs to the leaver's lane; of what the policy brought about, only
        lockouts do.
        """
        denials = self._denials(entitlement, number)
        if any(denial.kind is DenialKind.LOCKOUT for denial in denials):
            return True
        return not by_policy and any(_is_step_down(denial) or _is_foreseen(denial) for denial in denials)

    def _denials(self, entitlement: Entitlement, number: int) -> Sequence[Denial]:
        given = (each for each in entitlement.permissions if number in self._desired.given[each])
        return [denial for permission in given for denial in self._explaining.denials(number, permission)]

    def _first_denial(self, entitlement: Entitlement, number: int) -> Denial | None:
        return next(iter(self._denials(entitlement, number)), None)

    def _strongest(self, entitlement: Entitlement, number: int) -> Reason | None:
        allowed = [each for each in entitlement.permissions if number in self._desired.allowed[each]]
        return self._explaining.strongest_reason(number, allowed[0]) if allowed else None

    def _same(self, cause: Cause) -> Cause:
        return self._shared.setdefault(cause, cause)


_NOTHING_GIVES = "nothing in the policy gives this access"
_AN_END = "an end date has passed"


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
