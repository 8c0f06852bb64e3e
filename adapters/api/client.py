"""Asking an API over HTTP: signing in, waiting, trying again, and reading a body to its end.

Promises: credentials go to the configured server and nowhere else (no redirect elsewhere, no `.netrc`); certificates
are verified, always; nothing takes longer than was configured; a body that ends before its length is no answer; a
client that only reads cannot send anything else, whoever asks it to; no error and no representation shows a secret, nor
what was asked with. Sources: RFC 9110 (HTTP; 10.2.3 Retry-After), RFC 6749 section 4.4 (client credentials), RFC 6750
(bearer tokens), RFC 7617 (basic).

Proxies are those of the environment (HTTPS_PROXY, NO_PROXY), and never used to this machine itself.
"""

from __future__ import annotations

import base64
import json
import logging
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urljoin, urlsplit

import requests
import stamina
import urllib3
from requests.adapters import HTTPAdapter

from adapters.api.json_values import NotJson, find, read
from adapters.api.settings import ApiSettings, OAuth2, origin
from adapters.api.trouble import Trouble, bare
from adapters.api.words import Words
from adapters.loopback import is_loopback

__all__ = ["Client", "Exchange", "Request", "Response", "seconds_to_wait"]

_AGENT = "permission-reconciler"
_PIECE = 1 << 16
_LARGEST = 1 << 28
"""Octets of one page, unpacked: 256 MiB. More is no page of people."""
_REDIRECTS = 5
_REDIRECTING = (301, 302, 303, 307, 308)
_NO_AUTHORITY = ("NO_CERTIFICATE_OR_CRL_FOUND", "PEM_LIB", "NO_START_LINE")
"""What OpenSSL says of a file of certificates that has none."""
_NO_ADDRESS = (requests.exceptions.InvalidURL, urllib3.exceptions.LocationValueError, UnicodeError)
# What became of it is told once, at the end; with structlog there, stamina would print on standard output meanwhile.
logging.getLogger("stamina").addHandler(logging.NullHandler())
stamina.instrumentation.set_on_retry_hooks([stamina.instrumentation.LoggingOnRetryHook])


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `url` has no query; `body` is sent as JSON, unless it is None."""

    method: str
    url: str
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: object = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: its body, whole, the URL that follows it (RFC 8288) and its entity tag (RFC 9110), or blanks."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    link: str = field(default="", repr=False)
    status: int = 200
    version: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request as it was sent and what came back, for whoever listens: secrets are still in it. `status` is 0 where
    nothing came.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    status: int = 0
    answered: Mapping[str, str] = field(default_factory=dict, repr=False)
    answer: bytes = field(default=b"", repr=False)


Meanings = Mapping[int, tuple[str, str]]
"""Status of a refusal → what it means, and what to do."""
Allows = Callable[[str, str], bool]
"""Whether a method may be used on a URL."""
Hear = Callable[[Exchange], None]


def _only_get(method: str, url: str) -> bool:
    return method == "GET"


class Client:
    """A connection to one API, signed in as the settings say. `now` is seconds since 1970, for dates in answers;
    `allows` what may be sent (nothing but GET unless said), `meanings` those of this API's refusals, `turn` is called
    before each request, `hear` after it.
    """

    def __init__(
        self,
        settings: ApiSettings,
        folder: Path,
        words: Words,
        now: Callable[[], float] = time.time,
        *,
        allows: Allows = _only_get,
        meanings: Meanings | None = None,
        turn: Callable[[], None] = lambda: None,
        hear: Hear = lambda exchange: None,
    ) -> None:
        self._settings = settings
        self._ca: str | bool = str(folder / settings.ca) if settings.ca else True
        self._words = words
        self._now = now
        self._turn = turn
        self._hear = hear
        self._origin = origin(settings.url)
        self._session = requests.Session()
        self._session.trust_env = False  # neither .netrc nor another CA: what is used is what the workspace says
        self._session.headers.update({"User-Agent": _AGENT, "Accept": "application/json"})
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, _Guarded(self._may))
        self._allows = allows
        self._meanings = _MEANINGS if meanings is None else meanings
        self._token = ""

    def close(self) -> None:
        """Let go of the connection."""
        self._session.close()

    def get(self, url: str, parameters: Mapping[str, str], number: int) -> Response:
        """One page. Raises `Trouble` where it does not come, come whole, or come from the configured server."""
        try:
            return self.read(Request("GET", url, parameters))
        except Trouble as trouble:
            raise trouble.at(url, number) from None

    def read(self, request: Request) -> Response:
        """An answer with status 200; asked for several times where that may help. Raises `Trouble`."""
        retry, began, asked = self._settings.retry, time.monotonic(), 0

        def again(error: Exception) -> bool | float:
            left = retry.within - (time.monotonic() - began)
            if not isinstance(error, Trouble) or not error.passing or error.wait is None:
                return isinstance(error, Trouble) and error.passing
            return error.wait if error.wait <= left else False

        try:
            for attempt in stamina.retry_context(
                again, attempts=retry.attempts, timeout=retry.within, wait_initial=0.2, wait_max=10.0, wait_jitter=1.0
            ):
                asked += 1
                with attempt:
                    response = self._ask(request, began + retry.within, follow=True)
                    if response.status != 200:
                        raise self._refused(response)
                    return response
        except Trouble as trouble:
            if trouble.passing and asked > 1:
                trouble.said += f" (asked {asked} times)"
            raise
        raise AssertionError  # an attempt returns or raises

    def send(self, request: Request) -> Response:
        """The answer, whatever its status is, to what is sent exactly once. Raises `Trouble`, which leaves open whether
        the request took effect.
        """
        return self._ask(request, time.monotonic() + self._settings.retry.within, follow=False)

    # --- one request ------------------------------------------------------------------------------------------------

    def _ask(self, request: Request, until: float, *, follow: bool) -> Response:
        used = self._token
        response = self._followed(request, until, follow=follow)
        if response.status == 401 and used:  # a token ends while pages are read: a new one, once
            self._token = ""
            response = self._followed(request, until, follow=follow)
        return response

    def _followed(self, request: Request, until: float, *, follow: bool) -> Response:
        """The answer, after redirects within the same server."""
        url, query = request.url, request.parameters or None
        for _ in range(_REDIRECTS):
            headers = {**request.headers, **self._headers(until)}
            prepared = requests.Request(request.method, url, params=query, headers=headers, data=_octets(request.body))
            if request.body is not None:
                prepared.headers.setdefault("Content-Type", "application/json")
            with self._answer(prepared, until) as (answer, body):
                if answer.status_code not in _REDIRECTING:
                    version = answer.headers.get("ETag", "")
                    return Response(answer.url, body, self._link(answer), answer.status_code, version)
                target = self._elsewhere(answer)
                if not follow or request.method != "GET":
                    raise Trouble(
                        f"it redirects ({answer.status_code}) to {bare(target)}, where nothing is changed unasked",
                        "let `url`, or `path`, be the one that it redirects to",
                        status=answer.status_code,
                    )
                url, query = target, None
        raise Trouble("it redirects without end", "correct `url`")

    def _elsewhere(self, answer: requests.Response) -> str:
        location = answer.headers.get("Location", "")
        target = urljoin(answer.url, location)
        try:
            same = bool(location) and origin(target) == self._origin
        except ValueError:
            same = False
        if not same:
            where = self._words.quoted(bare(location)) or "nowhere"
            raise Trouble(
                f"it redirects ({answer.status_code}) to another server, {where}: credentials are not taken there",
                "let `url` name the server that answers; a sign-in page there means that `auth` is not accepted",
                status=answer.status_code,
            )
        return target

    @contextmanager
    def _answer(self, request: requests.Request, until: float) -> Iterator[tuple[requests.Response, bytes]]:
        """An answer, whole; 429 and 5xx are none."""
        seconds = self._settings.timeout
        self._turn()
        sent: requests.PreparedRequest | None = None
        try:
            sent = self._session.prepare_request(request)
            answer = self._session.send(
                sent,
                stream=True,
                timeout=(seconds, seconds),
                verify=self._ca,
                proxies=_proxies(str(sent.url)),
                allow_redirects=False,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, UnicodeError) as error:
            self._tell(sent)
            raise self._unreached(error) from None
        with answer:
            body = b""
            try:
                if not _is_busy(answer.status_code):
                    body = self._body(answer, until)
            finally:
                self._tell(sent, answer, body)
            self._check_busy(answer)
            yield answer, body

    def _tell(
        self, sent: requests.PreparedRequest | None, answer: requests.Response | None = None, body: bytes = b""
    ) -> None:
        if sent is None:
            return
        said = sent.body.encode() if isinstance(sent.body, str) else sent.body or b""
        told = Exchange(str(sent.method), str(sent.url), dict(sent.headers), said)
        if answer is not None:
            told = Exchange(
                told.method, told.url, told.headers, told.body, answer.status_code, dict(answer.headers), body
            )
        self._hear(told)

    def _check_busy(self, answer: requests.Response) -> None:
        status = answer.status_code
        if not _is_busy(status):
            return
        wait = seconds_to_wait(answer.headers.get("Retry-After", ""), self._now())
        what = "too many requests" if status == 429 else "the server is in trouble"
        later = ""
        if wait is not None and wait > self._settings.retry.within:
            later = f", and asks to come back in {wait:.0f} s, which is longer than `retry.within` allows"
        raise Trouble(
            f"it answers {status}, {what}{later}",
            "try again later; nothing was taken" if status != 429 else "ask less often, or for larger pages",
            passing=True,
            wait=wait,
            status=status,
        )

    def _body(self, answer: requests.Response, until: float) -> bytes:
        """The body, whole."""
        pieces: list[bytes] = []
        size = 0
        try:
            while piece := answer.raw.read1(_PIECE, decode_content=True):
                pieces.append(piece)
                size += len(piece)
                if size > _LARGEST:
                    said = f"it is larger than {_LARGEST >> 20} MiB"
                    raise Trouble(said, "ask for smaller pages: `pages.size`", passing=True)
                if time.monotonic() > until:
                    said = f"it is still coming in after `retry.within` ({self._settings.retry.within} s)"
                    raise Trouble(said, "ask for smaller pages: `pages.size`", passing=True, wait=0)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            late = isinstance(error, urllib3.exceptions.ReadTimeoutError)
            why = f"no more came within {self._settings.timeout} s" if late else "the connection ended"
            if isinstance(error, urllib3.exceptions.DecodeError):
                why = "it cannot be unpacked"
            said = f"its answer is cut after {size} octets: {why}"
            raise Trouble(said, "try again; nothing was taken", passing=True) from None
        return b"".join(pieces)

    def _link(self, answer: requests.Response) -> str:
        found = answer.links.get("next", {}).get("url", "")
        return urljoin(answer.url, found) if found else ""

    def _may(self, method: str, url: str) -> bool:
        """A token is asked for by POST, of its own URL alone; all else of the configured server."""
        auth = self._settings.auth
        if auth is not None and auth.oauth2 is not None and url == auth.oauth2.token_url:
            return method == "POST"
        return origin(url) == self._origin and self._allows(method, url)

    # --- signing in -------------------------------------------------------------------------------------------------

    def _headers(self, until: float) -> dict[str, str]:
        settings = self._settings
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        if settings.auth and settings.auth.bearer:
            headers["Authorization"] = f"{settings.auth.scheme} {settings.auth.bearer.get_secret_value()}"
        elif settings.auth and settings.auth.basic:
            basic = settings.auth.basic
            headers["Authorization"] = _basic(basic.user, basic.password.get_secret_value())
        elif settings.auth and settings.auth.oauth2:
            self._token = self._token or self._new_token(settings.auth.oauth2, until)
            headers["Authorization"] = f"Bearer {self._token}"
        return headers

    def _new_token(self, settings: OAuth2, until: float) -> str:
        form = {"grant_type": "client_credentials", **settings.parameters}
        if settings.scope:
            form["scope"] = settings.scope
        secret, headers = settings.client_secret.get_secret_value(), {}
        if settings.client == "header":
            headers["Authorization"] = _basic(quote_plus(settings.client_id), quote_plus(secret))
        else:
            form |= {"client_id": settings.client_id, "client_secret": secret}
        request = requests.Request("POST", settings.token_url, data=form, headers=headers)
        with self._answer(request, until) as (answer, body):
            token = _access_token(body) if answer.status_code == 200 else ""
            status = answer.status_code
        if not token:
            words = self._words.of(body)
            raise Trouble(
                f"{bare(settings.token_url)} gives no access token (status {status})"
                + (f": “{words}”" if words else ""),
                "check auth.oauth2: token_url, client_id, client_secret and scope",
            )
        self._words.conceal(token)
        return token

    # --- what went wrong --------------------------------------------------------------------------------------------

    def _refused(self, response: Response) -> Trouble:
        status, words = response.status, self._words.of(response.body)
        meaning, remedy = self._meanings.get(status, ("an answer with status 200 was expected", "check `url`"))
        said = f"it answers {status}: {meaning}" + (f"; it says “{words}”" if words else "")
        return Trouble(said, remedy, status=status)

    def _unreached(self, error: Exception) -> Trouble:
        """What to raise where no answer came. The library's own words are left out: they hold the whole URL."""
        chain = list(_chain(error))
        if refused := next((each for each in chain if isinstance(each, ssl.SSLCertVerificationError)), None):
            return Trouble(
                f"its certificate is not to be trusted: {refused.verify_message}",
                "set `ca` to the file of the CA that issued it, and use the host name that stands in it",
            )
        if any(isinstance(each, _NO_ADDRESS) for each in chain):
            return Trouble("its address cannot be used", "correct `url`")
        unreadable = any(isinstance(each, ssl.SSLError) and each.reason in _NO_AUTHORITY for each in chain)
        if unreadable or (isinstance(error, OSError) and "CA certificate" in str(error)):
            return Trouble(f"the CA file {self._settings.ca} cannot be read", "correct `ca`: certificates in PEM")
        if isinstance(error, requests.exceptions.ProxyError):
            remedy = "check HTTPS_PROXY and NO_PROXY in the environment"
            return Trouble("the proxy does not let it through", remedy, passing=True)
        remedy = "check that the server runs, and that host, port, firewall and proxy are right"
        if isinstance(error, requests.exceptions.Timeout):
            return Trouble(f"it does not answer within {self._settings.timeout} s", remedy, passing=True)
        if broken := next((each for each in chain if isinstance(each, ssl.SSLError)), None):
            said = f"no encrypted connection comes about: {broken.reason or 'TLS failed'}"
            return Trouble(said, remedy, passing=True)
        why = next((each.strerror for each in reversed(chain) if isinstance(each, OSError) and each.strerror), "")
        return Trouble(f"it cannot be reached{': ' + why if why else ''}", remedy, passing=True)


_MEANINGS: Meanings = {
    400: ("it does not understand what it is asked", "check `parameters`, `pages` and `changes`"),
    401: ("it does not accept the credentials", "check the secret that `auth` refers to: it may have expired"),
    403: ("these credentials may not read this", "give this account the right to read everybody"),
    404: ("there is no such page", "check `url`; where it comes after the last page, set `pages.total`"),
    407: ("the proxy wants credentials", "check HTTPS_PROXY in the environment"),
    410: ("there is no such page any more", "check `url`"),
}


class _Guarded(HTTPAdapter):
    """Lets nothing onto the wire that may not be sent, whatever the code above it believes."""

    def __init__(self, may: Allows) -> None:
        super().__init__()
        self._may = may

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        url = str(request.url)
        if not self._may(str(request.method), url.partition("?")[0]):
            raise RuntimeError(f"{request.method} {bare(url)} on a connection that may not send it")
        return super().send(request, *args, **more)


def seconds_to_wait(header: str, now: float) -> float | None:
    """What a Retry-After header asks for: seconds, or a date; None where it asks for nothing that can be read."""
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _is_busy(status: int) -> bool:
    return status == 429 or (status >= 500 and status != 501)  # what is not implemented today is not in a minute


def _octets(body: object) -> bytes | None:
    return None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8")


def _access_token(body: bytes) -> str:
    try:
        token = find(read(body), "access_token")
    except NotJson:
        return ""
    return token if isinstance(token, str) and token.isprintable() else ""


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _proxies(url: str) -> dict[str, str]:
    host = urlsplit(url).hostname or ""
    return {} if is_loopback(host) else requests.utils.get_environ_proxies(url)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it, as the library wraps them: in arguments, reasons and causes."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and each not in seen:
            seen.append(each)
            waiting += [getattr(each, "reason", None), each.__cause__, each.__context__, *each.args]
    yield from seen
