"""An impact as Markdown (CommonMark with GitHub's tables), for the comment under a pull request.

What comes out of a policy may have been written by a stranger: every name stands in a code span that it cannot leave,
so that nothing in it is a link, a mention, an image or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from reconciler.access.model import Breach
from reconciler.audit.impact import Impact, Shift, Tally
from reconciler.audit.impact_reading import clause_text, verdict
from reconciler.audit.revisions import Revision
from reconciler.errors import Problem

LIMIT = 20
"""How many names, groups or rows are shown of each sort; the others are counted."""
LONGEST = 60_000
"""Characters; what hosts of repositories take for one comment is a little more."""
MARKER = "<!-- permission-reconciler: impact -->"
"""Begins the text, so that whoever posts it can find the comment again and renew it."""


def impact_markdown(
    impact: Impact,
    base: Revision,
    head: Revision,
    warnings: Sequence[Problem] = (),
    *,
    names: bool = True,
    limit: int = LIMIT,
) -> str:
    """The impact for reviewers. Without `names` people are only counted: for places that the public reads."""
    text = "\n".join(_lines(impact, base, head, warnings, names=names, limit=limit))
    if len(text) <= LONGEST:
        return text
    if limit > 1:
        return impact_markdown(impact, base, head, warnings, names=names, limit=limit // 2)
    return text[:LONGEST] + "\n\n… cut; the whole is in the JSON."


def _lines(
    impact: Impact, base: Revision, head: Revision, warnings: Sequence[Problem], *, names: bool, limit: int
) -> Iterator[str]:
    yield MARKER
    yield "### What this policy change does to access"
    yield ""
    yield f"**{verdict(impact)}**"
    yield ""
    yield (
        f"{code(f'{base.short}..{head.short}')} · {impact.people} people · as of {impact.at:%Y-%m-%d %H:%M} UTC"
        f" · policy {code(impact.head.digest[:19])}"
    )
    yield from _rules(impact, names=names, limit=limit)
    yield from _shifts("Gains", [one for one in impact.shifts if one.gains], names=names, limit=limit)
    yield from _shifts("Losses", [one for one in impact.shifts if not one.gains], names=names, limit=limit)
    yield from _table("permission", impact.permissions, limit)
    yield from _table("entitlement", impact.entitlements, limit)
    yield from _list("Service accounts", (code(text) for text in impact.services), limit)
    told = (f"{code(str(one.place))} {code(one.message)}" for one in warnings)
    yield from _list("New warnings of `reconciler check`", told, limit)


def _rules(impact: Impact, *, names: bool, limit: int) -> Iterator[str]:
    yield from _list(
        ":warning: Invariants that the new policy breaks", (_breach(one, names=names) for one in impact.broken), limit
    )
    conflicts = (
        f"{code(name)}: {len(people)} people{f' ({_names(people, limit)})' if names else ''}"
        for name, people in impact.conflicts.items()
    )
    yield from _list(":warning: New conflicts with separation rules", conflicts, limit)
    yield from _list("Invariants that it mends", (_breach(one, names=names) for one in impact.mended), limit)
    loosened = [part for part in impact.parts if part in ("guards", "invariants", "exception limits")]
    yield from _list("Safeguards that it touches", (code(part) for part in loosened), limit)


def _breach(breach: Breach, *, names: bool) -> str:
    rule = f"{breach.invariant.kind.value} {breach.invariant.pattern}"
    told = breach.text if names else f"{breach.permission}: {breach.count} people against `{rule}`"
    return f"{code(told)} ({code(str(breach.place))})"


def _shifts(title: str, shifts: Sequence[Shift], *, names: bool, limit: int) -> Iterator[str]:
    if not shifts:
        return
    yield ""
    yield f"<details open><summary>{title}, highest class first</summary>"
    yield ""
    for shift in shifts[:limit]:
        who = f": {_names(shift.people, limit)}" if names else ""
        yield f"- {code(shift.classification)} {code(str(shift.permission))}, {_count(len(shift.people))}{who}"
        for clause in shift.clauses:
            yield f"  - because {code(clause_text(clause))}"
    yield from _more(len(shifts) - limit)
    yield ""
    yield "</details>"


def _table(what: str, tallies: Iterable[Tally], limit: int) -> Iterator[str]:
    changed = sorted((one for one in tallies if one.changed), key=lambda one: (-one.rank, one.name))
    if not changed:
        return
    yield ""
    yield f"| {what} | class | before | after | gain | lose |"
    yield "|---|---|---:|---:|---:|---:|"
    for one in changed[:limit]:
        before = "new" if one.before is None else one.before
        after = "gone" if one.after is None else one.after
        cells = [_cell(code(one.name)), _cell(code(one.classification)), before, after, one.gained, one.lost]
        yield f"| {' | '.join(map(str, cells))} |"
    yield from _more(len(changed) - limit)


def _list(title: str, items: Iterable[str], limit: int) -> Iterator[str]:
    told = list(items)
    if told:
        yield ""
        yield f"**{title}**"
        yield ""
        yield from (f"- {item}" for item in told[:limit])
        yield from _more(len(told) - limit)


def _more(count: int) -> Iterator[str]:
    if count > 0:
        yield ""
        yield f"… and {count} more; the whole is in the JSON."


def _names(people: Sequence[str], limit: int) -> str:
    shown = ", ".join(code(person) for person in people[:limit])
    return shown if len(people) <= limit else f"{shown} and {len(people) - limit} more"


def _count(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def code(text: str) -> str:
    """The text as a code span that it cannot leave, whatever it holds (CommonMark 0.31, section 6.1)."""
    plain = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    longest = max(map(len, re.findall("`+", plain)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{padding}{plain}{padding}{fence}" if plain else "` `"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
