"""A SCIM client for the office: requests as they go over the wire, and a service that takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from tests.service.office import PATIENCE, Office, Service

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
OWN = "urn:ietf:params:scim:schemas:extension:reconciler:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
SECTION = "  scim: {settings}\n"


def takes_scim(office: Office, settings: str = "{}") -> None:
    """The workspace says so."""
    file = office.folder / "reconciler.yaml"
    file.write_text(file.read_text("utf-8") + SECTION.format(settings=settings), "utf-8")


def token_of(office: Office, *acts: str, owner: str = "entra") -> str:
    """A new token, as the command prints it."""
    asked = [part for act in acts or ("record",) for part in ("--act", act)]
    made = office.command("token", "create", "--owner", owner, *asked)
    assert made.returncode == 0, made.stderr
    return next(word for word in made.stdout.split() if word.startswith("rec_"))


@dataclass
class Provider:
    """Sends requests as a provider does."""

    url: str
    token: str

    def send(self, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        """One request; `headers` with underlines for hyphens."""
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        told = {"authorization": f"Bearer {self.token}", "content-type": "application/scim+json"} | told
        data = {"data": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
        return requests.request(
            method, f"{self.url}/scim/v2{path}", headers=told, timeout=PATIENCE, **data  # type: ignore[arg-type]
        )

    def make(self, person: str, department: str = "rd/ai", **more: object) -> requests.Response:
        """A new person."""
        return self.send("POST", "/Users", user(person, department, **more))

    def patch(self, person: str, *operations: Mapping[str, object], **headers: str) -> requests.Response:
        """Change a person."""
        return self.send("PATCH", f"/Users/{person}", {"schemas": [PATCH], "Operations": list(operations)}, **headers)

    def get(self, person: str, query: str = "") -> Any:
        """A person's resource."""
        answer = self.send("GET", f"/Users/{person}{query}")
        assert answer.status_code == 200, answer.text
        return answer.json()


def user(person: str, department: str = "rd/ai", **more: object) -> dict[str, object]:
    """A resource."""
    return {
        "schemas": [CORE, ENTERPRISE],
        "userName": f"{person.lower()}@example.com",
        "displayName": f"王{person}",
        "active": True,
        "emails": [{"value": f"{person.lower()}@example.com", "type": "work", "primary": True}],
        ENTERPRISE: {"employeeNumber": person, "department": department},
        **more,
    }


@contextmanager
def scim_service(office: Office, settings: str = "{}") -> Iterator[tuple[Service, Provider]]:
    """A service that takes people by SCIM, and a provider with a token."""
    takes_scim(office, settings)
    token = token_of(office)
    with office.serving() as service:
        yield service, Provider(service.url, token)
