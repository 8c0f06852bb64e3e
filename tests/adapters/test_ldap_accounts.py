"""Accounts on an OpenLDAP server: how they are locked, what a lock keeps out and what not, and how they are deleted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from adapters.ldap import LdapTarget
from adapters.ldap.requests import any_value
from adapters.ldap.settings import endpoint_of, ldap_settings
from adapters.ldap.wire import ReadOnlyWire, opened
from reconciler.targets import Op, Outcome, OutcomeKind, Step, Target, TargetError
from reconciler.testing.targets import ALREADY, APPLIED, GROUPS, PEOPLE, apply
from tests.adapters.directory_lab import context
from tests.adapters.test_ldap_contract import LdapLab, server_settings
from tests.servers.fixtures import slapd  # noqa: F401
from tests.servers.slapd import PASSWORD, Slapd

REFUSED = OutcomeKind.REFUSED


@pytest.fixture
def lab(slapd: Slapd) -> LdapLab:  # noqa: F811
    return LdapLab(slapd, PEOPLE, GROUPS)


def outcomes(of: Target, *steps: Step) -> Sequence[Outcome]:
    with of.writer() as writer:
        return writer.apply(steps)


def account_step(lab: LdapLab, op: Op, login: str) -> Step:
    return Step(op, lab.key(login), lab.account_name(login))


def enabled(of: LdapTarget) -> dict[str, bool]:
    return {account.login: account.enabled for account in of.observe([]).accounts.accounts}


def as_admin(lab: LdapLab, **accounts: object) -> LdapTarget:
    return LdapTarget(context(Path()), server_settings(lab.server, lab.branch, who="admin", accounts=accounts))


def test_nothing_is_done_with_accounts_unless_configured(lab: LdapLab) -> None:
    assert lab.target.describe().ops == {Op.GRANT, Op.REVOKE}
    assert apply(lab, account_step(lab, Op.DELETE_ACCOUNT, "smith")) == [REFUSED]


def test_an_account_is_locked_and_unlocked_by_password_policy(lab: LdapLab) -> None:
    admin = as_admin(lab, disable="ppolicy")
    disable, enable = (account_step(lab, op, "smith") for op in (Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT))
    assert admin.describe().ops == {Op.GRANT, Op.REVOKE, Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT}

    assert [result.kind for result in outcomes(admin, disable)] == [APPLIED]
    assert enabled(admin) == {"zhang": True, "smith": False, "muller": True, "plain": True}
    assert [result.kind for result in outcomes(admin, disable)] == [ALREADY]
    assert [result.kind for result in outcomes(admin, enable)] == [APPLIED]
    assert enabled(admin)["smith"]
    assert [result.kind for result in outcomes(admin, enable)] == [ALREADY]


def test_f12_a_connection_that_is_open_outlives_its_account(lab: LdapLab) -> None:
    """Which is why a plan says so: the server has no means to end it."""
    target, dn = as_admin(lab, disable="ppolicy"), lab.account_name("plain")
    lab.server.modify(f"dn: {dn}\nchangetype: modify\nadd: userPassword\nuserPassword: {PASSWORD}\n")
    own = {**lab.settings, "bind": {"dn": dn, "password": PASSWORD}}
    endpoint = endpoint_of(ldap_settings(own, context(Path())), Path())

    with opened(ReadOnlyWire, endpoint) as session:
        assert outcomes(target, account_step(lab, Op.DISABLE_ACCOUNT, "plain"))[0].kind is APPLIED
        assert len(list(session.search(lab.branch, any_value("uid"), ("uid",)))) == len(PEOPLE)
    with pytest.raises(TargetError, match="invalidCredentials"), opened(ReadOnlyWire, endpoint):
        pass
    assert "until they are closed" in target.describe().sessions_live_on


def test_f12_an_expiry_keeps_nobody_from_signing_in_to_the_server_and_that_is_said(lab: LdapLab) -> None:
    target, dn = as_admin(lab, disable="shadow-expire"), lab.account_name("plain")
    shadow = "objectClass: shadowAccount\n-\nadd: userPassword\nuserPassword"
    lab.server.modify(f"dn: {dn}\nchangetype: modify\nadd: objectClass\n{shadow}: {PASSWORD}\n")
    own = {**lab.settings, "bind": {"dn": dn, "password": PASSWORD}}

    assert outcomes(target, account_step(lab, Op.DISABLE_ACCOUNT, "plain"))[0].kind is APPLIED

    with opened(ReadOnlyWire, endpoint_of(ldap_settings(own, context(Path())), Path())) as session:
        assert list(session.search(lab.branch, any_value("uid"), ("uid",)))
    assert "the server does not" in target.describe().sessions_live_on


def test_a_lock_out_after_wrong_passwords_is_no_disabling(lab: LdapLab) -> None:
    dn = lab.account_name("smith")
    change = "changetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 20260101000000Z\n"
    lab.server.modify(f"dn: {dn}\n{change}")
    admin = as_admin(lab, disable="ppolicy")

    assert enabled(admin)["smith"]
    assert [result.kind for result in outcomes(admin, account_step(lab, Op.DISABLE_ACCOUNT, "smith"))] == [APPLIED]
    assert not enabled(admin)["smith"]


def test_an_account_is_locked_by_an_expiry_only_where_it_can_have_one(lab: LdapLab) -> None:
    dn = lab.account_name("smith")
    lab.server.modify(f"dn: {dn}\nchangetype: modify\nadd: objectClass\nobjectClass: shadowAccount\n")
    admin = as_admin(lab, disable="shadow-expire")

    smith, plain = outcomes(
        admin, account_step(lab, Op.DISABLE_ACCOUNT, "smith"), account_step(lab, Op.DISABLE_ACCOUNT, "plain")
    )

    assert (smith.kind, plain.kind) == (APPLIED, REFUSED)
    assert "is no shadowAccount" in plain.detail
    assert enabled(admin) == {"zhang": True, "smith": False, "muller": True, "plain": True}


def test_an_account_is_deleted_once_and_gone_the_second_time(lab: LdapLab) -> None:
    admin = as_admin(lab, delete=True)
    step = account_step(lab, Op.DELETE_ACCOUNT, "smith")

    assert [result.kind for result in outcomes(admin, step)] == [APPLIED]
    assert "smith" not in enabled(admin)
    assert [result.kind for result in outcomes(admin, step)] == [ALREADY]


@pytest.mark.parametrize("kind", ["groupOfNames", "posixGroup"])
def test_c3_groups_that_hold_the_name_of_a_deleted_account_are_named_and_left_alone(lab: LdapLab, kind: str) -> None:
    """Whoever gets the name next would be in them, and no policy speaks of them."""
    dn, unmanaged = lab.account_name("smith"), f"cn=unmanaged-too,ou=groups,{lab.branch}"
    member = f"member: {dn}" if kind == "groupOfNames" else "gidNumber: 9\nmemberUid: smith"
    lab.server.add(f"dn: {unmanaged}\nobjectClass: {kind}\ncn: unmanaged-too\n{member}\n")
    groups = {"base": f"ou=groups,{lab.branch}", "kind": kind}
    settings = server_settings(lab.server, lab.branch, who="admin", accounts={"delete": True}, groups=groups)
    before = lab.server.search(unmanaged)

    [done] = outcomes(LdapTarget(context(Path()), settings), account_step(lab, Op.DELETE_ACCOUNT, "smith"))

    assert done.kind is APPLIED
    assert unmanaged in done.detail
    assert lab.server.search(unmanaged) == before


def test_a_deleted_account_that_is_in_no_group_is_nothing_to_speak_of(slapd: Slapd) -> None:  # noqa: F811
    lab = LdapLab(slapd, PEOPLE, {"docs-readers": ["zhang"]})

    [done] = outcomes(as_admin(lab, delete=True), account_step(lab, Op.DELETE_ACCOUNT, "muller"))

    assert (done.kind, done.detail) == (APPLIED, "")
