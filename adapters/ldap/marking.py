"""In what state a directory is, by the `contextCSN` of its naming contexts: the newest change of each server that it
holds.

Only where the server offers content synchronization (RFC 4533), in OpenLDAP by its overlay `syncprov`: without that
the attribute may stand there from an earlier time and never change again.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.directory import names
from adapters.directory.settings import Layout
from adapters.ldap.server import Server
from adapters.marks import mark_of

__all__ = ["context_of", "mark"]

_CONTENT_SYNC = "1.3.6.1.4.1.4203.1.9.1.1"


def mark(server: Server, layout: Layout, *settings: str) -> str:
    """The directory's state, or a blank where it cannot be told. Raises `TargetUnavailable` and `TargetError`."""
    root = server.read("", ("supportedControl", "namingContexts"))
    if root is None or _CONTENT_SYNC.encode() not in root.values("supportedControl"):
        return ""
    contexts = [value.decode("utf-8", "surrogateescape") for value in root.values("namingContexts")]
    states: list[bytes] = []
    for base in (layout.people_base, layout.groups_base):
        context = context_of(base, contexts)
        entry = server.read(context, ("contextCSN",)) if context else None
        found = sorted(entry.values("contextCSN")) if entry is not None else []
        if not found:
            return ""
        states += [b"", *found]
    return mark_of(repr(layout), *settings, *states)


def context_of(base: str, contexts: Sequence[str]) -> str:
    """The naming context that the base lies in; blank where none of them has it."""
    around = [each for each in contexts if names.canonical(each) == names.canonical(base)]
    around += [each for each in contexts if names.lies_under(base, each)]
    return max(around, key=len, default="")
