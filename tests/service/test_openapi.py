"""The service as its OpenAPI document describes it, held against whatever fits the document and much that does not."""

from __future__ import annotations

from collections.abc import Iterator
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

from tests.service.conftest import ODD, asked_office
from tests.service.office import PATIENCE, Office, Service, signed
from tests.service.scim import CORE, ERROR, PATCH, SEARCH, Provider, takes_scim, user

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
    "user": ["S1", "E1", ODD],
    "name": ["User", CORE],
    "filter": ['userName eq "s1@example.com"', "active eq true", 'title co "a" or not (name.familyName pr)'],
    "sortBy": ["userName", "name.familyName"],
    "attributes": ["userName", "emails.value"],
    "at": ["2026-01-01", "2030-02-03T04:05", "1970-01-01T00:00:00Z"],
    "as_known_at": ["entry:3", "2026-01-01", "5"],
}
"""What there is in the office of these tests."""

LEAVERS = ["L1", "L2"]
"""Whoever else came by SCIM stays."""


class Caller(requests.auth.AuthBase):
    """Signs what goes where events and pushes go, and has a token for everything else."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if (request.path_url or "").startswith(("/v1/events", "/v1/push")):
            body = request.body or b""
            request.headers.update(signed(body if isinstance(body, bytes) else str(body).encode()))
        else:
            request.headers["authorization"] = f"Bearer {self._token}"
        return request


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, Service]]:
    """A service with everything switched on, who came by SCIM among its people."""
    with asked_office(tmp_path_factory.mktemp("whole")) as office:
        takes_scim(office)
        with (office.folder / office.file).open("a", encoding="utf-8") as stream:
            stream.write("  metrics: token\n  policy_repository: {branch: main, push: {secret: '${file:secret}'}}\n")
        with office.serving() as service:
            service.until_ready()
            entra = Provider(service.url, office.token("entra"))
            assert {entra.make(person).status_code for person in ("S1", *LEAVERS)} == {201}
            yield office, service


@pytest.fixture(scope="module")
def caller(whole: tuple[Office, Service]) -> Caller:
    return Caller(whole[0].token("审计"))


@pytest.fixture(scope="module")
def api(whole: tuple[Office, Service]) -> Any:
    return schemathesis.openapi.from_url(f"{whole[1].url}/openapi.json")


OPERATIONS = [
    "DELETE /scim/v2/Users/{user}",
    "GET /.well-known/authzen-configuration",
    "GET /healthz",
    "GET /metrics",
    "GET /readyz",
    "GET /scim/v2/ResourceTypes",
    "GET /scim/v2/ResourceTypes/{name}",
    "GET /scim/v2/Schemas",
    "GET /scim/v2/Schemas/{name}",
    "GET /scim/v2/ServiceProviderConfig",
    "GET /scim/v2/Users",
    "GET /scim/v2/Users/{user}",
    "GET /v1/access/{person}",
    "GET /v1/can/{person}/{permission}",
    "GET /v1/held",
    "GET /v1/plan",
    "GET /v1/runs",
    "GET /v1/runs/{run}",
    "GET /v1/who/{permission}",
    "GET /v1/why/{person}/{permission}",
    "PATCH /scim/v2/Users/{user}",
    "POST /access/v1/evaluation",
    "POST /access/v1/evaluations",
    "POST /access/v1/search/action",
    "POST /access/v1/search/resource",
    "POST /access/v1/search/subject",
    "POST /scim/v2/.search",
    "POST /scim/v2/Users",
    "POST /scim/v2/Users/.search",
    "POST /v1/approvals",
    "POST /v1/events",
    "POST /v1/push",
    "POST /v1/revocations",
    "PUT /scim/v2/Users/{user}",
]


def speak_of_what_there_is(case: Case[Any], data: st.DataObject) -> None:
    """Nobody hits upon an id by chance, and the answer would always be that there is none."""

    def known(name: str) -> str:
        return data.draw(st.sampled_from(KNOWN[name]))

    path, query, body = cast("tuple[dict[str, Any], ...]", (case.path_parameters, case.query, case.body))
    for own in (path or {}, query or {}):
        own.update({name: known(name) for name in sorted(KNOWN.keys() & own.keys())})
    if case.method == "DELETE":
        path["user"] = data.draw(st.sampled_from(LEAVERS))
    if not isinstance(body, dict):
        return
    if case.path.startswith("/scim/v2"):
        speak_scim(case, data)
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


def speak_scim(case: Case[Any], data: st.DataObject) -> None:
    """Most of what fits the document says nothing that SCIM knows."""
    body, where = cast("dict[str, Any]", case.body), case.path.removeprefix("/scim/v2")
    if where.endswith("/.search"):
        said: dict[str, Any] = {"schemas": [SEARCH], "filter": data.draw(st.sampled_from(KNOWN["filter"]))}
    elif case.method == "PATCH":
        path = data.draw(st.sampled_from(["title", "name.familyName", 'emails[type eq "work"].value', "active"]))
        said = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": path, "value": path != "active" and "王"}]}
    else:
        said = user((case.path_parameters or {}).get("user") or data.draw(st.sampled_from(["S2", "S3", ODD])))
    body.clear()
    body.update(said)


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


def test_whatever_takes_a_token_is_closed_without_one(whole: tuple[Office, Service]) -> None:
    _, service = whole
    document = requests.get(f"{service.url}/openapi.json", timeout=PATIENCE).json()
    taking = [
        (method, path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation.get("security")
    ]

    assert len(taking) == 28
    for method, path in taking:
        tried = path.replace("{person}", "E1").replace("{permission}", "docs:read").replace("{run}", "a")
        tried = tried.replace("{user}", "S1").replace("{name}", "User")
        body = b"{}" if method in ("post", "put", "patch") else None
        headers = {"content-type": "application/json"}
        answer = requests.request(method, service.url + tried, data=body, headers=headers, timeout=PATIENCE)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer", path
        told = answer.json()
        assert told["schemas"] == [ERROR] if "/scim/" in path else told["error"]["code"] == "token"
