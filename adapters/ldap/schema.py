"""Which attributes a server knows (RFC 4512, section 4.2): what its subschema says, where that may be read."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from adapters.ldap.requests import Scope, any_value
from adapters.ldap.wire import Question, ReadOnlyWire
from reconciler.targets import TargetError, TargetUnavailable

__all__ = ["attributes_known"]

_NAMES = re.compile(r"NAME\s+(?:'(?P<one>[^']+)'|\((?P<many>[^)]*)\))")


def attributes_known(wire: ReadOnlyWire, base: str) -> Collection[str]:
    """The names of all attributes that may be under a base; none where the server does not say. Raises
    `TargetUnavailable`.
    """
    [own, *_] = [*_values(wire, base, "subschemaSubentry"), ""]
    types = _values(wire, own, "attributeTypes") if own else ()
    return sorted({name for text in types for name in _names(text)})


def _values(wire: ReadOnlyWire, dn: str, attribute: str) -> Sequence[str]:
    """An attribute of one entry, as texts; nothing where that may not be read."""
    try:
        entries = list(wire.ask([Question(dn, Scope.BASE, any_value("objectClass"))], (attribute,)))
    except TargetUnavailable:
        raise
    except TargetError:
        return ()
    return [value.decode("utf-8", "replace") for entry in entries for value in entry.values(attribute)]


def _names(description: str) -> Sequence[str]:
    found = _NAMES.search(description)
    if found is None:
        return ()
    return [found["one"]] if found["one"] else re.findall(r"'([^']+)'", found["many"] or "")
