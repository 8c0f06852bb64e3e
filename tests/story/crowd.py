"""A generated workspace that is large enough to be killed in the middle: everybody belongs in every group."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.cli.company import Company

PEOPLE = 120
GROUPS = 20
IDS = [f"K{number:04}" for number in range(PEOPLE)]
PATIENCE = 60.0
"""Seconds after which a run that has not come to the awaited point never will."""

_WORKSPACE = """\
format: reconciler.workspace/1
organization: Crowd
timezone: UTC
policies: policies
sources:
  hr: {type: csv, path: people.csv, feed: full}
targets:
  vault: {type: casbin, model: vault.conf, policy: vault.csv}
  directory:
"""
_TREE = """\
    people: {base: "ou=people,dc=example,dc=com", match: {employeeNumber: id}}
    groups: {base: "ou=groups,dc=example,dc=com", kind: groupOfNames, placeholder: "cn=nobody,dc=example,dc=com"}
"""
LDIF = "    type: ldif\n    path: directory.ldif\n"
LDAP = """\
    type: ldap
    url: "${env:LDAP_URL}"
    tls: none
    bind: {dn: "cn=reconciler,dc=example,dc=com", password: "${env:LDAP_PASSWORD}"}
"""


def crowd(folder: Path, kind: str, vault: str) -> Company:
    """The workspace, with its people on record and the first plan approved; `kind` is `LDIF` or `LDAP`."""
    company = Company(folder)
    company.write("reconciler.yaml", _WORKSPACE + kind + _TREE)
    company.write("people.csv", "id,name,starts_on\n" + "".join(f"{each},人员 {each},2020-01-01\n" for each in IDS))
    company.write("policies/everything.yaml", json.dumps(_policy(), ensure_ascii=False))
    company.write("directory.ldif", directory())
    company.write("vault.conf", vault)
    company.write("vault.csv", "p, reader, wiki, read\n")
    company.run("people", "import")
    return company


def approved(company: Company) -> Company:
    """The first plan is released as a whole."""
    plan = company.plan()
    assert len(plan["changes"]) == PEOPLE * (GROUPS + 1)
    company.run("approve", plan["digest"], "--reason", "roll-out")
    return company


def _policy() -> dict[str, Any]:
    groups = [f"docs-{number:02}" for number in range(GROUPS)]
    resources = {name: _resource("directory", {"group": name}) for name in groups}
    resources["wiki"] = _resource("vault", {"role": "reader"})
    return {
        "attributes": {"department": {"kind": "tree"}},
        "clearances": [{"public": {}}],
        "resources": resources,
        "roles": {"staff": {"everyone": True, "grants": {"read": list(resources)}}},
    }


def _resource(target: str, locator: Mapping[str, str]) -> dict[str, Any]:
    return {"classification": "public", "owner": {"person": IDS[0]}, "access": {"read": {target: locator}}}


def directory() -> str:
    """The directory before: accounts for everybody, groups with nobody."""
    dc = "dc=example,dc=com"
    entries = [f"dn: {dc}\nobjectClass: organization\nobjectClass: dcObject\no: Crowd\ndc: example\n"]
    entries += [f"dn: ou={ou},{dc}\nobjectClass: organizationalUnit\nou: {ou}\n" for ou in ("people", "groups")]
    entries += [
        f"dn: uid={each.lower()},ou=people,{dc}\nobjectClass: inetOrgPerson\nuid: {each.lower()}\ncn: {each}\n"
        f"sn: {each}\nemployeeNumber: {each}\n"
        for each in IDS
    ]
    entries += [
        f"dn: cn=docs-{number:02},ou=groups,{dc}\nobjectClass: groupOfNames\ncn: docs-{number:02}\n"
        f"member: cn=nobody,{dc}\n"
        for number in range(GROUPS)
    ]
    return "\n".join(entries)


# --- killing ----------------------------------------------------------------------------------------------------------


def kill_when(company: Company, reached: Callable[[], bool]) -> bool:
    """Start `apply` and kill it with -9 as soon as `reached` is true; False where it had ended before."""
    process = company.start("apply", "--yes")
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and not reached():
        assert time.monotonic() < deadline, "the run never came to that point"
        try:
            process.wait(0.001)
        except subprocess.TimeoutExpired:
            continue
    ended = process.poll() is not None
    process.kill()
    process.wait()
    return not ended


def recorded(company: Company, kind: str) -> int:
    """How many entries of a kind the ledger has, by the store itself; of effects, of how many changes they tell."""
    if kind == "effect":
        return len(effects(company))
    with closing(sqlite3.connect(f"file:{company.store}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT count(*) FROM ledger_entries WHERE kind = ?", (kind,)).fetchone()
    return int(found[0])


def effects(company: Company, after: int = 0) -> list[tuple[str, str]]:
    """Change id and outcome of all that the ledger tells since that entry, by the store itself."""
    query = (
        "SELECT seq, kind, payload FROM ledger_entries JOIN ledger_payloads USING (seq) "
        "WHERE kind IN ('effect', 'effects', 'intended') AND seq > ? ORDER BY seq"
    )
    told: list[tuple[str, str]] = []
    intended: dict[int, list[str]] = {}
    with closing(sqlite3.connect(f"file:{company.store}?mode=ro", uri=True)) as connection:
        for seq, kind, payload in connection.execute(query, (after,)):
            said = json.loads(payload)
            if kind == "intended":
                intended[seq] = [change["id"] for change in said["changes"]]
            elif kind == "effect":
                told.append((said["change"], said["outcome"]))
            else:
                own = said.get("changes") or [each for each in intended[said["intended"]] if each not in said["but"]]
                told += [(change, said["outcome"]) for change in own]
    return told


def done_per_change(company: Company) -> Counter[str]:
    """Change id → how many effects say that it is done."""
    return Counter(change for change, outcome in effects(company) if outcome in ("applied", "already"))


def intended(company: Company) -> set[str]:
    """The ids of all changes that any run set out to do."""
    query = "SELECT payload FROM ledger_entries JOIN ledger_payloads USING (seq) WHERE kind = 'intended'"
    with closing(sqlite3.connect(f"file:{company.store}?mode=ro", uri=True)) as connection:
        return {change["id"] for row in connection.execute(query) for change in json.loads(row[0])["changes"]}


def finish(company: Company) -> None:
    """Apply until the end; then everything agrees, the ledger verifies, and nothing is on record twice."""
    company.run("apply", "--yes")
    assert company.plan("--detailed-exitcode")["changes"] == []
    company.run("ledger", "verify")
    done = done_per_change(company)
    assert set(done.values()) == {1}
    assert set(done) == intended(company)
    assert len(done) == PEOPLE * (GROUPS + 1)
