"""From a situation to a plan: link, compare, find causes, order, guard. Everything it needs comes in as a value.

The steps stand in rooms of their own; here they are put together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from reconciler.plan.accounts import AccountNeeds, account_changes
from reconciler.plan.capabilities import cannot_be_done
from reconciler.plan.causes import Asked, Causes
from reconciler.plan.comparing import Comparison, Difference, compare, may_be_gone, own_entitlements
from reconciler.plan.containment import contained_entitlements
from reconciler.plan.creating import creations
from reconciler.plan.guards import Standing, hold, stricter, with_digests
from reconciler.plan.invariants import keep_invariants
from reconciler.plan.linking import Links, link_accounts
from reconciler.plan.membership import Changes, Membership, covered
from reconciler.plan.model import Change, Finding, Plan, TargetSeen, in_order
from reconciler.plan.remarks import remarks
from reconciler.plan.rules_in_force import rules_in_force
from reconciler.plan.situation import Situation, TargetView
from reconciler.plan.undoing import keep_pins
from reconciler.policy.model import Mode
from reconciler.targets import Observation, Op

_TAKING = frozenset({Op.DISABLE_ACCOUNT, Op.END_SESSIONS, Op.REVOKE, Op.DELETE_ACCOUNT})


@dataclass(frozen=True, slots=True)
class Made:
    """A plan, and what making it taught about whose accounts are whose."""

    plan: Plan
    links: Mapping[str, Links]


def make_plan(situation: Situation) -> Made:
    """What would bring actual nearer to desired on every target of the situation."""
    return _Making(situation).made()


class _Making:
    """Carries what the steps of making one plan share."""

    def __init__(self, situation: Situation) -> None:
        self._s = situation
        self._people = {person.number: person for person in situation.population}
        self._findings: list[Finding] = list(remarks(situation))
        self._links: dict[str, Links] = {}
        self._compared: dict[str, Comparison] = {}

    def made(self) -> Made:
        s = self._s
        for name, view in sorted(s.targets.items()):
            self._compare(name, view)
        causes = Causes(s.policy, s.population, s.desired, s.baselines, s.memory, self._asked())
        found = Changes()
        for name in self._compared:
            self._change(name, causes, found)
        plan = Plan(
            made_at=s.made_at,
            at=s.desired.at,
            workspace=s.workspace,
            policy_digest=s.policy.digest,
            policy_revision=s.policy.revision,
            ledger_seq=s.population.ledger_seq,
            people=len(self._people),
            targets={name: self._seen(name, view) for name, view in sorted(s.targets.items())},
            changes=in_order(self._guarded(found)),
            withheld=causes.explaining.withheld(),
            findings=tuple(sorted({*self._findings, *found.findings})),
            observed=in_order(found.observed),
        )
        return Made(plan, self._links)

    # --- comparing --------------------------------------------------------------------------------------------------

    def _compare(self, name: str, view: TargetView) -> None:
        s = self._s
        if view.observation is None:
            self._findings.append(Finding("target-unavailable", name, name, view.error))
            return
        links = link_accounts(
            name,
            view.observation.accounts.accounts,
            s.population,
            view.match_attributes,
            view.remembered,
            s.policy.service_accounts,
        )
        self._links[name] = links
        self._compared[name] = compare(name, s, view.observation, links)
        contained = contained_entitlements(name, s.policy, view.observation)
        self._findings += [*links.findings, *self._compared[name].findings, *contained]

    def _differences(self) -> Iterator[Difference]:
        return (difference for compared in self._compared.values() for difference in compared.differences)

    def _asked(self) -> Iterator[Asked]:
        for each in self._differences():
            if each.missing or each.superfluous:
                yield Asked(each.entitlement, each.missing, each.superfluous)

    # --- changes ----------------------------------------------------------------------------------------------------

    def _change(self, name: str, causes: Causes, found: Changes) -> None:
        view, links = self._s.targets[name], self._links[name]
        observation = _observation(view)
        maker = Membership(name, self._s, view, observation.accounts.accounts, links, causes, self._people)
        membership = maker.changes(self._compared[name].differences)
        if self._s.pins:
            undone = maker.undoing(self._compared[name].differences, self._s.pins)
            membership.changes += undone.changes
            membership.findings += undone.findings
        ops = view.capabilities.ops
        membership.findings += cannot_be_done(name, membership.changes, ops)
        membership.changes = [each for each in membership.changes if each.op in ops]
        membership.observed = [each for each in membership.observed if each.op in ops]
        needs = self._account_needs(name, view, observation, links)
        accounts, findings = account_changes(needs)
        whole = observation.accounts.reading.whole
        created = list(creations(needs, view, proven=whole))
        accounts += [each for each in created if isinstance(each, Change)]
        findings += [each for each in created if isinstance(each, Finding)]
        if created:  # what is done about it, or why nothing is, says more
            told = {each.subject for each in created}
            unsaid = [each for each in membership.findings if each.kind != "no-account" or each.subject not in told]
            membership.findings = unsaid
        found.changes += self._leaving_us_alone([*membership.changes, *accounts], observation, found)
        found.observed += membership.observed
        found.findings += [*membership.findings, *findings]

    def _leaving_us_alone(self, changes: list[Change], observation: Observation, found: Changes) -> list[Change]:
        """Without those that would take from the account we act as what it acts with: no approval makes that wise."""
        if not observation.own:
            return changes
        ours = [
            each for each in changes if each.op in _TAKING and (each.account_key or each.account) in observation.own
        ]
        for each in ours:
            what = f"{each.op.value} {each.entitlement}".strip()
            text = f"{each.account} is the account that the reconciler itself acts as here: not done: {what}"
            found.findings.append(Finding("own-account", each.target, each.account, text))
        return [each for each in changes if each not in ours] if ours else changes

    def _account_needs(self, name: str, view: TargetView, observation: Observation, links: Links) -> AccountNeeds:
        managed = (each for each in own_entitlements(name, self._s) if each.mode is not Mode.OBSERVE)
        own = (self._s.desired.members[entitlement.ref] for entitlement in managed)
        return AccountNeeds(
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
            disabled_here=view.disabled_here,
            sessions_left=view.sessions_left,
            sessions_live_on=view.capabilities.sessions_live_on,
            having=BitMap().union(*own),
        )

    def _guarded(self, found: Changes) -> list[Change]:
        s = self._s
        guards = stricter(s.policy.guards, s.guards_in_force) if s.guards_in_force else s.policy.guards
        guarded = hold(found.given_up(), guards, self._standing(), s.approvals, s.policy.digest)
        rules = rules_in_force(s)
        if s.pins:
            guarded = with_digests(keep_pins(guarded, s.pins), s.policy.digest)
        if not rules:
            return guarded
        actual = {each.entitlement.ref: each.actual for each in self._differences()}
        kept, findings = keep_invariants(guarded, rules, s, actual)
        found.findings += findings
        return with_digests(kept, s.policy.digest)

    def _standing(self) -> Standing:
        classes: dict[tuple[str, str], list[Difference]] = defaultdict(list)
        for each in self._differences():
            if each.entitlement.mode is not Mode.OBSERVE:
                level = self._s.policy.levels[each.entitlement.classification].name
                classes[each.entitlement.ref.target, level].append(each)
        return Standing(
            covered={key: len(covered(own)) for key, own in classes.items()},
            actual={each.entitlement.ref: len(each.read.members) for each in self._differences()},
            settled=frozenset(ref for ref, baseline in self._s.baselines.items() if baseline.settled),
            unproven={ref: why for each in self._compared.values() for ref, why in each.unproven.items()},
            recent=self._s.recent,
            everybody=len(self._people),
        )

    # --- the rest of the plan -----------------------------------------------------------------------------------------

    def _seen(self, name: str, view: TargetView) -> TargetSeen:
        if view.observation is None:
            return TargetSeen(None, 0, 0, ("*",), view.error)
        observation = view.observation
        asked = {each.ref.key: each.ref for each in own_entitlements(name, self._s)}
        unread = [key for key, read in observation.entitlements.items() if not read.reading.whole]
        unread += asked.keys() - observation.entitlements.keys()
        unread = [key for key in unread if key not in asked or not may_be_gone(asked[key], self._s)]
        if not observation.accounts.reading.whole:
            unread.append("accounts")
        accounts = len(observation.accounts.accounts)
        return TargetSeen(observation.at, accounts, len(observation.entitlements), tuple(sorted(unread)))


def _observation(view: TargetView) -> Observation:
    if view.observation is None:
        raise ValueError("a target that said nothing is not compared")
    return view.observation
