"""What becomes of a policy tree without mistakes: values, names resolved, places kept."""

from __future__ import annotations

from copy import copy
from datetime import date
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Place, ProblemsFound
from reconciler.policy import check_policy, load_policy, policy_digest
from reconciler.policy.model import (
    AllOf,
    Compare,
    EntitlementRef,
    Equals,
    Guards,
    Limit,
    Owner,
    Period,
    Permission,
    Policy,
    Under,
    Within,
)
from tests.policy.company import BOUNDS, COMPANY, CONDUCT, RESOURCES, ROLES, WORDS, errors


@pytest.fixture(scope="module")
def company() -> Policy:
    return load_policy(COMPANY, revision="abc123")


def test_the_company_has_no_problem_at_all() -> None:
    assert check_policy(COMPANY, today=date(2026, 12, 31))[1] == ()


def test_what_follows_from_a_policy_is_worked_out_once_and_is_not_sent_with_it(company: Policy) -> None:
    worked_out = []

    def count(policy: Policy) -> int:
        worked_out.append(policy)
        return len(policy.roles)

    own = copy(company)  # by the same way as it is sent to another process
    assert own is not company
    assert own == company
    assert own.once(count) == own.once(count) == len(company.roles)
    assert len(worked_out) == 1

    assert copy(own).once(count) == len(company.roles)
    assert len(worked_out) == 2


def test_attributes_have_ranks(company: Policy) -> None:
    assert company.attributes["grade"].ranks == {"P3": 0, "P4": 1, "P5": 2, "P6": 3, "M1": 3, "P7": 4, "M2": 4, "P8": 5}
    assert set(company.attributes["post"].ranks.values()) == {0}
    assert company.attributes["post"].declares("法务")
    assert not company.attributes["post"].declares("pilot")
    assert company.attributes["department"].declares("anything")
    assert company.attributes["grade"].place == Place("policies/words.yaml", 5, 3)


def test_evidence_keeps_its_validity(company: Policy) -> None:
    nda, training = company.evidence["nda"], company.evidence["secrecy-training"]

    assert (nda.version, nda.superseded_on, nda.valid_for) == (3, date(2026, 3, 1), None)
    assert (training.valid_for, training.grace, training.version) == (Period(years=1), Period(days=14), 1)
    assert company.evidence["police-certificate"].survives_rehire
    assert isinstance(company.evidence["non-compete"].applies_to, Compare)


def test_levels_are_ranked_lowest_first(company: Policy) -> None:
    assert [(level.rank, level.name) for level in company.levels] == list(
        enumerate(["public", "internal", "confidential", "core"])
    )
    core = company.levels[3]
    assert [tuple(map(str, one.any_of)) for one in core.requires] == [
        ("background-check", "police-certificate"),
        ("non-compete",),
    ]
    assert core.only is not None


def test_a_resource_leads_to_its_entitlements(company: Policy) -> None:
    read = Permission("basic-docs", "read")
    bindings = company.resources["basic-docs"].actions["read"]

    assert [binding.entitlement for binding in bindings] == [
        EntitlementRef("corp-ldap", "group=docs-readers"),
        EntitlementRef("files", "path=basic,permission=r-x"),
    ]
    assert all(company.entitlements[binding.entitlement].permissions == (read,) for binding in bindings)
    assert bindings[0].place == Place("policies/resources.yaml", 10, 15)
    assert company.resources["basic-docs"].owner == Owner("department", "rd/platform")
    assert company.resources["核心算法"].owner == Owner("person", "E0001")


def test_permissions_that_share_an_entitlement_are_joined_at_the_highest_class() -> None:
    shared = RESOURCES.replace("核心算法-读", "docs-readers")

    policy, found = check_policy({"w.yaml": WORDS.encode(), "r.yaml": shared.encode(), "x.yaml": ROLES.encode()})

    assert policy is not None
    entitlement = policy.entitlements[EntitlementRef("corp-ldap", "group=docs-readers")]
    assert entitlement.permissions == (Permission("basic-docs", "read"), Permission("核心算法", "read"))
    assert policy.effective_class(Permission("basic-docs", "read")) == 3
    assert "mixed-classes" in {problem.code for problem in found}


def test_a_role_gives_its_own_grants_and_those_it_inherits(company: Policy) -> None:
    owner = company.roles["owner"]

    assert [str(grant.permission) for grant in owner.grants] == ["basic-docs:write"]
    assert [(str(grant.permission), chain) for grant, chain in owner.all_grants] == [
        ("basic-docs:write", ("owner",)),
        ("核心算法:read", ("owner", "senior-engineer")),
        ("basic-docs:read", ("owner", "senior-engineer", "engineer")),
    ]
    assert owner.match is None, "inheriting brings grants, never the match"
    assert company.roles["staff"].everyone
    assert owner.members[0].until == date(2027, 6, 30)


def test_a_grant_keeps_its_place_through_inheritance(company: Policy) -> None:
    own = company.roles["engineer"].grants[0]

    assert own.place == Place("policies/roles.yaml", 4, 21)
    assert own in [grant for grant, _ in company.roles["owner"].all_grants]


def test_a_match_holds_for_one_assignment_in_all_its_parts(company: Policy) -> None:
    match = company.roles["senior-engineer"].match

    assert isinstance(match, AllOf)
    tests = {part.attribute: part.test for part in match.parts if isinstance(part, Compare)}
    assert tests == {
        "department": Under(frozenset({"rd"})),
        "post": Equals(frozenset({"engineer", "architect"})),
        "grade": Within(3, None),
    }


def test_exceptions_and_lockouts_are_as_written(company: Policy) -> None:
    (exception,) = company.exceptions
    everything, handbook = company.lockouts

    assert (exception.index, exception.person, exception.approved_by) == (0, "E1042", ("E0007",))
    assert (exception.since, exception.until) == (date(2026, 12, 1), date(2026, 12, 31))
    assert (everything.resources, everything.since) == (None, date(2026, 11, 2))
    assert (handbook.resources, handbook.since) == (frozenset({"handbook"}), None)


def test_lifecycle_and_service_accounts(company: Policy) -> None:
    lifecycle = company.lifecycle

    (preboarding,), (notice,) = lifecycle.preboarding, lifecycle.notice
    assert (preboarding.ceiling, preboarding.opens, notice.ceiling) == (0, Period(days=7), 1)
    assert (lifecycle.disable_exited, lifecycle.delete_after) == (True, Period(days=90))
    assert lifecycle.exited_place == Place("policies/conduct.yaml", 4, 3)
    account = company.service_accounts["svc-backup"]
    assert (account.ceiling, account.until, account.owner) == (1, date(2027, 6, 30), Owner("post", "it"))


def test_guards_are_on_without_a_word_and_keep_what_is_not_said(company: Policy) -> None:
    silent = load_policy({"w.yaml": WORDS.encode()}, revision="").guards
    guards = company.guards

    assert silent == Guards()
    assert guards.rules_revoke == Limit(5, 12)
    assert guards.rules_grant == Guards().rules_grant
    assert guards.exits == Limit(Guards().exits.percent, 20)
    assert guards.shrink_percent == 2.5
    assert guards.approvals == {3: 2}
    assert guards.protected == {"svc-backup", "E0001"}


def test_any_file_may_hold_any_section(company: Policy) -> None:
    together = load_policy({"all.yaml": (WORDS + RESOURCES + ROLES + CONDUCT + BOUNDS).encode()}, revision="abc123")

    assert together.roles.keys() == company.roles.keys()
    assert together.entitlements.keys() == company.entitlements.keys()


def test_a_policy_with_an_error_is_refused_whole() -> None:
    with pytest.raises(ProblemsFound) as refused:
        load_policy({**COMPANY, "policies/z.yaml": b"roles: {x: {grants: {read: [nothing]}}}"}, revision="")

    assert refused.value.exit_status == 1
    assert str(refused.value).endswith("policies: 1 error")
    assert "policies/z.yaml:1:29: error: role `x` names the resource `nothing`" in str(refused.value)


def test_e5_a_day_that_does_not_exist_makes_nothing_permanent() -> None:
    for day in ("2026-02-30", "2026-13-01", "2026-00-10", "0000-01-01", "2025-02-29", "never", "''", "20261231", "~"):
        text = f"exceptions: [{{person: 'E1', grants: {{read: [handbook]}}, until: {day}, reason: x}}]"

        assert len(errors(text)) == 1, day


def test_a_day_may_stand_in_quotes() -> None:
    assert not errors("lockouts: [{person: 'E1', ref: X, since: '2026-11-02'}]")


@pytest.mark.parametrize("clause", ["only: ", "applies_to: ", "from: ", "match: ", "until: ", "valid_for: "])
def test_a_blank_field_never_opens_a_door(clause: str) -> None:
    key = clause.split(":", maxsplit=1)[0]
    text = {
        "only": "clearances: [{top: {only: }}]",
        "applies_to": "evidence: {x: {kind: check, applies_to: }}",
        "from": "lockouts: [{person: 'E1', ref: X, from: }]",
        "match": "roles: {x: {match: }}",
        "until": "service_accounts: {s: {owner: {post: it}, ceiling: public, until: , grants: {read: [handbook]}}}",
        "valid_for": "evidence: {x: {kind: check, valid_for: }}",
    }[key]

    assert "blank" in [problem.code for problem in errors(text)]


# --- the digest ------------------------------------------------------------------------------------------------------

TREES = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1), st.binary(max_size=20), max_size=5
)


@given(TREES, st.randoms(use_true_random=False))
def test_the_digest_does_not_know_the_order_of_files(tree: dict[str, bytes], random: Random) -> None:
    names = list(tree)
    random.shuffle(names)

    assert policy_digest({name: tree[name] for name in names}) == policy_digest(tree)


@given(TREES, TREES)
def test_different_trees_have_different_digests(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    assert (policy_digest(one) == policy_digest(other)) == (one == other)


@given(TREES)
def test_the_digest_does_not_know_where_the_folder_lies(tree: dict[str, bytes]) -> None:
    elsewhere = {f"/srv/policies/{name}": content for name, content in tree.items()}

    assert policy_digest(elsewhere) == policy_digest(tree)


def test_the_digest_is_what_it_always_was(company: Policy) -> None:
    """A recorded digest must be found again by a later version; this changes only with the definition."""
    assert policy_digest({"a.yaml": b"roles: {}\n"}) == (
        "sha256:576aa2ffb0b5f18e95756c96341d5efe0f577c5a62dad7999a187d8442abd641"
    )
    assert company.digest == policy_digest(COMPANY)
    assert company.revision == "abc123"
