"""What a family gave for values that it lists no more stays managed, and is given to nobody."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.policy.former import with_former
from reconciler.policy.model import EntitlementRef, Mode, Permission, Policy
from reconciler.targets import entitlement_key, entitlement_locator
from tests.policy.projects import PROJECTS, loaded

READERS = EntitlementRef("corp-ldap", "group=prj-old-readers")
WRITERS = EntitlementRef("corp-ldap", "group=prj-old-writers")
FILES = EntitlementRef("files", "path=projects/old,permission=r-x")
STRANGERS = [
    EntitlementRef("corp-ldap", "group=other"),
    EntitlementRef("corp-ldap", "group=prj--readers"),
    EntitlementRef("corp-ldap", "cn=prj-old-readers"),
    EntitlementRef("corp-ldap", "group=prj-old-readers,ou=x"),
    EntitlementRef("vault", "group=prj-old-readers"),
    EntitlementRef("files", "path=projects/old,permission=rwx"),
    EntitlementRef("corp-ldap", "no key at all"),
    EntitlementRef("corp-ldap", ""),
]


@pytest.fixture(scope="module")
def policy() -> Policy:
    return loaded()


def test_what_a_family_could_have_bound_comes_back(policy: Policy) -> None:
    former = with_former(policy, [READERS, WRITERS, FILES])

    old = former.resources["project-docs/old"]
    assert (old.family, old.value, old.until) == ("project-docs/{project}", "old", date.min)
    assert {action: [one.entitlement for one in bindings] for action, bindings in old.actions.items()} == {
        "read": [READERS, FILES],
        "write": [WRITERS],
    }
    entitlement = former.entitlements[WRITERS]
    assert entitlement.permissions == (Permission("project-docs/old", "write"),)
    assert (entitlement.classification, entitlement.mode) == (2, Mode.ADDITIVE)
    assert former.effective_class(Permission("project-docs/old", "read")) == 2


def test_the_same_is_brought_back_as_the_same_policy(policy: Policy) -> None:
    former = with_former(policy, [READERS, WRITERS])

    assert with_former(policy, [WRITERS, READERS]) is former
    assert WRITERS not in with_former(policy, [READERS]).entitlements
    assert with_former(policy, []) is policy


def test_nobody_is_given_it(policy: Policy) -> None:
    former = with_former(policy, [READERS])

    assert former.roles == policy.roles
    assert not [
        grant
        for role in former.roles.values()
        for grant, _ in role.all_grants
        if grant.permission.resource == "project-docs/old"
    ]


def test_its_compartments_are_those_that_the_policy_has(policy: Policy) -> None:
    text = PROJECTS.replace('compartments: ["project/{project}"]\n    owner', "compartments: [chip-design]\n    owner")

    assert with_former(policy, [READERS]).entitlements[READERS].compartments == frozenset()
    assert with_former(loaded(text), [READERS]).entitlements[READERS].compartments == {"chip-design"}


@pytest.mark.parametrize("ref", STRANGERS, ids=str)
def test_what_is_not_its_business_is_left_out(policy: Policy, ref: EntitlementRef) -> None:
    assert with_former(policy, [ref]) == policy


def test_what_is_listed_stays_as_it_is(policy: Policy) -> None:
    assert with_former(policy, policy.entitlements) is policy


@given(st.lists(st.sampled_from([READERS, WRITERS, FILES, *STRANGERS]), max_size=6))
def test_asking_twice_or_in_another_order_changes_nothing(refs: list[EntitlementRef]) -> None:
    policy = POLICY
    once = with_former(policy, refs)

    assert with_former(once, refs) == once
    assert with_former(policy, reversed(refs)) == once
    assert policy.entitlements.items() <= once.entitlements.items()
    assert policy.resources.items() <= once.resources.items()


POLICY = loaded()


def test_a_resource_that_took_over_the_name_gives_nothing_through_the_former_entitlement() -> None:
    """Otherwise whoever may read the new one would be put into the old group."""
    text = PROJECTS.replace(
        "resources:\n",
        "resources:\n  project-docs/old: {classification: internal, access: {read: {corp-ldap: {group: fresh}}}}\n",
        1,
    )
    policy = loaded(text)

    former = with_former(policy, [READERS])

    assert former.entitlements[READERS].permissions == ()
    assert former.entitlements[READERS].classification == 2
    assert former.resources == policy.resources


def test_what_is_retired_comes_back_only_to_be_emptied() -> None:
    retired = (
        "retired:\n"
        "  - {target: corp-ldap, entitlement: {group: prj-old-readers}, members: revoke, reason: over}\n"
        "  - {target: corp-ldap, entitlement: {group: prj-old-writers}, members: keep, reason: over}\n"
    )

    former = with_former(loaded(PROJECTS + retired), [READERS, WRITERS])

    assert former.entitlements[READERS].permissions == ()
    assert former.entitlements[READERS].classification == 3
    assert WRITERS not in former.entitlements
    assert "project-docs/old" not in former.resources


PARTS = st.text(st.characters(exclude_characters="=,\\", exclude_categories=["C"]), min_size=1)


@given(st.dictionaries(PARTS, st.text(st.sampled_from("ab=,\\ \n凤"), min_size=1), min_size=1))
def test_a_locator_is_found_again_in_its_key(locator: dict[str, str]) -> None:
    assert entitlement_locator(entitlement_key(locator)) == locator


@given(st.text(st.sampled_from("ab=,\\")))
def test_any_text_can_be_asked_for_its_locator(text: str) -> None:
    entitlement_locator(text)
