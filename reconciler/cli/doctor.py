"""`doctor`: the workspace's health."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click
from rich.text import Text

from reconciler.cli.endings import Exit, end
from reconciler.cli.notify import RECENT
from reconciler.cli.shell import Shell, shared
from reconciler.errors import ProblemsFound, ReconcilerError
from reconciler.notifications import channel_of
from reconciler.notifications.channels import NotSent
from reconciler.notifications.outbox import Outbox
from reconciler.plan.containment import contained_entitlements
from reconciler.workspace import Workspace, now


@dataclass(frozen=True, slots=True)
class _Finding:
    """One thing that was looked at. `level` is ok, warning or error."""

    level: str
    about: str
    text: str


@click.command()
@shared
def doctor(shell: Shell) -> None:
    """Can everything be reached and read, and is the configuration safe? Changes nothing.

    Looks at the workspace file, the policies, the store and its ledger, every target, and every channel by which people
    are told (without sending anything). Ends with 1 where something is wrong.
    """
    found = list(_examine(shell.workspace()))
    if shell.as_json:
        shell.give([{"level": each.level, "about": each.about, "text": each.text} for each in found])
    else:
        shell.say(*map(_line, found))
    end(Exit.ERROR if any(each.level == "error" for each in found) else Exit.DONE)


def _line(finding: _Finding) -> Text:
    sign, style = {"ok": ("✓", "green"), "warning": ("!", "yellow")}.get(finding.level, ("✗", "red"))
    line = Text(f"{sign} ", style=style)
    line.append(f"{finding.about}: ", style="bold")
    line.append(finding.text)
    return line


def _examine(workspace: Workspace) -> Iterator[_Finding]:
    yield _Finding("ok", "workspace", f"{workspace.path}: {workspace.spec.organization}, {workspace.spec.timezone}")
    yield from _attempt("policies", lambda: _policies(workspace))
    yield from _attempt("store", lambda: _store(workspace))
    for name in workspace.spec.sources:
        yield from _attempt(f"source {name}", lambda name=name: _source(workspace, name))  # type: ignore[misc]
    for name in workspace.spec.targets:
        yield from _attempt(f"target {name}", lambda name=name: _target(workspace, name))  # type: ignore[misc]
    for name in workspace.spec.notifications.channels:
        yield from _attempt(f"channel {name}", lambda name=name: _channel(workspace, name))  # type: ignore[misc]


def _attempt(about: str, look: Callable[[], Iterator[_Finding]]) -> Iterator[_Finding]:
    try:
        yield from list(look())
    except ProblemsFound as error:
        yield _Finding("error", about, f"{error.message}; see `reconciler check`\n{error}")
    except ReconcilerError as error:
        yield _Finding("error", about, str(error))


def _policies(workspace: Workspace) -> Iterator[_Finding]:
    policy = workspace.policy()
    revision = policy.revision or "not in git"
    yield _Finding("ok", "policies", f"{len(policy.roles)} roles, {len(policy.entitlements)} entitlements ({revision})")
    if not policy.revision:
        yield _Finding("warning", "policies", "the policy tree is not in git: nobody can review how it changed")


def _store(workspace: Workspace) -> Iterator[_Finding]:
    if not workspace.has_store():
        yield _Finding("warning", "store", "there is no record yet: reconciler people import")
        return
    facts = workspace.facts(create=False)
    verified = facts.ledger.verify()
    population = facts.population()
    yield _Finding("ok", "store", f"{verified.entries} ledger entries verify, {len(population.people)} people")
    for problem in facts.store.check_safety():
        yield _Finding(problem.severity, "store", f"{problem.message}\n  → {problem.remedy}")
    for person, events in sorted(facts.waiting().items()):
        near = facts.suggest(person)
        text = f"{events} event{'' if events == 1 else 's'} of `{person}`, whom nobody has hired, wait"
        yield _Finding("warning", "store", text + (f": did you mean {', '.join(near)}?" if near else ""))
    if not population.people:
        yield _Finding("warning", "store", "no people are known yet: reconciler people import")


def _source(workspace: Workspace, name: str) -> Iterator[_Finding]:
    feed = workspace.source(name).read(("id",), ("id",))
    count = sum(1 for _ in feed.rows)
    yield _Finding("ok", f"source {name}", f"{count} rows")


def _target(workspace: Workspace, name: str) -> Iterator[_Finding]:
    policy = workspace.policy()
    facts = workspace.facts(create=False) if workspace.has_store() else None
    target = workspace.targets(policy, [name], facts)[name].target
    warnings = target.probe()
    locators = [each.locator for ref, each in policy.entitlements.items() if ref.target == name]
    observation = target.observe(locators)
    accounts = observation.accounts
    if accounts.reading.whole:
        yield _Finding("ok", f"target {name}", f"{len(accounts.accounts)} accounts, {len(locators)} entitlements")
    else:
        yield _Finding("error", f"target {name}", f"the accounts were read {accounts.reading}: {accounts.detail}")
    for key, read in observation.entitlements.items():
        if not read.reading.whole:
            yield _Finding("error", f"target {name}", f"{key} was read {read.reading}: {read.detail}")
    told = [(each.kind, each.text) for each in dict.fromkeys([*warnings, *observation.findings])]
    told += [(finding.kind, finding.text) for finding in contained_entitlements(name, policy, observation)]
    for kind, text in told:
        yield _Finding("warning", f"target {name}", f"{kind}: {text}")


def _channel(workspace: Workspace, name: str) -> Iterator[_Finding]:
    about = f"channel {name}"
    try:
        weak = channel_of(workspace, name).reach()
    except NotSent as failure:
        yield _Finding("error", about, failure.text)
    else:
        yield _Finding("ok", about, f"can be reached ({workspace.spec.notifications.channels[name].type})")
        yield from (_Finding("warning", about, each) for each in weak)
    states = Outbox(workspace.facts(create=False).store).states(now() - RECENT) if workspace.has_store() else []
    for state in states:
        if state.channel == name and state.given_up:
            text = f"{state.given_up} notifications of the last {RECENT.days} days were given up"
            yield _Finding("warning", about, f"{text}: {state.trouble}" if state.trouble else text)
