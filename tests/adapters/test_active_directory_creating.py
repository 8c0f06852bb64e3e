"""Accounts created in Active Directory, looked at with `samba-tool` and signed in to with their initial secrets."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.active_directory import ActiveDirectoryTarget
from adapters.active_directory.settings import DomainSettings, endpoints_of
from adapters.directory.entries import Answer, NewEntry, Verdict
from adapters.ldap.requests import any_value
from adapters.ldap.wire import ReadOnlyWire, Wire, opened
from reconciler.targets import Op, Outcome, OutcomeKind, ProblemsFound, Step, TargetError
from reconciler.testing.targets import GROUPS, PEOPLE
from tests.adapters.directory_lab import context
from tests.adapters.domain_lab import DISABLED, NORMAL, DomainLab, modification, outcomes, settings_of
from tests.adapters.domain_lab import target as domain_target
from tests.servers.fixtures import samba, samba_seed  # noqa: F401
from tests.servers.samba import LABS, Samba

APPLIED, ALREADY, REFUSED = OutcomeKind.APPLIED, OutcomeKind.ALREADY, OutcomeKind.REFUSED
USER = "bf967aba-0de6-11d0-a285-00aa003049e2"
MUST_CHANGE = "data 773"
"""What a domain says to who signs in with the right password and has to change it first (MS-ERREF, 0x773)."""
_numbers = itertools.count(5001)


@pytest.fixture
def lab(samba: Samba) -> DomainLab:  # noqa: F811
    return DomainLab(samba, PEOPLE, GROUPS)


def newcomer(name: str = "孟晓, 甲") -> dict[str, str]:
    return {"id": f"E{next(_numbers)}", "name": name}


def template(**more: object) -> dict[str, Any]:
    attributes = {
        "cn": "{name} {id}",
        "sAMAccountName": "{id|lower}",
        "userPrincipalName": "{id|lower}@lab.test",
        "displayName": "{name}",
        "employeeNumber": "{id}",
    }
    return {"attributes": attributes, **more}


def creating(
    lab: DomainLab, folder: Path, who: str = "Administrator", accounts: Mapping[str, object] | None = None, **more: Any
) -> ActiveDirectoryTarget:
    settings = settings_of(lab.server, lab.unit, who=who, accounts={"create": template(**more), **(accounts or {})})
    return ActiveDirectoryTarget(context(folder), settings)


def created(of: ActiveDirectoryTarget, person: Mapping[str, str]) -> Outcome:
    [outcome] = outcomes(of, Step(Op.CREATE_ACCOUNT, "", "", person=person))
    return outcome


def secret_of(folder: Path) -> str:
    [file] = (folder / "handover").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    return file.read_text("utf-8").strip()


def shown(lab: DomainLab, login: str) -> dict[str, str]:
    lines = lab.server.tool("user", "show", login).splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def sign_in(lab: DomainLab, user: str, password: str) -> None:
    """Raises `TargetError` with what the domain says."""
    settings = settings_of(lab.server, lab.unit, bind={"user": user, "password": password})
    domain_target(settings).probe()


def test_an_account_is_created_once_and_opens_with_its_initial_secret(lab: DomainLab, tmp_path: Path) -> None:
    target, person = creating(lab, tmp_path, secret={"folder": "handover", "change": False}), newcomer()
    login = person["id"].lower()
    assert Op.CREATE_ACCOUNT in target.describe().ops
    assert set(target.creation_attributes()) == {"id", "name"}
    assert target.creation_problem(person) is None

    done = created(target, person)

    secret = secret_of(tmp_path)
    assert done.kind is APPLIED
    assert str(tmp_path / "handover") in done.detail
    assert secret not in done.detail + repr(vars(target))
    account = shown(lab, login)
    assert account["userAccountControl"] == str(NORMAL)
    assert account["userPrincipalName"] == f"{login}@lab.test"
    assert account["employeeNumber"] == person["id"]
    assert lab.attributes(login, "displayName")[1]["displayName"] == ["孟晓, 甲"]
    sign_in(lab, f"{login}@lab.test", secret)
    with pytest.raises(TargetError, match="invalidCredentials"):
        sign_in(lab, f"{login}@lab.test", f"{secret}x")
    before = lab.picture()
    assert created(target, person).kind is ALREADY
    assert (lab.picture(), secret_of(tmp_path)) == (before, secret)
    [seen] = [each for each in target.observe([]).accounts.accounts if each.match.get("id") == person["id"]]
    assert (seen.login, seen.enabled) == (login, True)


def test_f12_a_connection_that_is_open_outlives_its_account(lab: DomainLab, tmp_path: Path) -> None:
    """Which is why a plan says so: the domain has no means to end it."""
    accounts = {"disable": "user-account-control"}
    target, person = (
        creating(lab, tmp_path, accounts=accounts, secret={"folder": "handover", "change": False}),
        newcomer(),
    )
    created(target, person)
    login = person["id"].lower()
    settings = settings_of(lab.server, lab.unit, bind={"user": f"{login}@lab.test", "password": secret_of(tmp_path)})
    [endpoint] = endpoints_of(DomainSettings.model_validate(settings), tmp_path)
    disable = Step(Op.DISABLE_ACCOUNT, lab.key(login), lab.account_name(login))

    with opened(ReadOnlyWire, endpoint) as session:
        assert outcomes(target, disable)[0].kind is APPLIED
        assert len(list(session.search(lab.unit, any_value("employeeNumber"), ("cn",)))) == len(PEOPLE) + 1
    with pytest.raises(TargetError, match="data 533"), opened(ReadOnlyWire, endpoint):
        pass
    assert "until they expire" in target.describe().sessions_live_on


def test_the_initial_secret_has_to_be_changed_at_the_first_logon_unless_said(lab: DomainLab, tmp_path: Path) -> None:
    person = newcomer()

    assert created(creating(lab, tmp_path, secret={"folder": "handover"}), person).kind is APPLIED

    assert shown(lab, person["id"].lower())["pwdLastSet"] == "0"
    with pytest.raises(TargetError, match=MUST_CHANGE):
        sign_in(lab, f"LAB\\{person['id'].lower()}", secret_of(tmp_path))


def test_without_a_secret_an_account_is_created_disabled(lab: DomainLab, tmp_path: Path) -> None:
    person = newcomer()

    assert created(creating(lab, tmp_path), person).kind is APPLIED

    assert shown(lab, person["id"].lower())["userAccountControl"] == str(NORMAL | DISABLED)
    assert list(tmp_path.iterdir()) == []


def test_a_policy_that_refuses_the_secret_refuses_the_account_in_words(lab: DomainLab, tmp_path: Path) -> None:
    target, before = creating(lab, tmp_path, secret={"folder": "handover"}), lab.picture()
    domain = "DC=lab,DC=test"
    lab.server.modify(modification(domain, "replace", "minPwdLength", "60"))
    try:
        refused = created(target, newcomer())
        assert refused.kind is REFUSED
        assert "password policy" in refused.detail
        assert lab.picture() == before
        assert list((tmp_path / "handover").iterdir()) == []
        longer = creating(lab, tmp_path, secret={"folder": "handover", "length": 60})
        assert created(longer, newcomer()).kind is APPLIED
    finally:
        lab.server.modify(modification(domain, "replace", "minPwdLength", "7"))


def test_a_name_a_login_or_a_principal_name_that_is_taken_anywhere_is_refused(lab: DomainLab, tmp_path: Path) -> None:
    target, (one, two, three) = creating(lab, tmp_path), (newcomer(), newcomer(), newcomer())
    elsewhere = f"OU=elsewhere,{lab.unit}"
    lab.server.add(f"dn: CN=one,{elsewhere}\nobjectClass: user\nsAMAccountName: {one['id']}\n")
    lab.server.add(f"dn: CN=two,{elsewhere}\nobjectClass: user\nuserPrincipalName: {two['id'].upper()}@LAB.test\n")
    lab.server.add(f"dn: CN=three,{elsewhere}\nobjectClass: user\nemployeeNumber: {three['id']}\n")
    before = lab.picture()

    results = [created(target, person) for person in (one, two, three)]

    assert [each.kind for each in results] == [REFUSED] * 3
    assert f"CN=one,{elsewhere} has the sAMAccountName" in results[0].detail
    assert f"CN=two,{elsewhere} has the userPrincipalName" in results[1].detail
    assert f"CN=three,{elsewhere} is this person's, and none of the accounts" in results[2].detail
    assert lab.picture() == before


def test_a_name_in_the_unit_that_is_taken_is_refused(lab: DomainLab, tmp_path: Path) -> None:
    same = template()["attributes"] | {"cn": "{name}"}
    target, person = creating(lab, tmp_path, attributes=same), newcomer("Plain Name")

    refused = created(target, person)

    assert refused.kind is REFUSED
    assert "somebody else's" in refused.detail


def test_whoever_stands_among_the_leavers_gets_no_second_account(lab: DomainLab, tmp_path: Path) -> None:
    """The one that is there is enabled and goes home."""
    left = f"OU=left,OU=people,{lab.unit}"
    lab.server.add(f"dn: {left}\nobjectClass: organizationalUnit\n")
    accounts = {"disable": "user-account-control", "leavers": left, "home": f"OU=people,{lab.unit}"}
    target, key, before = creating(lab, tmp_path, accounts=accounts), lab.key("smith"), lab.account_name("smith")
    disable, enable = (Step(op, key, before) for op in (Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT))
    assert outcomes(target, disable)[0].kind is APPLIED
    assert lab.account_name("smith").endswith(left)

    again = created(target, {"id": lab.accounts["smith"].id, "name": "Smith"})

    assert (again.kind, left in again.detail) == (ALREADY, True)
    assert outcomes(target, enable)[0].kind is APPLIED
    assert (lab.account_name("smith"), lab.key("smith")) == (before, key)


def test_a_missing_place_right_or_attribute_is_told(lab: DomainLab, tmp_path: Path) -> None:
    before = lab.picture()
    nowhere = created(creating(lab, tmp_path, under=f"OU=newcomers,OU=people,{lab.unit}"), newcomer())
    assert f"no entry OU=newcomers,OU=people,{lab.unit}" in nowhere.detail
    assert "insufficientAccess" in created(creating(lab, tmp_path, who="reconciler"), newcomer()).detail
    misspelled = {**template()["attributes"], "employeNumber": "x"}
    unknown = created(creating(lab, tmp_path, attributes=misspelled), newcomer())
    assert (unknown.kind, "employeNumber" in unknown.detail) == (REFUSED, True)
    assert lab.picture() == before


def test_the_right_to_create_users_is_enough(lab: DomainLab, tmp_path: Path) -> None:
    """As the page says."""
    sid = shown(lab, "reconciler")["objectSid"]
    lab.server.tool("dsacl", "set", f"--objectdn=OU=people,{lab.unit}", f"--sddl=(OA;CI;CC;{USER};;{sid})")

    done = created(creating(lab, tmp_path, who="reconciler", secret={"folder": "handover"}), newcomer())

    assert done.kind is APPLIED


def test_an_answer_that_is_lost_leaves_the_secret_where_it_is(
    lab: DomainLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, person = creating(lab, tmp_path, secret={"folder": "handover", "change": False}), newcomer()
    original = Wire.add

    def lost(self: Wire, wanted: NewEntry) -> Answer:
        original(self, wanted)
        return Answer(Verdict.UNAVAILABLE, "no answer")

    with monkeypatch.context() as patched:
        patched.setattr(Wire, "add", lost)
        unheard = created(target, person)

    assert unheard.kind is OutcomeKind.UNAVAILABLE
    assert created(target, person).kind is ALREADY
    sign_in(lab, f"{person['id']}@lab.test", secret_of(tmp_path))


def test_a_folder_that_takes_no_secret_means_no_account(lab: DomainLab, tmp_path: Path) -> None:
    (tmp_path / "handover").write_text("in the way", "utf-8")
    before = lab.picture()

    refused = created(creating(lab, tmp_path, secret={"folder": "handover"}), newcomer())

    assert (refused.kind, "nothing was created" in refused.detail) == (REFUSED, True)
    assert lab.picture() == before


# -- templates ---------------------------------------------------------------------------------------------------------


def settings_with(**attributes: str | None) -> dict[str, object]:
    own = {**template()["attributes"], **attributes}
    people = {"base": f"OU=people,{LABS}", "match": {"employeeNumber": "id"}}
    return {
        "url": "ldaps://dc1.example.com",
        "bind": {"user": "svc@lab.test", "password": "hunter2"},
        "people": people,
        "groups": {"base": f"OU=groups,{LABS}"},
        "accounts": {"create": {"attributes": {name: text for name, text in own.items() if text is not None}}},
    }


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"cn": None}, "has no `cn`"),
        ({"sAMAccountName": None}, "has no `sAMAccountName`"),
        ({"employeeNumber": None}, "found again"),
        ({"userAccountControl": "66048"}, "not for a template to set"),
        ({"unicodepwd": "x"}, "not for a template to set"),
        ({"sAMAccountName": "a-name-of-many-letters-{id}"}, "longer than 20"),
        ({"sAMAccountName": "{id}/x"}, "'/'"),
        ({"userPrincipalName": "{id}"}, "no @"),
        ({"cn": "{name|title}"}, "no filter"),
    ],
)
def test_a_template_that_can_never_work_is_refused(attributes: dict[str, str | None], words: str) -> None:
    with pytest.raises(ProblemsFound) as caught:
        domain_target(settings_with(**attributes))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("person", "words"),
    [
        ({"id": "E1" * 11, "name": "x"}, "sAMAccountName would be longer than 20"),
        ({"id": "E/1", "name": "x"}, "sAMAccountName would have '/' in it"),
        ({"id": "E1@x", "name": "x"}, "sAMAccountName would have '@' in it"),
        ({"id": "E1.", "name": "x"}, "end with '.'"),
        ({"id": "E1$", "name": "x"}, "end with '$'"),
        ({"id": "..", "name": "x"}, "nothing but dots"),
        ({"id": "E 1", "name": "x"}, "NAME@DOMAIN"),
        ({"id": "E1", "name": "名" * 62}, "cn would be longer than 64"),
    ],
)
def test_what_a_domain_would_not_have_of_a_person_is_told_when_planning(person: dict[str, str], words: str) -> None:
    problem = domain_target(settings_with()).creation_problem(person)
    assert problem is not None
    assert words in problem
    assert person["name"] not in problem or person["name"] == "x"


@given(st.text(min_size=1).filter(str.strip))
def test_no_login_with_anything_forbidden_in_it_is_let_through(login: str) -> None:
    settings = settings_with(userPrincipalName=None, cn="{id}")
    problem = domain_target(settings).creation_problem({"id": login, "name": "x"})
    if problem is None:
        own = login.strip()
        assert len(own.encode("utf-16-le")) <= 40
        assert not set(own) & set('"/\\[]:;|=,+*?<>@')
        assert own[-1] not in ".$"
