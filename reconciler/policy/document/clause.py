"""What all clauses of a policy file have in common."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler
from pydantic import Field as Constraint
from pydantic_core import CoreSchema


class Clause(BaseModel):
    """What all parts of a policy file have in common."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        defer_build=True,  # a command that reads no policies does not pay for their checks
        use_attribute_docstrings=True,
        model_title_generator=lambda model: model.__name__.removesuffix("Clause"),
    )


class _OrJustOne:
    """In the schema: the list, or one of its items by itself."""

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        listed = handler(core_schema)
        return {"anyOf": [listed["items"], listed]}


C = TypeVar("C", bound=Clause)
OneOrMore = Annotated[
    list[C],
    Constraint(min_length=1),
    BeforeValidator(lambda value: [value] if isinstance(value, dict) else value),
    _OrJustOne(),
]
"""A list of clauses; one of them may stand by itself."""
