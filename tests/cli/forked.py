"""The command line in processes forked from one that has loaded it once.

What the installed script does, without its start: loading everything takes longer than most commands do, and the tests
give some thousand commands. Whoever needs the script itself, with a terminal or a signal, starts it
(`Company.command`).
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["run"]

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.cli.loaded"])
_CHANNELS = ("in", "out", "err")


def run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: bytes, patience: float
) -> tuple[int, bytes, bytes]:
    """Run a command to its end: its exit status and what it printed on both channels. `patience` is in seconds."""
    with TemporaryDirectory() as place:
        channels = [Path(place) / name for name in _CHANNELS]
        channels[0].write_bytes(stdin)
        process = _FORKS.Process(target=_run, args=(tuple(arguments), str(folder), dict(environment), channels))
        process.start()
        process.join(patience)
        if process.is_alive():
            process.kill()
            raise TimeoutError(f"{arguments} did not end within {patience:.0f} s")
        assert process.exitcode is not None
        out, err = (channel.read_bytes() for channel in channels[1:])
        return process.exitcode, out, err


def _run(arguments: Sequence[str], folder: str, environment: Mapping[str, str], channels: Sequence[Path]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    for number, channel in enumerate(channels):
        opened = os.open(channel, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    # The streams were made before the variables that say how to write were known.
    sys.stdin, sys.stdout = os.fdopen(0, encoding="utf-8"), os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace")
    from reconciler.cli import main

    sys.argv = ["reconciler", *arguments]
    main()
