"""One policy tree, one person, six systems: hired, promoted, resigned, gone. At each step the systems themselves say
what she opens: the directory by `ldapsearch`, the SCIM provider by its own API, Mayan EDMS asked as her, files read as
her, a table read as her, and casbin's own enforcer.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import casbin
import psycopg
import pytest

from reconciler.testing.targets import LabAccount
from tests.adapters.file_server import FIRST, in_memory
from tests.adapters.file_server import required as files_required
from tests.adapters.postgres.lab import OWN, PostgresLab
from tests.adapters.postgres.lab import PASSWORD as DB_PASSWORD
from tests.adapters.test_ldap_contract import LdapLab
from tests.cli.company import ROOT, Company
from tests.servers.fixtures import mayan, mayan_server_of_all, postgresql, scim, slapd  # noqa: F401
from tests.servers.mayan import READ, RECONCILER, Mayan
from tests.servers.postgresql import Postgresql
from tests.servers.scim import TOKEN, ScimServer, Tenant
from tests.servers.slapd import PASSWORD, Slapd, free_port

LIN, BOSS = LabAccount("lin", "E1001", "林 晓"), LabAccount("boss", "E1002", "Boss, The")
PAPERS, DESIGNS = "papers", "设计"
SYSTEMS = ("archive", "database", "directory", "files", "vault", "wiki")
NOTHING: dict[str, set[str]] = {name: set() for name in SYSTEMS}
WORKSPACE = """\
format: reconciler.workspace/1
organization: 星河科技
timezone: Asia/Shanghai
policies: policies
sources:
  hr: {type: csv, path: people.csv, feed: full}
targets:
  directory:
    type: ldap
    url: "${env:LDAP_URL}"
    tls: none
    bind: {dn: "${env:LDAP_BIND}", password: "${env:LDAP_PASSWORD}"}
    people: {base: "ou=people,${env:LDAP_BRANCH}", match: {employeeNumber: id}}
    groups: {base: "ou=groups,${env:LDAP_BRANCH}", kind: groupOfNames}
  wiki:
    type: scim
    url: "${env:WIKI_URL}"
    auth: {bearer: "${env:WIKI_TOKEN}"}
    match: {externalId: id}
    retry: {attempts: 1}
    accounts: {disable: active}
  archive:
    type: mayan
    url: "${env:MAYAN_URL}"
    token: "${env:MAYAN_TOKEN}"
    match: {username: id}
  files:
    type: posix-acl
    root: "${env:FILES_ROOT}"
    accounts: {file: accounts.csv}
    match: {id: id}
  database:
    type: postgres
    url: "${env:DB_URL}"
    password: "${env:DB_PASSWORD}"
    match: {comment: id}
    accounts: {disable: nologin, end_sessions: true}
    protected: [admin, reconciler]
  vault:
    type: casbin
    model: vault.conf
    policy: vault.csv
"""
BINDING = """
      read:
        directory: {{group: {name}}}
        wiki: {{group: {name}}}
        archive: {{document_type: {name}, permission: documents.document_view}}
        files: {{path: {name}, permission: read}}
        database: {{role: {name}}}
        vault: {{object: {name}, action: read}}
"""
POLICY = f"""\
attributes:
  department: {{kind: tree}}
evidence:
  secrecy: {{kind: agreement, version: 1}}
clearances:
  - internal: {{}}
  - core: {{requires: [secrecy]}}
resources:
  papers:
    classification: internal
    owner: {{department: rd}}
    access:{BINDING.format(name=PAPERS)}
  designs:
    classification: core
    owner: {{department: rd}}
    access:{BINDING.format(name=DESIGNS)}
roles:
  engineer: {{match: {{department: rd}}, grants: {{read: [papers]}}}}
  architect: {{match: {{department: rd/chips}}, grants: {{read: [designs]}}}}
lifecycle:
  notice: {{ceiling: internal}}
  exited: {{disable: immediately}}
"""


@dataclass
class Everything:
    """The company and its six systems. `looks`: system → what of the two a login opens, by the system itself."""

    company: Company
    looks: Mapping[str, Callable[[str], set[str]]]
    wiki: Tenant

    def opened_by(self, login: str) -> dict[str, set[str]]:
        """What somebody opens, everywhere."""
        return {name: look(login) for name, look in self.looks.items()}

    def tell(self, kind: str, **data: str) -> None:
        """HR says something of her."""
        pairs = [argument for key, value in data.items() for argument in ("--set", f"{key}={value}")]
        self.company.run("people", "event", kind, LIN.id, "--at", "now", *pairs)

    def run(self, status: int = 0) -> str:
        """One pass over everything, with what has to be approved approved."""
        plan = self.company.plan()
        if plan["summary"]["held"]:
            self.company.run("approve", plan["digest"], "--reason", "looked at")
        return self.company.run("apply", "--yes", status=status).said


@pytest.fixture
def everything(
    slapd: Slapd,  # noqa: F811
    scim: ScimServer,  # noqa: F811
    mayan: Mayan,  # noqa: F811
    postgresql: Postgresql,  # noqa: F811
    tmp_path: Path,
) -> Iterator[Everything]:
    files_required()
    company = Company(tmp_path)
    directory = LdapLab(slapd, [LIN, BOSS], {PAPERS: ["boss"], DESIGNS: ["boss"]})
    database = PostgresLab(postgresql, [LIN, BOSS], {PAPERS: ["boss"], DESIGNS: ["boss"]})
    tenant = scim.tenant()
    with in_memory() as shares:
        looks = {
            "archive": _archive(mayan),
            "database": _database(database),
            "directory": lambda login: {name for name in (PAPERS, DESIGNS) if login in directory.members(name)},
            "files": _files(company, shares),
            "vault": _vault(company),
            "wiki": _wiki(tenant),
        }
        company.write("reconciler.yaml", WORKSPACE)
        company.write("policies/policy.yaml", POLICY)
        company.write("people.csv", "id,name,department,starts_on,status\nE1002,Boss,rd/chips,2020-01-01,active\n")
        company.write("proofs.csv", "person,evidence,version,valid_from\nE1002,secrecy,1,2020-01-01\n")
        company = company.having(
            LDAP_URL=slapd.url,
            LDAP_BIND=slapd.account("reconciler"),
            LDAP_PASSWORD=PASSWORD,
            LDAP_BRANCH=directory.branch,
            WIKI_URL=tenant.url,
            WIKI_TOKEN=TOKEN,
            MAYAN_URL=mayan.url,
            MAYAN_TOKEN=RECONCILER,
            FILES_ROOT=str(shares / "srv"),
            DB_URL=f"postgresql://{OWN}@127.0.0.1:{postgresql.port}/postgres",
            DB_PASSWORD=DB_PASSWORD,
        )
        company.run("people", "import")
        company.run("evidence", "import", "proofs.csv")
        yield Everything(company, looks, tenant)
    database.run(f"DROP TABLE {PAPERS}_table, {DESIGNS}_table")
    database.close()


# --- what each system says of itself ----------------------------------------------------------------------------------


def _archive(server: Mayan) -> Callable[[str], set[str]]:
    numbers = {"lin": server.user(LIN.id), "boss": server.user(BOSS.id)}
    documents = {}
    for name in (PAPERS, DESIGNS):
        kind = server.document_type(name)
        readers = server.role(f"{name} readers", server.group(f"{name} readers", numbers["boss"]))
        server.allow("documents/documenttype", kind, readers, *READ)
        documents[name] = server.document(kind, f"{name} 第一号")
    return lambda login: {name for name, document in documents.items() if server.opens(numbers[login], document)}


def _database(lab: PostgresLab) -> Callable[[str], set[str]]:
    lab.run(f"ALTER ROLE {OWN} INHERIT CREATEROLE; GRANT pg_signal_backend TO {OWN}")
    for name in (PAPERS, DESIGNS):
        lab.run(f"CREATE TABLE {name}_table (line text); GRANT SELECT ON {name}_table TO {name}")

    def opened(login: str) -> set[str]:
        try:
            session = lab.sign_in(login)
        except psycopg.OperationalError:
            return set()
        with session:
            return {name for name in (PAPERS, DESIGNS) if _selects(session, f"TABLE {name}_table")}

    return opened


def _selects(session: psycopg.Connection[tuple[object, ...]], question: str) -> bool:
    try:
        session.execute(question.encode())
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def _files(company: Company, shares: Path) -> Callable[[str], set[str]]:
    shares.chmod(0o755)
    (shares / "srv").mkdir(mode=0o755)
    for name in (PAPERS, DESIGNS):
        (shares / "srv" / name).mkdir(mode=0o750)
        (shares / "srv" / name / "一.txt").write_text("secret", "utf-8")
        (shares / "srv" / name / "一.txt").chmod(0o640)
        subprocess.run(
            ["setfacl", "-R", "-m", f"u:{FIRST + 1}:rX,d:u:{FIRST + 1}:rX", shares / "srv" / name], check=True
        )
    numbers = {"lin": FIRST, "boss": FIRST + 1}
    rows = f"lin,{FIRST},{LIN.id}\nboss,{FIRST + 1},{BOSS.id}\n"
    company.write("accounts.csv", f"login,uid,id\n{rows}")

    def reads(login: str, name: str) -> bool:
        number, path = numbers[login], shares / "srv" / name / "一.txt"
        done = subprocess.run(
            ["cat", path], user=number, group=number, extra_groups=[], capture_output=True, check=False
        )
        return done.stdout == b"secret"

    return lambda login: {name for name in (PAPERS, DESIGNS) if reads(login, name)}


def _vault(company: Company) -> Callable[[str], set[str]]:
    model, policy = company.folder / "vault.conf", company.folder / "vault.csv"
    model.write_bytes((ROOT / "examples/vault.conf").read_bytes())
    policy.write_text("".join(f"p, {BOSS.id}, {name}, read\n" for name in (PAPERS, DESIGNS)), "utf-8")
    ids = {"lin": LIN.id, "boss": BOSS.id}

    def opened(login: str) -> set[str]:
        enforcer = casbin.Enforcer(str(model), str(policy))
        return {name for name in (PAPERS, DESIGNS) if enforcer.enforce(ids[login], name, "read")}

    return opened


def _wiki(tenant: Tenant) -> Callable[[str], set[str]]:
    users = [{"userName": each.login, "externalId": each.id, "displayName": each.name} for each in (LIN, BOSS)]
    keys = dict(zip(("lin", "boss"), tenant.add_users(users), strict=True))
    for name in (PAPERS, DESIGNS):
        tenant.add_group(name, [{"value": keys["boss"]}])

    def opened(login: str) -> set[str]:
        groups = [group for group in tenant.everything("Groups") if _has(group, keys[login])]
        return (
            {str(group["displayName"]) for group in groups} if tenant.get(f"/Users/{keys[login]}")["active"] else set()
        )

    return opened


def _has(group: Mapping[str, object], key: str) -> bool:
    members = group.get("members") or []
    return isinstance(members, list) and key in {member["value"] for member in members}


# --- the story --------------------------------------------------------------------------------------------------------


def test_hired_promoted_resigned_and_gone_in_six_systems(everything: Everything) -> None:
    everything.run()
    assert everything.opened_by("lin") == NOTHING
    boss = everything.opened_by("boss")
    assert boss == {name: {PAPERS, DESIGNS} for name in SYSTEMS}

    everything.tell("hired", name="林晓", department="rd")
    everything.run()
    assert everything.opened_by("lin") == {name: {PAPERS} for name in SYSTEMS}

    everything.tell("transferred", department="rd/chips")
    everything.run()
    assert everything.opened_by("lin") == {name: {PAPERS} for name in SYSTEMS}, "no access without clearance"
    everything.company.write("signed.csv", f"person,evidence,version,valid_from\n{LIN.id},secrecy,1,2020-01-01\n")
    everything.company.run("evidence", "import", "signed.csv")
    everything.run()
    assert everything.opened_by("lin") == {name: {PAPERS, DESIGNS} for name in SYSTEMS}

    everything.tell("resignation-submitted")
    everything.run()
    assert everything.opened_by("lin") == {name: {PAPERS} for name in SYSTEMS}

    everything.tell("exited")
    everything.run()
    assert everything.opened_by("lin") == NOTHING
    assert everything.opened_by("boss") == boss
    assert everything.company.plan("--detailed-exitcode")["changes"] == []


def test_a_leaver_is_out_of_every_system_that_can_be_reached_and_of_the_other_when_it_is_back(
    everything: Everything,
) -> None:
    everything.tell("hired", name="林晓", department="rd")
    everything.run()
    there = everything.company
    away = there.having(WIKI_URL=f"http://127.0.0.1:{free_port()}/v2")

    everything.company = away
    everything.tell("exited")
    said = away.run("apply", "--yes", status=4).said

    assert "wiki" in said
    still = {name: opened for name, opened in everything.opened_by("lin").items() if opened}
    assert still == {"wiki": {PAPERS}}, "everything else is done meanwhile"
    everything.company = there
    everything.run()
    assert everything.opened_by("lin") == NOTHING
    assert there.plan("--detailed-exitcode")["changes"] == []
