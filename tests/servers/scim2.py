"""A real SCIM provider for tests (`scim2-server`, which nobody here wrote): in memory, on a loopback port of its own.

Promises: it ends with whoever started it; no waiting by the clock. What is asked of it here goes by urllib, so that a
test looks at it by other means than the adapter that it tests.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.servers.slapd import free_port

__all__ = ["TOKEN", "Scim", "started"]

TOKEN = "t0ken/of:the&scim=server"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
_READY = 60.0
"""Seconds a server may take to answer at all; it takes far less than one."""


@dataclass(frozen=True, slots=True)
class Scim:
    """A running server, or one tenant of it. `url` ends with its version."""

    port: int
    tenant: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{'/' if self.tenant else ''}{self.tenant}/v2"

    def of(self, tenant: str) -> Scim:
        """The same server with nothing in it, for one test."""
        return Scim(self.port, tenant)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """What it answers; raises `HTTPError` where it says no."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/scim+json"}
        request = urllib.request.Request(f"{self.url}/{path}", data, headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None

    def add_user(self, name: str, **more: object) -> str:
        """A user's id."""
        return str(self.ask("POST", "Users", {"schemas": [USER], "userName": name, "active": True, **more})["id"])

    def add_group(self, name: str, members: list[str]) -> str:
        """A group's id."""
        shown = [{"value": each} for each in members]
        return str(self.ask("POST", "Groups", {"schemas": [GROUP], "displayName": name, "members": shown})["id"])

    def all(self, what: str) -> list[Mapping[str, Any]]:
        """Everything there is of `Users` or `Groups`."""
        found: list[Mapping[str, Any]] = []
        while True:
            page = self.ask("GET", f"{what}?startIndex={len(found) + 1}&count=1000")
            found += page["Resources"]
            if len(found) >= page["totalResults"] or not page["Resources"]:
                return found

    def group(self, name: str) -> Mapping[str, Any]:
        """The group that is called so."""
        named = quote(f"displayName eq {json.dumps(name)}")
        (found,) = self.ask("GET", f"Groups?filter={named}")["Resources"]
        return dict(found)


@contextmanager
def started(folder: Path) -> Iterator[Scim]:
    """Raises `RuntimeError` where it does not start."""
    port = free_port()
    program = str(Path(sys.executable).parent / "scim2-server")
    log = folder / "scim.log"
    options = ["--port", str(port), "--bearer-token", TOKEN, "--dynamic-tenants"]
    with log.open("wb") as output:
        server = subprocess.Popen([program, *options], stdout=output, stderr=output)
    try:
        _await(Scim(port), server, log)
        yield Scim(port)
    finally:
        server.terminate()
        server.wait()


def _await(scim: Scim, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _READY
    while time.monotonic() < end and server.poll() is None:
        try:
            scim.of("first").ask("GET", "ServiceProviderConfig")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"scim2-server does not answer:\n{log.read_text(errors='replace')}")
