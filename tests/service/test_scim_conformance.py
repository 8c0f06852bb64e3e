"""Inbound SCIM as others see it: `scim2-tester` and `scim2-client` know nothing of us; the service is a real one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import PatchOp, PatchOperation
from scim2_tester import CheckResult, Status, check_server

from tests.service.office import PATIENCE, Office, days_ago, until
from tests.service.scim import ENTERPRISE, OWN, Provider, scim_service

_FINE = (Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE)


@contextmanager
def client_of(provider: Provider) -> Iterator[SyncSCIMClient]:
    """Somebody else's client."""
    headers = {"authorization": f"Bearer {provider.token}"}
    with httpx2.Client(base_url=f"{provider.url}/scim/v2", headers=headers, timeout=PATIENCE) as connection:
        yield SyncSCIMClient(connection)


def checked(office: Office, settings: str) -> list[CheckResult]:
    """What the tester finds at a service with these settings. No attribute of ours has many values: the tester adds one
    to an extension, then another, and is surprised to find both.
    """
    more = "attributes: {department: {kind: tree}, post: {kind: one_of, values: [lead, clerk]}}"
    office.write_policy("attributes: {department: {kind: tree}}", more)
    office.hire([f"N{n}" for n in range(40)], days_ago(30))
    with scim_service(office, settings) as (_, provider), client_of(provider) as client:
        return check_server(client)


def test_the_tester_finds_nothing_wrong_and_skips_nothing(office: Office) -> None:
    results = checked(office, "{id: userName}")

    wrong = [result for result in results if result.status not in _FINE]
    assert wrong == [], "\n".join(str(result.reason) for result in wrong)
    titles = {result.title for result in results}
    assert {"object_creation", "object_replacement", "object_deletion", "check_replace_attribute"} <= titles
    checked_paths = {str(result.data.get("urn")) for result in results if isinstance(result.data, dict)}
    assert {f"{OWN}:post", f"{ENTERPRISE}:department", "emails", "active"} <= {
        path.removeprefix("urn:ietf:params:scim:schemas:core:2.0:User:") for path in checked_paths
    }


def test_where_the_number_is_the_id_the_tester_misses_only_that_it_may_be_changed(office: Office) -> None:
    """It sends another number than the person has, where the schema says that it never changes."""
    wrong = [result for result in checked(office, "{}") if result.status not in _FINE]

    assert {result.title for result in wrong} == {"object_replacement", "check_replace_attribute"}
    assert all("mutab" in str(result.reason) for result in wrong), "\n".join(str(result.reason) for result in wrong)


def test_a_person_comes_moves_leaves_and_returns_and_the_directory_follows(fresh_office: Office) -> None:
    office = fresh_office
    kept = "nda:      {kind: agreement, version: 1, survives_rehire: true}"
    office.write_policy("nda:      {kind: agreement, version: 1}", kept)
    office.hire(["E1", "E2", "E3", "E4", "E5"], days_ago(30))
    office.settle()
    with scim_service(office) as (service, provider), client_of(provider) as client:
        client.discover()
        model: Any = client.get_resource_model("User")
        service.until_ready()
        asked = {
            "userName": "e6@example.com",
            "displayName": "欧阳娜娜",
            "active": True,
            ENTERPRISE: {"employeeNumber": "E6", "department": "rd/ai"},
        }
        made = client.create(model.model_validate({"schemas": [*_schemas(model)], **asked}))
        assert made.id == "E6"
        _prove(office, "E6")
        until(lambda: "E6" in office.members("docs") & office.members("algorithms"), "a researcher's access")

        _patch(client, model, f"{ENTERPRISE}:department", "sales")
        until(lambda: not office.anywhere("E6"), "sales opens nothing")
        _patch(client, model, f"{ENTERPRISE}:department", "rd")
        until(lambda: office.members("docs") >= {"E6"}, "an engineer's access")

        _patch(client, model, "active", False)
        until(lambda: not office.anywhere("E6"), "out")
        _patch(client, model, "active", True)
        until(lambda: office.members("docs") >= {"E6"}, "back")

        client.delete(model, "E6")
        until(lambda: not office.anywhere("E6"), "out for good")
        service.until_ready()
    kinds = ["hired", "transferred", "transferred", "exited", "rehired", "exited"]
    ledger = office.workspace().facts().ledger
    told = list(ledger.entries(subject="E6", kinds=set(kinds)))
    assert [entry.kind for entry in told] == kinds
    assert {(entry.actor, entry.payload["source"]) for entry in told} == {("entra", "scim")}
    ledger.verify()


def _schemas(model: Any) -> list[str]:
    return ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE]


def _patch(client: SyncSCIMClient, model: Any, path: str, value: object) -> None:
    operation: Any = PatchOperation.model_validate({"op": "replace", "path": path, "value": value})
    client.modify(model, "E6", PatchOp[model](operations=[operation]))


def _prove(office: Office, person: str) -> None:
    """All that the policy asks for, from today."""
    today = office.clock().astimezone(office.workspace().zone).date().isoformat()
    office.tell(
        *(
            {
                "id": f"{kind}-{person}",
                "type": "evidence-recorded",
                "person": person,
                "effective_at": today,
                "data": {"kind": kind, "valid_from": today},
            }
            for kind in ("nda", "training")
        )
    )
