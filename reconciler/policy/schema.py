"""The JSON Schema (2020-12) of a policy file, for editors that complete and check while one types."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.policy.document import PolicyFile
from reconciler.policy.values import MATCH_TITLE

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "minItems": 1, "items": _TEXT}
_MATCHES = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Match"}}
_ABSENT = {"type": "boolean", "description": "What a blank or undeclared value means; unknown where this is left out."}
_BOUNDS = {
    "min": {"type": "string", "description": "The lowest value of an ordered attribute."},
    "max": {"type": "string", "description": "The highest value of an ordered attribute."},
}
_ALL_OF = {**_TEXTS, "description": "All of these values of a set."}

_MATCH = {
    "type": "object",
    "title": "Match",
    "description": "Attributes of one assignment and what they have to be; all keys must hold for the same assignment.",
    "minProperties": 1,
    "properties": {
        "all": {**_MATCHES, "description": "All of these matches hold."},
        "any": {**_MATCHES, "description": "At least one of these matches holds."},
        "none": {**_MATCHES, "description": "None of these matches holds."},
    },
    "additionalProperties": {"$ref": "#/$defs/Comparison"},
}
_COMPARISON = {
    "title": "Comparison",
    "description": "A value; a list of which any will do; or a bound, a negation or all of several.",
    "anyOf": [
        _TEXT,
        _TEXTS,
        {
            "type": "object",
            "additionalProperties": False,
            "minProperties": 1,
            "properties": {
                **_BOUNDS,
                "all_of": _ALL_OF,
                "not": {
                    "description": "This does not hold.",
                    "anyOf": [
                        _TEXT,
                        _TEXTS,
                        {
                            "type": "object",
                            "additionalProperties": False,
                            "minProperties": 1,
                            "properties": {**_BOUNDS, "all_of": _ALL_OF},
                        },
                    ],
                },
                "absent": _ABSENT,
            },
        },
    ],
}


def json_schema() -> dict[str, object]:
    """The schema of one file of a policy tree; any file may hold any section."""
    schema = _finished(PolicyFile.model_json_schema())
    assert isinstance(schema, dict)  # noqa: S101  (what goes in as a mapping comes out as one)
    definitions = {**schema.pop("$defs"), "Comparison": _COMPARISON, "Match": _MATCH}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Policy file"}
    return {**head, "$defs": dict(sorted(definitions.items()))}


def _finished(part: object) -> object:
    """The part without `null`, which no policy may write, and with the definition of a match where one stands."""
    if isinstance(part, list):
        return [_finished(item) for item in part]
    if not isinstance(part, Mapping):
        return part
    finished = {name: _finished(value) for name, value in part.items() if (name, value) != ("default", None)}
    if isinstance(text := finished.get("description"), str):
        finished["description"] = " ".join(text.split())
    if finished.get("title") == MATCH_TITLE and finished.get("type") == "object":
        del finished["title"], finished["type"]
        finished["$ref"] = "#/$defs/Match"
    return _without_null(finished)


def _without_null(part: dict[str, object]) -> dict[str, object]:
    choices = part.get("anyOf")
    if not isinstance(choices, list) or {"type": "null"} not in choices:
        return part
    left = [choice for choice in choices if choice != {"type": "null"}]
    rest = {name: value for name, value in part.items() if name != "anyOf"}
    return {**left[0], **rest} if len(left) == 1 else {**rest, "anyOf": left}
