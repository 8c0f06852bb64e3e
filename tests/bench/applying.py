"""Carrying out many membership changes on a large directory, beside OpenLDAP's own client with the same changes, one
value at a time and coalesced per group, on the same server in the same run.

What is measured is the whole run: every batch on record as intent before and as outcome after, the look at what is
still wanted, and reading back all that was changed. `ldapmodify` does none of that.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from adapters.ldap import LdapTarget
from reconciler.apply.context import RunContext
from reconciler.apply.journal import Journal
from reconciler.apply.run import carry_out
from reconciler.apply.telling import Told
from reconciler.facts.ledger import Entry, NewEntry
from reconciler.facts.people import Facts
from reconciler.facts.store import Store
from reconciler.plan.model import Cause, CauseKind, Change, in_order
from reconciler.targets import Op
from tests.bench import directory
from tests.bench.company import NOW
from tests.bench.directory import GROUPS, PEOPLE, SUFFIX, dn, newcomers
from tests.bench.measuring import Measurement, again

PER_GROUP_CHANGED = 25


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
        for number in newcomers(group, PER_GROUP_CHANGED)
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


def room() -> Iterator[Measurement]:
    """One run of many changes."""
    with tempfile.TemporaryDirectory() as name, directory.serving(Path(name)) as server:
        folder = Path(name)
        target = LdapTarget(directory.context(folder), directory.settings(server))
        due = changes(target)
        added = {group: newcomers(group, PER_GROUP_CHANGED) for group in range(GROUPS)}
        size = f"{len(due)} changes in {GROUPS} groups, directory of {PEOPLE} people"
        single = lambda: directory.by_ldapmodify(server, folder, added, coalesced=False)  # noqa: E731
        together = lambda: directory.by_ldapmodify(server, folder, added, coalesced=True)  # noqa: E731
        yield "apply", size, lambda: by_us(target, due, folder), "ldapmodify, one value at a time", single
        yield "apply", size, again, "ldapmodify, coalesced per group", together
