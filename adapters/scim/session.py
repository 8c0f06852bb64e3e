"""One provider, asked: addresses, media types, JSON, versions, and what its answers mean.

Sources: RFC 7644, sections 3.1, 3.12 and 3.14; RFC 9110, 13.1.1 (If-Match).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from adapters.api.client import Client, Request, Response
from adapters.api.trouble import Trouble
from adapters.api.words import Words
from adapters.scim.attributes import one_text, part
from adapters.scim.settings import Endpoint
from reconciler.targets import TargetError, TargetUnavailable

__all__ = ["Answer", "Session", "address", "in_words", "opened"]

_JSON = "application/scim+json"
_READ = {"Accept": f"{_JSON}, application/json"}
_WRITE = {**_READ, "Content-Type": _JSON}
_MEANINGS = {
    400: ("it does not understand what it is asked", "see docs/scim.md for `dialect` and `without`"),
    401: ("it does not accept the token", "check the secret that `auth` refers to: it may have expired"),
    403: ("this token may not do that", "let whoever runs it give the token the right to provision users and groups"),
    404: ("there is nothing at this address", "check `url`: it ends where /Users and /Groups begin, e.g. in /scim/v2"),
    405: ("it does not take this kind of request", "name it in `without`, e.g. patch"),
    409: ("it contradicts what is there", "look at what it says"),
    412: ("it was changed meanwhile", "try again"),
    413: ("it is too much at once", "set `members_per_request` lower"),
    501: ("it has no such thing", "name it in `without`"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What it said: status, value (None where there was no body) and version, a blank where there is none."""

    status: int
    value: object = field(repr=False)
    version: str = ""
    words: str = ""
    """Its own words, and what the status means, where it refuses."""

    @property
    def done(self) -> bool:
        """Whether it did what it was asked."""
        return 200 <= self.status < 300


class Session:
    """A connection to a provider. Whether it can write is the client's matter."""

    def __init__(self, client: Client, base: str, words: Words) -> None:
        self._client = client
        self._base = base.rstrip("/")
        self._words = words

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Answer:
        """What stands there. Raises `Trouble`, with its status where it was refused."""
        return self._understood(self._client.read(Request("GET", self._base + path, parameters or {}, _READ)))

    def send(self, method: str, path: str, body: object = None, version: str = "") -> Answer:
        """What became of a change that is sent once; only if the version is still this one, where one is given. Raises
        `Trouble`, which leaves open whether it took effect.
        """
        headers = {**_WRITE, "If-Match": version} if version else _WRITE
        response = self._client.send(Request(method, self._base + path, {}, headers, body))
        if not 200 <= response.status < 300:
            return Answer(response.status, None, "", _refused(response.status, self._words.of(response.body)))
        if not response.body.strip():
            return Answer(response.status, None, response.version)
        return self._understood(response)

    def part_of_many(self, status: int, said: object, version: str) -> Answer:
        """What became of one change among many, as the answer to all of them says."""
        done = 200 <= status < 300
        return Answer(status, None, version, "" if done else _refused(status, self._words.message(said)))

    def _understood(self, response: Response) -> Answer:
        try:
            value = json.loads(response.body.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            self._words.json(response.body)
            raise Trouble("its answer cannot be read", "ask who runs it; nothing was taken") from None
        if not isinstance(value, Mapping):
            raise Trouble("its answer is JSON, and no SCIM resource", "check `url`; nothing was taken")
        return Answer(response.status, value, response.version or one_text(part(part(value, "meta"), "version")))


def _refused(status: int, own: str) -> str:
    meaning, remedy = _MEANINGS.get(status, ("it refuses", ""))
    said = f"; it says “{own}”" if own else ""
    return f"it answers {status}: {meaning}{said}" + (f". {remedy[0].upper()}{remedy[1:]}" if remedy else "")


def address(kind: str, key: str) -> str:
    """Where a resource stands, e.g. /Users/2819c223; blank for what can be no resource's key."""
    return f"/{kind}/{quote(key, safe='')}" if key.strip(".") else ""


def in_words(trouble: Trouble, url: str) -> TargetError:
    """What went wrong, as the contract of targets wants it."""
    text = f"{url}: {trouble.said}"
    if trouble.passing:
        return TargetUnavailable(text, remedy=trouble.remedy, retry_after=trouble.wait)
    return TargetError(text, remedy=trouble.remedy)


@contextmanager
def opened(endpoint: Endpoint, *, writes: bool = False) -> Iterator[Session]:
    """A connection that lets nothing but GET onto the line, unless it is to write. Raises `TargetError` in the place of
    `Trouble`.
    """
    words = Words(endpoint.secrets)
    allows: Callable[[str, str], bool] = (lambda method, url: True) if writes else (lambda method, url: method == "GET")
    client = Client(endpoint.api, endpoint.folder, words, allows=allows, meanings=_MEANINGS)
    try:
        yield Session(client, endpoint.api.url, words)
    except Trouble as trouble:
        raise in_words(trouble, endpoint.api.url) from None
    finally:
        client.close()
