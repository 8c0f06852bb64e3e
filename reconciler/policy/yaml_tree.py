"""YAML texts → nodes that know their line and column.

Promises: nothing in a text is executed, guessed or silently dropped. A node is text, a number, a truth value, nothing,
a list or a mapping; every other tag, a key that stands twice, a merge key, a second document, text that is not UTF-8,
and whatever is too large, too deep or too often referred to is a problem with its place. Built from the parser's
events, with the bounds kept while they come in, so that no text can make it grow without limit.

Scalars follow the core schema of YAML 1.2.2 (chapter 10.3): ``no``, ``on``, ``yes`` and ``12:30`` are text here, as
they are to whoever writes them. A date stays text too; the field that wants one reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from reconciler.errors import Place
from reconciler.policy.nodes import Field, Fields, Flaw, Items, Node, Scalar, sort
from reconciler.policy.report import Report

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML without libyaml: the same events, more slowly
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

MAX_BYTES = 4 * 1024 * 1024
MAX_NODES = 300_000
MAX_DEPTH = 24
MAX_ALIASES = 50


def read_yaml(name: str, content: bytes, report: Report) -> Node | None:
    """The document in a file, or None where there is no telling what it says. An empty file is an empty mapping."""
    text = _decoded(name, content, report)
    if text is None:
        return None
    try:
        return _Builder(name, text, report).document()
    except _Refused as refused:
        report.error(refused.code, refused.message, refused.place, refused.remedy)
    except yaml.YAMLError as error:
        _report_syntax(name, text, error, report)
    return None


# --- bytes → text ----------------------------------------------------------------------------------------------------

_STRANGE = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|\r(?!\n)"
)
"""Beyond what YAML forbids: what ends a line, or turns its direction, where who reviews the file does not see it.

To YAML a comment ends at U+2028, so that a rule behind it counts and looks like a comment.
"""


def _decoded(name: str, content: bytes, report: Report) -> str | None:
    if len(content) > MAX_BYTES:
        size = f"{len(content) / 1024 / 1024:.1f} MiB"
        report.error(
            "too-large", f"this file has {size}; {MAX_BYTES >> 20} MiB is the most", Place(name), "split the file"
        )
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Place(name, content.count(b"\n", 0, error.start) + 1)
        report.error("encoding", "this file is not UTF-8", place, "save it as UTF-8, without or with a byte order mark")
        return None
    if strange := _STRANGE.search(text):
        what = f"U+{ord(strange[0]):04X}"
        report.error(
            "encoding",
            f"this character ({what}) may not stand in a policy: readers do not see it",
            _place_at(name, text, strange.start()),
            "delete it",
        )
        return None
    return text


def _place_at(name: str, text: str, index: int) -> Place:
    lines = text[:index].split("\n")
    return Place(name, len(lines), len(lines[-1]) + 1)


# --- text → nodes ----------------------------------------------------------------------------------------------------


class _Refused(Exception):
    """The whole file is refused."""

    def __init__(self, code: str, message: str, place: Place, remedy: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.place, self.remedy = code, message, place, remedy


@dataclass(frozen=True, slots=True)
class _Anchored:
    """A node that can be referred to; `size` and `height` are what one more reference to it costs."""

    node: Node
    size: int
    height: int


class _Builder:
    """Builds one file's node. Recursion is safe: its depth is bounded before it goes down."""

    def __init__(self, name: str, text: str, report: Report) -> None:
        self._name = name
        self._report = report
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=Loader)
        self._anchors: dict[str, _Anchored] = {}
        self._aliases = 0
        self._nodes = 0
        self._deepest = 0

    def document(self) -> Node:
        root: Node = Fields(Place(self._name, 1, 1), {})
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Refused("documents", "a second document begins here", self._place(event), "a file holds one")
                root = self._node(next(self._events), 1)
                if isinstance(root, Scalar) and root.value is None:
                    root = Fields(root.place, {})
        return root

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return Place(self._name, mark.line + 1, mark.column + 1) if mark else Place(self._name)

    def _node(self, event: yaml.Event, depth: int) -> Node:
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor or "", place, depth)
        self._spend(1, depth, place)
        nodes, deepest, self._deepest = self._nodes, self._deepest, depth
        node = self._content(event, place, depth)
        if anchor := getattr(event, "anchor", None):
            self._anchors[anchor] = _Anchored(node, self._nodes - nodes + 1, self._deepest - depth)
        self._deepest = max(deepest, self._deepest)
        return node

    def _content(self, event: yaml.Event, place: Place, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, place)
        if isinstance(event, yaml.SequenceStartEvent):
            items = Items(place, tuple(self._sequence(depth)))
            return items if self._may_have(event, "seq", place) else Flaw(place)
        fields = Fields(place, self._mapping(depth))
        return fields if self._may_have(event, "map", place) else Flaw(place)

    def _sequence(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, depth + 1)

    def _mapping(self, depth: int) -> dict[str, Field]:
        fields: dict[str, Field] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            name = key.text if isinstance(key, Scalar) else f"\0{key.place}"
            if name in fields:
                message = f"`{name}` stands here a second time; first at {fields[name].key}"
                self._report.error("duplicate-key", message, key.place, "keep one of the two")
            else:
                fields[name] = Field(key.place, value if isinstance(key, Scalar) else key)
        return fields

    def _key(self, event: yaml.Event, depth: int) -> Scalar | Flaw:
        """A key. One that YAML reads as a number counts under its text, so that nothing else is said to be unknown."""
        node = self._node(event, depth)
        if not isinstance(node, Scalar):
            if not isinstance(node, Flaw):
                self._report.error("key", "a list or a mapping cannot be a key", node.place, "a key is a plain word")
            return Flaw(node.place)
        if node.text == "<<" and isinstance(event, yaml.ScalarEvent) and not event.style:
            self._report.error(
                "merge-key", "`<<` merges mappings, which hides what is granted", node.place, "write it out"
            )
            return Flaw(node.place)
        if not isinstance(node.value, str):
            self._report.error("unquoted", *_unquoted("a key", node))
        return node

    def _alias(self, anchor: str, place: Place, depth: int) -> Node:
        known = self._anchors.get(anchor)
        if known is None:
            raise _Refused(
                "aliases", f"`*{anchor}` refers to nothing that stands complete above it", place, "write the value out"
            )
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise _Refused("aliases", f"more than {MAX_ALIASES} aliases in one file", place, "write the values out")
        self._spend(known.size, depth + known.height, place)
        return known.node

    def _spend(self, nodes: int, depth: int, place: Place) -> None:
        self._nodes += nodes
        self._deepest = max(self._deepest, depth)
        if self._nodes > MAX_NODES:
            message = f"more than {MAX_NODES} values in one file, aliases written out"
            raise _Refused("too-large", message, place, "split the file, and use no alias for large parts")
        if depth > MAX_DEPTH:
            raise _Refused(
                "too-deep", f"more than {MAX_DEPTH} levels inside each other", place, "no policy is that deep"
            )

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> Scalar | Flaw:
        tag = event.tag
        if tag is None or tag == "!":
            quoted = bool(event.style) or tag == "!"  # a plain scalar's style is None, or "" with libyaml
            return Scalar(place, event.value if quoted else _core_value(event.value), event.value)
        if tag == "tag:yaml.org,2002:str":
            return Scalar(place, event.value, event.value)
        value = _core_value(event.value)
        wanted = _CORE_TYPES.get(tag)
        if wanted is None:
            self._refuse_tag(tag, place)
            return Flaw(place)
        if type(value) is not wanted:
            self._report.error("tag", f"`{event.value}` is not what its tag says", place, "take the tag out")
            return Flaw(place)
        return Scalar(place, value, event.value)

    def _may_have(self, event: yaml.Event, kind: str, place: Place) -> bool:
        tag = getattr(event, "tag", None)
        if tag in (None, "!", f"tag:yaml.org,2002:{kind}"):
            return True
        self._refuse_tag(str(tag), place)
        return False

    def _refuse_tag(self, tag: str, place: Place) -> None:
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        self._report.error(
            "tag", f"the tag `{shown}` is not allowed: policies are plain data", place, "take the tag out"
        )


# --- scalars ---------------------------------------------------------------------------------------------------------

_CORE_TYPES: Mapping[str, type] = {
    "tag:yaml.org,2002:null": type(None),
    "tag:yaml.org,2002:bool": bool,
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
}
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WHOLE = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)


def _core_value(text: str) -> str | int | float | bool | None:
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= 18 and _WHOLE.fullmatch(text):
        return int(text)
    if len(text) <= 18 and _BASED.fullmatch(text):
        return int(text, 0)
    if _DECIMAL.fullmatch(text) or _BASED.fullmatch(text):
        return float(text) if not _BASED.fullmatch(text) else float("inf")
    return text


def _unquoted(what: str, node: Scalar) -> tuple[str, Place, str]:
    """Message, place and remedy for a scalar that should have been quoted."""
    return (
        f"{what} is text, and YAML reads `{node.text}` as {sort(node)}",
        node.place,
        f'put it in quotes: "{node.text}"',
    )


# --- syntax errors, in plain words -----------------------------------------------------------------------------------

_PLAIN_WORDS: tuple[tuple[str, str, str], ...] = (
    (
        "mapping values are not allowed",
        "a second `: ` in one line, or a wrong indentation",
        "quote text that holds `: `",
    ),
    ("could not find expected ':'", "a key without `:` after it", "write `key: value`"),
    ("did not find expected key", "the indentation fits no line above", "indent what belongs together alike"),
    ("expected <block end>", "the indentation fits no line above", "indent what belongs together alike"),
    (
        "did not find expected '-' indicator",
        "a list goes on without `-`, or is indented wrongly",
        "begin each item with `- `",
    ),
    (
        "did not find expected ',' or '}'",
        "a `{` is not closed, or a comma is missing",
        "write `{key: value, key: value}`",
    ),
    ("expected ',' or '}'", "a `{` is not closed, or a comma is missing", "write `{key: value, key: value}`"),
    ("did not find expected ',' or ']'", "a `[` is not closed, or a comma is missing", "write `[one, two]`"),
    ("expected ',' or ']'", "a `[` is not closed, or a comma is missing", "write `[one, two]`"),
    ("did not find expected node content", "a value or a closing bracket is missing", "complete it, or take it away"),
    ("unexpected end of stream", "a quote is opened and not closed", "close the quote"),
    ("cannot start any token", "this character cannot begin a value", "put the value in quotes"),
)

_LOOK = "look at the brackets, quotes and colons here and in the line before"


def _report_syntax(name: str, text: str, error: yaml.YAMLError, report: Report) -> None:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name)
    if tab := _indenting_tab(text, place.line):
        report.error(
            "tab", "a tab indents this line, and YAML takes only spaces", Place(name, place.line, tab), "use spaces"
        )
        return
    said = str(getattr(error, "problem", "") or "").strip()
    words, remedy = next(((words, remedy) for key, words, remedy in _PLAIN_WORDS if key in said), ("", _LOOK))
    report.error("yaml", f"this is not YAML: {words or said or 'it cannot be read'}", place, remedy)


def _indenting_tab(text: str, line: int) -> int:
    """The column of a tab in the indentation of the line, or 0."""
    lines = text.split("\n")
    content = lines[line - 1] if 0 < line <= len(lines) else ""
    indentation = content[: len(content) - len(content.lstrip(" \t"))]
    return indentation.find("\t") + 1
