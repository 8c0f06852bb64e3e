"""The one module that knows an LDAP library (ldap3): connecting, encrypting, signing in, and filters that are texts.

Promises: certificates and host names are verified wherever there is encryption; no error and no representation shows
the password. What goes over the connection afterwards is not its business. Sources: RFC 4511, RFC 4513 (binding,
StartTLS), RFC 4515 (filters as texts).
"""

from __future__ import annotations

import socket
import ssl
from functools import lru_cache
from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.core.results import RESULT_BUSY, RESULT_CODES, RESULT_UNAVAILABLE
from ldap3.operation.search import search_operation
from ldap3.utils.asn1 import encode  # type: ignore[attr-defined]  # bound in a branch, which its stubs leave out

from adapters.ldap.requests import Filter
from adapters.ldap.settings import Endpoint
from reconciler.targets import TargetError, TargetUnavailable

__all__ = ["LATER", "Session", "encoded_filter", "filter_flaw", "said", "unavailable"]

LATER = frozenset({RESULT_BUSY, RESULT_UNAVAILABLE})
"""The result codes by which a server asks to be asked again."""
_NOT_KNOWN = "set `ca` to the file of the CA that issued it"
_OTHER_HOST = "use the host name, or the address, that stands in it"
_TIME = "have the server's certificate renewed, or set this machine's clock right"
_MENDED = {9: _TIME, 10: _TIME, 62: _OTHER_HOST, 64: _OTHER_HOST}
"""What to do about a certificate, by OpenSSL's X509_V_ERR_ code: not yet valid, expired, another host, another address.
"""


def filter_flaw(condition: str) -> str:
    """Why the text is no search filter (RFC 4515), or a blank."""
    try:
        encoded_filter(condition)
    except ValueError as error:
        return str(error)
    return ""


@lru_cache(maxsize=64)
def encoded_filter(condition: str) -> Filter:
    """A filter that somebody has written (RFC 4515). Raises `ValueError`, saying what is wrong."""
    try:
        request = search_operation("", condition, "BASE", "NEVER", [], 0, 0, False, False, False)
    except LDAPException as error:
        raise ValueError(str(error) or "it is not of the form (attribute=value)") from None
    return bytes(encode(request["filter"]))


class Session:
    """A connection that is signed in. `socket` is its way to the server, encrypted where that was asked for."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._connection = _signed_in(endpoint)
        self.socket: socket.socket = self._connection.socket

    def close(self) -> None:
        """Sign off, and let go of the connection."""
        try:
            self._connection.unbind()
        except (LDAPException, OSError):
            self.drop()

    def drop(self) -> None:
        """Let go of the connection without a word."""
        _shut(self._connection)


class _VerifiedTls(ldap3.Tls):
    """TLS as Python's `ssl` does it by default: certificate and host name, or IP address, are verified, always."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._host = endpoint.host
        self._ca = endpoint.ca
        self.failure: OSError | None = None

    def wrap_socket(self, connection: Any, do_handshake: bool = True) -> None:
        try:
            context = ssl.create_default_context(cafile=self._ca)
            connection.socket = context.wrap_socket(
                connection.socket, do_handshake_on_connect=do_handshake, server_hostname=self._host
            )
        except OSError as error:
            self.failure = error
            raise


def _signed_in(endpoint: Endpoint) -> Any:
    tls = _VerifiedTls(endpoint)
    server = ldap3.Server(
        endpoint.host,
        endpoint.port,
        use_ssl=endpoint.tls == "ldaps",
        tls=tls,
        get_info=ldap3.NONE,
        connect_timeout=endpoint.timeout,
    )
    connection = ldap3.Connection(
        server,
        user=endpoint.user,
        password=endpoint.password.get_secret_value(),
        auto_referrals=False,
        auto_range=False,
        check_names=False,
        receive_timeout=endpoint.timeout,
    )
    try:
        connection.open(read_server_info=False)
        if endpoint.tls == "starttls":
            connection.start_tls(read_server_info=False)
        connection.bind(read_server_info=False)
    except (LDAPException, OSError) as error:
        _shut(connection)
        raise _not_connected(endpoint, error, tls.failure) from None
    if not connection.bound:
        result = connection.result
        _shut(connection)
        raise _not_signed_in(endpoint, result)
    return connection


def _shut(connection: Any) -> None:
    """Let go of a connection without a word; also of one that never came about, which the library forgets."""
    handle = connection.socket
    connection.strategy.close()
    if handle is not None:
        handle.close()


def _not_connected(endpoint: Endpoint, error: Exception, failure: OSError | None) -> TargetError:
    if isinstance(failure, FileNotFoundError | PermissionError | IsADirectoryError):
        return TargetError(
            f"the CA file {endpoint.ca} cannot be read: {failure.strerror}",
            remedy="correct `ca` in the target's settings",
        )
    if isinstance(failure, ssl.SSLCertVerificationError):
        return TargetError(
            f"{endpoint.url}: its certificate is not to be trusted: {failure.verify_message}",
            remedy=_MENDED.get(failure.verify_code, _NOT_KNOWN),
        )
    if isinstance(failure, ssl.SSLError):
        return TargetError(
            f"{endpoint.url}: no encrypted connection comes about: {failure.reason or failure}",
            remedy="check that the server offers TLS on this port, and that `ca` is a file of PEM certificates",
        )
    if endpoint.tls == "starttls" and "startTLS failed" in str(error):
        return TargetError(
            f"{endpoint.url} refuses StartTLS: {error}", remedy="set up TLS on the server, or use ldaps://"
        )
    return unavailable(endpoint, error)


def _not_signed_in(endpoint: Endpoint, result: Any) -> TargetError:
    code = int(result["result"])
    told = said(code, str(result["message"] or ""))
    if code in LATER:
        return TargetUnavailable(f"{endpoint.url}: {told}", remedy="try again later")
    return TargetError(
        f"{endpoint.url} does not let {endpoint.user} in: {told}",
        remedy="check the name and the password under `bind`",
    )


def unavailable(endpoint: Endpoint, error: Exception) -> TargetUnavailable:
    """What there is to say where a server does not answer."""
    late = isinstance(error, TimeoutError) or "timed out" in str(error)
    told = f"no answer within {endpoint.timeout} s" if late else str(error)
    return TargetUnavailable(
        f"{endpoint.url} (as {endpoint.user}) does not answer: {told}",
        remedy="check that the server runs and that host, port and firewall are right",
    )


def said(code: int, words: str) -> str:
    """A result code and the server's words, for people."""
    name, own = RESULT_CODES.get(code, f"result code {code}"), words.strip()  # Active Directory ends its with a line
    return f"{name}: {own}" if own else str(name)
