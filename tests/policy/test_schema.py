"""The JSON Schema that editors use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.policy import json_schema
from reconciler.policy.reading import Documents


def parts(schema: object) -> Iterator[dict[str, Any]]:
    """Every mapping of the schema, from the outside in."""
    if isinstance(schema, dict):
        yield schema
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from parts(inner)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json.loads(json.dumps(json_schema()))  # type: ignore[no-any-return]


def test_the_schema_names_its_dialect(schema: dict[str, Any]) -> None:
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"]
    assert schema["additionalProperties"] is False


def test_a_file_may_hold_any_section_and_needs_none(schema: dict[str, Any]) -> None:
    assert schema["properties"].keys() == Documents().sections().keys()
    assert "required" not in schema


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    for part in parts(schema):
        if "$ref" in part:
            assert part["$ref"].removeprefix("#/$defs/") in schema["$defs"], part


def test_every_field_is_described_and_none_may_be_null(schema: dict[str, Any]) -> None:
    for name, definition in schema["$defs"].items():
        assert definition.get("description"), name
        for field, part in definition.get("properties", {}).items():
            assert part.get("description"), f"{name}.{field}"
    assert {"type": "null"} not in list(parts(schema))


def test_unknown_keys_are_refused_in_every_clause(schema: dict[str, Any]) -> None:
    clauses = [part for part in parts(schema["$defs"]) if part.get("type") == "object" and part.get("properties")]

    assert clauses
    assert all(part.get("additionalProperties") is not None for part in clauses)


def test_what_must_be_given_is_required(schema: dict[str, Any]) -> None:
    required = {name: set(part.get("required", ())) for name, part in schema["$defs"].items()}

    assert {"person", "grants", "until", "reason"} <= required["ExceptionClause"]
    assert "until" in required["MemberClause"]
    assert {"owner", "ceiling", "until", "grants"} <= required["ServiceAccountClause"]
    assert schema["$defs"]["LockoutClause"]["properties"].keys() == {"person", "ref", "since", "from"}


def test_a_day_and_a_match_are_what_an_author_writes(schema: dict[str, Any]) -> None:
    assert schema["$defs"]["ExceptionClause"]["properties"]["until"]["format"] == "date"
    assert schema["$defs"]["RoleClause"]["properties"]["match"]["$ref"] == "#/$defs/Match"
    assert schema["$defs"]["Match"]["properties"].keys() == {"all", "any", "none"}


def test_what_has_to_do_with_variables_is_described(schema: dict[str, Any]) -> None:
    definitions = schema["$defs"]

    assert {"compartments", "mode", "values"} <= definitions["ResourceClause"]["properties"].keys()
    assert definitions["ResourceClause"]["properties"]["mode"]["enum"] == ["enforce", "additive", "observe"]
    assert definitions["ValueClause"]["properties"].keys() == {"classification", "compartments", "until", "owner"}
    assert definitions["CompartmentClause"]["properties"].keys() == {"requires", "only"}
    assert definitions["EvidenceClause"]["properties"]["per"]["type"] == "string"
    bound = definitions["RoleClause"]["properties"]["for_each"]["additionalProperties"]
    assert bound["anyOf"][1]["additionalProperties"]["enum"] == ["ancestors", "descendants"]
    binding = definitions["ResourceClause"]["properties"]["access"]["additionalProperties"]["additionalProperties"]
    assert binding["properties"]["mode"]["enum"] == ["enforce", "additive", "observe"]
    required, listed, spelled_out = definitions["RequirementClause"]["anyOf"]
    assert (required["type"], listed["type"], spelled_out["required"]) == ("string", "object", ["any_of"])
