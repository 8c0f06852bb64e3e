"""A real SCIM server for tests: scim2-server, on a loopback port, with a tenant of its own for each test.

Promises: it ends with whoever started it; what it holds is in memory and goes with it; no waiting by the clock.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import requests

from tests.servers.slapd import free_port, insist

__all__ = ["TOKEN", "ScimServer", "Tenant", "required", "started"]

TOKEN = "t0ken-of-the-scim-server"
_SCHEMAS = "urn:ietf:params:scim:schemas:core:2.0"
_MESSAGES = "urn:ietf:params:scim:api:messages:2.0"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Tenant:
    """Users and groups of their own, looked at and changed by other means than the adapter's."""

    url: str
    session: requests.Session = field(repr=False)
    has_bulk: bool = True

    def add_users(self, users: Sequence[Mapping[str, object]]) -> list[str]:
        """Their ids, in the same order."""
        return self._add("User", [{"active": True, **user} for user in users])

    def add_group(self, name: str, members: Sequence[Mapping[str, object]] = ()) -> str:
        """The group's id."""
        [key] = self._add("Group", [{"displayName": name, "members": list(members)}])
        return key

    def get(self, path: str, **parameters: str) -> Any:
        """What stands there."""
        return self.ask("GET", path, params=parameters).json()

    def patch(self, path: str, *operations: Mapping[str, object]) -> None:
        """Change it by hand."""
        self.ask("PATCH", path, json={"schemas": [f"{_MESSAGES}:PatchOp"], "Operations": operations})

    def delete(self, path: str) -> None:
        """Delete it by hand."""
        self.ask("DELETE", path)

    def everything(self, kind: str) -> list[Any]:
        """All users or groups, page by page."""
        found: list[Any] = []
        while True:
            page = self.get(f"/{kind}", startIndex=str(len(found) + 1), count="1000")
            found += page.get("Resources", [])
            if len(found) >= page["totalResults"]:
                return found

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """An answer; raises where it is an error."""
        answer = self.session.request(method, self.url + path, timeout=60, **more)
        answer.raise_for_status()
        return answer

    def _add(self, kind: str, resources: Sequence[Mapping[str, object]]) -> list[str]:
        keys: list[str] = []
        for start in range(0, len(resources), 1000):
            operations = [
                {
                    "method": "POST",
                    "path": f"/{kind}s",
                    "bulkId": str(number),
                    "data": {"schemas": _schemas(kind, each), **each},
                }
                for number, each in enumerate(resources[start : start + 1000])
            ]
            if len(operations) == 1 or not self.has_bulk:
                answers = [self.ask("POST", f"/{kind}s", json=operation["data"]) for operation in operations]
                keys += [answer.json()["id"] for answer in answers]
                continue
            body = {"schemas": [f"{_MESSAGES}:BulkRequest"], "Operations": operations}
            made = self.ask("POST", "/Bulk", json=body).json()["Operations"]
            keys += [each["location"].rsplit("/", 1)[1] for each in made]
        return keys


def _schemas(kind: str, resource: Mapping[str, object]) -> list[str]:
    return [f"{_SCHEMAS}:{kind}", *(name for name in resource if name.startswith("urn:"))]


@dataclass(frozen=True, slots=True)
class ScimServer:
    """A running server."""

    port: int
    has_bulk: bool = True

    def tenant(self) -> Tenant:
        """A provider with nobody in it."""
        session = requests.Session()
        session.trust_env = False
        session.headers.update({"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/scim+json"})
        return Tenant(f"http://127.0.0.1:{self.port}/t{next(_numbers)}/v2", session, self.has_bulk)


def required() -> None:
    """Skip the test, saying why, where there is no scim2-server; fail it where CI is to have one."""
    insist("" if find_spec("scim2_server") else "scim2-server is not installed: make setup")


@contextmanager
def started(without: Sequence[str] = ()) -> Iterator[ScimServer]:
    """A server that says that it lacks some features: `patch`, `bulk`, `filter`, `etag`."""
    required()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        config.write_text(json.dumps(_config(without)), encoding="utf-8")
        command = [sys.executable, "-m", "scim2_server.testserver.cli", "--port", str(port), "--bearer-token", TOKEN]
        command += ["--dynamic-tenants", "--service-provider-config", str(config)]
        log = Path(folder) / "log"
        with log.open("wb") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline().startswith(b"Serving SCIM on"), log.read_text(encoding="utf-8")
                yield ScimServer(port, "bulk" not in without)
            finally:
                process.terminate()


def _config(without: Sequence[str]) -> dict[str, object]:
    features: dict[str, dict[str, object]] = {
        "patch": {},
        "bulk": {"maxOperations": 1000, "maxPayloadSize": 1 << 20},
        "filter": {"maxResults": 1000},
        "changePassword": {},
        "sort": {},
        "etag": {},
    }
    supported = {name: {**limits, "supported": name not in without} for name, limits in features.items()}
    return {"schemas": [f"{_SCHEMAS}:ServiceProviderConfig"], **supported}
