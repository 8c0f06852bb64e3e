"""How an explanation reads for a person: line by line, each with where it leads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.text import Text

from reconciler.access.model import Denial, End, Explanation, NeededFact, Proven, Reason
from reconciler.errors import Place
from reconciler.facts.model import Recorded


def explanation_lines(explanation: Explanation, who: str, as_of: str, zone: ZoneInfo, revision: str) -> Iterator[Text]:
    """Why, and why not: every reason, what clearance rests on, what ends it; every denial, and what it would take.

    `as_of` says of when the answer is.
    """
    yield _head(explanation, who)
    yield _circumstances(explanation, as_of, revision)
    for reason in explanation.reasons:
        yield _reason(reason, zone)
    for denial in explanation.denials:
        yield _denial(denial, given=bool(explanation.reasons))
    if not explanation.reasons:
        yield Text("  ✗ no role and no exception gives it", style="red")
        yield from _ways(explanation)
    for proven in explanation.proven:
        yield _proven(proven, zone)
    for end in explanation.ends:
        yield _end(end, zone)
    yield from _needed(explanation.needed)


def answer_line(explanation: Explanation, zone: ZoneInfo, *, subject: str = "") -> Text:
    """An answer in one line: the permission (or the `subject`), its class, the strongest reason or all denials."""
    style, sign = ("green", "✓") if explanation.allowed else ("yellow", "✗")
    line = Text(f"  {sign} {subject or explanation.permission} ", style=style)
    line.append(f"[{explanation.classification}]", style="magenta")
    if explanation.allowed:
        line.append(f"  {explanation.reasons[0].text}", style="dim")
        if explanation.until is not None:
            line.append(f"  until {local(explanation.until, zone)}", style="yellow")
    else:
        line.append(f"  {'; '.join(denial.text for denial in explanation.denials)}", style="dim")
    return line


def source_lines(sources: Sequence[Recorded], zone: ZoneInfo) -> Iterator[Text]:
    """Who put on record what an answer rests on, and when."""
    if sources:
        yield Text("  Who said so:", style="bold")
    for one in sources:
        line = Text(f"    ledger:{one.entry} ", style="dim")
        line.append(f"{one.kind} of {one.subject}, recorded {local(one.recorded_at, zone)} by {one.actor}", style="dim")
        yield line


def local(at: datetime, zone: ZoneInfo) -> str:
    """A moment on the workspace's clock."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


# --- lines ----------------------------------------------------------------------------------------------------------


def _head(explanation: Explanation, who: str) -> Text:
    line = Text(f"{who} ", style="bold")
    if explanation.allowed:
        line.append("may ", style="bold green")
    else:
        line.append("may not ", style="bold red")
    line.append(f"{explanation.permission.action} {explanation.permission.resource}", style="bold")
    line.append(f"  [{explanation.classification}]", style="magenta")
    return line


def _circumstances(explanation: Explanation, as_of: str, revision: str) -> Text:
    states = ", ".join(state.value for state in explanation.states)
    told = [as_of, f"clearance {explanation.clearance or 'none'}", states]
    told += [f"policy {revision}"] if revision else []
    return Text(f"  {'; '.join(each for each in told if each)}", style="dim")


def _reason(reason: Reason, zone: ZoneInfo) -> Text:
    line = Text("  ✓ ", style="green")
    line.append(reason.text)
    line.append(_refs(reason.entry, reason.holds_place, reason.place), style="dim")
    if reason.until:
        line.append(f"  until {local(reason.until, zone)}", style="yellow")
    return line


def _denial(denial: Denial, *, given: bool) -> Text:
    line = Text("  ✗ " if given else "  also ✗ ", style="red")
    line.append(denial.text)
    line.append(_refs(denial.entry, denial.place), style="dim")
    if denial.remedy:
        line.append(f"\n      → {denial.remedy}", style="cyan")
    return line


def _ways(explanation: Explanation) -> Iterator[Text]:
    for way in explanation.ways:
        lacking = "; ".join(fact.text for fact in way.lacking)
        line = Text(f"    role {' > '.join(way.roles)} would: ")
        line.append(lacking, style="yellow")
        line.append(_refs(0, way.holds_place, way.place), style="dim")
        yield line
    more = explanation.ways_found - len(explanation.ways)
    if more > 0:
        yield Text(f"    … and {more} more roles", style="dim")


def _proven(proven: Proven, zone: ZoneInfo) -> Text:
    asked = f"compartment {proven.compartment}" if proven.compartment else f"level {proven.level}"
    if proven.exempt:
        return Text(f"  · {proven.proof} is not asked for: {proven.exempt}  ({asked}, {proven.place})", style="dim")
    dates = f"since {local(proven.valid_from, zone)}" if proven.valid_from else ""
    dates += f", until {local(proven.until, zone)}" if proven.until else ""
    return Text(f"  · {proven.proof} {dates}  ({asked}, {proven.place}, ledger:{proven.entry})", style="dim")


def _end(end: End, zone: ZoneInfo) -> Text:
    line = Text(f"  ⏱ {local(end.at, zone)} {end.text}", style="yellow" if end.decides else "dim")
    line.append(_refs(end.entry, end.place), style="dim")
    if end.decides:
        line.append("  this ends the access")
    return line


def _needed(needed: Iterable[NeededFact]) -> Iterator[Text]:
    facts = list(needed)
    if facts:
        yield Text(f"  To change that, {'this is' if len(facts) == 1 else 'these are'} needed:", style="bold")
        yield from (Text(f"    {number}. {fact.text}", style="cyan") for number, fact in enumerate(facts, 1))


def _refs(entry: int, *places: Place | None) -> str:
    refs = sorted({str(place) for place in places if place is not None})
    refs += [f"ledger:{entry}"] if entry else []
    return f"  ({', '.join(refs)})" if refs else ""
