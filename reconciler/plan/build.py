"""From a situation to a plan: link, compare, find causes, order, guard. Everything it needs comes in as a value.

Diffing is set algebra on bitmaps, per entitlement; reasons are computed only for the pairs that change or are withheld.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from reconciler.access import explain_many
from reconciler.access.model import Desired, Explanation
from reconciler.facts.model import Person, Population
from reconciler.plan.accounts import AccountNeeds, account_changes
from reconciler.plan.causes import Baseline, Causes, Memory, Verdict, drift
from reconciler.plan.guards import Approvals, Standing, covered_people, hold, stricter
from reconciler.plan.linking import Links, link_accounts
from reconciler.plan.model import (
    Cause,
    CauseKind,
    Change,
    Finding,
    Plan,
    TargetSeen,
    Withheld,
    WithheldReason,
    in_order,
)
from reconciler.policy.model import Entitlement, EntitlementRef, Guards, Permission, Policy
from reconciler.targets import Capabilities, EntitlementRead, Observation, ObservedAccount, Op, Reading


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target as this pass sees it: what it said (None: nothing, for the reason in `error`) and how to treat it."""

    capabilities: Capabilities
    match_attributes: Sequence[str]
    observation: Observation | None
    error: str = ""
    revoke_foreign: bool = False
    disable_orphans: bool = False
    remembered: Mapping[str, str] = field(default_factory=dict)
    """Account key → person id, as linked before."""


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a plan is made from."""

    made_at: datetime
    workspace: str
    policy: Policy
    population: Population
    desired: Desired
    targets: Mapping[str, TargetView]
    memory: Memory
    baselines: Mapping[EntitlementRef, Baseline]
    approvals: Approvals
    recent: Mapping[str, frozenset[str]]
    guards_in_force: Guards | None = None
    """The guards under which the last approved (or the first) run was made: a loosening since then does not count
    yet.
    """


@dataclass(frozen=True, slots=True)
class Made:
    """A plan, and what making it taught about whose accounts are whose."""

    plan: Plan
    links: Mapping[str, Links]


def make_plan(situation: Situation) -> Made:
    """What would bring actual nearer to desired on every target of the situation."""
    return _Making(situation).made()


@dataclass(frozen=True, slots=True)
class _Difference:
    """One entitlement compared. Positions are those of the observation's accounts."""

    entitlement: Entitlement
    read: EntitlementRead
    missing: BitMap
    superfluous: BitMap
    foreign: Sequence[str]


class _Making:
    """Carries what the steps of making one plan share."""

    def __init__(self, situation: Situation) -> None:
        self._s = situation
        self._people = {person.number: person for person in situation.population}
        self._causes = Causes(
            situation.policy, situation.population, situation.desired, situation.baselines, situation.memory
        )
        self._links: dict[str, Links] = {}
        self._findings: list[Finding] = []
        self._covered: dict[tuple[str, str], list[BitMap]] = defaultdict(list)
        self._actual: dict[EntitlementRef, int] = {}
        self._unproven: dict[EntitlementRef, str] = {}

    def made(self) -> Made:
        s = self._s
        changes = [change for name in sorted(s.targets) for change in self._target(name, s.targets[name])]
        guards = stricter(s.policy.guards, s.guards_in_force) if s.guards_in_force else s.policy.guards
        guarded = hold(changes, guards, self._standing(), s.approvals, s.policy.digest)
        plan = Plan(
            made_at=s.made_at,
            at=s.desired.at,
            workspace=s.workspace,
            policy_digest=s.policy.digest,
            policy_revision=s.policy.revision,
            ledger_seq=s.population.ledger_seq,
            people=len(self._people),
            targets={name: self._seen(name, view) for name, view in sorted(s.targets.items())},
            changes=in_order(guarded),
            withheld=self._withheld(),
            findings=tuple(sorted({*self._findings, *self._people_findings()})),
        )
        return Made(plan, self._links)

    # --- one target -------------------------------------------------------------------------------------------------

    def _target(self, name: str, view: TargetView) -> Iterator[Change]:
        if view.observation is None:
            self._findings.append(Finding("target-unavailable", name, name, view.error))
            return
        observation = view.observation
        links = link_accounts(
            name,
            observation.accounts.accounts,
            self._s.population,
            view.match_attributes,
            view.remembered,
            self._s.policy.service_accounts,
        )
        self._links[name] = links
        self._findings += links.findings
        self._findings += [Finding(f.kind, name, f.subject, f.text) for f in observation.findings]
        self._note_accounts(name, observation)
        self._note_undeclared(name)
        differences = list(self._differences(name, observation, links))
        yield from self._membership(name, view, observation, links, differences)
        yield from self._accounts(name, view, observation, links)

    def _differences(self, name: str, observation: Observation, links: Links) -> Iterator[_Difference]:
        for ref, entitlement in self._s.policy.entitlements.items():
            if ref.target != name:
                continue
            read = observation.entitlements.get(ref.key)
            if read is None or read.reading is Reading.FAILED:
                detail = read.detail if read else "the target said nothing about it"
                self._findings.append(Finding("unread-entitlement", name, ref.key, detail))
                continue
            yield self._difference(name, observation, links, entitlement, read)

    def _difference(
        self,
        name: str,
        observation: Observation,
        links: Links,
        entitlement: Entitlement,
        read: EntitlementRead,
    ) -> _Difference:
        desired = self._s.desired.members[entitlement.ref]
        actual = links.people_in(read.members)
        superfluous = BitMap(
            position
            for position in read.members
            if (number := links.person_at[position]) >= 0 and number not in desired
        )
        self._covered[name, self._class_name(entitlement)].append(actual | desired)
        self._actual[entitlement.ref] = len(read.members)
        self._note_proof(name, entitlement.ref, read)
        orphans = [observation.accounts.accounts[position].name for position in read.members & links.orphans]
        return _Difference(entitlement, read, desired - actual, superfluous, [*read.foreign, *orphans])

    def _note_proof(self, name: str, ref: EntitlementRef, read: EntitlementRead) -> None:
        of_accounts = self._unproven.get(EntitlementRef(name, ""))
        if of_accounts:
            self._unproven[ref] = of_accounts
        elif not read.reading.whole:
            self._unproven[ref] = f"{read.name} was not read whole ({read.detail or read.reading})"
            self._findings.append(Finding("partial-read", name, read.name, self._unproven[ref]))

    def _note_accounts(self, name: str, observation: Observation) -> None:
        accounts = observation.accounts
        if not accounts.reading.whole:
            text = f"the accounts of {name} were not read whole ({accounts.detail or accounts.reading})"
            self._unproven[EntitlementRef(name, "")] = text
            self._findings.append(Finding("partial-read", name, name, text))

    def _note_undeclared(self, name: str) -> None:
        """What was managed and is in no policy any more is not forgotten: nobody keeps access without a word (D7)."""
        for ref, baseline in self._s.baselines.items():
            count = len(baseline.members) + len(baseline.services)
            if ref.target == name and count and ref not in self._s.policy.entitlements:
                text = (
                    f"no policy names {ref.key} any more; {count} given from here may still have it, "
                    "and nothing is revoked there: declare it again, or empty it on the target"
                )
                self._findings.append(Finding("undeclared-entitlement", name, ref.key, text))

    # --- memberships --------------------------------------------------------------------------------------------------

    def _membership(
        self,
        name: str,
        view: TargetView,
        observation: Observation,
        links: Links,
        differences: Sequence[_Difference],
    ) -> Iterator[Change]:
        accounts = observation.accounts.accounts
        asked: list[tuple[_Difference, ObservedAccount, Person, bool]] = []
        without_account: dict[int, list[str]] = defaultdict(list)
        for difference in differences:
            for number in difference.missing:
                account = self._account_to_grant(number, view, accounts, links)
                if account is not None:
                    asked.append((difference, account, self._people[number], True))
                elif number not in links.positions_of:
                    without_account[number].append(difference.read.name)
            for position in difference.superfluous:
                person = self._people[links.person_at[position]]
                asked.append((difference, accounts[position], person, False))
            yield from self._services(name, difference, accounts, links)
            yield from self._foreign(name, view, difference, accounts, links)
        self._note_missing_accounts(name, without_account)
        verdicts = self._causes.find([(person, d.entitlement, wanted) for d, _, person, wanted in asked])
        for (difference, account, person, wanted), verdict in zip(asked, verdicts, strict=True):
            op = Op.GRANT if wanted else Op.REVOKE
            yield self._change(op, name, difference, account, verdict, person=person.id)

    def _account_to_grant(
        self, number: int, view: TargetView, accounts: Sequence[ObservedAccount], links: Links
    ) -> ObservedAccount | None:
        position = links.account_for.get(number)
        if position is not None:
            return accounts[position]
        if view.capabilities.implicit_accounts and number not in links.positions_of:
            person_id = self._people[number].id
            return ObservedAccount(person_id, person_id, person_id, {"id": person_id})
        return None

    def _note_missing_accounts(self, name: str, missing: Mapping[int, Sequence[str]]) -> None:
        for number, entitlements in missing.items():
            person = self._people[number]
            text = f"{person.id} should have {len(entitlements)} entitlement(s) on {name} and has no account there"
            self._findings.append(Finding("no-account", name, person.id, text))

    def _services(
        self, name: str, difference: _Difference, accounts: Sequence[ObservedAccount], links: Links
    ) -> Iterator[Change]:
        ref = difference.entitlement.ref
        wanted = self._s.desired.service_members.get(ref, frozenset())
        for position, service in sorted(links.service_at.items()):
            member = position in difference.read.members
            if member == (service in wanted) or (not member and position in links.doubtful):
                continue
            op = Op.REVOKE if member else Op.GRANT
            verdict = self._service_verdict(ref, service, wanted=not member)
            yield self._change(op, name, difference, accounts[position], verdict, service=service)

    def _service_verdict(self, ref: EntitlementRef, service: str, *, wanted: bool) -> Verdict:
        baseline = self._s.baselines.get(ref)
        if baseline and baseline.settled and (service in baseline.services) == wanted:
            return Verdict(drift(wanted=wanted))
        place = self._s.policy.service_accounts[service].place
        return Verdict(Cause(CauseKind.POLICY, str(place), f"service account {service}"))

    def _foreign(
        self,
        name: str,
        view: TargetView,
        difference: _Difference,
        accounts: Sequence[ObservedAccount],
        links: Links,
    ) -> Iterator[Change]:
        by_name = {accounts[position].name: accounts[position] for position in difference.read.members & links.orphans}
        for principal in difference.foreign:
            text = f"{principal} is in {difference.read.name} and belongs to no person and no declared service account"
            self._findings.append(Finding("foreign-member", name, principal, text))
            if view.revoke_foreign:
                account = by_name.get(principal) or ObservedAccount("", principal, "")
                cause = Cause(CauseKind.DRIFT, str(difference.entitlement.place), "foreign: revoke")
                yield self._change(Op.REVOKE, name, difference, account, Verdict(cause))

    def _change(
        self,
        op: Op,
        name: str,
        difference: _Difference,
        account: ObservedAccount,
        verdict: Verdict,
        *,
        person: str | None = None,
        service: str | None = None,
    ) -> Change:
        entitlement = difference.entitlement
        return Change(
            op=op,
            target=name,
            account=account.name,
            account_key=account.key,
            person=person,
            service_account=service,
            entitlement=difference.read.name,
            locator=entitlement.locator,
            permissions=tuple(map(str, entitlement.permissions)),
            classification=self._class_name(entitlement),
            class_rank=entitlement.classification,
            cause=verdict.cause,
            saw="absent" if op is Op.GRANT else "member",
            leaver=verdict.leaver,
        )

    # --- accounts -----------------------------------------------------------------------------------------------------

    def _accounts(self, name: str, view: TargetView, observation: Observation, links: Links) -> Iterator[Change]:
        needs = AccountNeeds(
            target=name,
            accounts=observation.accounts.accounts,
            links=links,
            people=self._people,
            policy=self._s.policy,
            desired=self._s.desired,
            zone=ZoneInfo(self._s.population.timezone),
            ops=view.capabilities.ops,
            disable_orphans=view.disable_orphans,
            implicit=view.capabilities.implicit_accounts,
        )
        changes, findings = account_changes(needs)
        self._findings += findings
        yield from changes

    # --- the rest of the plan -----------------------------------------------------------------------------------------

    def _class_name(self, entitlement: Entitlement) -> str:
        return self._s.policy.levels[entitlement.classification].name

    def _seen(self, name: str, view: TargetView) -> TargetSeen:
        if view.observation is None:
            return TargetSeen(None, 0, 0, ("*",), view.error)
        observation = view.observation
        asked = {ref.key for ref in self._s.policy.entitlements if ref.target == name}
        unread = [key for key, read in observation.entitlements.items() if not read.reading.whole]
        unread += asked - observation.entitlements.keys()
        if not observation.accounts.reading.whole:
            unread.append("accounts")
        accounts = len(observation.accounts.accounts)
        return TargetSeen(observation.at, accounts, len(observation.entitlements), tuple(sorted(unread)))

    def _standing(self) -> Standing:
        return Standing(
            covered=covered_people(self._covered),
            actual=self._actual,
            settled=frozenset(ref for ref, baseline in self._s.baselines.items() if baseline.settled),
            unproven=self._unproven,
            recent=self._s.recent,
            everybody=len(self._people),
        )

    def _withheld(self) -> tuple[Withheld, ...]:
        s = self._s
        pairs: list[tuple[str, Permission]] = []
        for permission, given in s.desired.given.items():
            pairs += [(self._people[number].id, permission) for number in given - s.desired.allowed[permission]]
            services = s.desired.service_given.get(permission, frozenset())
            pairs += [(name, permission) for name in services - s.desired.service_allowed[permission]]
        explained = explain_many(s.policy, s.population, pairs, s.desired.at)
        return tuple(sorted(map(self._as_withheld, explained), key=lambda each: (each.subject, each.permission)))

    def _as_withheld(self, explanation: Explanation) -> Withheld:
        return Withheld(
            subject=explanation.subject,
            is_person=explanation.subject in self._s.population.by_id,
            permission=str(explanation.permission),
            classification=explanation.classification,
            reasons=tuple(
                WithheldReason(denial.kind.value, denial.what, denial.text, denial.remedy)
                for denial in explanation.denials
            ),
        )

    def _people_findings(self) -> Iterable[Finding]:
        for value in self._s.desired.undeclared:
            text = (
                f"{value.person}: the policy does not declare {value.attribute} {value.value!r}; it compares as unknown"
            )
            yield Finding("undeclared-value", "", value.person, text)
