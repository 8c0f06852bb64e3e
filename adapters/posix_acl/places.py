"""What a locator means: a folder under the root, and a permission. No I/O.

Folders are bound beside each other, never one inside another: what is given on a folder goes for all that is below it,
so two that overlap would undo each other. For the same reason `read-write` stands alone on its folder.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from adapters.posix_acl.rights import MODES
from adapters.posix_acl.tree import shown
from reconciler.targets import Locator

__all__ = ["by_path", "clashes", "locator_error"]


def locator_error(locator: Locator) -> str | None:
    """What is wrong with it, in words, or None."""
    if set(locator) != {"path", "permission"}:
        return "an entitlement here is {path: FOLDER, permission: read}, with nothing missing and nothing more"
    path, mode = locator["path"], locator["permission"]
    if mode not in MODES:
        near = get_close_matches(mode, MODES, n=1)
        return f"`{mode}` is no permission: {f'did you mean `{near[0]}`?' if near else 'there are ' + ', '.join(MODES)}"
    if path == ".":
        return None
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        return f"`{shown(path)}` is no folder under the root: write it as projects/falcon, or `.` for the root itself"
    return None


def by_path(locators: Sequence[Locator]) -> Mapping[str, Sequence[Locator]]:
    """The locators of each folder."""
    found: dict[str, list[Locator]] = defaultdict(list)
    for locator in locators:
        found[locator["path"]].append(locator)
    return found


def clashes(paths: Mapping[str, Sequence[Locator]]) -> Mapping[str, str]:
    """Folders that cannot be managed as they are bound, and why."""
    found = {path: why for path, locators in paths.items() if (why := _mixed(locators))}
    for path in paths:
        for outer in _above(path):
            if outer in paths:
                why = f"{shown(path)} lies inside {shown(outer)}, and both are bound: bind folders beside each other"
                found[path] = found[outer] = why
    return found


def _mixed(locators: Sequence[Locator]) -> str:
    modes = {locator["permission"] for locator in locators}
    if "read-write" not in modes or len(modes) == 1:
        return ""
    return f"{shown(locators[0]['path'])} is bound as read-write and as read or write: bind it as read and as write"


def _above(path: str) -> Sequence[str]:
    if path == ".":
        return ()
    parts = path.split("/")
    return (".", *("/".join(parts[:length]) for length in range(1, len(parts))))
