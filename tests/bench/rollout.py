"""A workspace of 100,000 people on a real directory, as commands: a plan with nothing to change, then one in which all
280,000 memberships are to be granted, and carrying that out. Each command is a process of its own, start of Python
included, and so is its peak memory.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from reconciler.passes.standing import unchanged
from reconciler.workspace import Workspace
from tests.bench import directory
from tests.bench.directory import GROUPS, PEOPLE, PER_GROUP
from tests.bench.leaving import command, program, write_workspace
from tests.bench.measuring import Measurement, Ran, best, in_a_process, timed
from tests.servers.slapd import PASSWORD, Slapd, required, started

SIZE = f"{PEOPLE} people, {GROUPS} groups, {GROUPS * PER_GROUP} memberships"
REFERENCE = "ldapsearch -E pr=1000, everything that has to be read"


@contextmanager
def company(folder: Path, *, members: bool) -> Iterator[Slapd]:
    """The directory, with its members or without, and beside it a workspace whose people should be its members."""
    required()
    directory.write(folder / "bench.ldif", members=members)
    with started(folder / "slapd", ldif=folder / "bench.ldif", overlays=["syncprov"] if members else []) as server:
        bind = server.account("reconciler")
        os.environ |= {"LDAP_URL": server.url, "LDAP_BIND": bind, "LDAP_PASSWORD": PASSWORD}
        (folder / "company").mkdir()
        write_workspace(folder / "company")
        command(folder / "company", "people", "import", "people.csv")
        yield server


def _by_ldapsearch(server: Slapd) -> None:
    directory.by_ldapsearch(server, "people", "(objectClass=person)", ["uid", *directory.TWO])
    directory.by_ldapsearch(server, "groups", "(objectClass=groupOfNames)", ["cn", "member"])


def _by_ldapmodify(server: Slapd, folder: Path) -> Ran:
    """The same additions by OpenLDAP's client, after all groups have been emptied (which is not timed)."""
    path, placeholder = folder / "changes.ldif", f"cn=placeholder,ou=groups,{directory.SUFFIX}"
    command = ["ldapmodify", *directory.login(server), "-f", str(path)]

    def run() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    emptied = "".join(
        f"dn: cn=g{group},ou=groups,{directory.SUFFIX}\nchangetype: modify\nreplace: member\nmember: {placeholder}\n\n"
        for group in range(GROUPS)
    )
    path.write_text(emptied, "utf-8")
    run()
    added = {group: directory.members_of(group) for group in range(GROUPS)}
    path.write_text(directory.change_records("add", added, coalesced=True), "utf-8")
    return Ran(timed(run))


def _timed(folder: Path, *arguments: str) -> Ran:
    return in_a_process([program(), *arguments], folder / "company", accepted=(0, 3))


def in_sync() -> Iterator[Measurement]:
    """Everything is as it should be, and a run has said so."""
    with tempfile.TemporaryDirectory() as name, company(Path(name), members=True) as server:
        folder = Path(name)
        command(folder / "company", "apply", "--yes")
        reading = lambda: best(lambda: _by_ldapsearch(server), 3)  # noqa: E731
        yield "plan, nothing to change", SIZE, lambda: _timed(folder, "plan"), REFERENCE, reading
        command(folder / "company", "apply", "--yes", "--if-changed")
        wiring = Workspace.load(folder / "company" / "reconciler.yaml").wire()
        if unchanged(wiring) is None:
            raise RuntimeError("the pass left no standing")
        whole = lambda: _timed(folder, "apply", "--yes")  # noqa: E731
        yield "a pass where nothing has changed", SIZE, lambda: best(lambda: unchanged(wiring)), "a full pass", whole
        spared = lambda: _timed(folder, "apply", "--yes", "--if-changed")  # noqa: E731
        yield "the same as a command, start included", SIZE, spared, "", None


def everything() -> Iterator[Measurement]:
    """Nobody is in any group yet."""
    with tempfile.TemporaryDirectory() as name, company(Path(name), members=False) as server:
        folder = Path(name)
        reading = lambda: best(lambda: _by_ldapsearch(server), 3)  # noqa: E731
        yield "plan, everything to grant", SIZE, lambda: _timed(folder, "plan"), REFERENCE, reading
        command(folder / "company", "plan", "--out", "plan.json")
        with (folder / "company" / "plan.json").open("rb") as file:
            # Its beginning is enough: what this process holds, its children are said to have held.
            begins = file.read(1000).decode("utf-8", "ignore")
        [digest] = re.findall(r'"digest": "(sha256:[0-9a-f]+)",\s+"made_at"', begins)
        command(folder / "company", "approve", digest, "--reason", "roll-out")
        together = lambda: _by_ldapmodify(server, folder)  # noqa: E731
        apply = lambda: _timed(folder, "apply", "--yes")  # noqa: E731
        yield "apply, everything to grant", SIZE, apply, "ldapmodify, coalesced per group", together


PARTS: Mapping[str, Callable[[], Iterator[Measurement]]] = {"in-sync": in_sync, "everything": everything}
"""What is measured, each in a process of its own."""
