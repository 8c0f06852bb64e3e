"""How values enter a request. Pure.

Promises: a value in a path is one segment's worth of text and can be nothing else; a value in a body is a JSON value,
never a piece of JSON; where it stands in the midst of a text, which may be a language of its own, it has to be harmless
in every language, or the template says how it is to be written there. What cannot be said so is refused, in words.

A placeholder is `{account.key}`; `{{` is a brace. In the midst of a text also `{account.key:json}` (a JSON string, its
quotation marks included) and `{account.key:url}` (percent-encoded); `{account.key:text}` is text where the system has a
number. Source: RFC 3986.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import PlainValidator

from adapters.http.queries import text_of

__all__ = ["EACH", "Body", "CannotSay", "PathTemplate", "Template", "Values", "names_in"]

Values = Mapping[str, object]
"""`account.key` → the value as the system has it."""

EACH = "for_each_account"
"""The key of an object in whose place stands a list: what is under it, once for each account. With `joined_by` these
are texts, and in its place stands one text, between what is under `before` and `after`.
"""
_JOINING = {EACH, "joined_by", "before", "after"}
_PART = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}:]*)(?::(?P<form>[^{}]*))?\}|[{}]")
_NAME = re.compile(r"(?:account|entitlement|person)\.[a-z][a-z0-9_]*")
_FORMS = ("json", "url", "text")
_HARMLESS = re.compile(r"[A-Za-z0-9._~-]+")
"""RFC 3986's unreserved characters."""
_DOTS = (".", "..")


class CannotSay(ValueError):
    """Why a value cannot be put where a template wants it."""


class Template:
    """A text with placeholders. Raises `ValueError`, in words, for a text whose braces mean nothing."""

    __slots__ = ("_parts", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts: list[str | tuple[str, str]] = []
        end = 0
        for found in _PART.finditer(text):
            self._parts.append(text[end : found.start()])
            self._parts.append(_literal(found) or _placeholder(found))
            end = found.end()
        self._parts.append(text[end:])
        self._parts = [part for part in self._parts if part]

    def __repr__(self) -> str:
        return self.text

    @property
    def names(self) -> Iterator[str]:
        """The values that it needs."""
        return (part[0] for part in self._parts if isinstance(part, tuple))

    def value(self, values: Values) -> object:
        """The JSON value that it stands for: a placeholder alone is the value itself. Raises `CannotSay`."""
        if len(self._parts) == 1 and isinstance(self._parts[0], tuple):
            name, form = self._parts[0]
            if form not in ("json", "url"):
                value = _known(name, values)
                return _text(name, value) if form == "text" or isinstance(value, str) else value
        return self.within(values)

    def within(self, values: Values) -> str:
        """The text, every value written so that it stays one there. Raises `CannotSay`."""
        if len(self._parts) == 1 and isinstance(self._parts[0], tuple) and self._parts[0][1] in ("", "text"):
            name, _ = self._parts[0]
            return _text(name, _known(name, values))
        return self.amid(values)

    def amid(self, values: Values) -> str:
        """The same where more text goes before or after it."""
        return "".join(part if isinstance(part, str) else _amid(*part, values) for part in self._parts)

    def path(self, values: Values, *, slashes: bool) -> str:
        """The path, every value percent-encoded; `slashes`: the server keeps %2F apart from /. Raises `CannotSay`."""
        path = "".join(
            part if isinstance(part, str) else _segment(part[0], values, slashes=slashes) for part in self._parts
        )
        if any(segment in _DOTS for segment in path.split("/")):
            raise CannotSay(f"`{self.text}` would become `{path}`, which leads elsewhere")
        return path

    def pattern(self) -> str:
        """A regular expression of the paths that it can become."""
        return "".join(re.escape(part) if isinstance(part, str) else "[^/?#]+" for part in self._parts)


class Body:
    """A JSON body with placeholders in its texts."""

    __slots__ = ("_shape",)

    def __init__(self, shape: object) -> None:
        self._shape = _prepared(shape)

    @property
    def names(self) -> Iterator[str]:
        """The values that it needs."""
        return names_in(self._shape, inside=None)

    @property
    def names_outside(self) -> Iterator[str]:
        """Those that it needs outside of what is said for each account."""
        return names_in(self._shape, inside=False)

    @property
    def names_for_each(self) -> Iterator[str]:
        """Those that it needs inside."""
        return names_in(self._shape, inside=True)

    @property
    def fixed(self) -> Iterator[tuple[str, str]]:
        """The texts that are the same for everybody, by the names that they have in the body."""
        return _fixed("", self._shape)

    def value(self, values: Values, accounts: Sequence[Values]) -> object:
        """The body. Raises `CannotSay`."""
        return _filled(self._shape, values, accounts)


def names_in(shape: object, *, inside: bool | None) -> Iterator[str]:
    """The placeholders of a shape: inside of what is said for each account, outside of it, or both (None)."""
    if isinstance(shape, Template):
        yield from () if inside else shape.names
    elif isinstance(shape, _Each):
        yield from () if inside is False else names_in(shape.shape, inside=None)
    elif isinstance(shape, Mapping):
        for each in shape.values():
            yield from names_in(each, inside=inside)
    elif isinstance(shape, list):
        for each in shape:
            yield from names_in(each, inside=inside)


class _Each:
    """What is said once for each account."""

    __slots__ = ("shape",)

    def __init__(self, shape: object) -> None:
        self.shape = shape

    def filled(self, values: Values, accounts: Sequence[Values]) -> object:
        return [_filled(self.shape, {**values, **each}, ()) for each in accounts]


class _Joined(_Each):
    """The same in one text."""

    __slots__ = ("_after", "_before", "_joined_by", "_template")

    def __init__(self, shape: Mapping[str, object]) -> None:
        texts = [shape[EACH], shape["joined_by"], shape.get("before", ""), shape.get("after", "")]
        if not all(isinstance(each, str) for each in texts):
            raise ValueError(f"with `joined_by`, `{EACH}`, `before` and `after` are texts")
        each, self._joined_by, self._before, self._after = map(str, texts)
        self._template = Template(each)
        super().__init__(self._template)

    def filled(self, values: Values, accounts: Sequence[Values]) -> object:
        said = (self._template.amid({**values, **each}) for each in accounts)
        return f"{self._before}{self._joined_by.join(said)}{self._after}"


def _prepared(shape: object) -> object:
    if isinstance(shape, str):
        return Template(shape)
    if isinstance(shape, Mapping):
        if set(shape) == {EACH}:
            return _Each(_prepared(shape[EACH]))
        if {EACH, "joined_by"} <= set(shape) <= _JOINING:
            return _Joined(shape)
        for name in shape:
            if not isinstance(name, str) or name == EACH or "{" in name:
                raise ValueError(
                    f"`{name}` cannot be a name in a body: a name is plain text, and `{EACH}` alone or with `joined_by`"
                )
        return {name: _prepared(each) for name, each in shape.items()}
    if isinstance(shape, list):
        return [_prepared(each) for each in shape]
    if shape is None or isinstance(shape, bool | int | float):
        return shape
    raise ValueError(f"`{shape}` is no JSON value: put it in quotation marks")


def _fixed(name: str, shape: object) -> Iterator[tuple[str, str]]:
    if isinstance(shape, Template) and not list(shape.names):
        yield name, shape.within({})
    elif isinstance(shape, _Each):
        yield from _fixed(name, shape.shape)
    elif isinstance(shape, Mapping):
        for inner, each in shape.items():
            yield from _fixed(inner, each)
    elif isinstance(shape, list):
        for each in shape:
            yield from _fixed(name, each)


def _filled(shape: object, values: Values, accounts: Sequence[Values]) -> object:
    if isinstance(shape, Template):
        return shape.value(values)
    if isinstance(shape, _Each):
        return shape.filled(values, accounts)
    if isinstance(shape, Mapping):
        return {name: _filled(each, values, accounts) for name, each in shape.items()}
    if isinstance(shape, list):
        return [_filled(each, values, accounts) for each in shape]
    return shape


def _literal(found: re.Match[str]) -> str:
    return {"{{": "{", "}}": "}"}.get(found.group(), "")


def _placeholder(found: re.Match[str]) -> tuple[str, str]:
    name, form = found["name"], found["form"]
    if name is None or not _NAME.fullmatch(name):
        raise ValueError(
            f"`{found.group()}` is no placeholder, such as {{account.key}} or {{entitlement.id}}; a brace is written "
            "twice: {{"
        )
    if form is not None and form not in _FORMS:
        raise ValueError(f"`:{form}` in `{found.group()}` means nothing; possible: :json, :url, :text")
    return name, form or ""


def _known(name: str, values: Values) -> object:
    if name not in values:
        raise CannotSay(f"`{{{name}}}` is not known here")
    return values[name]


def _text(name: str, value: object) -> str:
    try:
        text = text_of(value)
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise CannotSay(f"{name} is no text that can be sent: {value!r}") from None
    except ValueError as error:
        raise CannotSay(f"{name} {error}") from None
    return text


def _amid(name: str, form: str, values: Values) -> str:
    text = _text(name, _known(name, values))
    if form == "json":
        return json.dumps(text, ensure_ascii=False)
    if form == "url":
        return quote(text, safe="")
    if not _HARMLESS.fullmatch(text):
        raise CannotSay(
            f"{name} is {text!r}, and stands in the midst of a text: only letters, digits and -._~ are harmless there; "
            f"say how it is to be written: {{{name}:json}} or {{{name}:url}}"
        )
    return text


def _segment(name: str, values: Values, *, slashes: bool) -> str:
    text = _text(name, _known(name, values))
    if not slashes and any(mark in text for mark in "/\\"):
        raise CannotSay(
            f"{name} is {text!r}: in a path, many servers take its slash for the beginning of another path; use a "
            "number or key of the system in its place, or say `encoded_slash: true` where this one does not"
        )
    return quote(text, safe="")


def _template(value: object) -> Template:
    if not isinstance(value, str):
        raise ValueError("is no text")
    return Template(value)


def _path(value: object) -> Template:
    if not isinstance(value, str) or not value.strip("/"):
        raise ValueError("is no path below `url`, such as groups/{entitlement.id}/members")
    if "?" in value or "#" in value:
        raise ValueError("ends before a `?` or `#`: what is asked with stands under `query`")
    if "//" in value or any(segment in _DOTS for segment in value.split("/")) or not value.isprintable():
        raise ValueError("is no path below `url`: it has `//`, `.` or `..`, or cannot be printed")
    return Template(value)


def _text_template(value: Any) -> Template:
    if isinstance(value, bool):
        return Template("true" if value else "false")
    return _template(str(value) if isinstance(value, int) else value)


PathTemplate = Annotated[Template, PlainValidator(_path)]
TextTemplate = Annotated[Template, PlainValidator(_text_template)]
"""A parameter; YAML reads `true` and `1` as something else than text."""
BodyTemplate = Annotated[Body, PlainValidator(Body)]
