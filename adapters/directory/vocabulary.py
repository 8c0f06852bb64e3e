"""Whether a directory's schema knows what the settings speak of.

A directory is silent about what it does not know: an account has no value of an attribute that does not exist, and a
filter that asks for one lets nobody through. A misspelled name therefore looks like a company in which nobody is known.
Where the schema cannot be read, nothing is said.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping

from adapters.directory.settings import Layout
from reconciler.targets import TargetFinding

__all__ = ["asked_of", "unknown"]

_IN_FILTER = re.compile(r"\(\s*([A-Za-z][A-Za-z0-9-]*)(?:;[^~<>=:]*)?\s*[~<>:=]")
_SETTINGS = {
    "people.match": "no account matches anybody by it",
    "people.filter": "the filter lets through nobody who is asked for it",
    "groups.kind": "no group has members",
    "accounts.disable": "no account can be locked by it, or seen to be",
    "accounts.attributes": "nobody has a value of it, or can be given one",
    "accounts.create.attributes": "no account can be created with it",
}
"""Where attributes are named, and what follows from one that does not exist."""


def asked_of(layout: Layout, condition: str | None) -> Mapping[str, str]:
    """Attribute, in lower case → the setting that names it. `condition`: the filter of accounts, as it was written."""
    named = {
        "accounts.create.attributes": layout.create.attributes if layout.create else (),
        "accounts.attributes": layout.attributes,
        "accounts.disable": layout.lock.attributes if layout.lock else (),
        "people.filter": _IN_FILTER.findall(condition or ""),
        "groups.kind": [layout.kind.attribute],
        "people.match": layout.match,
    }
    return {name.partition(";")[0].lower(): setting for setting, names in named.items() for name in names}


def unknown(asked: Mapping[str, str], known: Collection[str], source: str) -> Iterator[TargetFinding]:
    """What is asked of attributes that are none; `known` are those that there are, or nothing where nobody says."""
    spelled = {name.lower(): name for name in known}
    for attribute, setting in asked.items() if spelled else ():
        if attribute in spelled:
            continue
        near = difflib.get_close_matches(attribute, spelled, n=1)
        hint = f"; did you mean {spelled[near[0]]}?" if near else ""
        text = f"{source} knows no attribute {attribute} (`{setting}`), so that {_SETTINGS[setting]}{hint}"
        yield TargetFinding("unknown-attribute", attribute, text)
