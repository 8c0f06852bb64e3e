"""Carrying out many membership changes on a large directory, beside OpenLDAP's own client with the same changes, one
value at a time and coalesced per group, on the same server in the same run.

What is measured is the whole run: every batch on record as intent before and as outcome after, the look at what is
still wanted, and reading back all that was changed. `ldapmodify` does none of that.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from adapters.ldap import LdapTarget
from reconciler.apply.context import RunContext
from reconciler.apply.journal import Journal
from reconciler.apply.run import carry_out
from reconciler.apply.telling import Told
from reconciler.errors import Place
from reconciler.facts.ledger import Entry, NewEntry
from reconciler.facts.people import Facts
from reconciler.facts.store import Store
from reconciler.plan.model import Cause, CauseKind, Change, in_order
from reconciler.targets import Op, TargetContext
from tests.bench import directory
from tests.bench.company import NOW
from tests.bench.directory import GROUPS, PEOPLE, PER_GROUP, SUFFIX
from tests.bench.measuring import Extrapolated, Measurement, again
from tests.servers.slapd import PASSWORD, Slapd, required, started

PER_GROUP_CHANGED = 25


def newcomers(group: int) -> list[int]:
    """Who is to come into a group: people who are not in it."""
    taken = {(group * 37 + step * 701) % PEOPLE for step in range(PER_GROUP)}
    free = ((group * 91 + step * 1009 + 17) % PEOPLE for step in range(4 * PER_GROUP_CHANGED))
    return [number for number in free if number not in taken][:PER_GROUP_CHANGED]


def dn(number: int) -> str:
    return f"uid=e{number},ou=people,{SUFFIX}"


class Record:
    """A ledger on disk, with the journal behind it."""

    def __init__(self, folder: Path) -> None:
        self.facts = Facts(Store.open("sqlite:///bench.db", folder=folder), "UTC", [Journal()])

    def record(self, entries: Sequence[NewEntry]) -> Sequence[Entry]:
        """Append, durably."""
        with self.facts.store.writing() as connection:
            return self.facts.ledger.append(connection, entries, NOW)

    def nobody_moved(self, _: Sequence[Change]) -> frozenset[str]:
        """What is asked before every batch, where no news has come."""
        self.facts.ledger.head()
        return frozenset()


def changes(target: LdapTarget) -> Sequence[Change]:
    """One grant for every newcomer of every group."""
    keys = {account.name: account.key for account in target.observe([]).accounts.accounts}
    cause = Cause(CauseKind.POLICY, "policies/roles.yaml:12", "role engineer (policies/roles.yaml:12)")
    return in_order(
        Change(
            op=Op.GRANT,
            target="ldap",
            account=dn(number),
            account_key=keys[dn(number)],
            person=f"E{number:06}",
            service_account=None,
            entitlement=f"cn=g{group},ou=groups,{SUFFIX}",
            locator=locator,
            permissions=(f"resource-{group}:read",),
            classification="internal",
            class_rank=1,
            cause=cause,
            saw="absent",
        )
        for group in range(GROUPS)
        for locator in [{"group": f"g{group}"}]
        for number in newcomers(group)
    )


def by_us(target: LdapTarget, due: Sequence[Change], folder: Path) -> None:
    """One run."""
    record = Record(folder)
    context = RunContext(
        told=Told("r1", "sha256:p", "", "sha256:x", "ops"),
        targets={"ldap": target},
        recorder=record,
        no_longer_wanted=record.nobody_moved,
    )
    report = carry_out(due, context)
    if report.counts() != {"applied": len(due)} or report.contradicted:
        raise RuntimeError(f"not all was done: {report.counts()}")


def _ldif(verb: str, *, coalesced: bool) -> str:
    parts = []
    for group in range(GROUPS):
        values = [f"member: {dn(number)}\n" for number in newcomers(group)]
        for some in ["".join(values)] if coalesced else values:
            parts.append(f"dn: cn=g{group},ou=groups,{SUFFIX}\nchangetype: modify\n{verb}: member\n{some}\n")
    return "".join(parts)


def by_ldapmodify(server: Slapd, folder: Path, *, coalesced: bool) -> Extrapolated:
    """The same changes by OpenLDAP's client, after they have been taken back (which is not timed)."""
    login = ["ldapmodify", "-x", "-H", server.url, "-D", server.account("reconciler"), "-w", PASSWORD]

    def run(verb: str, together: bool) -> None:
        path = folder / "changes.ldif"
        path.write_text(_ldif(verb, coalesced=together), "utf-8")
        subprocess.run([*login, "-f", str(path)], check=True, stdout=subprocess.DEVNULL)

    run("delete", True)
    path = folder / "changes.ldif"
    path.write_text(_ldif("add", coalesced=coalesced), "utf-8")
    started_at = time.perf_counter()
    subprocess.run([*login, "-f", str(path)], check=True, stdout=subprocess.DEVNULL)
    return Extrapolated(time.perf_counter() - started_at, "measured whole")


def room() -> Iterator[Measurement]:
    """One run of many changes."""
    required()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        directory.write(folder / "bench.ldif")
        with started(folder / "slapd", ldif=folder / "bench.ldif") as server:
            settings = {
                "url": server.url,
                "tls": "none",
                "bind": {"dn": server.account("reconciler"), "password": PASSWORD},
                "people": {"base": f"ou=people,{SUFFIX}", "match": {"employeeNumber": "id"}},
                "groups": {"base": f"ou=groups,{SUFFIX}", "kind": "groupOfNames"},
                "timeout": 120,
            }
            target = LdapTarget(TargetContext("ldap", folder, Place("bench")), settings)
            due = changes(target)
            size = f"{len(due)} changes in {GROUPS} groups, directory of {PEOPLE} people"
            single = "ldapmodify, one value at a time"
            together = "ldapmodify, coalesced per group"
            alone = lambda: by_ldapmodify(server, folder, coalesced=False)  # noqa: E731
            yield "apply", size, lambda: by_us(target, due, folder), single, alone
            yield "apply", size, again, together, lambda: by_ldapmodify(server, folder, coalesced=True)
