"""The group `notify`, and how a command that acts tells people what it came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta

import click

from reconciler.cli.endings import Exit, end
from reconciler.cli.shell import Shell, shared
from reconciler.errors import ReconcilerError
from reconciler.facts.people import Facts
from reconciler.notifications import Notifier, channel_of
from reconciler.notifications.channels import NotSent, Outgoing
from reconciler.notifications.outbox import ChannelState, Outbox
from reconciler.notifications.texts import trial
from reconciler.passes.tokens import Act
from reconciler.policy.model import Policy
from reconciler.workspace import RunInProgress, Workspace, now

LONGEST = 30.0
"""Seconds that a command waits for its messages to go, when all else is done; what is left the next one sends."""

RECENT = timedelta(days=7)
"""So far back `notify list` counts what was sent and what was given up."""


@click.group()
def notify() -> None:
    """Word to people: try a channel, send what waits, see how it stands."""


@notify.command("test")
@click.argument("channel")
@shared
def test_(shell: Shell, channel: str) -> None:
    """Send a test message by CHANNEL, a name under `notifications` in the workspace file.

    \b
      reconciler notify test security

    `reconciler doctor` looks whether all channels can be reached, and sends nothing.
    """
    workspace = shell.workspace()
    shell.actor(workspace, Act.APPLY)
    made, at = channel_of(workspace, channel), now()
    settings = workspace.spec.notifications
    language = settings.language_of(settings.channels[channel])
    organization = workspace.spec.organization
    message = trial(channel, language=language, organization=organization, style=made.style)
    try:
        made.send(Outgoing(f"test-{int(at.timestamp() * 1000)}", message, at, organization, language))
    except NotSent as failure:
        _give(shell, {"channel": channel, "sent": False, "why": failure.text}, f"{channel}: not sent: {failure.text}")
        end(Exit.ERROR)
    _give(shell, {"channel": channel, "sent": True}, f"{channel}: sent.")


@notify.command()
@shared
def send(shell: Shell) -> None:
    """Send what waits to be said and may be sent by now.

    `apply` and the service do this by themselves; this is for a cron line of its own, or after a channel was mended.
    Exit status 4 where something still waits, or was given up.
    """
    workspace = shell.workspace()
    shell.actor(workspace, Act.APPLY)
    facts = workspace.facts(create=False)
    with shell.working():
        Notifier(workspace, facts).send_waiting(LONGEST)
    _show(shell, workspace, facts)
    left = [each for each in Outbox(facts.store).states(now() - RECENT) if each.waiting]
    end(Exit.FAILED if left else Exit.DONE)


@notify.command("list")
@shared
def list_(shell: Shell) -> None:
    """How it stands with each channel: what waits, and of the last seven days what was sent and what was given up."""
    workspace = shell.workspace()
    shell.actor(workspace, Act.READ)
    _show(shell, workspace, workspace.facts(create=False) if workspace.has_store() else None)


def _show(shell: Shell, workspace: Workspace, facts: Facts | None) -> None:
    states = Outbox(facts.store).states(now() - RECENT) if facts is not None else []
    known = {name: ChannelState(name) for name in workspace.spec.notifications.channels}
    known |= {state.channel: state for state in states}
    if shell.as_json:
        shell.give([asdict(state) for state in known.values()])
        return
    for name, state in known.items():
        trouble = f"; the last attempt: {state.trouble}" if state.trouble else ""
        given_up = f", {state.given_up} given up" if state.given_up else ""
        shell.say(f"{name}: {state.waiting} waiting, {state.sent} sent{given_up}{trouble}")
    if not known:
        shell.say("There are no channels.")


def _give(shell: Shell, data: dict[str, object], line: str) -> None:
    if shell.as_json:
        shell.give(data)
    else:
        shell.say(line)


@contextmanager
def people_told(
    shell: Shell, workspace: Workspace, facts: Facts, policy: Callable[[], Policy] | None = None, *, whole: bool = False
) -> Iterator[Notifier]:
    """A notifier for what the command comes to. When that is done, however it ended, what it was told is kept, and what
    waits is sent, for half a minute at the most. Nothing that goes wrong with it changes how the command ends.

    With a `policy`, whose evidence will run out is told as well; with `whole`, that the command failed.
    """
    notifier = Notifier(workspace, facts, unusable=lambda error: shell.note(f"nobody is told by this channel: {error}"))
    try:
        yield notifier
    except RunInProgress:
        raise
    except ReconcilerError as error:
        if whole:
            notifier.whole_failed(error.code)
        raise
    finally:
        if notifier.speaks:
            _tell(shell, notifier, policy)


def _tell(shell: Shell, notifier: Notifier, policy: Callable[[], Policy] | None) -> None:
    try:
        with shell.working():
            notifier.record(policy)
            notifier.send_waiting(LONGEST)
    except ReconcilerError as error:
        shell.note(f"people could not be told: {error.message}")
