"""What a target says about its own entitlements: one lies in another."""

from __future__ import annotations

from datetime import UTC, datetime

from reconciler.plan.containment import contained_entitlements
from reconciler.policy import load_policy
from reconciler.targets import AccountsRead, BitMap, EntitlementRead, Observation, ObservedAccount, Reading

POLICY = load_policy(
    {
        "p.yaml": b"""
attributes: {department: {kind: tree}}
evidence: {nda: {kind: agreement}}
clearances: [{public: {}}, {internal: {requires: [nda]}}]
compartments: {chips: {requires: [nda]}}
resources:
  wiki: {classification: public, access: {read: {dir: {group: wiki}}}}
  code: {classification: internal, access: {read: {dir: {group: code}}}}
  chip: {classification: internal, compartments: [chips], access: {read: {dir: {group: chip}}}}
"""
    },
    revision="r1",
)
WIKI, CODE, CHIP = "group=wiki", "group=code", "group=chip"


def told(members: dict[str, set[int]], within: dict[str, list[str]]) -> dict[str, str]:
    accounts = [ObservedAccount(f"k{number}", f"uid=u{number}", f"u{number}") for number in range(20)]
    reads = {}
    for key in (WIKI, CODE, CHIP):
        own, around = BitMap(members.get(key, ())), within.get(key, ())
        reads[key] = EntitlementRead(key, f"cn={key}", Reading.COMPLETE, own, within=around)
    seen = Observation(datetime(2026, 1, 1, tzinfo=UTC), AccountsRead(Reading.COMPLETE, accounts), reads)
    found = list(contained_entitlements("dir", POLICY, seen))
    assert {finding.kind for finding in found} <= {"contained-entitlement"}
    return {finding.subject: finding.text for finding in found}


def test_who_comes_in_by_a_group_of_a_lower_class_is_told_with_what_to_do() -> None:
    found = told({WIKI: {1, 2, 3}, CODE: {3}}, {CODE: [WIKI]})

    assert found.keys() == {"cn=group=code"}
    text = found["cn=group=code"]
    assert "whoever has cn=group=wiki (public) has cn=group=code (internal) as well" in text
    assert "although no member of it: uid=u1; uid=u2. " in text
    assert "less clearance" in text
    assert "take cn=group=wiki out of it" in text


def test_a_compartment_that_the_outer_one_lacks_is_less_clearance_and_the_same_is_not() -> None:
    assert "less clearance" in told({CODE: {1}}, {CHIP: [CODE]})["cn=group=chip"]
    assert "less clearance" not in told({CHIP: {1}}, {CODE: [CHIP]})["cn=group=code"]


def test_many_who_come_in_through_several_are_counted_and_a_circle_ends() -> None:
    found = told({WIKI: set(range(10)), CODE: {10}, CHIP: {11}}, {CHIP: [CODE], CODE: [WIKI], WIKI: [CHIP]})

    assert len(found) == 3
    assert "uid=u4 and 6 more" in found["cn=group=chip"]  # ten of the wiki's, and one of the code's


def test_where_nothing_lies_in_anything_nothing_is_told() -> None:
    assert told({WIKI: {1}, CODE: {2}}, {}) == {}
    assert told({CODE: {2}}, {CODE: ["group=elsewhere", CODE]}) == {}
