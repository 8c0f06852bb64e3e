"""Changes to memberships: what the differences of one target come to, as its entitlements' modes allow.

`enforce` makes actual what is desired. `additive` grants, and takes back only what was granted from here, or from
leavers. `observe` says what would change and changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pyroaring import BitMap

from reconciler.facts.model import Person
from reconciler.plan.causes import Causes, Verdict, drift
from reconciler.plan.comparing import Difference
from reconciler.plan.linking import Links
from reconciler.plan.model import Cause, CauseKind, Change, Finding, change_ids
from reconciler.plan.situation import Situation, TargetView
from reconciler.plan.undoing import Pin, pins_by_key
from reconciler.policy.model import EntitlementRef, Mode
from reconciler.targets import ObservedAccount, Op

MOST_NAMED = 5
"""So many people are named in a finding; the rest are counted."""


@dataclass(slots=True)
class Changes:
    """What one target comes to: changes, what is only observed, and findings."""

    changes: list[Change] = field(default_factory=list)
    observed: list[Change] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def given_up(self) -> list[Change]:
        """The changes, which are the caller's alone from then on."""
        changes, self.changes = self.changes, []
        return changes


@dataclass(frozen=True, slots=True)
class Membership:
    """What turning differences into changes takes, for one target. `people` is number → person."""

    name: str
    situation: Situation
    view: TargetView
    accounts: Sequence[ObservedAccount]
    links: Links
    causes: Causes
    people: Mapping[int, Person]

    def changes(self, differences: Iterable[Difference]) -> Changes:
        """All changes to the target's memberships."""
        found = Changes()
        without_account: dict[int, int] = defaultdict(int)
        for difference in differences:
            into = found.observed if difference.entitlement.mode is Mode.OBSERVE else found.changes
            if difference.missing:
                into += self._grants(difference, without_account)
            if difference.superfluous:
                into += self._revocations(difference, found.findings)
            if self.links.service_at:
                into += self._services(difference)
            if difference.outsiders:
                into += self._outsiders(difference, found.findings)
        found.findings += self._missing_accounts(without_account)
        return found

    def undoing(self, differences: Iterable[Difference], pins: Iterable[Pin]) -> Changes:
        """What brings memberships back to how they stood before runs that were undone; nothing that the rule denies."""
        found = Changes()
        by_ref = {each.entitlement.ref: each for each in differences if each.entitlement.mode is not Mode.OBSERVE}
        numbers = {person.id: number for number, person in self.people.items()}
        for pin in pins_by_key(pins).values():
            difference, number = by_ref.get(pin.ref), numbers.get(pin.person)
            if difference is not None and number is not None:
                cause = Cause(CauseKind.UNDO, f"ledger:{pin.entry}", f"run {pin.run} was undone")
                if pin.wanted:
                    self._give_back(difference, number, cause, found)
                elif number in difference.actual and number not in difference.superfluous:
                    found.changes += self._take_back(difference, number, cause)
        return found

    def _give_back(self, difference: Difference, number: int, cause: Cause, found: Changes) -> None:
        if number in difference.actual or number in difference.missing:
            return
        person, permissions = self.people[number].id, difference.entitlement.permissions
        denials = [denial for each in permissions for denial in self.causes.explaining.denials(number, each)]
        account = self._account_to_grant(number)
        if denials:
            text = f"{person} does not get {difference.read.name} back, although {cause.text}: {denials[0].text}"
            found.findings.append(Finding("not-undone", self.name, person, text))
        elif account is not None:
            found.changes.append(self._maker(Op.GRANT, difference)(account, Verdict(cause), person, None))

    def _take_back(self, difference: Difference, number: int, cause: Cause) -> Iterator[Change]:
        make = self._maker(Op.REVOKE, difference)
        for position in self.links.positions_of(number):
            if position in difference.read.members:
                yield make(self.accounts[position], Verdict(cause), self.people[number].id, None)

    # --- people -----------------------------------------------------------------------------------------------------

    def _grants(self, difference: Difference, without_account: dict[int, int]) -> Iterator[Change]:
        make, people, account_for = self._maker(Op.GRANT, difference), self.people, self._account_to_grant
        for numbers, verdict in self.causes.grants(difference.entitlement, difference.missing):
            for number in numbers:
                account = account_for(number)
                if account is not None:
                    yield make(account, verdict, people[number].id, None)
                elif not self.links.positions_of(number):
                    without_account[number] += 1

    def _account_to_grant(self, number: int) -> ObservedAccount | None:
        position = self.links.account_for(number)
        if position is not None:
            return self.accounts[position]
        if self.view.capabilities.implicit_accounts and not self.links.positions_of(number):
            person_id = self.people[number].id
            return ObservedAccount(person_id, person_id, person_id, {"id": person_id})
        return None

    def _revocations(self, difference: Difference, findings: list[Finding]) -> Iterator[Change]:
        read = difference.read
        make, members = self._maker(Op.REVOKE, difference), read.members | read.unsettled | read.partial
        additive = difference.entitlement.mode is Mode.ADDITIVE
        ours = self.situation.granted_here.get(difference.entitlement.ref, frozenset())
        asked = self.links.people_in(read.unsettled) if read.unsettled else read.unsettled  # for them we ordered it
        unmanaged: list[str] = []
        for numbers, verdict in self.causes.revocations(difference.entitlement, difference.superfluous):
            for number in numbers:
                person = self.people[number].id
                if additive and not verdict.leaver and person not in ours and number not in asked:
                    unmanaged.append(person)
                    continue
                for position in self.links.positions_of(number):
                    if position in members:
                        yield make(self.accounts[position], verdict, person, None)
        if unmanaged:
            findings.append(_unmanaged(self.name, difference, sorted(unmanaged)))

    def _missing_accounts(self, missing: Mapping[int, int]) -> Iterator[Finding]:
        for number, count in missing.items():
            person = self.people[number].id
            text = f"{person} should have {count} entitlement(s) on {self.name} and has no account there"
            yield Finding("no-account", self.name, person, text)

    # --- those who are no people ------------------------------------------------------------------------------------

    def _services(self, difference: Difference) -> Iterator[Change]:
        ref, read = difference.entitlement.ref, difference.read
        wanted = self.situation.desired.service_members.get(ref, frozenset())
        additive = difference.entitlement.mode is Mode.ADDITIVE
        ours = self.situation.granted_here.get(ref, frozenset())
        for position, service in sorted(self.links.service_at.items()):
            member = position in read.members
            # Who has it in part is no member where they should be one, and one where they should not; and of what was
            # ordered and not confirmed somebody has to be asked once more either way.
            if position in read.unsettled or (position in read.partial and not member):
                member = service not in wanted
            if member == (service in wanted) or (not member and position in self.links.doubtful):
                continue
            if member and additive and service not in ours and position not in read.unsettled:
                continue
            make = self._maker(Op.REVOKE if member else Op.GRANT, difference)
            yield make(self.accounts[position], self._service_verdict(ref, service, wanted=not member), None, service)

    def _service_verdict(self, ref: EntitlementRef, service: str, *, wanted: bool) -> Verdict:
        baseline = self.situation.baselines.get(ref)
        if baseline and baseline.settled and (service in baseline.services) == wanted:
            return Verdict(drift(wanted=wanted))
        place = self.situation.policy.service_accounts[service].place
        return Verdict(Cause(CauseKind.POLICY, str(place), f"service account {service}"))

    def _outsiders(self, difference: Difference, findings: list[Finding]) -> Iterator[Change]:
        members = (difference.read.members | difference.read.partial) & self.links.orphans
        by_name = {self.accounts[position].name: self.accounts[position] for position in members}
        make = self._maker(Op.REVOKE, difference)
        for principal in difference.outsiders:
            text = f"{principal} is in {difference.read.name} and belongs to no person and no declared service account"
            findings.append(Finding("foreign-member", self.name, principal, text))
            if self.view.revoke_foreign and difference.entitlement.mode is not Mode.ADDITIVE:
                account = by_name.get(principal) or ObservedAccount("", principal, "")
                cause = Cause(CauseKind.DRIFT, str(difference.entitlement.place), "foreign: revoke")
                yield make(account, Verdict(cause), None, None)

    # --- one change -------------------------------------------------------------------------------------------------

    def _maker(
        self, op: Op, difference: Difference
    ) -> Callable[[ObservedAccount, Verdict, str | None, str | None], Change]:
        """Makes changes of one kind on one entitlement, which share all but the account and the cause."""
        entitlement, name, shown = difference.entitlement, self.name, difference.read.name
        locator, rank = entitlement.locator, entitlement.classification
        permissions = tuple(map(str, entitlement.permissions))
        classification = self.situation.policy.levels[rank].name
        saw = "absent" if op is Op.GRANT else "member"
        id_of = change_ids(op.value, name, locator, saw)

        def make(account: ObservedAccount, verdict: Verdict, person: str | None, service: str | None) -> Change:
            return Change(
                op,
                name,
                account.name,
                account.key,
                person,
                service,
                shown,
                locator,
                permissions,
                classification,
                rank,
                verdict.cause,
                saw,
                verdict.leaver,
                id=id_of(account.key or account.name),
            )

        return make


def _unmanaged(name: str, difference: Difference, people: Sequence[str]) -> Finding:
    shown = difference.read.name
    more = f" and {len(people) - MOST_NAMED} more" if len(people) > MOST_NAMED else ""
    text = (
        f"{len(people)} in {shown} whom the policy does not give it and who were not granted it from here: "
        f"{', '.join(people[:MOST_NAMED])}{more}; its mode is additive, and they are left alone"
    )
    return Finding("unmanaged-members", name, shown, text)


def covered(differences: Iterable[Difference]) -> BitMap:
    """The people who have, or should have, any of these."""
    return BitMap().union(*(people for each in differences for people in (each.actual, each.missing)))
