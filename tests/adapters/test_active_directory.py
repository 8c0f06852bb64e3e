"""What is particular to Active Directory: settings, rights, encryption, and what is read where little is to be seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.active_directory.domain import Domain
from adapters.ldap import LdapTarget
from reconciler.targets import Op, OutcomeKind, ProblemsFound, Reading, TargetError
from reconciler.testing.targets import (
    GROUPS,
    PEOPLE,
    entitlement,
    grant,
    revoke,
)
from tests.adapters.directory_lab import context
from tests.adapters.domain_lab import (
    DomainLab,
    outcomes,
    settings_of,
    target,
)
from tests.servers.fixtures import samba, samba_seed, slapd  # noqa: F401
from tests.servers.samba import DOMAIN, PASSWORD, Samba
from tests.servers.slapd import PASSWORD as SLAPD_PASSWORD
from tests.servers.slapd import Slapd

REFUSED = OutcomeKind.REFUSED
DOCS = {"group": "docs-readers"}
LOCKING = {"disable": "user-account-control"}
LEFT = "OU=left,OU=people,DC=example,DC=com"
SETTINGS: dict[str, object] = {
    "url": "ldaps://dc1.example.com",
    "bind": {"dn": "CN=reconciler,CN=Users,DC=example,DC=com", "password": "hunter2"},
    "people": {"base": "OU=people,DC=example,DC=com", "match": {"employeeNumber": "id"}},
    "groups": {"base": "OU=groups,DC=example,DC=com"},
}


@pytest.fixture
def lab(samba: Samba) -> DomainLab:  # noqa: F811
    return DomainLab(samba, PEOPLE, GROUPS)


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"tls": "none"}, "takes no password over an unencrypted connection"),
        ({"url": "ldap://dc1.example.com"}, "need `tls: starttls`"),
        ({"tls": "starttls"}, "encrypted from the first octet on"),
        ({"url": ["ldaps://dc1.example.com", "ldap://dc2.example.com"]}, "in the same way"),
        ({"url": []}, "at least 1"),
        ({"url": ["ldaps://dc1.example.com", "dc2.example.com"]}, "not of the form"),
        ({"url": "ldaps://dc1.example.com:3269"}, "global catalog"),
        ({"accounts": {"disable": "ppolicy"}}, "user-account-control"),
        ({"accounts": {"leavers": "OU=left,OU=people,DC=example,DC=com"}}, "needs `disable`"),
        ({"accounts": {**LOCKING, "home": "OU=people,DC=example,DC=com"}}, "needs that too"),
        ({"accounts": {**LOCKING, "leavers": "OU=left,DC=example,DC=com"}}, "lies outside `people.base`"),
        ({"accounts": {**LOCKING, "leavers": LEFT, "home": f"OU=in,{LEFT}"}}, "lies within `leavers`"),
        ({"groups": {"base": "OU=groups,DC=example,DC=com", "kind": "groupOfNames"}}, "is not a setting"),
    ],
)
def test_settings_that_cannot_be_safe_are_refused_in_words(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ProblemsFound) as caught:
        target({**SETTINGS, **changed})
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_nothing_is_done_with_accounts_unless_configured() -> None:
    assert target(SETTINGS).describe().ops == {Op.GRANT, Op.REVOKE}
    assert target({**SETTINGS, "tls": "ldaps", "accounts": {"disable": "user-account-control"}}).describe().ops == {
        Op.GRANT,
        Op.REVOKE,
        Op.DISABLE_ACCOUNT,
        Op.ENABLE_ACCOUNT,
    }


@pytest.mark.parametrize(
    ("bind", "words"),
    [
        ({"dn": "CN=x,DC=y", "user": "x@y"}, "is said once"),
        ({}, "is said once"),
        ({"user": "CN=x,DC=y"}, "goes into `bind.dn`"),
        ({"user": "x"}, "neither NAME@DOMAIN nor"),
        ({"user": "A\\B\\C"}, "neither NAME@DOMAIN nor"),
    ],
)
def test_whom_to_sign_in_as_is_said_once_and_in_a_way_that_a_domain_takes(bind: dict[str, str], words: str) -> None:
    with pytest.raises(ProblemsFound) as caught:
        target({**SETTINGS, "bind": {**bind, "password": "hunter2"}})
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


# -- reading -----------------------------------------------------------------------------------------------------------


def test_a_base_at_the_root_of_the_domain_is_read_whole(lab: DomainLab) -> None:
    """Every search from there refers to parts that hold no account, as if they were missing."""
    people = {"base": DOMAIN, "match": {"employeeNumber": "id"}}
    settings = settings_of(lab.server, lab.unit, people=people, groups={"base": DOMAIN})

    observation = target(settings).observe([{"group": lab.group_dn("docs-readers")}])

    assert (observation.accounts.reading, observation.accounts.detail) == (Reading.COMPLETE, "")
    assert entitlement(observation).reading is Reading.COMPLETE
    logins = {account.login for account in observation.accounts.accounts}
    assert {"Administrator", "reconciler", "zhang"} <= logins
    assert "DC$" not in logins


def test_a3_nobody_to_be_seen_is_never_taken_for_nobody_there(samba: Samba) -> None:  # noqa: F811
    lab = DomainLab(samba, [], {"docs-readers": []})

    accounts = lab.target.observe([]).accounts

    assert (accounts.reading, len(accounts.accounts)) == (Reading.PARTIAL, 0)
    assert "no account is to be seen" in accounts.detail


def test_the_account_we_bind_with_is_known(lab: DomainLab) -> None:
    ours = lab.server.account("reconciler")
    lab.put_value("docs-readers", ours)
    (spelled,) = lab.target.observe([DOCS]).own
    assert spelled.casefold() == ours.casefold()

    people = {"base": DOMAIN, "match": {"employeeNumber": "id"}}
    observation = target(settings_of(lab.server, lab.unit, people=people)).observe([DOCS])

    [account] = [each for each in observation.accounts.accounts if each.login == "reconciler"]
    assert observation.own == {account.key}


@pytest.mark.parametrize("user", ["reconciler@lab.test", "RECONCILER@LAB.TEST", "LAB\\reconciler", "lab\\Reconciler"])
def test_d5_the_account_we_sign_in_with_is_known_by_whatever_name(lab: DomainLab, user: str) -> None:
    bind, people = {"user": user, "password": PASSWORD}, {"base": DOMAIN, "match": {"employeeNumber": "id"}}
    lab.put_value("docs-readers", lab.server.account("reconciler"))

    (spelled,) = target(settings_of(lab.server, lab.unit, bind=bind)).observe([DOCS]).own
    observation = target(settings_of(lab.server, lab.unit, bind=bind, people=people)).observe([DOCS])

    assert spelled.casefold() == lab.server.account("reconciler").casefold()
    [account] = [each for each in observation.accounts.accounts if each.login == "reconciler"]
    assert observation.own == {account.key}
    assert "own-account-unknown" not in {each.kind for each in observation.findings}


def test_d5_where_nobody_can_say_who_we_are_that_is_said(lab: DomainLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Domain, "own_name", lambda _self: "")
    bind = {"user": "reconciler@lab.test", "password": PASSWORD}

    observation = target(settings_of(lab.server, lab.unit, bind=bind)).observe([DOCS])

    [finding] = [each for each in observation.findings if each.kind == "own-account-unknown"]
    assert finding.subject == "reconciler@lab.test"
    assert observation.own == frozenset()


@pytest.mark.parametrize("way", ["starttls", "ldaps"])
def test_both_ways_of_encryption_need_a_certificate_that_can_be_trusted(lab: DomainLab, way: str) -> None:
    url = lab.server.url if way == "starttls" else lab.server.tls_url
    settings = {**settings_of(lab.server, lab.unit), "url": url, "tls": way}

    assert len(target(settings).observe([DOCS]).accounts.accounts) == len(PEOPLE)
    with pytest.raises(TargetError, match="certificate is not to be trusted"):
        target({name: value for name, value in settings.items() if name != "ca"}).observe([DOCS])


def test_a_wrong_password_is_told_without_it(lab: DomainLab) -> None:
    bind = {"dn": lab.server.account("reconciler"), "password": "hunter2-wrong"}
    wrong = target(settings_of(lab.server, lab.unit, bind=bind))

    with pytest.raises(TargetError, match=r"does not let CN=reconciler.*invalidCredentials") as caught:
        wrong.observe([DOCS])
    assert "hunter2" not in str(caught.value) + repr(caught.value) + repr(vars(wrong))


def test_a_missing_right_to_write_is_refused_in_the_servers_words(lab: DomainLab) -> None:
    reader = target(settings_of(lab.server, lab.unit, who="reader"))
    before = lab.picture()

    results = outcomes(reader, grant(lab, "docs-readers", "plain"), revoke(lab, "docs-readers", "smith"))

    assert [result.kind for result in results] == [REFUSED, REFUSED]
    assert all("insufficientAccess" in result.detail for result in results)
    assert lab.picture() == before


def test_doctor_finds_bases_that_are_not_there(lab: DomainLab) -> None:
    assert lab.target.probe() == ()
    people = {"base": f"OU=typo,{lab.unit}", "match": {"employeeNumber": "id"}}
    with pytest.raises(TargetError, match="no entry OU=typo"):
        target(settings_of(lab.server, lab.unit, people=people)).probe()
    with pytest.raises(TargetError, match="no entry OU=typo"):
        target(settings_of(lab.server, lab.unit, people=people)).observe([DOCS])


def test_another_directory_is_not_taken_for_a_domain(slapd: Slapd) -> None:  # noqa: F811
    bind = {"dn": slapd.account("reconciler"), "password": SLAPD_PASSWORD}

    with pytest.raises(TargetError, match="is no domain controller") as caught:
        target({**SETTINGS, "url": slapd.tls_url, "ca": str(slapd.ca), "bind": bind}).observe([DOCS])
    assert "type: ldap" in caught.value.remedy


def test_doctor_does_not_take_a_domain_for_another_directory(lab: DomainLab) -> None:
    groups = {"base": f"OU=groups,{lab.unit}", "kind": "groupOfNames"}
    other = LdapTarget(context(Path()), settings_of(lab.server, lab.unit, groups=groups))

    with pytest.raises(TargetError, match="controller of an Active Directory domain") as caught:
        other.probe()
    assert "type: active-directory" in caught.value.remedy


# -- marks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["a member", "an account less", "a disabled account", "a new place"])
def test_the_mark_changes_with_the_domain_and_only_then(lab: DomainLab, change: str) -> None:
    before = lab.target.mark()
    lab.target.observe([DOCS])
    assert before
    assert lab.target.mark(before) == before

    match change:
        case "a member":
            lab.put("docs-readers", "plain")
        case "an account less":
            lab.remove_account("plain")
        case "a disabled account":
            lab.server.tool("user", "disable", "plain")
        case _:
            lab.move("plain", "CN=Plainer")

    assert lab.target.mark(before) not in (before, "")
