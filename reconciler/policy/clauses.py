"""One clause: node → checked model, with pydantic's errors told in the author's words, at their line and column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from reconciler.errors import Place
from reconciler.policy.nodes import (
    Fields,
    Items,
    Node,
    Path,
    Scalar,
    child,
    find,
    flawed,
    key_place,
    plain,
    sort,
    without,
)
from reconciler.policy.report import Report, listed

C = TypeVar("C", bound=BaseModel)

_HARMLESS = frozenset({"unknown-key"})
"""Mistakes after which a clause that others refer to says as much as before, once the part is left away."""
_REFERRED_TO = frozenset({"attributes", "resources"})
"""Sections whose clauses are asked for their parts: what is left away there would be missed by others."""

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "date_type": "a day such as 2027-06-30",
}
_HOW = {
    "a list": "write `[one, two]`, or one item a line, each after `- `",
    "a mapping": "write `{key: value}`, or one `key: value` a line, indented",
    "a day such as 2027-06-30": "write year, month and day",
    "a whole number": "write digits, without quotes",
    "a number": "write digits, without quotes",
    "true or false": "write `true` or `false`, without quotes",
}
_MISSING = {
    "until": "give the last day, such as `until: 2027-06-30`: this access always ends",
    "person": 'give the person\'s id in quotes, such as `person: "E1007"`',
    "owner": "say who answers for it, such as `owner: {post: it}`",
    "reason": "say why, in a few words",
    "ref": "give a case number under which those who may know can read why",
    "ceiling": "name the highest clearance that this admits",
    "classification": "name the clearance that one needs to open it",
    "access": "say what gives access, such as `access: {read: {corp-ldap: {group: docs-readers}}}`",
    "grants": "say what it gives, such as `grants: {read: [handbook]}`",
    "name": "give it a name by which it can be spoken of",
    "of": "say whose assignments need a sponsor, such as `of: {employment: contractor}`",
    "by": "name the attribute that holds the sponsor's id, such as `by: sponsor`",
    "match": "say whom it concerns, such as `match: {employment: contractor}`",
    "permission": "say which, such as `permission: basic-docs:read`",
    "overlap": "say how long, such as `overlap: 7d`",
    "target": "name the target that it is on, such as `target: corp-ldap`",
    "entitlement": "say which it is, such as `entitlement: {group: old-readers}`",
    "members": "say what becomes of its members: `members: revoke` or `members: keep`",
    "on": "give the day that the test is about, such as `on: 2026-11-24`",
    "evidence": "name the kind, such as `evidence: nda`",
    "expect": "say what has to come out, such as `expect: {can: [handbook:read]}`",
}
_FREE_TEXT = frozenset({"reason", "comment", "note", "description"})


def read_clause(
    model: type[C], node: Node, section: str, label: str, place: Place, report: Report
) -> tuple[C, Node] | None:
    """The clause and the node that it was read from, or None where it is broken; what is wrong is in the report.

    A wrong part is left away, where that can be done, so that the rest of the clause is checked as well. `label` names
    the clause in messages, `place` stands for the whole of it where something is missing.
    """
    if flawed(node):
        return None
    clause, found = _attempt(model, node)
    blanks = dict.fromkeys(_blanks(node, ()))
    if clause is not None and not blanks:
        return clause, node
    reader = _Reader(model, node, section, label, place, report)
    unknown = {error["loc"] for error in found if error["type"] == "extra_forbidden"}
    wrong = {path: reader.report_blank(path) for path in blanks if path not in unknown}
    for error in sorted(found, key=lambda error: error["loc"] not in unknown):
        inside_blank = any(error["loc"][:length] in blanks for length in range(len(error["loc"]) + 1))
        if error["loc"] in unknown or not inside_blank:
            wrong[_real(node, error["loc"])] = reader.report_error(error)
    if section in _REFERRED_TO and not _HARMLESS.issuperset(wrong.values()):
        return None
    return _rest(model, node, frozenset(wrong))


def _rest(model: type[C], node: Node, wrong: frozenset[Path]) -> tuple[C, Node] | None:
    """The clause without its wrong parts, and without what is wrong for the lack of them."""
    while wrong and () not in wrong:
        node = without(node, wrong)
        clause, found = _attempt(model, node)
        if clause is not None:
            return clause, node
        wrong = frozenset(_real(node, error["loc"]) for error in found)
    return None


def _attempt(model: type[C], node: Node) -> tuple[C | None, list[ErrorDetails]]:
    try:
        return model.model_validate(plain(node)), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _blanks(node: Node, path: Path) -> list[Path]:
    """The paths at which nothing stands. A blank field could mean anything, so it may not stand."""
    match node:
        case Scalar(value=None):
            return [path]
        case Items():
            return [blank for index, item in enumerate(node.items) for blank in _blanks(item, (*path, index))]
        case Fields():
            return [blank for name, field in node.fields.items() for blank in _blanks(field.node, (*path, name))]
        case _:
            return []


class _Reader:
    """Tells what is wrong with one clause."""

    def __init__(
        self, model: type[BaseModel], node: Node, section: str, label: str, place: Place, report: Report
    ) -> None:
        self._model, self._node, self._section = model, node, section
        self._label, self._place, self._report = label, place, report
        self._meant: set[Path] = set()

    def report_blank(self, path: Path) -> str:
        """Report that nothing stands at the path, and return the code for it."""
        where = f"{self._label}: {self._spot(path)}" if path else self._label
        remedy = "give it a value, or take the line out"
        if not path or path[:-1] == ("values",):
            remedy = "write `{}` where nothing is to be said"
        self._report.error("blank", f"{where} is blank", self._key(path), remedy)
        return "blank"

    def report_error(self, error: ErrorDetails) -> str:
        """Report one of pydantic's errors, and return the code that it was given."""
        loc, kind = error["loc"], error["type"]
        context: Mapping[str, Any] = error.get("ctx", {})
        match kind:
            case "extra_forbidden":
                return self._unknown_key(loc)
            case "missing" if not context:
                if loc in self._meant:
                    return "missing"  # it is there, misspelt, and that has been said
                remedy = _MISSING.get(str(loc[-1]), "")
                return self._error("missing", f"`{loc[-1]}` is missing", self._holder(loc), remedy, loc[:-1])
            case "literal_error":
                return self._not_among(loc, str(context["expected"]))
            case "too_short" | "too_long":
                return self._size(loc, kind == "too_long")
            case "greater_than_equal" | "less_than_equal" | "finite_number":
                remedy = _within(context)
                return self._error("range", self._range(loc, context), find(self._node, loc).place, remedy, loc)
        if kind in _WANTED:
            return self._wrong_sort(loc, _WANTED[kind])
        on_key = not loc or loc[-1] == "[key]"
        place = self._key(loc[:-1]) if on_key else find(self._node, loc).place
        return self._error(kind, str(error["msg"]), place, str(context.get("remedy", "")), loc)

    def _error(self, code: str, message: str, place: Place, remedy: str, loc: Path) -> str:
        spot = self._spot(loc)
        where = f"{self._label}, {spot}" if spot else self._label
        self._report.error(code, f"{where}: {message}", place, remedy)
        return code

    def _unknown_key(self, loc: Path) -> str:
        key, place = str(loc[-1]), self._key(loc)
        if self._section == "lockouts" and key in _FREE_TEXT:
            remedy = "git is read by many: keep the words where `ref` points to"
            return self._error("unknown-key", f"a lockout has no `{key}`", place, remedy, loc[:-1])
        if self._section == "resources" and loc == ("until",):
            remedy = "only a value of a family ends, as in `values: {falcon: {until: 2027-03-31}}`"
            return self._error("unknown-key", "a resource has no `until`", place, remedy, loc[:-1])
        keys = _keys(_model_at(self._model, loc[:-1]))
        near = self._report.nearest(key, keys)
        self._meant.add((*loc[:-1], near))
        remedy = f"did you mean `{near}`?" if near else f"possible here: {listed(keys)}"
        return self._error("unknown-key", f"there is no `{key}` here", place, remedy, loc[:-1])

    def _not_among(self, loc: Path, expected: str) -> str:
        choices = [choice.strip("' ") for choice in expected.replace(" or ", ", ").split(",")]
        node = find(self._node, loc)
        shown = node.text if isinstance(node, Scalar) else sort(node)
        remedy = self._report.suggestion(shown, choices, f"write one of {listed(choices)}")
        if len(choices) == 1:
            remedy = f"write `{choices[0]}`"
        message = (
            f"`{shown}` is none of {listed(choices)}" if len(choices) > 1 else f"only {listed(choices)} can stand here"
        )
        return self._error("value", message, node.place, remedy, loc)

    def _size(self, loc: Path, too_long: bool) -> str:
        node = find(self._node, loc)
        if too_long:
            return self._error("value", "this holds more than one", node.place, "keep one", loc)
        remedy = "name at least one, or take the line out"
        return self._error("empty", f"this {sort(node).removeprefix('a ')} is empty", node.place, remedy, loc)

    def _range(self, loc: Path, context: Mapping[str, Any]) -> str:
        node = find(self._node, loc)
        shown = node.text if isinstance(node, Scalar) else sort(node)
        if "ge" in context:
            return f"{shown} is less than {context['ge']:g}, the least that can stand here"
        return (
            f"{shown} is more than {context['le']:g}, the most that can stand here"
            if "le" in context
            else f"{shown} is no number"
        )

    def _wrong_sort(self, loc: Path, wanted: str) -> str:
        node = find(self._node, loc)
        found = sort(node)
        if wanted == "text" and isinstance(node, Scalar):
            message = f"text is expected, and YAML reads `{node.text}` as {found}"
            return self._error("unquoted", message, node.place, f'put it in quotes: "{node.text}"', loc)
        shown = f"`{node.text}`" if isinstance(node, Scalar) else found
        message = (
            f"{wanted} is expected, not {found}"
            if shown == found
            else f"{wanted} is expected, not the {found.removeprefix('a ')} {shown}"
        )
        return self._error("type", message, node.place, _HOW.get(wanted, ""), loc)

    def _holder(self, loc: Path) -> Place:
        """Where the thing stands in which something is missing."""
        return self._place if len(loc) < 2 else self._key(loc[:-1])

    def _key(self, path: Path) -> Place:
        return key_place(self._node, _real(self._node, path)) if path else self._place

    def _spot(self, loc: Path) -> str:
        """The path inside the clause in words, without the steps that the file does not have."""
        path = _real(self._node, loc)
        text = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
        return f"`{text}`" if text else ""


def _real(node: Node, loc: Path) -> Path:
    """The steps of a pydantic location that the file has."""
    steps: list[str | int] = []
    for step in loc:
        inner = child(node, step)
        if inner is not None:
            node = inner
            steps.append(step)
    return tuple(steps)


def _model_at(model: type[BaseModel], loc: Path) -> type[BaseModel]:
    """The model that describes what stands at the location inside a clause of this model."""
    for step in loc:
        field = next((f for name, f in model.model_fields.items() if (f.alias or name) == step), None)
        model = (_model_in(field.annotation) if field else None) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def _keys(model: type[BaseModel]) -> list[str]:
    return sorted(field.alias or name for name, field in model.model_fields.items())


def _within(context: Mapping[str, Any]) -> str:
    """What to write where a number is too low, too high or none."""
    if "ge" in context:
        return f"write {context['ge']:g} or more"
    return f"write {context['le']:g} or less" if "le" in context else "write a number"
