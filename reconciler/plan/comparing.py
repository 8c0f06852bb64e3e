"""Desired against actual on one target: who is missing, who is superfluous, and how far what was read proves it.

Set algebra on bitmaps, per entitlement; no reasons and no changes yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pyroaring import BitMap

from reconciler.access.model import Desired
from reconciler.plan.linking import Links
from reconciler.plan.model import Finding
from reconciler.plan.situation import Situation
from reconciler.policy.model import Entitlement, EntitlementRef, Policy
from reconciler.targets import EntitlementRead, Observation, Reading


@dataclass(frozen=True, slots=True)
class Difference:
    """One entitlement compared: the people in it now, those missing, and those in it without being desired.

    Whoever has it in part is missing where it is desired, and superfluous where it is not. `outsiders` are the names of
    those in it that belong to nobody: foreign principals and orphan accounts.
    """

    entitlement: Entitlement
    read: EntitlementRead
    actual: BitMap
    missing: BitMap
    superfluous: BitMap
    outsiders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One target compared. `unproven` maps an entitlement (and, under an empty key, the target's accounts) to why
    absence proves nothing there.
    """

    differences: tuple[Difference, ...]
    unproven: dict[EntitlementRef, str]
    findings: tuple[Finding, ...]


def compare(name: str, situation: Situation, observation: Observation, links: Links) -> Comparison:
    """Compare every entitlement of the target."""
    unproven: dict[EntitlementRef, str] = {}
    findings = [Finding(each.kind, name, each.subject, each.text) for each in observation.findings]
    findings += _of_accounts(name, observation, unproven)
    findings += _undeclared(name, situation)
    differences = []
    for entitlement in own_entitlements(name, situation):
        read = observation.entitlements.get(entitlement.ref.key)
        if read is None or read.reading is Reading.FAILED:
            findings += _unread(entitlement, read, situation)
            continue
        findings += _of_reading(name, entitlement.ref, read, unproven)
        differences.append(_difference(situation, observation, links, entitlement, read))
    return Comparison(tuple(differences), unproven, tuple(findings))


def own_entitlements(name: str, situation: Situation) -> Iterator[Entitlement]:
    """The policy's entitlements on the target, as far as they are compared."""
    entitlements, compared = situation.policy.entitlements, situation.compared
    if compared is None:
        return (entitlement for ref, entitlement in entitlements.items() if ref.target == name)
    return (entitlements[ref] for ref in compared if ref.target == name)


def worth_comparing(
    policy: Policy, desired: Desired, observations: Mapping[str, Observation | None]
) -> Sequence[EntitlementRef]:
    """Those of the policy's entitlements in which somebody is or should be, and those that were not read whole: of any
    other a comparison has nothing to say. Where one person is asked about, these are few.
    """
    found = {ref for ref, people in desired.members.items() if people}
    found |= {ref for ref, services in desired.service_members.items() if services}
    keys = policy.once(_keys_by_target)
    for name, observation in observations.items():
        if observation is not None and name in keys:
            read = observation.entitlements
            telling = {key for key, each in read.items() if _tells(each)} | (keys[name] - read.keys())
            found |= {EntitlementRef(name, key) for key in telling & keys[name]}
    return sorted(found)


def _keys_by_target(policy: Policy) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for ref in policy.entitlements:
        found.setdefault(ref.target, set()).add(ref.key)
    return {target: frozenset(keys) for target, keys in found.items()}


def _tells(read: EntitlementRead) -> bool:
    return bool(not read.reading.whole or read.members or read.foreign or read.unsettled or read.partial or read.within)


def may_be_gone(ref: EntitlementRef, situation: Situation) -> bool:
    """Whether nothing is wrong with an entitlement that is not there: it is managed no longer, and empty."""
    baseline = situation.baselines.get(ref)
    empty = baseline is None or not (baseline.members or baseline.services)
    return empty and (ref in situation.former or ref in situation.policy.retired)


def _difference(
    situation: Situation, observation: Observation, links: Links, entitlement: Entitlement, read: EntitlementRead
) -> Difference:
    desired = situation.desired.members[entitlement.ref]
    actual = links.people_in(read.members)
    # What was ordered and not confirmed is neither in place nor out of the world: it counts against what is wanted.
    surely = links.people_in(read.members - read.unsettled) if read.unsettled else actual
    holding = read.members | read.partial if read.partial else read.members
    possibly = links.people_in(holding | read.unsettled) if read.unsettled or read.partial else actual
    orphans = [observation.accounts.accounts[position].name for position in holding & links.orphans]
    return Difference(entitlement, read, actual, desired - surely, possibly - desired, (*read.foreign, *orphans))


def _of_accounts(name: str, observation: Observation, unproven: dict[EntitlementRef, str]) -> Iterator[Finding]:
    accounts = observation.accounts
    if not accounts.reading.whole:
        text = f"the accounts of {name} were not read whole ({accounts.detail or accounts.reading})"
        unproven[EntitlementRef(name, "")] = text
        yield Finding("partial-read", name, name, text)


def _of_reading(
    name: str, ref: EntitlementRef, read: EntitlementRead, unproven: dict[EntitlementRef, str]
) -> Iterator[Finding]:
    of_accounts = unproven.get(EntitlementRef(name, ""))
    if of_accounts:
        unproven[ref] = of_accounts
    elif not read.reading.whole:
        unproven[ref] = f"{read.name} was not read whole ({read.detail or read.reading})"
        yield Finding("partial-read", name, read.name, unproven[ref])


def _unread(entitlement: Entitlement, read: EntitlementRead | None, situation: Situation) -> Iterator[Finding]:
    if not may_be_gone(entitlement.ref, situation):
        detail = read.detail if read else "the target said nothing about it"
        yield Finding("unread-entitlement", entitlement.ref.target, entitlement.ref.key, detail)


def _undeclared(name: str, situation: Situation) -> Iterator[Finding]:
    """What was managed and is in no policy any more is not forgotten: nobody keeps access without a word (D7)."""
    for ref, baseline in situation.baselines.items():
        count = len(baseline.members) + len(baseline.services)
        declared = ref in situation.policy.entitlements or ref in situation.policy.retired
        if ref.target == name and count and not declared:
            text = (
                f"no policy names {ref.key} any more; {count} given from here may still have it, "
                "and nothing is revoked there: declare it again, or list it under `retired` with what becomes of "
                "its members"
            )
            yield Finding("undeclared-entitlement", name, ref.key, text)
