"""Something between us and a real Mayan: it passes on what is asked, and answers otherwise where a test says so."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tests.servers.hr_api import Asked, HrApi, Reply, text_reply
from tests.servers.mayan import Mayan

__all__ = ["Between", "Fault", "listing"]


@dataclass
class Fault:
    """Instead of the answers to what is asked of a path that ends so. `after`: they take effect first. `times`: how
    often, after `skip` such requests that go through.
    """

    path: str
    reply: Reply
    after: bool = False
    times: int = 1
    skip: int = 0


@dataclass
class Between(HrApi):
    """`faults` are used up one after another."""

    mayan: Mayan = field(kw_only=True)
    faults: list[Fault] = field(default_factory=list)

    def reply(self, asked: Asked) -> Reply:
        fault = next((each for each in self.faults if asked.path.endswith(each.path) and each.times > 0), None)
        if fault is None or self._lets_through(fault):
            return self._passed_on(asked)
        fault.times -= 1
        if fault.after:
            self._passed_on(asked)
        return fault.reply

    def _lets_through(self, fault: Fault) -> bool:
        fault.skip -= 1
        return fault.skip >= 0

    def _passed_on(self, asked: Asked) -> Reply:
        query = f"?{urlencode(asked.query)}" if asked.query else ""
        request = urllib.request.Request(  # noqa: S310  # our own server
            self.mayan.url + asked.path + query, asked.body.encode() or None, method="POST" if asked.body else "GET"
        )
        for name in ("Authorization", "Content-Type"):
            if name in asked.headers:
                request.add_header(name, asked.headers[name])
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return Reply(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.read())


def listing(*records: object, count: int | None = None, following: str | None = None) -> Reply:
    """A page as Mayan gives them."""
    number = len(records) if count is None else count
    return text_reply(json.dumps({"count": number, "next": following, "previous": None, "results": list(records)}))
