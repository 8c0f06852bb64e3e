"""What YAML texts become: nodes that know their line and column.

A node is text, a number, a truth value or nothing (`Scalar`), a list (`Items`) or a mapping (`Fields`); a part that
could not be read is a `Flaw`. `reconciler.policy.yaml_tree` makes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.errors import Place

Path = tuple[str | int, ...]
"""The way from a node to one inside: keys of mappings and indexes of lists."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, with the text as it stands in the file."""

    place: Place
    value: str | int | float | bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """What a mapping holds under a key, and where the key stands."""

    key: Place
    node: Node


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping."""

    place: Place
    fields: Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class Flaw:
    """A part that could not be read and has been reported; nothing more is to be said about what holds it."""

    place: Place


Node = Scalar | Items | Fields | Flaw


def plain(node: Node) -> object:
    """The node as lists, dicts and values, made anew at each call."""
    match node:
        case Scalar():
            return node.value
        case Items():
            return [plain(item) for item in node.items]
        case Fields():
            return {name: plain(field.node) for name, field in node.fields.items()}
        case Flaw():
            return None


def flawed(node: Node) -> bool:
    """Whether any part of the node could not be read."""
    match node:
        case Items():
            return any(flawed(item) for item in node.items)
        case Fields():
            return any(flawed(field.node) for field in node.fields.values())
        case _:
            return isinstance(node, Flaw)


def without(node: Node, paths: Iterable[Path]) -> Node:
    """The node without what stands at the paths, none of which is the node itself."""
    gone: set[str | int] = set()
    deeper: dict[str | int, list[Path]] = {}
    for step, *rest in paths:
        if rest:
            deeper.setdefault(step, []).append(tuple(rest))
        else:
            gone.add(step)

    def inner(step: str | int, part: Node) -> Node:
        return without(part, deeper[step]) if step in deeper else part

    match node:
        case Items():
            return Items(node.place, tuple(inner(at, item) for at, item in enumerate(node.items) if at not in gone))
        case Fields():
            left = {name: field for name, field in node.fields.items() if name not in gone}
            return Fields(node.place, {name: Field(field.key, inner(name, field.node)) for name, field in left.items()})
        case _:
            return node


def child(node: Node, step: str | int) -> Node | None:
    """What stands under a key or an index, or None."""
    match node, step:
        case Fields(), str() if step in node.fields:
            return node.fields[step].node
        case Items(), int() if 0 <= step < len(node.items):
            return node.items[step]
        case _:
            return None


def find(node: Node, path: Path) -> Node:
    """The node at the path, or the last one on the way to it; steps that the data does not have are passed over."""
    for step in path:
        node = child(node, step) or node
    return node


def key_place(node: Node, path: Path) -> Place:
    """Where the last key of the path stands (for an index: where the value begins)."""
    holder = find(node, path[:-1])
    if path and isinstance(holder, Fields) and path[-1] in holder.fields:
        return holder.fields[str(path[-1])].key
    return find(holder, path[-1:]).place


def sort(node: Node) -> str:
    """What YAML takes a node for, in plain words."""
    match node:
        case Scalar(value=None):
            return "nothing"
        case Scalar(value=bool()):
            return "a truth value"
        case Scalar(value=int() | float()):
            return "a number"
        case Scalar():
            return "text"
        case Items():
            return "a list"
        case _:
            return "a mapping"
