"""A command that kills itself with SIGKILL at one chosen instant of its run, in a process of its own.

The instants are all those at which something becomes durable or leaves the machine: before and after every
transaction of the record, at its end before it is committed, and before and after every request that changes a
directory. `die_at` runs to one of them.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from adapters.ldap.server import WritableServer
from adapters.ldap.target import LdapTarget
from reconciler.cli.main import main
from reconciler.facts.ledger import Ledger
from reconciler.passes.wiring import Wiring
from reconciler.targets import Capabilities

SMALL_BATCHES = 3
"""So many steps go into one batch, so that a short run has several."""


def die_at(instant: int, folder: Path, environment: Mapping[str, str], *arguments: str) -> bool:
    """Run a command until that instant, counted from 0. False: it came to its end before."""
    process = os.fork()
    if process == 0:
        _run(Countdown(instant), folder, environment, arguments)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"ended with {os.WEXITSTATUS(status)}"
    return False


class Countdown:
    """Kills the process when its instant has come."""

    def __init__(self, instant: int) -> None:
        self._left = instant

    def __call__(self) -> None:
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with an instant before and one after it."""

        def watched(*arguments: Any, **named: Any) -> Any:
            self()
            result = function(*arguments, **named)
            self()
            return result

        return watched

    def after(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with an instant after it."""

        def watched(*arguments: Any, **named: Any) -> Any:
            result = function(*arguments, **named)
            self()
            return result

        return watched


@contextmanager
def _watched(tick: Countdown) -> Iterator[None]:
    with ExitStack() as stack:
        for change in (
            patch.object(Wiring, "record", tick.around(Wiring.record)),
            patch.object(Ledger, "append", tick.after(Ledger.append)),
            patch.object(WritableServer, "modify", tick.around(WritableServer.modify)),
            patch.object(LdapTarget, "describe", lambda _: Capabilities(batch_size=SMALL_BATCHES)),
        ):
            stack.enter_context(change)
        yield


def _run(tick: Countdown, folder: Path, environment: Mapping[str, str], arguments: tuple[str, ...]) -> None:
    """In the child: the command, as the console script would run it, and nothing of the test's afterwards."""
    status = 70
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["reconciler", *arguments]
        with _watched(tick):
            main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 70
    finally:
        os._exit(status)
