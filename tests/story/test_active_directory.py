"""A company on a real Active Directory domain, on the real command line, looked at with `ldapsearch`."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from reconciler.testing.targets import LabAccount
from tests.adapters.domain_lab import DISABLED, DomainLab, modification
from tests.cli.company import Company
from tests.servers.fixtures import samba, samba_seed  # noqa: F401
from tests.servers.samba import PASSWORD, Samba

WORKSPACE = """\
format: reconciler.workspace/1
organization: 星河科技
timezone: UTC
policies: policies
sources:
  hr: {{type: csv, path: people.csv, feed: full}}
targets:
  corp:
    type: active-directory
    url: ["ldaps://127.0.0.1:1", "{url}"]
    ca: "{ca}"
    bind: {{dn: "CN=reconciler,CN=Users,DC=lab,DC=test", password: "${{env:AD_PASSWORD}}"}}
    people: {{base: "OU=people,{unit}", match: {{employeeNumber: id}}}}
    groups: {{base: "OU=groups,{unit}"}}
    accounts: {{disable: user-account-control}}
    orphans: report
"""
POLICY = """\
attributes: {department: {kind: tree}}
clearances: [public: {}]
resources:
  wiki: {classification: public, owner: {person: "E1001"}, access: {read: {corp: {group: wiki}}}}
  code: {classification: public, owner: {person: "E1001"}, access: {read: {corp: {group: 代码}}}}
roles:
  staff: {everyone: true, grants: {read: [wiki]}}
  engineer: {match: {department: rd}, grants: {read: [code]}}
lifecycle: {exited: {disable: immediately}}
"""
PEOPLE = (
    LabAccount("zhang", "E1001", "张伟"),
    LabAccount("smith", "E1002", 'Smith, John "JS" #1; <a=b>'),
    LabAccount("muller", "E1003", "#Müller + Söhne \\ Co"),
    LabAccount("plain", "E1004", "Plain Name"),
)


def company_on(server: Samba, lab: DomainLab, folder: Path, engineers: int) -> Company:
    """The company with its people on record; the first so many are engineers."""
    company = Company(folder).having(AD_PASSWORD=PASSWORD)
    company.write("reconciler.yaml", WORKSPACE.format(url=server.tls_url, ca=server.ca, unit=lab.unit))
    company.write("policies/policy.yaml", POLICY)
    rows = (
        f"{each.id},人员,2020-01-01,{'rd' if number < engineers else 'sales'},active\n"
        for number, each in enumerate(lab.accounts.values())
    )
    company.write("people.csv", "id,name,starts_on,department,status\n" + "".join(rows))
    company.run("people", "import")
    return company


def said(plan: object) -> set[tuple[str, str, str]]:
    assert isinstance(plan, dict)
    return {(each["op"], each["person"], each["cause"]["kind"]) for each in plan["changes"]}


@pytest.fixture
def agreed(samba: Samba, tmp_path: Path) -> tuple[Company, DomainLab]:  # noqa: F811
    """After the first roll-out."""
    lab = DomainLab(samba, PEOPLE, {"wiki": ["zhang"], "代码": [], "unmanaged": ["plain"]})
    company = company_on(samba, lab, tmp_path, engineers=3)
    assert company.roll_out()["outcomes"] == {"applied": 6}
    assert lab.members("wiki") == {"zhang", "smith", "muller", "plain"}
    assert lab.members("代码") == {"zhang", "smith", "muller"}
    assert company.plan("--detailed-exitcode")["changes"] == []
    return company, lab


def test_what_is_changed_by_hand_is_drift_and_a_renamed_account_is_none(agreed: tuple[Company, DomainLab]) -> None:
    company, lab = agreed
    lab.put("代码", "plain")
    lab.server.modify(modification(lab.group_dn("wiki"), "delete", "member", lab.account_name("smith")))
    lab.server.add(f"dn: OU=moved,OU=people,{lab.unit}\nobjectClass: organizationalUnit\n")
    lab.move("muller", "CN=\\#Meier\\, 迈尔", "moved,OU=people")
    lab.server.modify(modification(lab.account_name("muller"), "replace", "sAMAccountName", "meier"))

    run = company.run("apply", "--yes", "--output", "json").json

    assert said(run["plan"]) == {("revoke", "E1004", "drift"), ("grant", "E1002", "drift")}
    assert run["outcomes"] == {"applied": 2}
    assert lab.members("wiki") == {"zhang", "smith", "meier", "plain"}
    assert lab.members("代码") == {"zhang", "smith", "meier"}
    assert lab.members("unmanaged") == {"plain"}


def test_a_leaver_is_disabled_and_out_of_everything_that_is_managed(agreed: tuple[Company, DomainLab]) -> None:
    company, lab = agreed
    company.edit("people.csv", "E1002,人员,2020-01-01,rd,active", "E1002,人员,2020-01-01,rd,exited")
    company.run("people", "import")

    run = company.run("apply", "--yes", "--output", "json").json

    assert {op for op, *_ in said(run["plan"])} == {"disable-account", "revoke"}
    assert run["outcomes"] == {"applied": 3}
    [state] = lab.attributes("smith", "userAccountControl")[1]["userAccountControl"]
    assert int(state) & DISABLED
    assert lab.members("wiki") == {"zhang", "muller", "plain"}
    assert lab.members("代码") == {"zhang", "muller"}
    assert company.plan("--detailed-exitcode")["changes"] == []


def test_one_person_is_shut_out_of_everything_now_by_reading_that_person_alone(
    agreed: tuple[Company, DomainLab],
) -> None:
    company, lab = agreed
    lab.make_primary("wiki", "plain")  # of somebody else, and nobody minds

    company.run("revoke", "E1002", "--reason", "left in anger")

    assert lab.members("代码") == {"zhang", "muller"}
    assert lab.members("wiki") == {"zhang", "muller"}
    assert company.plan("--detailed-exitcode")["changes"] == []


def test_what_cannot_be_taken_away_is_told_and_stops_nobody_else(agreed: tuple[Company, DomainLab]) -> None:
    company, lab = agreed
    lab.make_primary("代码", "smith")
    lab.server.modify(modification(lab.account_name("muller"), "add", "adminCount", "1"))
    for who in ("E1002", "E1003"):
        company.run("people", "event", "exited", who, "--at", "now", "--confirmed")

    told = company.run("apply", "--yes", status=4)
    run = company.run("plan", "--output", "json").json

    assert "give the account another primary group first" in told.said
    assert "adminCount=1" in told.said
    assert lab.members("wiki") == {"zhang", "muller", "plain"}
    left = {(each["op"], each["person"]) for each in run["changes"]}
    assert left == {("revoke", "E1002"), ("revoke", "E1003"), ("disable-account", "E1003")}
    assert {each["kind"] for each in run["findings"]} >= {"primary-group", "protected-account"}


def test_b1_a_group_that_grows_past_the_limit_of_a_range_revokes_nobody(samba: Samba, tmp_path: Path) -> None:  # noqa: F811
    people = [LabAccount(f"u{number:04}", f"E{number:04}", f"员工, {number:04}") for number in range(1501)]
    lab = DomainLab(samba, people, {"wiki": [each.login for each in people[:1498]], "代码": []})
    company = company_on(samba, lab, tmp_path, engineers=0)
    plan = company.plan()
    assert (plan["summary"]["grant"], plan["summary"]["revoke"]) == (3, 0)

    company.run("approve", plan["digest"], "--reason", "three more")
    assert company.run("apply", "--yes", "--output", "json").json["outcomes"] == {"applied": 3}

    [attributes] = lab.server.search(lab.group_dn("wiki"), "(objectClass=*)", "member;range=0-1499").values()
    assert [(name, len(values)) for name, values in attributes.items()] == [("member;range=0-1499", 1500)]
    after = company.plan("--detailed-exitcode")
    assert after["changes"] == []
    assert after["targets"]["corp"]["accounts"] == 1501


CREATING = """\
    accounts:
      disable: user-account-control
      leavers: "OU=left,OU=people,{unit}"
      home: "OU=people,{unit}"
      create:
        attributes:
          cn: "{{name}} {{id}}"
          sAMAccountName: "{{id|lower}}"
          employeeNumber: "{{id}}"
          department: "{{department}}"
        secret: {{folder: handover}}
"""


def test_a_newcomer_gets_an_account_leaves_and_comes_back_to_the_same_one(samba: Samba, tmp_path: Path) -> None:  # noqa: F811
    lab = DomainLab(samba, PEOPLE, {"wiki": [], "代码": []})
    samba.add(f"dn: OU=left,OU=people,{lab.unit}\nobjectClass: organizationalUnit\n")
    company = company_on(samba, lab, tmp_path, engineers=0)
    workspace = (tmp_path / "reconciler.yaml").read_text("utf-8")
    workspace = workspace.replace('dn: "CN=reconciler,CN=Users,DC=lab,DC=test"', "user: Administrator@lab.test")
    accounts = "    accounts: {disable: user-account-control}\n"
    company.write("reconciler.yaml", workspace.replace(accounts, CREATING.format(unit=lab.unit)))
    company.roll_out()
    people = (tmp_path / "people.csv").read_text("utf-8")
    number = f"N{uuid.uuid4().hex[:12]}"
    hired = f"{people}{number},孟晓,2020-01-01,rd,active\n{number}[1],孟甲,2020-01-01,rd,active\n"
    company.write("people.csv", hired)
    company.run("people", "import")

    run = company.run("apply", "--yes", "--output", "json").json

    login = number.lower()
    assert [each["kind"] for each in run["plan"]["findings"]] == ["cannot-create"]
    assert "sAMAccountName would have '['" in run["plan"]["findings"][0]["text"]
    assert run["outcomes"] == {"applied": 3}
    assert lab.members("代码") == {login}
    dn, attributes = lab.attributes(login, "department", "objectGUID", "userAccountControl")
    assert (dn, attributes["department"]) == (f"CN=孟晓 {number},OU=people,{lab.unit}", ["rd"])
    [secret] = (tmp_path / "handover").iterdir()
    told = company.run("ledger", "export", "--output", "json").said
    assert secret.name in told
    assert secret.read_text("utf-8").strip() not in told

    company.write(
        "people.csv", hired.replace(f"{number},孟晓,2020-01-01,rd,active", f"{number},孟晓,2020-01-01,rd,exited")
    )
    company.run("people", "import")
    company.run("apply", "--yes")
    assert lab.account_name(login) == f"CN=孟晓 {number},OU=left,OU=people,{lab.unit}"
    assert lab.members("代码") == set()

    company.run("people", "event", "rehired", number, "--at", "now", "--set", "department=rd")
    company.run("apply", "--yes")
    assert lab.attributes(login, "department", "objectGUID", "userAccountControl") == (dn, attributes)
    assert lab.members("代码") == {login}
