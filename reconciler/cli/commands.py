"""The commands by name. A module is imported when its command runs, so that help loads no database."""

from __future__ import annotations

from collections import UserDict
from importlib import import_module
from typing import Any

import click

__all__ = ["Commands"]

_COMMANDS = {
    "init": (
        "policies:init",
        "Make a new workspace in DIR: a workspace file, starter policies, an empty document vault to try things on.",
    ),
    "check": (
        "policies:check",
        "Check the workspace and all its policies: every mistake, each at its file, line and column.",
    ),
    "test": (
        "trials:test",
        "Run the tests that stand beside the policies (`tests:` sections), and say what no test tries.",
    ),
    "schema": (
        "policies:schema",
        "Print the JSON Schema of policy files, so that editors complete and check them.",
    ),
    "people": (
        "people:people",
        "Who works here: import what HR knows, decide about exits that wait, record single events.",
    ),
    "evidence": ("evidence:evidence", "What people have signed, passed and learned."),
    "plan": ("plans:plan", "Show what would change, and why."),
    "approve": (
        "plans:approve",
        "Release a plan, or one held slice of it, by the DIGEST that `plan` printed.",
    ),
    "apply": ("plans:apply", "Carry out a saved plan (FILE), or plan and carry out."),
    "revoke": (
        "emergency:revoke",
        "Shut PERSON out of everything, now: on every target, ahead of everything else.",
    ),
    "undo": ("emergency:undo", "Bring back how things stood before RUN, the name that `apply` printed."),
    "why": ("questions:why", "Why PERSON may do that, or why not, and what would change it."),
    "can": ("questions:can", "Whether PERSON may do that: yes or no, and nothing else."),
    "access": (
        "questions:access",
        "Everything that PERSON may do, highest class first; and what is withheld from them, with why.",
    ),
    "who": ("questions:who", "Who may do that, by which role or exception, and until when."),
    "simulate": ("outlook:simulate", "What a step of HR's would change."),
    "forecast": (
        "outlook:forecast_",
        "Who will lose or gain what when nothing happens but time, from what, and what prevents it.",
    ),
    "impact": (
        "impact:impact",
        "Who gains and loses what if HEAD takes the place of BASE, highest class first, with the clause responsible.",
    ),
    "export": ("export:export", "Write the decisions down in somebody else's form."),
    "ledger": ("ledger:ledger", "The append-only, hash-chained record of every fact, decision and effect."),
    "store": ("store:store", "Where the record is kept."),
    "token": (
        "tokens:token",
        "Who acts where nobody has logged in: tokens for HR's system, for CI, for another team.",
    ),
    "serve": (
        "serve:serve",
        "Stand there day and night: take events from HR's systems, act at once, and again when time changes an answer.",
    ),
    "worker": ("serve:worker", "Do passes for the services of a store that several machines share."),
    "notify": ("notify:notify", "Word to people: try a channel, send what waits, see how it stands."),
    "doctor": (
        "doctor:doctor",
        "Can everything be reached and read, and is the configuration safe? Changes nothing.",
    ),
}
"""Command: its module and attribute in this package, and the first sentence of its help; in a first day's order."""


class _Loading(UserDict[str, click.Command]):
    """The commands by name, each imported when it is asked for."""

    def __getitem__(self, name: str) -> click.Command:
        module, attribute = _COMMANDS[name][0].split(":")
        command: click.Command = getattr(import_module(f"{__package__}.{module}"), attribute)
        return command


class Commands(click.Group):
    """The group of all commands, each loaded when it is needed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Loading({name: click.Command(name) for name in _COMMANDS})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of a first day."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported."""
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help, without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in _COMMANDS.items()])
