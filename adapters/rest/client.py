"""Asking an HR system's API over HTTP: signing in, waiting, trying again, and reading a body to its end.

Promises: credentials go to the configured server and nowhere else (no redirect elsewhere, no `.netrc`); certificates
are verified, always; nothing takes longer than was configured; a body that ends before its length is no answer; no
error and no representation shows a secret, nor what was asked with. Sources: RFC 9110 (HTTP; 10.2.3 Retry-After), RFC
6749 section 4.4 (client credentials), RFC 6750 (bearer tokens), RFC 7617 (basic).

Proxies are those of the environment (HTTPS_PROXY, NO_PROXY), and never used to this machine itself.
"""

from __future__ import annotations

import base64
import logging
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote_plus, urljoin, urlsplit

import requests
import stamina
import urllib3

from adapters.loopback import is_loopback
from adapters.rest.answers import Reader, bare
from adapters.rest.json_values import NotJson, find, read
from adapters.rest.settings import OAuth2, RestSettings, origin
from reconciler.sources import SourceError

__all__ = ["Client", "Response", "seconds_to_wait"]

_AGENT = "permission-reconciler"
_PIECE = 1 << 16
_LARGEST = 1 << 28
"""Octets of one page, unpacked: 256 MiB. More is no page of people."""
_REDIRECTS = 5
logging.getLogger("stamina").addHandler(logging.NullHandler())  # what became of it is told once, at the end


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with status 200: its body, whole, and the URL that follows it (RFC 8288), or a blank."""

    url: str
    body: bytes = field(repr=False)
    link: str = ""


class _Later(Exception):
    """It may go through later. `wait`: seconds until then, where the server says so."""

    def __init__(self, said: str, remedy: str, wait: float | None = None) -> None:
        super().__init__(said)
        self.said = said
        self.remedy = remedy
        self.wait = wait


Fault = Callable[[str, str], SourceError]


class Client:
    """A connection to one API, signed in as the settings say. `now` is seconds since 1970, for dates in answers."""

    def __init__(
        self, settings: RestSettings, folder: Path, reader: Reader, now: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._ca: str | bool = str(folder / settings.ca) if settings.ca else True
        self._reader = reader
        self._now = now
        self._origin = origin(settings.url)
        self._session = requests.Session()
        self._session.trust_env = False  # neither .netrc nor another CA: what is used is what the workspace says
        self._session.headers.update({"User-Agent": _AGENT, "Accept": "application/json"})
        self._token = ""

    def close(self) -> None:
        """Let go of the connection."""
        self._session.close()

    def get(self, url: str, parameters: Mapping[str, str], number: int) -> Response:
        """One page. Raises `SourceError` where it does not come, come whole, or come from the configured server."""
        fault, retry, began, asked = self._reader.at(number, url), self._settings.retry, time.monotonic(), 0

        def again(error: Exception) -> bool | float:
            left = retry.within - (time.monotonic() - began)
            if not isinstance(error, _Later) or error.wait is None:
                return isinstance(error, _Later)
            return error.wait if error.wait <= left else False

        try:
            for attempt in stamina.retry_context(
                again, attempts=retry.attempts, timeout=retry.within, wait_initial=0.2, wait_max=10.0, wait_jitter=1.0
            ):
                asked += 1
                with attempt:
                    return self._get(url, parameters, fault, began + retry.within)
        except _Later as later:
            times = f" (asked {asked} times)" if asked > 1 else ""
            raise fault(later.said + times, later.remedy) from None
        raise AssertionError  # an attempt returns or raises

    # --- one request ------------------------------------------------------------------------------------------------

    def _get(self, url: str, parameters: Mapping[str, str], fault: Fault, until: float) -> Response:
        used = self._token
        status, response = self._followed(url, parameters, fault, until)
        if status == 401 and used:  # a token ends while pages are read: a new one, once
            self._token = ""
            status, response = self._followed(url, parameters, fault, until)
        if status == 200:
            return response
        raise self._refused(fault, status, self._reader.words(response.body))

    def _followed(self, url: str, parameters: Mapping[str, str], fault: Fault, until: float) -> tuple[int, Response]:
        """The answer, after redirects within the same server."""
        query: Mapping[str, str] | None = parameters or None
        for _ in range(_REDIRECTS):
            request = requests.Request("GET", url, params=query, headers=self._headers(fault, until))
            with self._answer(request, fault) as answer:
                if answer.status_code not in (301, 302, 303, 307, 308):
                    body = self._body(answer, until)
                    return answer.status_code, Response(answer.url, body, self._link(answer))
                url, query = self._elsewhere(answer, fault), None
        raise fault("it redirects without end", "correct `url`")

    def _elsewhere(self, answer: requests.Response, fault: Fault) -> str:
        location = answer.headers.get("Location", "")
        target = urljoin(answer.url, location)
        try:
            same = bool(location) and origin(target) == self._origin
        except ValueError:
            same = False
        if not same:
            where = self._reader.quoted(bare(location)) or "nowhere"
            raise fault(
                f"it redirects ({answer.status_code}) to another server, {where}: credentials are not taken there",
                "let `url` name the server that answers; a sign-in page there means that `auth` is not accepted",
            )
        return target

    @contextmanager
    def _answer(self, request: requests.Request, fault: Fault) -> Iterator[requests.Response]:
        """The beginning of an answer; 429 and 5xx are none."""
        seconds = self._settings.timeout
        try:
            prepared = self._session.prepare_request(request)
            answer = self._session.send(
                prepared,
                stream=True,
                timeout=(seconds, seconds),
                verify=self._ca,
                proxies=_proxies(str(prepared.url)),
                allow_redirects=False,
            )
        except (requests.RequestException, OSError, UnicodeError) as error:
            raise self._unreached(error, fault) from None
        with answer:
            self._check_busy(answer)
            yield answer

    def _check_busy(self, answer: requests.Response) -> None:
        status = answer.status_code
        if status != 429 and status < 500:
            return
        wait = seconds_to_wait(answer.headers.get("Retry-After", ""), self._now())
        what = "too many requests" if status == 429 else "the server is in trouble"
        later = ""
        if wait is not None and wait > self._settings.retry.within:
            later = f", and asks to come back in {wait:.0f} s, which is longer than `retry.within` allows"
        raise _Later(
            f"it answers {status}, {what}{later}",
            "try again later; nothing was taken" if status != 429 else "read less often, or in larger pages",
            wait,
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
                    raise _Later(f"it is larger than {_LARGEST >> 20} MiB", "ask for smaller pages: `pages.size`")
                if time.monotonic() > until:
                    said = f"it is still coming in after `retry.within` ({self._settings.retry.within} s)"
                    raise _Later(said, "ask for smaller pages: `pages.size`", 0)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            late = isinstance(error, urllib3.exceptions.ReadTimeoutError)
            why = f"no more came within {self._settings.timeout} s" if late else "the connection ended"
            if isinstance(error, urllib3.exceptions.DecodeError):
                why = "it cannot be unpacked"
            raise _Later(f"its answer is cut after {size} octets: {why}", "try again; nothing was taken") from None
        return b"".join(pieces)

    def _link(self, answer: requests.Response) -> str:
        found = answer.links.get("next", {}).get("url", "")
        return urljoin(answer.url, found) if found else ""

    # --- signing in -------------------------------------------------------------------------------------------------

    def _headers(self, fault: Fault, until: float) -> dict[str, str]:
        settings = self._settings
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        if settings.auth and settings.auth.bearer:
            headers["Authorization"] = f"{settings.auth.scheme} {settings.auth.bearer.get_secret_value()}"
        elif settings.auth and settings.auth.basic:
            basic = settings.auth.basic
            headers["Authorization"] = _basic(basic.user, basic.password.get_secret_value())
        elif settings.auth and settings.auth.oauth2:
            self._token = self._token or self._new_token(settings.auth.oauth2, fault, until)
            headers["Authorization"] = f"Bearer {self._token}"
        return headers

    def _new_token(self, settings: OAuth2, fault: Fault, until: float) -> str:
        form = {"grant_type": "client_credentials", **settings.parameters}
        if settings.scope:
            form["scope"] = settings.scope
        secret, headers = settings.client_secret.get_secret_value(), {}
        if settings.client == "header":
            headers["Authorization"] = _basic(quote_plus(settings.client_id), quote_plus(secret))
        else:
            form |= {"client_id": settings.client_id, "client_secret": secret}
        request = requests.Request("POST", settings.token_url, data=form, headers=headers)
        with self._answer(request, fault) as answer:
            body, status = self._body(answer, until), answer.status_code
        token = _access_token(body) if status == 200 else ""
        if not token:
            words = self._reader.words(body)
            raise fault(
                f"{bare(settings.token_url)} gives no access token (status {status})"
                + (f": “{words}”" if words else ""),
                "check auth.oauth2: token_url, client_id, client_secret and scope",
            )
        self._reader.conceal(token)
        return token

    # --- what went wrong --------------------------------------------------------------------------------------------

    def _refused(self, fault: Fault, status: int, words: str) -> SourceError:
        meaning, remedy = _MEANINGS.get(status, ("an answer with status 200 was expected", "check `url`"))
        return fault(f"it answers {status}: {meaning}" + (f"; it says “{words}”" if words else ""), remedy)

    def _unreached(self, error: Exception, fault: Fault) -> Exception:
        """What to raise where no answer came. The library's own words are left out: they hold the whole URL."""
        chain = list(_chain(error))
        if refused := next((each for each in chain if isinstance(each, ssl.SSLCertVerificationError)), None):
            return fault(
                f"its certificate is not to be trusted: {refused.verify_message}",
                "set `ca` to the file of the CA that issued it, and use the host name that stands in it",
            )
        if any(isinstance(each, requests.exceptions.InvalidURL | UnicodeError) for each in chain):
            return fault("its address cannot be used", "correct `url`")
        if isinstance(error, OSError) and "CA certificate" in str(error):
            return fault(f"the CA file {self._settings.ca} cannot be read", "correct `ca`")
        if isinstance(error, requests.exceptions.ProxyError):
            return _Later("the proxy does not let it through", "check HTTPS_PROXY and NO_PROXY in the environment")
        remedy = "check that the server runs, and that host, port, firewall and proxy are right"
        if isinstance(error, requests.exceptions.Timeout):
            return _Later(f"it does not answer within {self._settings.timeout} s", remedy)
        if broken := next((each for each in chain if isinstance(each, ssl.SSLError)), None):
            return _Later(f"no encrypted connection comes about: {broken.reason or 'TLS failed'}", remedy)
        why = next((each.strerror for each in reversed(chain) if isinstance(each, OSError) and each.strerror), "")
        return _Later(f"it cannot be reached{': ' + why if why else ''}", remedy)


_MEANINGS = {
    400: ("it does not understand what it is asked", "check `parameters`, `pages` and `changes`"),
    401: ("it does not accept the credentials", "check the secret that `auth` refers to: it may have expired"),
    403: ("these credentials may not read this", "give this account the right to read all employees"),
    404: ("there is no such page", "check `url`; where it comes after the last page, set `pages.total`"),
    407: ("the proxy wants credentials", "check HTTPS_PROXY in the environment"),
    410: ("there is no such page any more", "check `url`"),
}


def seconds_to_wait(header: str, now: float) -> float | None:
    """What a Retry-After header asks for: seconds, or a date; None where it asks for nothing that can be read."""
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except ValueError:
        return None


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
