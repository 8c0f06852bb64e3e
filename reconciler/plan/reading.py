"""How a plan reads: grouped by target and person, what is taken away first, what waits and why, a summary line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from rich.text import Text

from reconciler.plan.model import Change, Finding, Held, Plan, Withheld, count_by_op
from reconciler.targets import Op

_SIGN = {
    Op.DISABLE_ACCOUNT: ("⊘", "bold red"),
    Op.END_SESSIONS: ("⊘", "red"),
    Op.REVOKE: ("−", "red"),
    Op.DELETE_ACCOUNT: ("✗", "bold red"),
    Op.CREATE_ACCOUNT: ("✚", "green"),
    Op.ENABLE_ACCOUNT: ("◉", "green"),
    Op.GRANT: ("+", "green"),
}
_VERB = {
    Op.DISABLE_ACCOUNT: "disable account",
    Op.END_SESSIONS: "end sessions",
    Op.DELETE_ACCOUNT: "delete account",
    Op.CREATE_ACCOUNT: "create account",
    Op.ENABLE_ACCOUNT: "enable account",
}
MANY_PEOPLE = 40
"""Beyond so many people on one target, a held slice is told by its numbers and a few names."""


MANY_REASONS = 5
"""So many reasons are told for one held slice."""


def plan_lines(plan: Plan, names: Mapping[str, str], *, whole: bool = False) -> Iterator[Text]:
    """The plan, line by line. `names` is person id → name as HR spells it; `whole` never shortens."""
    yield from _targets(plan, names, whole=whole)
    yield from held_lines(plan)
    yield from _observed(plan.observed, names, whole=whole)
    yield from _withheld(plan.withheld, names, whole=whole)
    yield from _findings(plan.findings, whole=whole)
    yield summary_line(plan)


def summary_line(plan: Plan) -> Text:
    """One line: what would be done, what waits, what is not given, what to look at."""
    due = count_by_op(plan.due)
    parts = [f"{count} {_plural(op, count)}" for op, count in due.items()]
    line = Text("Plan: ", style="bold")
    if plan.incomplete:
        line.append("incomplete, something could not be read; ", style="bold red")
    if not plan.changes and not plan.incomplete:
        line.append("in sync", style="bold green")
    else:
        line.append(", ".join(parts) or "no changes to carry out", style="bold")
    if plan.held:
        line.append(f" · {len(plan.held)} held", style="bold yellow")
    if plan.observed:
        line.append(f" · {len(plan.observed)} only observed")
    if plan.withheld:
        line.append(f" · {len(plan.withheld)} withheld")
    if plan.findings:
        line.append(f" · {len(plan.findings)} finding{'s' if len(plan.findings) != 1 else ''}")
    return line


def _plural(op: str, count: int) -> str:
    if op.endswith("-account"):
        return op.replace("-account", f" account{'s' if count != 1 else ''}")
    return f"{op}{'s' if count != 1 and not op.endswith('s') else ''}".replace("-", " ")


def _count(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _targets(plan: Plan, names: Mapping[str, str], *, whole: bool) -> Iterator[Text]:
    for target, seen in plan.targets.items():
        changes = [change for change in plan.changes if change.target == target]
        head = Text(target, style="bold underline")
        if seen.error:
            head.append(f"  could not be read: {seen.error}", style="red")
        elif not changes:
            head.append("  no changes", style="dim")
        yield head
        yield from _by_subject(changes, names, whole=whole)
        yield Text()


def _by_subject(changes: Sequence[Change], names: Mapping[str, str], *, whole: bool) -> Iterator[Text]:
    groups: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        groups[change.subject].append(change)
    ordered = sorted(groups.items(), key=lambda item: (all(c.op is Op.GRANT for c in item[1]), item[0]))
    shown = ordered if whole else ordered[:MANY_PEOPLE]
    for subject, own in shown:
        yield _subject(subject, names)
        yield from (_change(change) for change in own)
    if len(shown) < len(ordered):
        rest = len(ordered) - len(shown)
        yield Text(f"  … and {rest} more people (all of them: --verbose, or --output json)", style="dim")


def _subject(subject: str, names: Mapping[str, str]) -> Text:
    line = Text(f"  {subject}", style="bold")
    if names.get(subject):
        line.append(f"  {names[subject]}", style="cyan")
    return line


def _change(change: Change) -> Text:
    sign, style = _SIGN[change.op]
    line = Text(f"    {sign} ", style=style)
    if change.op in _VERB:
        line.append(f"{_VERB[change.op]} {change.account}", style=style)
    else:
        line.append(", ".join(change.permissions) or "retired", style=style)
        line.append(f"  {change.entitlement}", style="dim")
    line.append(f"  [{change.classification}]", style="magenta")
    line.append(f"  {change.cause.kind.value}: {change.cause.text}")
    if change.cause.ref:
        line.append(f" ({change.cause.ref})", style="dim")
    if change.held:
        line.append(f"  HELD by {change.held.guard}", style="bold yellow")
    elif change.approved:
        line.append("  approved", style="green")
    elif change.leaver:
        line.append("  leaver's lane", style="dim")
    return line


def held_lines(plan: Plan, *, whole: bool = True) -> Iterator[Text]:
    """What waits for a decision: by slice, how much, why, and the command that releases it; and, with `whole`, the one
    that releases the plan as a whole.
    """
    if not plan.held:
        return
    yield Text("Held until somebody decides", style="bold yellow")
    slices = held_slices(plan)
    for held, changes in slices:
        people = len({change.subject for change in changes})
        told = f"{_count(len(changes), 'change', 'changes')} of {_count(people, 'person', 'people')}"
        yield Text(f"  {held.slice}  {held.guard}: {told}", style="yellow")
        yield from (Text(f"    {text}") for text in _texts(changes))
        if held.digest:
            yield Text(f"    reconciler approve {held.digest} --reason '…'", style="dim")
    if whole and sum(1 for held, _ in slices if held.digest) > 1:
        yield Text("  all of this plan", style="yellow")
        yield Text(f"    reconciler approve {plan.digest} --reason '…'", style="dim")
    yield Text()


def held_slices(plan: Plan) -> list[tuple[Held, list[Change]]]:
    """What is held together, with the guard that holds the first of it; what no approval releases, by its reason."""
    slices: dict[Held, list[Change]] = defaultdict(list)
    for change in plan.held:
        if change.held:
            slices[replace(change.held, text="") if change.held.digest else change.held].append(change)
    return [(changes[0].held or key, changes) for key, changes in slices.items()]


def _texts(changes: Sequence[Change]) -> list[str]:
    """Why these are held, each reason once; a few of them."""
    texts = list(dict.fromkeys(change.held.text for change in changes if change.held))
    more = [f"… and {len(texts) - MANY_REASONS} more reasons like these"] if len(texts) > MANY_REASONS else []
    return texts[:MANY_REASONS] + more


def _observed(observed: Sequence[Change], names: Mapping[str, str], *, whole: bool) -> Iterator[Text]:
    if not observed:
        return
    yield Text("Observed: what would change where the policy only watches; nothing of it is carried out", style="bold")
    targets: dict[str, list[Change]] = defaultdict(list)
    for change in observed:
        targets[change.target].append(change)
    for target, changes in targets.items():
        yield Text(target, style="underline")
        yield from _by_subject(changes, names, whole=whole)
    yield Text()


def _withheld(withheld: Sequence[Withheld], names: Mapping[str, str], *, whole: bool) -> Iterator[Text]:
    if not withheld:
        return
    yield Text("Withheld: a role would give it, and something does not let it through", style="bold")
    groups: dict[str, list[Withheld]] = defaultdict(list)
    for each in withheld:
        groups[each.subject].append(each)
    shown = list(groups.items()) if whole else list(groups.items())[:MANY_PEOPLE]
    for subject, own in shown:
        yield _subject(subject, names)
        by_text: dict[str, list[str]] = defaultdict(list)
        for each in own:
            by_text[each.text].append(each.permission)
        for text, permissions in by_text.items():
            line = Text(f"    ○ {', '.join(permissions)}")
            line.append(f"  {text}", style="dim")
            yield line
    if len(shown) < len(groups):
        yield Text(f"  … and {len(groups) - len(shown)} more people", style="dim")
    yield Text()


def _findings(findings: Iterable[Finding], *, whole: bool) -> Iterator[Text]:
    listed = list(findings)
    if not listed:
        return
    yield Text("Findings: nothing is changed, somebody should look", style="bold")
    for finding in listed if whole else listed[:MANY_PEOPLE]:
        line = Text("  ! ", style="yellow")
        line.append(finding.kind, style="yellow")
        line.append(f"{' on ' + finding.target if finding.target else ''}: {finding.text}")
        yield line
    if not whole and len(listed) > MANY_PEOPLE:
        yield Text(f"  … and {len(listed) - MANY_PEOPLE} more", style="dim")
    yield Text()
