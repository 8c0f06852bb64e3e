"""In what state a directory is, by the `contextCSN` of its naming contexts: the newest change of each server that it
holds. And what has changed since: the entries whose `entryCSN` is newer. A newest change that no entry bears was a
deletion.

Only where the server offers content synchronization (RFC 4533), in OpenLDAP by its overlay `syncprov`: without that
the attribute may stand there from an earlier time and never change again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from adapters.directory import names
from adapters.directory.settings import Layout
from adapters.ldap.requests import at_least
from adapters.ldap.server import Server
from adapters.ldap.wire import ReadOnlyWire
from adapters.marks import mark_of
from reconciler.targets import News

__all__ = ["context_of", "mark", "news"]

_CONTENT_SYNC = "1.3.6.1.4.1.4203.1.9.1.1"


def mark(server: Server, layout: Layout, *settings: str) -> str:
    """The directory's state, or a blank where it cannot be told. Raises `TargetUnavailable` and `TargetError`."""
    found = _states(server, layout)
    if found is None:
        return ""
    states = [octets for context in _contexts(layout, found) for octets in (b"", *found[context])]
    return mark_of(repr(layout), *settings, *states)


def news(server: Server, wire: ReadOnlyWire, layout: Layout, own: str, since: str) -> News:
    """What others than the account `own` have changed since that cursor below the bases of people and groups. Raises
    `TargetUnavailable` and `TargetError`.
    """
    found = _states(server, layout)
    if found is None:
        return News()
    cursor = json.dumps({context: [csn.decode("ascii", "replace") for csn in csns] for context, csns in found.items()})
    if not since or since == cursor:
        return News(cursor)
    before = {context: [csn.encode() for csn in csns] for context, csns in json.loads(since).items()}
    changed = any(
        _changed(wire, layout, own, context, before.get(context, []), csns) for context, csns in found.items()
    )
    return News(cursor, changed)


def _changed(
    wire: ReadOnlyWire, layout: Layout, own: str, context: str, before: Sequence[bytes], now: Sequence[bytes]
) -> bool:
    fresh = set(now) - set(before)
    if not fresh:
        return False
    if len(before) != len(now):  # another server has joined, or left
        return True
    oldest = min(set(before) - set(now))
    listing = wire.search(context, at_least("entryCSN", oldest), ("entryCSN", "modifiersName"))
    for entry in listing.entries:
        csns = entry.values("entryCSN")
        fresh -= set(csns)
        ours = names.canonical(entry.text("modifiersName") or own) == names.canonical(own)
        if csns and csns[0] > oldest and not ours and _concerns(entry.dn, layout):
            return True
    return bool(fresh or listing.shortfalls)


def _concerns(dn: str, layout: Layout) -> bool:
    return any(names.lies_under(dn, base) for base in (layout.people_base, layout.groups_base))


def _states(server: Server, layout: Layout) -> dict[str, list[bytes]] | None:
    """Naming context → its states; None where they cannot be told."""
    root = server.read("", ("supportedControl", "namingContexts"))
    if root is None or _CONTENT_SYNC.encode() not in root.values("supportedControl"):
        return None
    contexts = [value.decode("utf-8", "surrogateescape") for value in root.values("namingContexts")]
    states: dict[str, list[bytes]] = {}
    for base in (layout.people_base, layout.groups_base):
        context = context_of(base, contexts)
        entry = server.read(context, ("contextCSN",)) if context else None
        found = sorted(entry.values("contextCSN")) if entry is not None else []
        if not found:
            return None
        states[context] = found
    return states


def _contexts(layout: Layout, states: Mapping[str, object]) -> Sequence[str]:
    """Those of people and of groups, in this order."""
    return [context_of(base, list(states)) for base in (layout.people_base, layout.groups_base)]


def context_of(base: str, contexts: Sequence[str]) -> str:
    """The naming context that the base lies in; blank where none of them has it."""
    around = [each for each in contexts if names.canonical(each) == names.canonical(base)]
    around += [each for each in contexts if names.lies_under(base, each)]
    return max(around, key=len, default="")
