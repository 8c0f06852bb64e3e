"""Accounts created from a template: on a real OpenLDAP server, and in an LDIF file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.directory import names
from adapters.directory.creating import Create, Handover, filled_in
from adapters.ldap import LdapTarget
from adapters.ldif import LdifTarget
from reconciler.targets import Op, Outcome, OutcomeKind, ProblemsFound, Step, Target
from reconciler.testing.targets import GROUPS, PEOPLE
from tests.adapters.directory_lab import branch_entries, branch_settings, context
from tests.adapters.test_ldap_contract import LdapLab, server_settings
from tests.servers.fixtures import slapd  # noqa: F401
from tests.servers.slapd import Slapd, ldapsearch

TEMPLATE: dict[str, Any] = {
    "rdn": "uid",
    "classes": ["inetOrgPerson"],
    "attributes": {"uid": "{id|lower}", "cn": "{name}", "sn": "{name}", "employeeNumber": "{id}"},
}
WANTED = Step(Op.CREATE_ACCOUNT, "", "", person={"id": "E2001", "name": "孟晓, 甲"})


@pytest.fixture
def lab(slapd: Slapd) -> LdapLab:  # noqa: F811
    return LdapLab(slapd, PEOPLE, GROUPS)


def creating(lab: LdapLab, folder: Path = Path(), **more: object) -> LdapTarget:
    settings = server_settings(lab.server, lab.branch, who="admin", accounts={"create": {**TEMPLATE, **more}})
    return LdapTarget(context(folder), settings)


def outcome(target: Target, step: Step = WANTED) -> Outcome:
    with target.writer() as writer:
        return writer.apply([step])[0]


def test_an_account_is_created_once_and_found_by_what_it_is_matched_by(lab: LdapLab) -> None:
    target = creating(lab)
    assert Op.CREATE_ACCOUNT in target.describe().ops
    assert set(target.creation_attributes()) == {"id", "name"}

    assert outcome(target).kind is OutcomeKind.APPLIED
    assert outcome(target).kind is OutcomeKind.ALREADY

    [account] = [each for each in target.observe([]).accounts.accounts if each.match.get("id") == "E2001"]
    [(dn, attributes)] = lab.server.search(lab.branch, "(employeeNumber=E2001)").items()
    assert (account.name, account.login, account.enabled) == (dn, "e2001", True)
    assert attributes["cn"] == ["孟晓, 甲"]
    assert "userPassword" not in attributes


def test_whoever_has_one_under_another_name_gets_no_second(lab: LdapLab) -> None:
    before = lab.picture()
    step = Step(Op.CREATE_ACCOUNT, "", "", person={"id": "e1001", "name": "张伟"})

    assert outcome(creating(lab), step).kind is OutcomeKind.ALREADY
    assert lab.picture() == before


def test_a_name_that_is_taken_is_refused_and_its_owner_left_alone(lab: LdapLab) -> None:
    taken = f"dn: uid=e2001,ou=people,{lab.branch}\nobjectClass: inetOrgPerson\nuid: e2001\ncn: x\nsn: x\n"
    lab.server.add(taken)
    before = lab.picture()

    refused = outcome(creating(lab))

    assert refused.kind is OutcomeKind.REFUSED
    assert "somebody else's" in refused.detail
    assert lab.picture() == before


def test_a_missing_place_a_missing_right_and_a_missing_attribute_are_told(lab: LdapLab) -> None:
    nowhere = outcome(creating(lab, under=f"ou=newcomers,ou=people,{lab.branch}"))
    assert (nowhere.kind, f"no entry ou=newcomers,ou=people,{lab.branch}" in nowhere.detail) == (
        OutcomeKind.REFUSED,
        True,
    )
    limited = server_settings(lab.server, lab.branch, accounts={"create": TEMPLATE})
    forbidden = outcome(LdapTarget(context(Path()), limited))
    assert "insufficientAccess" in forbidden.detail
    classless = outcome(creating(lab, classes=["organizationalUnit"]))
    assert (classless.kind, "objectClass" in classless.detail) == (OutcomeKind.REFUSED, True)


def test_the_initial_secret_opens_the_account_and_stands_nowhere_but_in_its_file(lab: LdapLab, tmp_path: Path) -> None:
    target = creating(lab, tmp_path, secret={"folder": "handover"})

    done = outcome(target)

    [file] = (tmp_path / "handover").iterdir()
    secret = file.read_text("utf-8").strip()
    assert file.stat().st_mode & 0o077 == 0
    assert (tmp_path / "handover").stat().st_mode & 0o077 == 0
    assert str(file) in done.detail
    assert secret not in done.detail + repr(target.__dict__)
    dn = f"uid=e2001,ou=people,{lab.branch}"
    assert dn in ldapsearch(lab.server.url, dn, "(objectClass=*)", user=dn, password=secret)
    stored = lab.server.search(dn, "(objectClass=*)", "userPassword")[dn]["userPassword"]
    assert secret not in stored[0], "the server keeps no password in clear"
    assert outcome(target).kind is OutcomeKind.ALREADY
    assert file.read_text("utf-8").strip() == secret


def test_a_folder_that_takes_no_secret_means_no_account(lab: LdapLab, tmp_path: Path) -> None:
    (tmp_path / "handover").write_text("in the way", "utf-8")
    before = lab.picture()

    refused = outcome(creating(lab, tmp_path, secret={"folder": "handover"}))

    assert (refused.kind, "nothing was created" in refused.detail) == (OutcomeKind.REFUSED, True)
    assert lab.picture() == before


def test_nobody_is_handed_the_secret_of_an_account_that_did_not_come_about(lab: LdapLab, tmp_path: Path) -> None:
    refused = outcome(creating(lab, tmp_path, secret={"folder": "handover"}, classes=["organizationalUnit"]))

    assert refused.kind is OutcomeKind.REFUSED
    assert list((tmp_path / "handover").iterdir()) == []


def test_a_secret_that_nobody_has_fetched_yet_is_not_overwritten(tmp_path: Path) -> None:
    """Two targets may hand over in one folder, and call the account of a person alike on both."""
    made = [Handover(tmp_path, 24).make("E2001-e2001") for _ in range(3)]

    assert len({path for _, path in made}) == 3
    assert [path.read_text("utf-8").strip() for _, path in made] == [secret for secret, _ in made]


@given(st.integers(16, 127))
def test_every_secret_has_what_a_policy_asks_for(length: int) -> None:
    with TemporaryDirectory() as folder:
        secret, path = Handover(Path(folder), length).make("E1/../x")
        assert path.parent == Path(folder)
        assert path.read_text("utf-8") == f"{secret}\n"
    assert len(secret) == length
    assert all(any(map(kind, secret)) for kind in (str.isupper, str.islower, str.isdigit))


def test_what_could_not_work_is_refused_before_anything_is_asked() -> None:
    def refused(**create: object) -> str:
        settings = {**branch_settings("dc=x"), "accounts": {"create": {**TEMPLATE, **create}}}
        connection = {"url": "ldap://directory.example.com", "tls": "none", "bind": {"dn": "cn=a", "password": "x"}}
        with pytest.raises(ProblemsFound) as caught:
            LdapTarget(context(Path()), {**settings, **connection})
        return " ".join(problem.message for problem in caught.value.problems)

    own = TEMPLATE["attributes"]
    assert "by which the entry is to be named" in refused(rdn="mail")
    assert "found again" in refused(attributes={**own, "employeeNumber": "{id|lower}x"})
    assert "no filter `title`" in refused(attributes={**own, "cn": "{name|title}"})
    assert "brace" in refused(attributes={**own, "cn": "{name"})
    assert "outside `people.base`" in refused(under="ou=people,dc=y")
    assert "encrypted connection" in refused(secret={"folder": "handover"})


def test_in_a_file_it_is_an_entry_more_and_a_change_to_bring_back(tmp_path: Path) -> None:
    branch = "ou=lab,dc=example,dc=com"
    path = tmp_path / "directory.ldif"
    path.write_text(branch_entries(branch, PEOPLE, GROUPS), "utf-8")
    target = LdifTarget(
        context(tmp_path), {"path": path.name, **branch_settings(branch, accounts={"create": TEMPLATE})}
    )

    assert outcome(target).kind is OutcomeKind.APPLIED
    assert outcome(target).kind is OutcomeKind.ALREADY

    [account] = [each for each in target.observe([]).accounts.accounts if each.match.get("id") == "E2001"]
    assert account.name == f"uid=e2001,ou=people,{branch}"
    assert "changetype: add\n" in (tmp_path / "directory.changes.ldif").read_text("utf-8")
    secretive = branch_settings(branch, accounts={"create": {**TEMPLATE, "secret": {"folder": "x"}}})
    with pytest.raises(ProblemsFound, match="has no place in a file"):
        LdifTarget(context(tmp_path), {"path": path.name, **secretive})


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1).filter(str.strip))
def test_no_name_makes_an_entry_anywhere_else(name: str) -> None:
    create = Create(rdn="cn", classes=["person"], attributes={"cn": "{name}"})
    entry = filled_in(create, "ou=people,dc=example,dc=com", {"name": name})

    assert names.lies_under(entry.dn, "ou=people,dc=example,dc=com")
    assert len(names.parse(entry.dn)) == 4
    assert entry.attributes["cn"] == (name.strip().encode(),)
    assert names.rdn_value(entry.dn) == name.strip()
