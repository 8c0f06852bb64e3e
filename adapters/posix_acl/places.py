"""What a locator means: a folder under the root, and a permission. No I/O.

What is given on a folder goes for all that is below it. Inside another bound folder it stops, as far as that one says
itself who has it: who reads in there is told by the inner folder's `read`, if that is bound, and else by the outer's.
Into a folder that is cut off nothing comes at all. `read-write` stands alone on its folder.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from adapters.posix_acl.acl import READ, WRITE
from adapters.posix_acl.rights import MODES
from adapters.posix_acl.tree import shown
from reconciler.targets import Locator, entitlement_key

__all__ = ["Bound", "by_path", "clashes", "containers", "locator_error"]


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
    return {path: why for path, locators in paths.items() if (why := _mixed(locators))}


def containers(locators: Sequence[Locator]) -> Mapping[str, Sequence[str]]:
    """Key → the keys on the nearest bound folder above."""
    paths = by_path([locator for locator in locators if locator_error(locator) is None])
    keys = {path: [entitlement_key(locator) for locator in own] for path, own in paths.items()}
    around = {path: next((above for above in _above(path) if above in paths), None) for path in paths}
    return {key: keys[outer] for path, outer in around.items() if outer is not None for key in keys[path]}


@dataclass(frozen=True, slots=True)
class Bound:
    """All bound folders: path → the modes that are bound on it (`READ`, `WRITE` or both), which of them are `cut` off,
    and the next bound folders inside each.
    """

    modes: Mapping[str, int]
    cut: frozenset[str]
    _inner: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, locators: Sequence[Locator], cut: frozenset[str]) -> Bound:
        """What these bind."""
        modes: dict[str, int] = defaultdict(int)
        inner: dict[str, list[str]] = defaultdict(list)
        for locator in locators:
            modes[locator["path"]] |= MODES[locator["permission"]]
        for path in modes:
            if (outer := next((above for above in _above(path) if above in modes), None)) is not None:
                inner[outer].append(path)
        return cls(modes, cut, inner)

    def spare(self, path: str) -> int:
        """Of a folder that is cut off: the modes that are not bound on it, and that nobody is to have."""
        return (READ | WRITE) & ~self.modes[path] if path in self.cut else 0

    def own(self, path: str) -> int:
        """The modes that nobody should have here but by what is bound here: of others it may come in from around."""
        open_to_around = path not in self.cut and any(above in self.modes for above in _above(path))
        return self.modes[path] if open_to_around else READ | WRITE

    def inside(self, path: str) -> Mapping[tuple[str, ...], int]:
        """The bound folders inside this one, by their path from here, each with the modes that come in from around."""
        start = 0 if path == "." else path.count("/") + 1
        return {
            tuple(inner.split("/")[start:]): 0 if inner in self.cut else (READ | WRITE) & ~self.modes[inner]
            for inner in self._all_inside(path)
        }

    def _all_inside(self, path: str) -> Iterator[str]:
        waiting = [path]
        while waiting:
            inner = self._inner.get(waiting.pop(), ())
            yield from inner
            waiting += inner


def _mixed(locators: Sequence[Locator]) -> str:
    modes = {locator["permission"] for locator in locators}
    if "read-write" not in modes or len(modes) == 1:
        return ""
    return f"{shown(locators[0]['path'])} is bound as read-write and as read or write: bind it as read and as write"


def _above(path: str) -> Iterator[str]:
    """The folders around this one, the nearest first."""
    if path == ".":
        return
    parts = path.split("/")
    for length in range(len(parts) - 1, 0, -1):
        yield "/".join(parts[:length])
    yield "."
