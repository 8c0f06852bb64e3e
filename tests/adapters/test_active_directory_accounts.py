"""Accounts of Active Directory: who is who, how they are disabled, moved and deleted, and whom nobody touches."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from adapters.active_directory import ActiveDirectoryTarget
from adapters.directory.entries import Answer, Request
from adapters.ldap.wire import Wire
from reconciler.targets import Op, OutcomeKind, Reading, Step
from reconciler.testing.targets import (
    ALREADY,
    APPLIED,
    GROUPS,
    PEOPLE,
    STALE,
    entitlement,
    grant,
    revoke,
    seen,
)
from tests.adapters.domain_lab import (
    ACCOUNT,
    DISABLED,
    DomainLab,
    group_entry,
    modification,
    outcomes,
    person_entry,
    settings_of,
    target,
)
from tests.servers.fixtures import samba, samba_seed, slapd  # noqa: F401
from tests.servers.samba import Samba

REFUSED, UNAVAILABLE = OutcomeKind.REFUSED, OutcomeKind.UNAVAILABLE
DOCS = {"group": "docs-readers"}
PRIMARY_GROUP_ID = "bf967a00-0de6-11d0-a285-00aa003049e2"
"""The attribute, as access rights name it."""
LOCKING = {"disable": "user-account-control"}


@pytest.fixture
def lab(samba: Samba) -> DomainLab:  # noqa: F811
    return DomainLab(samba, PEOPLE, GROUPS)


# -- identity ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rdn", "unit"),
    [("CN=Smith-Doe\\, Jo", "people"), ("CN=\\#1 史密斯 \\\\\\+", "people"), ("CN=Smith", "sub,OU=people")],
)
def test_c3_an_account_that_is_renamed_or_moved_is_the_same_account(lab: DomainLab, rdn: str, unit: str) -> None:
    lab.server.add(f"dn: OU=sub,OU=people,{lab.unit}\nobjectClass: organizationalUnit\n")
    granting, revoking = grant(lab, "核心算法", "smith"), revoke(lab, "docs-readers", "smith")
    before = {each.login: each for each in lab.target.observe([DOCS]).accounts.accounts}["smith"]

    name = lab.move("smith", rdn, unit)

    observation = lab.target.observe([DOCS])
    after = {each.login: each for each in observation.accounts.accounts}["smith"]
    assert (after.key, after.name) == (before.key, name)
    assert name != before.name
    assert seen(observation) == {"zhang", "smith"}
    narrow = lab.target.observe([DOCS], [before.key])
    assert [each.name for each in narrow.accounts.accounts] == [name]
    assert [result.kind for result in outcomes(lab.target, granting, revoking)] == [APPLIED, APPLIED]
    assert lab.members("核心算法") == {"muller", "smith"}
    assert lab.members("docs-readers") == {"zhang"}


def test_c3_an_account_with_another_login_is_the_same_account(lab: DomainLab) -> None:
    key = lab.key("smith")
    lab.server.modify(modification(lab.account_name("smith"), "replace", "sAMAccountName", "smith-doe"))

    observation = lab.target.observe([DOCS])

    [account] = [each for each in observation.accounts.accounts if each.key == key]
    assert (account.login, account.match) == ("smith-doe", {"id": "E1002"})
    assert seen(observation) == {"zhang", "smith-doe"}


def test_c3_a_name_that_is_used_again_is_another_account(lab: DomainLab) -> None:
    steps = [grant(lab, "核心算法", "smith"), revoke(lab, "docs-readers", "smith")]
    lab.remove_account("smith")
    lab.server.add(person_entry(lab.accounts["smith"], lab.unit))
    lab.put_value("docs-readers", lab.account_name("smith"))

    results = outcomes(lab.target, *steps)

    assert [result.kind for result in results] == [STALE, STALE]
    assert lab.members("docs-readers") == {"zhang", "smith"}


def test_two_groups_of_one_name_fail_and_name_both(lab: DomainLab) -> None:
    other = f"CN=docs-readers,OU=elsewhere,{lab.unit}"
    lab.server.add(group_entry(other, [lab.account_name("plain")]))
    settings = settings_of(lab.server, lab.unit, groups={"base": lab.unit})

    read = entitlement(target(settings).observe([DOCS]))

    assert read.reading is Reading.FAILED
    assert other in read.detail
    assert lab.group_dn("docs-readers") in read.detail
    observation = target(settings).observe([{"group": other.replace("CN=", "cn = ")}])
    assert seen(observation) == {"plain"}


def test_filters_and_names_are_escaped(lab: DomainLab) -> None:
    for name in ("*", "docs*", ")(cn=*", "a\\", "cn=docs-readers)(member=*"):
        assert entitlement(lab.target.observe([{"group": name}])).reading is Reading.FAILED, name


# -- accounts ----------------------------------------------------------------------------------------------------------


def account_step(lab: DomainLab, op: Op, login: str) -> Step:
    return Step(op, lab.key(login), lab.account_name(login))


def control(lab: DomainLab, login: str) -> int:
    return int(lab.attributes(login, "userAccountControl")[1]["userAccountControl"][0])


@pytest.fixture
def locking(lab: DomainLab) -> ActiveDirectoryTarget:
    return target(settings_of(lab.server, lab.unit, accounts={"disable": "user-account-control"}))


def test_an_account_is_disabled_and_enabled_and_its_other_bits_stay(
    lab: DomainLab, locking: ActiveDirectoryTarget
) -> None:
    never_expires = 0x10000
    lab.server.modify(
        modification(lab.account_name("smith"), "replace", "userAccountControl", str(ACCOUNT | never_expires))
    )
    disable, enable = (account_step(lab, op, "smith") for op in (Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT))

    assert [result.kind for result in outcomes(locking, disable)] == [APPLIED]
    assert control(lab, "smith") == ACCOUNT | never_expires | DISABLED
    assert [result.kind for result in outcomes(locking, disable)] == [ALREADY]
    assert [result.kind for result in outcomes(locking, enable)] == [APPLIED]
    assert control(lab, "smith") == ACCOUNT | never_expires
    assert [result.kind for result in outcomes(locking, enable)] == [ALREADY]


def test_what_was_disabled_or_enabled_by_hand_is_seen_and_is_the_same_account(
    lab: DomainLab, locking: ActiveDirectoryTarget
) -> None:
    key = lab.key("smith")
    states = []
    for verb in ("disable", "enable"):
        lab.server.tool("user", verb, "smith")
        [account] = locking.observe([], [key]).accounts.accounts
        states.append((account.key, account.enabled))

    assert states == [(key, False), (key, True)]


@pytest.mark.parametrize(("times", "expected"), [(1, APPLIED), (2, APPLIED), (3, UNAVAILABLE)])
def test_f8_an_account_that_changes_at_the_same_time_is_not_overwritten(
    lab: DomainLab, locking: ActiveDirectoryTarget, monkeypatch: pytest.MonkeyPatch, times: int, expected: OutcomeKind
) -> None:
    dn, original = lab.account_name("smith"), Wire.modify
    bits = itertools.islice((0x10000, 0x40000, 0x100000), times)

    def overtaken(self: Wire, wanted: Sequence[Request]) -> Sequence[Answer]:
        if bit := next(bits, 0):
            changed = str(control(lab, "smith") ^ bit)
            lab.server.modify(modification(dn, "replace", "userAccountControl", changed))
        return original(self, wanted)

    monkeypatch.setattr(Wire, "modify", overtaken)

    [result] = outcomes(locking, account_step(lab, Op.DISABLE_ACCOUNT, "smith"))

    assert result.kind is expected
    others = {1: 0x10000, 2: 0x50000, 3: 0x150000}[times]
    assert control(lab, "smith") == ACCOUNT | others | (DISABLED if expected is APPLIED else 0)


def test_c3_a_name_that_is_taken_over_at_the_last_moment_is_not_meant(
    lab: DomainLab, locking: ActiveDirectoryTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, original = account_step(lab, Op.DISABLE_ACCOUNT, "smith"), Wire.modify
    rdn = step.account_name.removesuffix(f",OU=people,{lab.unit}")

    def overtaken(self: Wire, wanted: Sequence[Request]) -> Sequence[Answer]:
        lab.move("smith", "CN=Smith-Doe")
        assert lab.move("plain", rdn) == step.account_name
        return original(self, wanted)

    monkeypatch.setattr(Wire, "modify", overtaken)

    assert [result.kind for result in outcomes(locking, step)] == [APPLIED]
    assert control(lab, "smith") & DISABLED
    assert not control(lab, "plain") & DISABLED


def leaving(lab: DomainLab, who: str = "Administrator", **more: object) -> ActiveDirectoryTarget:
    lab.server.add(f"dn: OU=left,OU=people,{lab.unit}\nobjectClass: organizationalUnit\n")
    accounts = {**LOCKING, "leavers": f"OU=left,OU=people,{lab.unit}", **more}
    return target(settings_of(lab.server, lab.unit, who=who, accounts=accounts))


def test_a_disabled_account_is_moved_and_comes_home_and_stays_the_same(lab: DomainLab) -> None:
    moving = leaving(lab, home=f"OU=people,{lab.unit}")
    before = lab.account_name("smith")
    rdn = before.removesuffix(f",OU=people,{lab.unit}")
    disable, enable = (account_step(lab, op, "smith") for op in (Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT))

    results = outcomes(moving, disable, revoke(lab, "docs-readers", "smith"), grant(lab, "核心算法", "smith"))

    assert [result.kind for result in results] == [APPLIED] * 3
    assert lab.account_name("smith") == f"{rdn},OU=left,OU=people,{lab.unit}"
    assert lab.members("docs-readers") == {"zhang"}
    assert lab.members("核心算法") == {"muller", "smith"}
    [account] = moving.observe([], [disable.account]).accounts.accounts
    assert (account.login, account.enabled, account.match) == ("smith", False, {"id": "E1002"})
    after = lab.picture()
    assert [result.kind for result in outcomes(moving, disable)] == [ALREADY]
    assert lab.picture() == after
    assert [result.kind for result in outcomes(moving, enable)] == [APPLIED]
    assert lab.account_name("smith") == before
    assert lab.members("核心算法") == {"muller", "smith"}


def test_an_account_stays_among_the_leavers_where_no_home_is_told(lab: DomainLab) -> None:
    moving = leaving(lab)
    disable, enable = (account_step(lab, op, "smith") for op in (Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT))

    assert [result.kind for result in outcomes(moving, disable)] == [APPLIED]
    assert [result.kind for result in outcomes(moving, enable)] == [APPLIED]
    assert lab.account_name("smith").endswith(f"OU=left,OU=people,{lab.unit}")


def test_an_account_that_cannot_be_moved_is_disabled_all_the_same(lab: DomainLab) -> None:
    moving, before = leaving(lab, who="reconciler"), lab.account_name("smith")

    [result] = outcomes(moving, account_step(lab, Op.DISABLE_ACCOUNT, "smith"))

    assert result.kind is APPLIED
    assert result.detail.startswith("not moved: insufficientAccess")
    assert control(lab, "smith") & DISABLED
    assert lab.account_name("smith") == before


def test_an_administrative_account_is_not_moved_either(lab: DomainLab) -> None:
    moving, before = leaving(lab), lab.account_name("smith")
    lab.server.modify(modification(before, "add", "adminCount", "1"))
    lab.server.modify(modification(before, "replace", "userAccountControl", str(ACCOUNT | DISABLED)))

    outcomes(moving, account_step(lab, Op.DISABLE_ACCOUNT, "smith"))

    assert lab.account_name("smith") == before


def test_an_account_is_deleted_where_that_is_configured_and_allowed(lab: DomainLab) -> None:
    step = account_step(lab, Op.DELETE_ACCOUNT, "smith")
    admin = target(settings_of(lab.server, lab.unit, who="Administrator", accounts={"delete": True}))

    assert [result.kind for result in outcomes(lab.target, step)] == [REFUSED]
    assert [result.kind for result in outcomes(admin, step)] == [APPLIED]
    assert [result.kind for result in outcomes(admin, step)] == [ALREADY]
    assert lab.members("docs-readers") == {"zhang"}


def test_an_administrative_account_is_shown_and_never_touched(lab: DomainLab) -> None:
    lab.server.modify(modification(lab.account_name("smith"), "add", "adminCount", "1"))
    accounts = {"disable": "user-account-control", "delete": True}
    admin = target(settings_of(lab.server, lab.unit, who="Administrator", accounts=accounts))
    before = lab.picture()

    results = outcomes(
        admin,
        account_step(lab, Op.DISABLE_ACCOUNT, "smith"),
        account_step(lab, Op.DELETE_ACCOUNT, "smith"),
        revoke(lab, "docs-readers", "smith"),
        grant(lab, "核心算法", "smith"),
    )

    assert [result.kind for result in results] == [REFUSED] * 4
    assert all("adminCount=1" in result.detail for result in results)
    assert lab.picture() == before
    [finding] = admin.observe([DOCS]).findings
    assert (finding.kind, finding.subject) == ("protected-account", lab.account_name("smith"))
    mixed = outcomes(admin, revoke(lab, "docs-readers", "smith"), revoke(lab, "docs-readers", "zhang"))
    assert [result.kind for result in mixed] == [REFUSED, APPLIED]


def test_an_administrative_account_that_is_foreign_is_not_touched_either(lab: DomainLab) -> None:
    foreign = lab.put_foreign("docs-readers")
    lab.server.modify(modification(foreign, "add", "adminCount", "1"))

    [result] = outcomes(lab.target, Step(Op.REVOKE, "", foreign, DOCS))

    assert result.kind is REFUSED
    assert foreign in lab.values("docs-readers")


def test_whose_primary_group_cannot_be_read_may_be_in_any_group(
    lab: DomainLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    sids = f"(OD;;RP;{PRIMARY_GROUP_ID};;{{sid}})"
    lab.server.tool("dsacl", "set", "--objectdn", lab.account_name("smith"), f"--sddl={sids.format(sid='AU')}")

    accounts = lab.target.observe([DOCS]).accounts

    assert accounts.reading is Reading.PARTIAL
    assert "primaryGroupID or objectSid of 1 accounts cannot be read" in accounts.detail
