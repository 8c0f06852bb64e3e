"""`apply` killed with -9 at every single instant of its run against a real directory: the next one converges."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.cli.company import Company
from tests.servers.slapd import PASSWORD, Slapd, required, started
from tests.story.crowd import LDAP, effects
from tests.story.dying import die_at

PEOPLE = 40
RD = range(PEOPLE // 2)
DC = "dc=example,dc=com"

_WORKSPACE = """\
format: reconciler.workspace/1
organization: 一家公司
timezone: UTC
policies: policies
sources:
  hr: {type: csv, path: people.csv, feed: full}
targets:
  directory:
"""
_TREE = """\
    people: {base: "ou=people,dc=example,dc=com", match: {employeeNumber: id}}
    groups: {base: "ou=groups,dc=example,dc=com", kind: groupOfNames, placeholder: "cn=nobody,dc=example,dc=com"}
"""
_POLICY = """
attributes: {department: {kind: tree}}
clearances: [public: {}]
resources:
  wiki: {classification: public, access: {read: {directory: {group: wiki}}}}
  code: {classification: public, access: {read: {directory: {group: code}}}}
roles:
  staff: {everyone: true, grants: {read: [wiki]}}
  engineer: {match: {department: rd}, grants: {read: [code]}}
"""


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Company, Slapd]]:
    """A company in agreement with its directory."""
    required()
    folder = tmp_path_factory.mktemp("company")
    company = Company(folder / "here")
    company.write("reconciler.yaml", _WORKSPACE + LDAP + _TREE)
    company.write("policies/policy.yaml", _POLICY)
    rows = (f"E{n},人员{n},2020-01-01,{'rd' if n in RD else 'sales'}\n" for n in range(PEOPLE))
    company.write("people.csv", "id,name,starts_on,department\n" + "".join(rows))
    company.write("directory.ldif", _directory())
    company.run("people", "import")
    with started(folder / "slapd", ldif=company.folder / "directory.ldif") as server:
        served = company.having(LDAP_URL=server.url, LDAP_PASSWORD=PASSWORD)
        served.roll_out()
        yield served, server


def _directory() -> str:
    entries = [f"dn: {DC}\nobjectClass: organization\nobjectClass: dcObject\no: Crowd\ndc: example\n"]
    entries += [f"dn: ou={ou},{DC}\nobjectClass: organizationalUnit\nou: {ou}\n" for ou in ("people", "groups")]
    entries += [
        f"dn: {dn(n)}\nobjectClass: inetOrgPerson\nuid: e{n}\ncn: E{n}\nsn: E{n}\nemployeeNumber: E{n}\n"
        for n in range(PEOPLE)
    ]
    entries += [
        f"dn: cn={name},ou=groups,{DC}\nobjectClass: groupOfNames\ncn: {name}\nmember: cn=nobody,{DC}\n"
        for name in ("wiki", "code")
    ]
    return "\n".join(entries)


def dn(number: int) -> str:
    return f"uid=e{number},ou=people,{DC}"


def by_hand(server: Slapd) -> None:
    """What somebody changes in the directory: five who belong are out, two who do not are in."""
    gone = "".join(f"member: {dn(n)}\n" for n in (0, 1, 2))
    come = "".join(f"member: {dn(n)}\n" for n in (PEOPLE - 1, PEOPLE - 2))
    server.modify(
        f"dn: cn=code,ou=groups,{DC}\nchangetype: modify\ndelete: member\n{gone}-\nadd: member\n{come}\n"
        f"dn: cn=wiki,ou=groups,{DC}\nchangetype: modify\ndelete: member\nmember: {dn(3)}\nmember: {dn(4)}\n"
    )


CHANGES = 7


def members(server: Slapd, name: str) -> set[str]:
    """Who is in a group, by OpenLDAP's own program."""
    return set(server.search(f"cn={name},ou=groups,{DC}")[f"cn={name},ou=groups,{DC}"]["member"])


def head(company: Company) -> int:
    """The number of the newest entry of the ledger."""
    with closing(sqlite3.connect(f"file:{company.store}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT max(seq) FROM ledger_entries").fetchone()[0])


def test_killed_at_every_instant_the_next_run_converges_and_the_record_says_so_once(
    settled: tuple[Company, Slapd],
) -> None:
    company, server = settled
    command = ("apply", "--yes")
    instant, died = 0, True
    while died:
        before = head(company)
        by_hand(server)
        died = die_at(instant, company.folder, company.environment(), *command)
        if died:
            company.run(*command)

        assert members(server, "wiki") == {dn(n) for n in range(PEOPLE)}
        assert members(server, "code") == {dn(n) for n in RD}
        said = effects(company, before)
        done = Counter(change for change, outcome in said if outcome == "applied")
        assert set(done.values()) == {1}, (instant, done)
        assert len(done) == CHANGES, (instant, done)
        assert {outcome for _, outcome in said} <= {"applied", "not-applied"}
        instant += 1

    assert instant > 25, "the run had fewer instants than its batches have"
    assert company.plan("--detailed-exitcode")["changes"] == []
    assert company.entries() == head(company), "and the ledger verifies"
