"""How a command ends: the exit statuses, and how an error is told."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import IntEnum

import click
from rich.console import Console
from rich.text import Text

from reconciler.errors import Problem, ProblemsFound, ReconcilerError

__all__ = ["Exit", "end", "error_json", "problem_text", "problems_json", "tell"]


class Exit(IntEnum):
    """What a command ends with."""

    DONE = 0
    ERROR = 1
    PENDING = 2
    HELD = 3
    FAILED = 4
    USAGE = 64


def end(status: Exit) -> None:
    """End the command with this exit status."""
    if status:
        raise click.exceptions.Exit(int(status))


def tell(error: ReconcilerError, *, as_json: bool) -> None:
    """Tell an error on standard error, in the form that was asked for."""
    if as_json:
        click.echo(json.dumps({"error": error_json(error)}, ensure_ascii=False, indent=2), err=True)
        return
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if isinstance(error, ProblemsFound):
        for problem in error.problems:
            console.print(problem_text(problem))
        console.print(Text(error.message, style="bold red"))
        return
    console.print(Text(f"error: {error}", style="red"))


def error_json(error: ReconcilerError) -> dict[str, object]:
    """An error as data."""
    place = error.place
    found: dict[str, object] = {
        "code": error.code,
        "message": error.message,
        "place": str(place) if place else None,
        "remedy": error.remedy,
    }
    if isinstance(error, ProblemsFound):
        found["problems"] = problems_json(error.problems)
    return found


def problems_json(problems: Iterable[Problem]) -> list[dict[str, object]]:
    """Problems as data."""
    return [
        {
            "code": problem.code,
            "severity": problem.severity,
            "message": problem.message,
            "file": problem.place.file,
            "line": problem.place.line,
            "column": problem.place.column,
            "remedy": problem.remedy,
        }
        for problem in problems
    ]


def problem_text(problem: Problem) -> Text:
    """A problem as a person reads it: place first, so that editors can jump there."""
    style = "red" if problem.severity == "error" else "yellow"
    line = Text(f"{problem.place}: ", style="bold")
    line.append(f"{problem.severity}: ", style=style)
    line.append(f"{problem.message} ")
    line.append(f"[{problem.code}]", style="dim")
    if problem.remedy:
        line.append(f"\n  → {problem.remedy}", style="cyan")
    return line
