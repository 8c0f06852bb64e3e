"""The same policies, people and events on OpenLDAP, on an Active Directory domain and in an LDIF export: step by step
the same people are in the same groups, by what `ldapsearch` says of the two servers and by the lines of the file.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.testing.targets import LabAccount
from tests.adapters.directory_lab import branch_entries, person_dn
from tests.adapters.domain_lab import DomainLab
from tests.adapters.test_ldap_contract import LdapLab
from tests.cli.company import Company
from tests.servers.fixtures import samba, samba_seed, slapd  # noqa: F401
from tests.servers.samba import PASSWORD as AD_PASSWORD
from tests.servers.samba import Samba
from tests.servers.slapd import PASSWORD, Slapd

GROUPS = ("wiki", "代码", "核心")
PEOPLE = (
    LabAccount("zhang", "E1001", "张伟"),
    LabAccount("smith", "E1002", 'Smith, John "JS" #1; <a=b>'),
    LabAccount("muller", "E1003", "#Müller + Söhne \\ Co"),
    LabAccount("plain", "E1004", "Plain Name"),
    LabAccount("late", "E1005", "迟 到"),
)
BRANCH = "ou=export,dc=example,dc=com"
WORKSPACE = """\
format: reconciler.workspace/1
organization: 星河科技
timezone: Asia/Shanghai
policies: policies
sources:
  hr: {{type: csv, path: people.csv, feed: full}}
targets:
  open:
    type: ldap
    url: "{open_url}"
    tls: none
    bind: {{dn: "{open_account}", password: "${{env:LDAP_PASSWORD}}"}}
    people: {{base: "ou=people,{open_branch}", match: {{employeeNumber: id}}}}
    groups: {{base: "ou=groups,{open_branch}", kind: groupOfNames}}
  active:
    type: active-directory
    url: "{ad_url}"
    ca: "{ad_ca}"
    bind: {{dn: "CN=reconciler,CN=Users,DC=lab,DC=test", password: "${{env:AD_PASSWORD}}"}}
    people: {{base: "OU=people,{ad_unit}", match: {{employeeNumber: id}}}}
    groups: {{base: "OU=groups,{ad_unit}"}}
  export:
    type: ldif
    path: export.ldif
    people: {{base: "ou=people,{file_branch}", match: {{employeeNumber: id}}}}
    groups: {{base: "ou=groups,{file_branch}", kind: groupOfNames}}
"""
POLICY = """\
attributes: {department: {kind: tree}}
evidence: {nda: {kind: agreement, version: 1}}
clearances: [public: {}, core: {requires: [nda]}]
resources:
  wiki: {classification: public, owner: {person: E1001}, access: {read: [EVERYWHERE-wiki]}}
  code: {classification: public, owner: {person: E1001}, access: {read: [EVERYWHERE-代码]}}
  algorithms: {classification: core, owner: {person: E1001}, access: {read: [EVERYWHERE-核心]}}
roles:
  staff: {everyone: true, grants: {read: [wiki]}}
  engineer: {match: {department: rd}, grants: {read: [code]}}
  researcher: {match: {department: rd/ai}, grants: {read: [algorithms]}}
"""


def policy() -> str:
    text = POLICY
    for group in GROUPS:
        everywhere = ", ".join(f"{target}: {{group: {group}}}" for target in ("open", "active", "export"))
        text = text.replace(f"[EVERYWHERE-{group}]", f"{{{everywhere}}}")
    return text


@dataclass
class Directories:
    """The company, and how each of its three directories is looked at."""

    company: Company
    looks: dict[str, Callable[[str], set[str]]]

    def members(self) -> dict[str, set[str]]:
        """Who is in each group, which is the same everywhere."""
        seen = {name: {group: look(group) for group in GROUPS} for name, look in self.looks.items()}
        assert seen["open"] == seen["active"] == seen["export"]
        return seen["open"]

    def after(self, *rows: str, proofs: str = "") -> dict[str, set[str]]:
        """Import these people, and these proofs; apply; who is in which group then, and nothing is left to do."""
        self.company.write("people.csv", "id,name,starts_on,department,status\n" + "".join(f"{row}\n" for row in rows))
        self.company.run("people", "import")
        if proofs:
            self.company.write("proofs.csv", f"person,evidence,version,valid_from\n{proofs}\n")
            self.company.run("evidence", "import", "proofs.csv")
        if (plan := self.company.plan())["summary"]["held"]:
            self.company.run("approve", plan["digest"], "--reason", "looked at")
        self.company.run("apply", "--yes")
        assert self.company.plan("--detailed-exitcode")["changes"] == []
        return self.members()


def in_the_file(path: Path, group: str) -> set[str]:
    entry = next(part for part in path.read_text("utf-8").split("\n\n") if _named(part, group))
    dns = {person_dn(account, BRANCH): account.login for account in PEOPLE}
    values = [_value(line) for line in _lines(entry) if line.startswith("member:")]
    return {dns[value] for value in values if not value.startswith("cn=placeholder,")}


def _named(entry: str, group: str) -> bool:
    lines = _lines(entry)
    return bool(lines) and _value(lines[0]) == f"cn={group},ou=groups,{BRANCH}"


def _lines(entry: str) -> list[str]:
    return entry.replace("\n ", "").strip().splitlines()


def _value(line: str) -> str:

    name, _, value = line.partition(":")
    assert name
    return base64.b64decode(value[1:]).decode() if value.startswith(":") else value.strip()


@pytest.fixture
def directories(slapd: Slapd, samba: Samba, tmp_path: Path) -> Directories:  # noqa: F811
    none: dict[str, list[str]] = {group: [] for group in GROUPS}
    openldap, active = LdapLab(slapd, PEOPLE, none), DomainLab(samba, PEOPLE, none)
    (tmp_path / "export.ldif").write_text(branch_entries(BRANCH, PEOPLE, none), "utf-8")
    company = Company(tmp_path).having(LDAP_PASSWORD=PASSWORD, AD_PASSWORD=AD_PASSWORD)
    company.write(
        "reconciler.yaml",
        WORKSPACE.format(
            open_url=slapd.url,
            open_account=slapd.account("reconciler"),
            open_branch=openldap.branch,
            ad_url=samba.tls_url,
            ad_ca=samba.ca,
            ad_unit=active.unit,
            file_branch=BRANCH,
        ),
    )
    company.write("policies/policy.yaml", policy())
    file = tmp_path / "export.ldif"
    looks = {"open": openldap.members, "active": active.members, "export": lambda group: in_the_file(file, group)}
    return Directories(company, looks)


def test_hired_proven_moved_and_gone_alike(directories: Directories) -> None:
    zhang, smith = "E1001,张伟,2020-01-01,rd/ai,active", "E1002,Smith,2020-01-01,rd,active"
    muller, plain = "E1003,Müller,2020-01-01,rd/ai,active", "E1004,Plain,2020-01-01,sales,active"

    assert directories.after(zhang, smith, muller, plain, proofs="E1001,nda,1,2020-01-01") == {
        "wiki": {"zhang", "smith", "muller", "plain"},
        "代码": {"zhang", "smith", "muller"},
        "核心": {"zhang"},
    }
    late = "E1005,迟到,2020-01-01,rd,active"
    moved = plain.replace("sales", "rd/ai")
    assert directories.after(zhang, smith, muller, moved, late, proofs="E1003,nda,1,2020-01-01") == {
        "wiki": {"zhang", "smith", "muller", "plain", "late"},
        "代码": {"zhang", "smith", "muller", "plain", "late"},
        "核心": {"zhang", "muller"},
    }
    gone = smith.replace("active", "exited")
    assert directories.after(zhang, gone, muller.replace("rd/ai", "sales"), moved, late) == {
        "wiki": {"zhang", "muller", "plain", "late"},
        "代码": {"zhang", "plain", "late"},
        "核心": {"zhang"},
    }
