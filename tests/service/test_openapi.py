"""The service as its OpenAPI document describes it, held against whatever fits the document and much that does not."""

from __future__ import annotations

from typing import Any, cast

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.service.conftest import ODD
from tests.service.office import PATIENCE, Office, Service, signed

CHECKS: Any = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
MOST_EXAMPLES = 20
KNOWN = {
    "person": ["E1", "E4", ODD, "svc-index"],
    "permission": ["docs:read", "algorithms:read", "项目/猎鹰:write"],
    "target": ["dir"],
    "at": ["2026-01-01", "2030-02-03T04:05", "1970-01-01T00:00:00Z"],
    "as_known_at": ["entry:3", "2026-01-01", "5"],
}
"""What there is in the office of these tests."""


class Caller(requests.auth.AuthBase):
    """Signs what goes where events go, and has a token for everything else."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if (request.path_url or "").startswith("/v1/events"):
            body = request.body or b""
            request.headers.update(signed(body if isinstance(body, bytes) else str(body).encode()))
        else:
            request.headers["authorization"] = f"Bearer {self._token}"
        return request


@pytest.fixture(scope="module")
def caller(asked: tuple[Office, Service]) -> Caller:
    return Caller(asked[0].token("审计"))


@pytest.fixture(scope="module")
def api(asked: tuple[Office, Service]) -> Any:
    return schemathesis.openapi.from_url(f"{asked[1].url}/openapi.json")


OPERATIONS = [
    "GET /.well-known/authzen-configuration",
    "GET /healthz",
    "GET /readyz",
    "GET /v1/access/{person}",
    "GET /v1/can/{person}/{permission}",
    "GET /v1/held",
    "GET /v1/plan",
    "GET /v1/runs",
    "GET /v1/runs/{run}",
    "GET /v1/who/{permission}",
    "GET /v1/why/{person}/{permission}",
    "POST /access/v1/evaluation",
    "POST /access/v1/evaluations",
    "POST /access/v1/search/action",
    "POST /access/v1/search/resource",
    "POST /access/v1/search/subject",
    "POST /v1/approvals",
    "POST /v1/events",
    "POST /v1/revocations",
]


def speak_of_what_there_is(case: Case[Any], data: st.DataObject) -> None:
    """Nobody hits upon an id by chance, and the answer would always be that there is none."""

    def known(name: str) -> str:
        return data.draw(st.sampled_from(KNOWN[name]))

    path, query, body = cast("tuple[dict[str, Any], ...]", (case.path_parameters, case.query, case.body))
    for own in (path or {}, query or {}):
        own.update({name: known(name) for name in sorted(KNOWN.keys() & own.keys())})
    if not isinstance(body, dict):
        return
    if isinstance(body.get("person"), str):
        body["person"] = "E4"
    parts = body.get("evaluations")
    real = {
        "subject": {"type": "person", "id": known("person")},
        "resource": {"type": "document", "id": known("permission").rpartition(":")[0]},
        "action": {"name": "read"},
    }
    for each in [body, *(parts if isinstance(parts, list) else [])]:
        for name in real.keys() & each.keys():
            if isinstance(each[name], dict):
                each[name].update(real[name])


def test_every_route_is_in_the_document_and_tried_here(api: Any) -> None:
    assert sorted(each.ok().label for each in api.get_all_operations()) == OPERATIONS


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_server_error_and_no_answer_outside_the_document(
    operation: str, mode: GenerationMode, api: Any, caller: Caller
) -> None:
    method, path = operation.split()

    @settings(
        max_examples=MOST_EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(api[path][method].as_strategy(generation_mode=mode), st.data())
    def tried(case: Case[Any], data: st.DataObject) -> None:
        if mode is GenerationMode.POSITIVE and data.draw(st.integers(0, 3)):
            speak_of_what_there_is(case, data)
        answer = case.call(auth=caller, timeout=PATIENCE)
        case.validate_response(answer, checks=CHECKS)

    try:
        tried()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "there is nothing in it that could be wrong"


def test_whatever_takes_a_token_is_closed_without_one(asked: tuple[Office, Service]) -> None:
    _, service = asked
    document = requests.get(f"{service.url}/openapi.json", timeout=PATIENCE).json()
    taking = [
        (method, path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation.get("security")
    ]

    assert len(taking) == 15
    for method, path in taking:
        tried = path.replace("{person}", "E1").replace("{permission}", "docs:read").replace("{run}", "a")
        body = b"{}" if method == "post" else None
        headers = {"content-type": "application/json"}
        answer = requests.request(method, service.url + tried, data=body, headers=headers, timeout=PATIENCE)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer", path
        assert answer.json()["error"]["code"] == "token"
