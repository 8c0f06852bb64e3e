"""Reading and changing who may open a large tree of files, beside setfacl and getfacl on it in the same run."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from reconciler.targets import Op, OutcomeKind
from tests.adapters.file_server import FileServer, required
from tests.bench.measuring import Measurement

FOLDERS, PER_FOLDER = 2_000, 99
SIZE = f"{FOLDERS * (PER_FOLDER + 1):,} files and folders"
LOGINS = [f"u{number}" for number in range(20)]


def room() -> Iterator[Measurement]:
    """Observe it whole, observe one account, grant to one more, find nothing left to do, revoke."""
    required()
    with tempfile.TemporaryDirectory() as folder:
        server = FileServer(Path(folder), LOGINS)
        plant(server)
        number = server.numbers[LOGINS[-1]]
        setfacl = (["-R", "-m", f"user:{number}:rX"], ["-R", "-d", "-m", f"user:{number}:rX"])
        yield "files/observe", SIZE, lambda: observed(server), "getfacl -R", lambda: getfacl(server)
        one = [str(server.numbers[LOGINS[0]])]
        yield "files/observe-one", SIZE, lambda: server.observe("top", accounts=one), "", None
        reference = by_setfacl(server, *setfacl)
        yield (
            "files/grant",
            SIZE,
            changed(server, Op.GRANT),
            "setfacl -R -m, then -R -d -m, on another entry",
            reference,
        )
        yield "files/grant-again", SIZE, changed(server, Op.GRANT, OutcomeKind.ALREADY), "", None
        reference = by_setfacl(server, ["-R", "-x", f"user:{number}"], ["-R", "-d", "-x", f"user:{number}"])
        yield "files/revoke", SIZE, changed(server, Op.REVOKE), "setfacl -R -x, then -R -d -x, on that entry", reference


def plant(server: FileServer) -> None:
    """Folders of files, open to all but the last two."""
    for number in range(FOLDERS):
        made = server.make(f"top/{number // 50}/{number}/")
        for each in range(PER_FOLDER):
            (made / f"paper {each}.txt").touch()
    server.apply(*(server.step(Op.GRANT, login, "top") for login in LOGINS[:-2]))


def observed(server: FileServer) -> None:
    """Everything, with what deviates below."""
    if server.observe("top").findings:
        raise RuntimeError("something deviates")


def changed(server: FileServer, op: Op, expected: OutcomeKind = OutcomeKind.APPLIED) -> Callable[[], None]:
    """One step for the last account but one."""

    def work() -> None:
        [outcome] = server.apply(server.step(op, LOGINS[-2], "top"))
        if outcome.kind is not expected:
            raise RuntimeError(f"{outcome.kind}: {outcome.detail}")

    return work


def getfacl(server: FileServer) -> None:
    """Everything, thrown away."""
    command = ["getfacl", "-R", "-p", "-n", "-s", str(server.root / "top")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def by_setfacl(server: FileServer, *commands: list[str]) -> Callable[[], None]:
    """The same change for another account, access and default, by setfacl."""

    def work() -> None:
        for command in commands:
            subprocess.run(["setfacl", *command, str(server.root / "top")], check=True)

    return work
