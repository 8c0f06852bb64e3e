"""What the settings name and the schema does not know is said, where it is known that it does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from adapters.active_directory.domain import Domain
from adapters.directory.entries import Listing
from adapters.ldap import LdapTarget
from adapters.ldap.requests import Filter
from reconciler.targets import Target, TargetFinding
from reconciler.testing.targets import GROUPS, PEOPLE
from tests.adapters.directory_lab import context
from tests.adapters.domain_lab import DomainLab, settings_of
from tests.adapters.domain_lab import target as domain_target
from tests.adapters.test_ldap_contract import LdapLab, server_settings
from tests.servers.fixtures import samba, samba_seed, slapd  # noqa: F401
from tests.servers.samba import Samba
from tests.servers.slapd import Slapd, required, started

TEMPLATE = {
    "rdn": "uid",
    "classes": ["inetOrgPerson"],
    "attributes": {"uid": "{id}", "employeNumber": "{id}", "sn": "x", "shoeSize": "42"},
}


@pytest.fixture
def lab(slapd: Slapd) -> LdapLab:  # noqa: F811
    return LdapLab(slapd, PEOPLE, GROUPS)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A server without password policies, whose schema only the administrator may read."""
    required()
    with started(tmp_path_factory.mktemp("slapd"), hides_schema=True) as server:
        yield server


def matching(lab: LdapLab, *attributes: str, **more: object) -> LdapTarget:
    people = {"base": f"ou=people,{lab.branch}", "match": dict.fromkeys(attributes, "id"), **more}
    return LdapTarget(context(Path()), {**lab.settings, "people": people})


def unknown(found: Iterable[TargetFinding]) -> Mapping[str, str]:
    return {each.subject: each.text for each in found if each.kind == "unknown-attribute"}


def both(target: Target) -> Mapping[str, str]:
    """What a plan says, which is what doctor says."""
    planned, probed = unknown(target.observe([]).findings), unknown(target.probe())
    assert planned == probed
    return planned


def test_a_match_attribute_that_does_not_exist_is_said_by_doctor_and_plan(lab: LdapLab) -> None:
    [(attribute, text)] = both(matching(lab, "employeNumber")).items()

    assert attribute == "employenumber"
    assert "(`people.match`), so that no account matches anybody by it; did you mean employeeNumber?" in text


def test_what_the_schema_knows_is_no_finding(lab: LdapLab) -> None:
    named = "(&(objectClass=inetOrgPerson)(|(employeeType=*)(cn;lang-de~=x))(!(uid:caseExactMatch:=x)))"
    accounts = {"disable": "ppolicy", "attributes": ["title", "Description"]}
    people = {"base": f"ou=people,{lab.branch}", "match": {"EMPLOYEENUMBER": "id", "rfc822Mailbox": "email"}}
    settings = {**lab.settings, "accounts": accounts, "people": {**people, "filter": named}}
    target = LdapTarget(context(Path()), settings)

    assert both(target) == {}
    assert target.probe() == ()


def test_every_setting_that_names_an_attribute_is_looked_at(lab: LdapLab) -> None:
    settings = server_settings(lab.server, lab.branch)
    people = {
        "base": f"ou=people,{lab.branch}",
        "match": {"employeNumber": "id"},
        "filter": "(&(objectClass=person)(!( staffStatus =left)))",
    }
    accounts = {"attributes": ["emploeeType"], "create": TEMPLATE}
    found = both(LdapTarget(context(Path()), {**settings, "people": people, "accounts": accounts}))

    assert found.keys() == {"employenumber", "staffstatus", "emploeetype", "shoesize"}
    assert "did you mean employeeType?" in found["emploeetype"]
    assert "the filter lets through nobody" in found["staffstatus"]
    assert "no account can be created with it" in found["shoesize"]


def test_a_narrow_reading_says_nothing_of_it(lab: LdapLab) -> None:
    assert unknown(matching(lab, "employeNumber").observe([], [lab.key("smith")]).findings) == {}


def test_where_the_schema_may_not_be_read_nothing_is_said(bare: Slapd) -> None:
    assert both(matching(LdapLab(bare, PEOPLE, GROUPS), "employeNumber")) == {}


def test_a_lock_that_needs_an_overlay_that_is_not_loaded_is_said(tmp_path: Path) -> None:
    required()
    with started(tmp_path / "slapd") as server:
        lab = LdapLab(server, PEOPLE, GROUPS)
        locking = LdapTarget(context(Path()), {**lab.settings, "accounts": {"disable": "ppolicy"}})
        assert "no account can be locked by it" in both(locking)["pwdaccountlockedtime"]


def test_f12_a_lock_that_no_policy_gives_an_effect_is_said_by_doctor(lab: LdapLab) -> None:
    locking = LdapTarget(context(Path()), {**lab.settings, "accounts": {"disable": "ppolicy"}})
    assert locking.probe() == ()
    lockout = f"dn: cn=lockout,{lab.server.suffix}\nchangetype: modify\nreplace: pwdLockout\npwdLockout: "
    lab.server.modify(f"{lockout}FALSE\n")
    try:
        [finding] = locking.probe()
    finally:
        lab.server.modify(f"{lockout}TRUE\n")
    assert finding.kind == "lock-without-effect"
    assert "lets people in whose accounts are disabled" in finding.text


# -- Active Directory --------------------------------------------------------------------------------------------------


def test_in_a_domain_too(samba: Samba) -> None:  # noqa: F811
    lab = DomainLab(samba, PEOPLE, GROUPS)
    people = {
        "base": f"OU=people,{lab.unit}",
        "match": {"employeNumber": "id"},
        "filter": "(&(objectClass=user)(x9=1))",
    }
    accounts = {"disable": "user-account-control"}

    found = both(domain_target(settings_of(lab.server, lab.unit, people=people, accounts=accounts)))

    assert found.keys() == {"employenumber", "x9"}
    assert "the domain's schema knows no attribute employenumber (`people.match`)" in found["employenumber"]
    assert "did you mean employeeNumber?" in found["employenumber"]
    assert both(lab.target) == {}


def test_where_the_schema_of_a_domain_says_nothing_nothing_is_said(
    samba: Samba,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = Domain._search

    def hiding(self: Domain, base: str, condition: Filter, attributes: Sequence[str]) -> Listing:
        return Listing(()) if base.startswith("CN=Schema,") else original(self, base, condition, attributes)

    monkeypatch.setattr(Domain, "_search", hiding)
    lab = DomainLab(samba, PEOPLE, GROUPS)
    people = {"base": f"OU=people,{lab.unit}", "match": {"employeNumber": "id"}}

    assert both(domain_target(settings_of(lab.server, lab.unit, people=people))) == {}
