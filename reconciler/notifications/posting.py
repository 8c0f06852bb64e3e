"""A JSON object sent to an address over HTTPS, and its answer. Nothing that is said here holds the address.

No proxy or .netrc of the environment and no redirect: it goes where the workspace says. An answer is read as far as a
short one goes.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from reconciler.notifications.channels import NotSent

__all__ = ["Address", "UnusableAddress", "dumped"]

MOST = 65536
"""So many bytes of an answer are read."""

_LASTING = frozenset({400, 410, 413, 415, 422})
"""Answers that the same message would get each time."""


class UnusableAddress(ValueError):
    """An address that nothing may be sent to; the text says why, and does not repeat it."""


def dumped(value: object) -> bytes:
    """JSON in UTF-8, short."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Address:
    """Where to post to. Raises `UnusableAddress`."""

    url: str = field(repr=False)
    timeout: int
    ca: Path | None = None

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            usable = bool(parts.hostname) and parts.scheme in ("http", "https") and parts.port != 0
        except ValueError:
            usable = False
        if not usable or "@" in parts.netloc or parts.fragment or not self.url.isprintable():
            raise UnusableAddress("`url` is not of the form https://HOST[:PORT]/PATH")
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise UnusableAddress("`url` would send it unencrypted over the network: write https://")

    def post(self, body: bytes, headers: Mapping[str, str] | None = None, query: str = "") -> dict[str, Any]:
        """Send it. The answer's JSON object, an empty one where it has none. Raises `NotSent`."""
        url = self.url + (f"{'&' if urlsplit(self.url).query else '?'}{query}" if query else "")
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.post(
                    url,
                    data=body,
                    headers={"Content-Type": "application/json; charset=utf-8", **(headers or {})},
                    timeout=self.timeout,
                    allow_redirects=False,
                    verify=str(self.ca) if self.ca else True,
                    stream=True,
                )
                with answer:
                    status, wait = answer.status_code, _retry_after(answer.headers.get("Retry-After", ""))
                    text = self._read(answer) if 200 <= status < 300 else b""
        except requests.exceptions.SSLError:
            raise NotSent("it has no certificate that can be trusted") from None
        except (requests.exceptions.ConnectTimeout, requests.exceptions.InvalidURL) as error:
            raise NotSent(f"it cannot be reached ({type(error).__name__})") from None
        except (OSError, ValueError) as error:
            # A connection that broke may have carried the message; one that was never made has not.
            unsure = not _never_connected(error)
            raise NotSent(f"it does not answer ({type(error).__name__})", unsure=unsure) from None
        if not 200 <= status < 300:
            final = status in _LASTING
            raise NotSent(f"it answers {status}", wait=wait, final=final, unsure=status in (502, 504))
        return _json_object(text)

    def _read(self, answer: requests.Response) -> bytes:
        until, read = time.monotonic() + self.timeout, b""
        for part in answer.iter_content(4096):
            read += part
            if len(read) > MOST or time.monotonic() > until:
                break
        return read

    def reach(self) -> None:
        """Connect, with TLS where the address says so, and send no request. Raises `NotSent`."""
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            with socket.create_connection((parts.hostname or "", port), self.timeout) as plain:
                if parts.scheme == "https":
                    context = ssl.create_default_context(cafile=self.ca)
                    with context.wrap_socket(plain, server_hostname=parts.hostname):
                        pass
        except ssl.SSLError:
            raise NotSent("it has no certificate that can be trusted") from None
        except (OSError, UnicodeError) as error:
            raise NotSent(f"it cannot be reached ({type(error).__name__})") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _never_connected(error: BaseException) -> bool:
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return False
        name = type(seen).__name__
        if name in ("NewConnectionError", "ConnectionRefusedError", "gaierror", "NameResolutionError"):
            return True
        reason = getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)
        seen = reason if isinstance(reason, BaseException) else seen.__cause__ or seen.__context__
    return False


def _retry_after(text: str) -> timedelta | None:
    """RFC 9110, 10.2.3: seconds, or a date."""
    if text.isascii() and text.isdigit() and len(text) < 8:
        return timedelta(seconds=int(text))
    with suppress(ValueError, TypeError, OverflowError):
        at = parsedate_to_datetime(text)
        return max(timedelta(0), (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC))
    return None


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
