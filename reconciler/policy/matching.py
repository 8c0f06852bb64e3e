"""`match` mappings → the closed language of `model.Match`.

Everything about a match that can be known without people is checked here: that its attributes are declared, that its
values are ones that the attribute has, that a comparison fits the attribute's kind. What is not declared can therefore
never compare as true by accident.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn, TypeVar

from reconciler.errors import Place
from reconciler.policy.model import (
    AllOf,
    AnyOf,
    Attribute,
    AttributeKind,
    Compare,
    Contains,
    Equals,
    Match,
    Negated,
    NoneOf,
    Test,
    Under,
    Within,
)
from reconciler.policy.nodes import Field, Fields, Items, Node, Scalar, sort
from reconciler.policy.report import Names, Report, listed
from reconciler.policy.spelling import name_flaw

COMBINATIONS: Mapping[str, Callable[[tuple[Match, ...]], Match]] = {"all": AllOf, "any": AnyOf, "none": NoneOf}
"""Keys that stand beside attributes and combine whole matches; no attribute can have such a name."""
COMPARISONS = ("min", "max", "not", "all_of", "absent")
_SHAPES = "a value, a list of values, or a mapping with " + listed(COMPARISONS)

PlainTest = Equals | Under | Within | Contains
T = TypeVar("T")
U = TypeVar("U")


class _Broken(Exception):
    """A part of a match cannot be read, and that has been reported."""


class MatchReader:
    """Reads matches over the declared attributes, and reports what is wrong with them."""

    def __init__(self, attributes: Mapping[str, Attribute], names: Names, report: Report) -> None:
        self._attributes = attributes
        self._names = names
        self._report = report

    def match(self, node: Node, user: str) -> Match | None:
        """The match that a mapping spells, or None where it is broken; `user` (``role `x```) begins the messages."""
        try:
            return _MatchOf(user, self._attributes, self._names, self._report).match(node)
        except _Broken:
            return None

    def value(self, name: str, node: Node, user: str) -> str | None:
        """A single value of the declared attribute `name`, or None where it has no such value."""
        if name not in self._attributes:
            return None
        try:
            return _MatchOf(user, self._attributes, self._names, self._report).value(self._attributes[name], node)
        except _Broken:
            return None


class _MatchOf:
    """Reads one user's match. A method either returns what it read or reports and raises `_Broken`."""

    def __init__(self, user: str, attributes: Mapping[str, Attribute], names: Names, report: Report) -> None:
        self._user = user
        self._attributes = attributes
        self._names = names
        self._report = report

    def match(self, node: Node) -> Match:
        if not isinstance(node, Fields):
            self._wrong(
                "type", f"a match is a mapping, and this is {sort(node)}", node.place, "write `{department: rd}`"
            )
        if not node.fields:
            remedy = "name at least one attribute; for everybody a role has `everyone: true`"
            self._wrong("empty-match", "this match is empty", node.place, remedy)
        parts = _each(lambda part: self._part(*part), node.fields.items())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _wrong(self, code: str, message: str, place: Place, remedy: str = "") -> NoReturn:
        self._report.error(code, f"{self._user}: {message}", place, remedy)
        raise _Broken

    def _part(self, name: str, field: Field) -> Match:
        if name in COMBINATIONS:
            return self._combination(name, field.node)
        if not self._names.check(name, f"{self._user} asks for the", field.key, self._report):
            raise _Broken
        if name not in self._attributes:
            raise _Broken
        return self._compare(self._attributes[name], field)

    def _combination(self, name: str, node: Node) -> Match:
        remedy = f"write `{name}: [{{department: rd}}, {{post: it}}]`"
        if not isinstance(node, Items):
            self._wrong("type", f"`{name}` combines a list of matches, and this is {sort(node)}", node.place, remedy)
        if not node.items:
            self._wrong("empty", f"`{name}` combines matches, and this list is empty", node.place, remedy)
        return COMBINATIONS[name](tuple(_each(self.match, node.items)))

    def _compare(self, attribute: Attribute, field: Field) -> Match:
        node = field.node
        absent = self._absent(attribute, node) if isinstance(node, Fields) else None
        return Compare(attribute.name, self._test(attribute, node), absent, field.key)

    def _absent(self, attribute: Attribute, node: Fields) -> bool | None:
        if "absent" not in node.fields:
            return None
        said = node.fields["absent"].node
        if not isinstance(said, Scalar) or not isinstance(said.value, bool):
            self._wrong(
                "type", f"`absent` is true or false, and this is {sort(said)}", said.place, "write `absent: false`"
            )
        if attribute.kind is AttributeKind.SET:
            self._wrong("comparison", "a blank set is the empty set, never absent", said.place, "take `absent` out")
        if len(node.fields) == 1:
            remedy = "add `min`, `max` or `not`; `absent` only says what a blank means for them"
            self._wrong("comparison", "`absent` alone compares nothing", node.place, remedy)
        return said.value

    def _test(self, attribute: Attribute, node: Node) -> Test:
        if isinstance(node, Fields) and "not" in node.fields:
            self._known_comparisons(node, COMPARISONS)
            self._stands_alone(node, "not")
            return Negated(self._plain_test(attribute, node.fields["not"].node, COMPARISONS[:2] + COMPARISONS[3:4]))
        return self._plain_test(attribute, node, COMPARISONS)

    def _plain_test(self, attribute: Attribute, node: Node, allowed: tuple[str, ...]) -> PlainTest:
        if not isinstance(node, Fields):
            return self._any_of(attribute, node)
        self._known_comparisons(node, allowed)
        if "all_of" in node.fields:
            self._stands_alone(node, "all_of")
            return self._all_of(attribute, node.fields["all_of"].node)
        if not node.fields:
            self._wrong("empty", "this comparison is empty", node.place, f"write {_SHAPES}")
        return self._within(attribute, node)

    def _known_comparisons(self, node: Fields, allowed: tuple[str, ...]) -> None:
        for name, field in node.fields.items():
            if name not in allowed:
                remedy = self._report.suggestion(name, allowed, f"possible here: {listed(allowed)}")
                self._wrong("comparison", f"there is no comparison `{name}` here", field.key, remedy)

    def _stands_alone(self, node: Fields, name: str) -> None:
        if others := sorted(node.fields.keys() - {name, "absent"}):
            message = f"`{name}` cannot stand beside {listed(others)}"
            self._wrong("comparison", message, node.fields[name].key, "combine them with `all: [{…}, {…}]`")

    def _any_of(self, attribute: Attribute, node: Node) -> PlainTest:
        values = self._values(attribute, node)
        if attribute.kind is AttributeKind.TREE:
            return Under(values)
        return Contains(values) if attribute.kind is AttributeKind.SET else Equals(values)

    def _all_of(self, attribute: Attribute, node: Node) -> PlainTest:
        if attribute.kind is not AttributeKind.SET:
            message = f"`all_of` is for sets, and `{attribute.name}` has one value ({attribute.kind})"
            self._wrong("comparison", message, node.place, "write a list, of which any value will do")
        return Contains(self._values(attribute, node), every=True)

    def _within(self, attribute: Attribute, node: Fields) -> PlainTest:
        if attribute.kind is not AttributeKind.ORDERED:
            message = f"`min` and `max` need an order, and `{attribute.name}` has none ({attribute.kind})"
            self._wrong("comparison", message, node.place, "list the values, or declare the attribute as `ordered`")
        names = [name for name in ("min", "max") if name in node.fields]
        values = _each(lambda name: self.value(attribute, node.fields[name].node), names)
        ranks = {name: attribute.ranks[value] for name, value in zip(names, values, strict=True)}
        return Within(ranks.get("min"), ranks.get("max"))

    def _values(self, attribute: Attribute, node: Node) -> frozenset[str]:
        if not isinstance(node, Items):
            return frozenset({self.value(attribute, node)})
        if not node.items:
            self._wrong("empty", f"no value of `{attribute.name}` is in this list", node.place, "name at least one")
        return frozenset(_each(lambda item: self.value(attribute, item), node.items))

    def value(self, attribute: Attribute, node: Node) -> str:
        if not isinstance(node, Scalar):
            self._wrong("type", f"`{attribute.name}` is compared with {sort(node)}", node.place, f"write {_SHAPES}")
        value = node.value
        if not isinstance(value, str):
            message = f"a value of `{attribute.name}` is text, and YAML reads `{node.text}` as {sort(node)}"
            self._wrong("unquoted", message, node.place, f'put it in quotes: "{node.text}"')
        if flaw := name_flaw(value):
            self._wrong("text", f"{value!r} {flaw}", node.place, "write it without")
        if attribute.kind is AttributeKind.TREE and "" in value.split("/"):
            message = f"`{value}` is no path: a part of it is empty"
            self._wrong("value", message, node.place, "write `rd/ai`, without a slash at either end")
        if not attribute.declares(value):
            remedy = self._report.suggestion(value, attribute.ranks, f"it has {listed(list(attribute.ranks)[:20])}")
            self._wrong("unknown-value", f"`{attribute.name}` has no value `{value}`", node.place, remedy)
        return value


def _each(read: Callable[[T], U], parts: Iterable[T]) -> list[U]:
    """What each part reads as; where one is broken, the others are read all the same, for what is wrong with them."""
    whole: list[U] = []
    broken = False
    for part in parts:
        try:
            whole.append(read(part))
        except _Broken:
            broken = True
    if broken:
        raise _Broken
    return whole
