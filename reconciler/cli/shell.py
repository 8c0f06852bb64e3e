"""What every command shares: its options, and where results and progress go.

Results go to standard output and nothing else does. Standard error has progress on a terminal, and elsewhere the events
of a command that acts (`reconciler.logs`).
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from reconciler.logs import shown
from reconciler.passes.operators import ANYTHING, Actor
from reconciler.passes.tokens import Act
from reconciler.workspace import Workspace

PIECES = 100_000
"""So many pieces of JSON are put together at a time."""

F = TypeVar("F", bound=Callable[..., Any])


def json_text(value: object) -> Iterator[str]:
    """A result for a machine, part by part: a large plan as one text takes a gigabyte."""
    pieces = json.JSONEncoder(ensure_ascii=False, indent=2).iterencode(value)
    while part := "".join(islice(pieces, PIECES)):
        yield part
    yield "\n"


@dataclass(frozen=True, slots=True)
class Shell:
    """One command's view of the world outside: which workspace, which form of output."""

    workspace_file: str
    as_json: bool
    verbose: int
    form: str = "text"
    """The form of output: ``text``, ``json`` or what else the command offers."""
    token: str = field(default="", repr=False)

    def workspace(self) -> Workspace:
        """The workspace that the command works on."""
        return Workspace.load(self.workspace_file)

    def actor(self, workspace: Workspace, act: Act, *things: str) -> Actor:
        """Who is acting, once it is clear that they may do that here (to each of these things, or to anything).

        Raises `NotAllowed` and `TokenRefused`.
        """
        actor, operators = workspace.actor(self.token), workspace.operators()
        for thing in things or (ANYTHING,):
            operators.check(actor, act, thing)
        return actor

    def say(self, *lines: Text | str) -> None:
        """Print lines of the result for a person; never wrapped, so that they can be searched and cut."""
        console = Console(soft_wrap=True, highlight=False)
        for line in lines:
            console.print(line, soft_wrap=True, markup=False)

    def give(self, value: object) -> None:
        """Print the result for a machine."""
        for part in json_text(value):
            click.echo(part, nl=False)

    def note(self, line: str) -> None:
        """Say something beside the result, on standard error."""
        Console(stderr=True, soft_wrap=True, highlight=False).print(line, markup=False, style="dim")

    @contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None]]:
        """A callable that shows how far long work has come: what, how many done, of how many (0: unknown)."""
        console = Console(stderr=True)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=None)

            def show(what: str, done: int = 0, total: int = 0) -> None:
                bar.update(task, description=what, completed=done, total=total or None)

            yield show

    @contextmanager
    def working(self) -> Iterator[Callable[[str, int, int], None]]:
        """`progress`, for a command that acts: away from a terminal, its events go to standard error as JSON lines; on
        a terminal, with `-v`, as lines for people.
        """
        terminal = Console(stderr=True).is_terminal
        with ExitStack() as stack:
            if not terminal or self.verbose:
                detailed = self.verbose > (1 if terminal else 0)
                stack.enter_context(shown(sys.stderr, as_json=not terminal, detailed=detailed))
            yield stack.enter_context(self.progress())


def shared(command: F) -> F:
    """The options that every command takes; the command is called with a `Shell` first."""
    return shared_with()(command)


def shared_with(*forms: str) -> Callable[[F], F]:
    """As `shared`, for a command that has further forms of output beside text and JSON."""

    def decorate(command: F) -> F:
        @click.option(
            "--workspace",
            "workspace_file",
            default="reconciler.yaml",
            show_default=True,
            metavar="FILE",
            envvar="RECONCILER_WORKSPACE",
            help="The workspace file.",
        )
        @click.option(
            "--output", type=click.Choice(["text", "json", *forms]), default="text", show_default=True, help="Form."
        )
        @click.option("--token", envvar="RECONCILER_TOKEN", metavar="T", default="", help="Act as the token's owner.")
        @click.option("-v", "--verbose", count=True, help="Say more; nothing is shortened.")
        @functools.wraps(command)
        def run(workspace_file: str, output: str, token: str, verbose: int, **arguments: Any) -> Any:
            return command(Shell(workspace_file, output == "json", verbose, output, token), **arguments)

        return run  # type: ignore[return-value]

    return decorate
