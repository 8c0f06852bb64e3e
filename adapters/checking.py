"""Settings that a model describes, checked: every mistake at once, and a likely spelling for a key that does not exist.

Values never appear in a message: one of them may be a password.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from reconciler.sources import Place, Problem, ProblemsFound, SourceContext

__all__ = ["Expect", "PersonAttribute", "Strict", "checked", "checked_source"]


PersonAttribute = Literal["id", "email", "name"]
"""What of a person accounts can be matched by; any other word would match nobody."""


class Strict(BaseModel):
    """Settings in which every key is known, and which are never shown in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Expect(Strict):
    """What a full delivery of people cannot be without."""

    minimum: Annotated[int, Field(ge=1)] = 1


_KINDS = {
    **dict.fromkeys(("model_type", "dict_type", "mapping_type"), "a mapping, such as {name: value}"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "sequence_type"), "a list, such as [one, another]"),
    "string_type": "a text",
}
"""What pydantic says of Python's types, in the words of whoever writes YAML."""
SettingsType = TypeVar("SettingsType", bound=BaseModel)


def checked_source(model: type[SettingsType], settings: Mapping[str, object], context: SourceContext) -> SettingsType:
    """The settings of a people source, or `ProblemsFound` with all that is wrong with them."""
    return checked(model, settings, f"source {context.name}", "source-settings", context.place)


def checked(
    model: type[SettingsType], settings: Mapping[str, object], owner: str, code: str, place: Place
) -> SettingsType:
    """The settings, or `ProblemsFound` with all that is wrong with them; `owner` is whose they are, in words."""
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    raise ProblemsFound(owner, [_problem(model, detail, owner, code, place) for detail in details])


def _problem(model: type[BaseModel], detail: ErrorDetails, owner: str, code: str, place: Place) -> Problem:
    path = [str(part) for part in detail["loc"]]
    where = f"{owner}: `{'.'.join(path)}`" if path else owner
    match detail["type"]:
        case "extra_forbidden":
            return Problem(code, f"{where} is not a setting", place, _suggestion(model, path))
        case "missing":
            kind = owner.split(" ", maxsplit=1)[0]
            return Problem(code, f"{where} is missing", place, f"add it to the {kind}'s settings")
        case kind if kind in _KINDS:
            return Problem(code, f"{where} should be {_KINDS[kind]}", place)
        case _:
            return Problem(code, f"{where}: {detail['msg'].removeprefix('Value error, ')}", place)


def _suggestion(model: type[BaseModel], path: Sequence[str]) -> str:
    for part in path[:-1]:
        model = _nested(model, part) or model
    near = difflib.get_close_matches(path[-1], model.model_fields, n=1)
    known = ", ".join(model.model_fields)
    return f"did you mean `{near[0]}`?" if near else f"possible here: {known}"


def _nested(model: type[BaseModel], part: str) -> type[BaseModel] | None:
    annotation = model.model_fields[part].annotation if part in model.model_fields else None
    candidates = (annotation, *get_args(annotation))
    return next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
