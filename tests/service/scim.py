"""A SCIM client for the office: requests as they go over the wire, and a service that takes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

import requests
from fastapi.security import HTTPAuthorizationCredentials
from scim2_server.requests import ScimRequest

from reconciler.facts.events import EVENT_KINDS
from reconciler.facts.model import Person
from reconciler.passes.operators import Actor
from reconciler.passes.tokens import Act, create_token
from reconciler.service.callers import Callers
from reconciler.service.premises import Premises
from reconciler.service.scim import LARGEST_BODY, Scim
from tests.servers.slapd import Slapd, free_port
from tests.service.office import PATIENCE, POLICY, SECRET, WORKSPACE, Office, Service

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
OWN = "urn:ietf:params:scim:schemas:extension:reconciler:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
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
            method,
            f"{self.url}/scim/v2{path}",
            headers=told,
            timeout=PATIENCE,
            **data,
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


def own(**values: object) -> dict[str, Any]:
    """Our own extension, as a part of a resource."""
    return {OWN: values}


@contextmanager
def scim_service(office: Office, settings: str = "{}") -> Iterator[tuple[Service, Provider]]:
    """A service that takes people by SCIM, and a provider with a token."""
    takes_scim(office, settings)
    token = token_of(office)
    with office.serving() as service:
        yield service, Provider(service.url, token)


# --- without a socket -------------------------------------------------------------------------------------------------


@dataclass
class Answer:
    """What was answered."""

    status_code: int
    text: str
    headers: Mapping[str, str]

    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Desk:
    """The same behind the socket, in this process and by a clock that a test sets: for what takes many requests."""

    office: Office
    scim: Scim
    token: str
    news: list[None]

    def send(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """One request; `path` as it is after decoding."""
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        where, _, query = path.partition("?")
        asked = ScimRequest(
            method=method,
            base_url="http://here/scim/v2",
            path=where.lstrip("/"),
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers={"content-type": "application/scim+json", **told},
            body=body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode(),
        )
        credentials = HTTPAuthorizationCredentials(scheme="Bearer", credentials=self.token)
        answer = self.scim.answer(asked, credentials)
        return Answer(answer.status_code, bytes(answer.body).decode(), answer.headers)

    def make(self, person: str, department: str = "rd/ai", **more: object) -> Answer:
        """A new person."""
        return self.send("POST", "/Users", user(person, department, **more))

    def patch(self, person: str, *operations: Mapping[str, object], **headers: str) -> Answer:
        """Change a person."""
        return self.send("PATCH", f"/Users/{person}", {"schemas": [PATCH], "Operations": list(operations)}, **headers)

    def get(self, person: str) -> Any:
        """A person's resource."""
        answer = self.send("GET", f"/Users/{person}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def events(self, person: str) -> list[str]:
        """The kinds of events on record of a person, in order."""
        return [
            entry.kind for entry in self.office.workspace().facts().ledger.entries(kinds=EVENT_KINDS, subject=person)
        ]

    def head(self) -> int:
        """The newest ledger entry."""
        return self.office.workspace().facts().ledger.head()

    def person(self, person: str) -> Person:
        """What the record knows."""
        return self.office.workspace().facts().find_person(person)


def paper_office(folder: Path, policy: str = "", settings: str = "{}") -> Office:
    """An office whose directory nobody reaches. `policy`: further attributes."""
    (folder / "policies").mkdir(parents=True)
    (folder / "reconciler.yaml").write_text(WORKSPACE.format(port=free_port(), own=free_port()), "utf-8")
    for name in ("bind", "secret", "next-secret"):
        (folder / name).write_text(SECRET, "utf-8")
        (folder / name).chmod(0o600)
    attributes = f"attributes: {{department: {{kind: tree}}{policy}}}"
    text = POLICY.replace("attributes: {department: {kind: tree}}", attributes)
    (folder / "policies" / "policy.yaml").write_text(text, "utf-8")
    office = Office(folder, cast(Slapd, None))
    takes_scim(office, settings)
    return office


def desk_of(office: Office, *, act: Act = Act.RECORD) -> Desk:
    """Somebody at it, with a token."""
    workspace = office.workspace()
    facts, now = workspace.facts(), office.clock()
    token, _ = create_token(facts, "entra", [act], now + timedelta(days=9), now=now, actor="boss")

    def clock() -> datetime:
        return office.clock()  # as a test has set it by then

    premises = Premises(workspace, facts, Actor("service"), clock=clock)
    settings = workspace.spec.service.scim
    assert settings is not None
    news: list[None] = []
    scim = Scim(premises, Callers(premises), settings, LARGEST_BODY, lambda: news.append(None))
    return Desk(office, scim, token, news)
