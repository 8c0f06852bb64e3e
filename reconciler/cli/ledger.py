"""Commands about the record: `ledger verify|anchor|export`, and what `keeping` adds."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

import click

from reconciler.cli.keeping import KEEPING
from reconciler.cli.shell import Shell, shared
from reconciler.facts.checkpoints import Checkpoint, CheckpointRefused, check_all, key_at, parsed, public_key
from reconciler.facts.exporting import export_lines
from reconciler.passes.tokens import Act
from reconciler.workspace import Workspace, now
from reconciler.workspace.attesting import attest, attest_in_git, checkpoints_in_git

EVERY = 1000
"""After so many lines the progress is shown again."""


@click.group()
def ledger() -> None:
    """The append-only, hash-chained record of every fact, decision and effect."""


@ledger.command()
@click.option(
    "--checkpoint",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A file with checkpoints, one a line (may be repeated).",
)
@click.option(
    "--key",
    "keys",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A public key to trust beside the workspace's.",
)
@shared
def verify(shell: Shell, files: tuple[Path, ...], keys: tuple[Path, ...]) -> None:
    """Check every entry of the ledger: header, payload, chain. Fails naming the first entry that was altered.

    Then hold every checkpoint against it, those that `ledger anchor` has put into git and those in the files given: by
    them even a record that was cut off, or rewritten from some entry on, is found out.
    """
    workspace = shell.workspace()
    facts = workspace.facts(create=False)
    with shell.progress() as show:
        show("verifying", 0, 0)
        found = [*checkpoints_in_git(workspace), *_in_files(files)]
        trusted = _trusted(workspace, keys)
        verified, checkpoints = check_all(facts.ledger, found, workspace.spec.organization, trusted)
    newest = checkpoints[-1] if checkpoints else None
    if shell.as_json:
        attested = {"checkpoints": len(checkpoints), "attested": newest.seq if newest else None}
        shell.give({"ok": True, "entries": verified.entries, "head": verified.head, **attested})
        return
    shell.say(f"The ledger verifies: {verified.entries} entries, head {verified.head}")
    if newest is None:
        shell.say(
            "No checkpoint attests it: nothing would show if its end were cut off. Make one: reconciler ledger anchor"
        )
    else:
        count = f"{len(checkpoints)} checkpoint{'' if len(checkpoints) == 1 else 's'}"
        shell.say(f"Attested up to entry {newest.seq} by {count}, the newest in {newest.where} (key {newest.key_name})")


@ledger.command()
@click.option("--out", type=click.Path(path_type=Path), help="Append it to this file, and leave git alone.")
@shared
def anchor(shell: Shell, out: Path | None) -> None:
    """Sign what the ledger is now, and keep that where whoever can rewrite the store cannot reach.

    \b
      reconciler ledger anchor && git push origin --tags
      reconciler ledger anchor --out /media/worm/ledger.jsonl

    It verifies the ledger first. The checkpoint becomes an annotated tag in the policy repository, so push the tags; or
    a line of a file that you put out of reach. Nothing happens where this very entry is attested there already.
    """
    workspace = shell.workspace()
    shell.actor(workspace, Act.ADMINISTER)
    facts = workspace.facts(create=False)
    with shell.progress() as show:
        show("verifying", 0, 0)
        if out is None:
            done = attest_in_git(workspace, facts)
        else:
            before = list(_in_files([out]) if out.exists() else ())
            done = attest(workspace, facts, before, partial(_appended, out))
    known, where = done.checkpoint, done.where
    if shell.as_json:
        told = {"seq": known.seq, "digest": known.digest, "key": known.key_name, "where": where}
        shell.give({**told, "already": done.already})
        return
    shell.say(f"Entry {known.seq} is attested {'already, in' if done.already else 'in'} {where} (key {known.key_name})")


@ledger.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--from", "first", type=click.IntRange(1), default=1, show_default=True, help="The first entry.")
@click.option("--to", "last", type=click.IntRange(1), help="The last entry; the newest if not given.")
@click.option(
    "--without-keys", is_flag=True, help="Leave out the keys of the payloads: then only the chain can be checked."
)
@shared
def export(shell: Shell, file: Path | None, first: int, last: int | None, without_keys: bool) -> None:
    """Write the ledger as JSON lines into FILE (or to standard output), with all that it takes to check it elsewhere.

    \b
      reconciler ledger export ledger.jsonl
      python3 verify_ledger.py ledger.jsonl      needs nothing of this program

    It holds everything that is on record about people: treat it as such. The file is readable by its owner only. Its
    format is described in docs/ledger-format.md.
    """
    workspace = shell.workspace()
    shell.actor(workspace, Act.READ)
    facts = workspace.facts(create=False)
    checkpoints = list(checkpoints_in_git(workspace))
    with shell.progress() as show, facts.store.reading() as connection:
        lines = export_lines(
            connection,
            workspace.spec.organization,
            checkpoints,
            made_at=now(),
            first=first,
            last=last,
            keys=not without_keys,
        )
        count = _written(file, _counted(lines, lambda done: show("exporting", done, 0)))
    if file is None:
        return
    if shell.as_json:
        shell.give({"file": str(file), "lines": count})
    else:
        shell.say(f"{count} lines in {file}")


for each_command in KEEPING:
    ledger.add_command(each_command)


# --- checkpoints, where they are ------------------------------------------------------------------------------------


def _in_files(files: Sequence[Path]) -> Iterator[Checkpoint]:
    for file in files:
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            text = f"{file} cannot be read: {said}"
            raise CheckpointRefused(text, remedy="name a file that `ledger anchor --out` made") from None
        told = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
        if not told:
            raise CheckpointRefused(f"{file} holds no checkpoint", remedy="name a file that `ledger anchor --out` made")
        yield from (parsed(line, f"{file}:{number}") for number, line in told)


def _trusted(workspace: Workspace, files: Sequence[Path]) -> set[str]:
    """The public keys that count: the workspace's own, where it has one, and those given."""
    own = key_at(workspace.signing_key(), make=False)
    given = {_public(file) for file in files}
    return given | ({public_key(own)} if own is not None else set())


def _public(file: Path) -> str:
    try:
        text = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise CheckpointRefused(f"{file} holds no public key", remedy="name the file that ends in .pub beside the key")
    return text


def _appended(file: Path, checkpoint: Checkpoint) -> str:
    handle = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
    with os.fdopen(handle, "a", encoding="utf-8") as out:
        out.write(checkpoint.text() + "\n")
        out.flush()
        os.fsync(out.fileno())
    return str(file)


# --- lines ----------------------------------------------------------------------------------------------------------


def _written(file: Path | None, lines: Iterator[str]) -> int:
    if file is None:
        return _put(sys.stdout, lines)
    with os.fdopen(os.open(file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as out:
        return _put(out, lines)


def _put(out: TextIO, lines: Iterator[str]) -> int:
    count = 0
    for line in lines:
        out.write(line + "\n")
        count += 1
    return count


def _counted(lines: Iterator[str], show: Callable[[int], None]) -> Iterator[str]:
    for count, line in enumerate(lines, 1):
        if count % EVERY == 0:
            show(count)
        yield line
