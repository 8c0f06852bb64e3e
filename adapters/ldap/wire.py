"""The one module that knows an LDAP library (ldap3): connecting, searching in pages, and, for a run, modifying.

Promises: certificates and host names are verified wherever there is encryption; every page's final result code is
looked at, and what it means for completeness is said; referrals are never followed, and that is said too; a
`ReadOnlyWire` cannot change anything; no error and no representation shows the password. Sources: RFC 4511, RFC 4513
(binding, StartTLS), RFC 2696 (paging).

The library binds, encrypts and encodes requests; answers to searches are decoded by `adapters.ldap.ber`, because the
library's own decoder is an order of magnitude slower.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.core.results import (
    RESULT_ADMIN_LIMIT_EXCEEDED,
    RESULT_ATTRIBUTE_OR_VALUE_EXISTS,
    RESULT_BUSY,
    RESULT_CODES,
    RESULT_ENTRY_ALREADY_EXISTS,
    RESULT_INSUFFICIENT_ACCESS_RIGHTS,
    RESULT_NO_SUCH_ATTRIBUTE,
    RESULT_NO_SUCH_OBJECT,
    RESULT_OBJECT_CLASS_VIOLATION,
    RESULT_SIZE_LIMIT_EXCEEDED,
    RESULT_SUCCESS,
    RESULT_TIME_LIMIT_EXCEEDED,
    RESULT_UNAVAILABLE,
)
from ldap3.operation.search import search_operation
from ldap3.protocol.rfc2696 import paged_search_control
from ldap3.utils.conv import escape_filter_chars

from adapters.directory.entries import Answer, Edit, Entry, Listing, Modification, Verdict
from adapters.ldap import ber
from adapters.ldap.settings import Endpoint
from reconciler.targets import TargetError, TargetUnavailable

__all__ = ["NoSuchBase", "ReadOnlyWire", "Wire", "escaped", "filter_flaw", "opened"]

PAGE_SIZE = 1000
_RECEIVED_AT_ONCE = 1 << 18
_CUT_SHORT = {RESULT_SIZE_LIMIT_EXCEEDED, RESULT_TIME_LIMIT_EXCEEDED, RESULT_ADMIN_LIMIT_EXCEEDED}
_LATER = {RESULT_BUSY, RESULT_UNAVAILABLE}
_EDITS = {Edit.ADD: ldap3.MODIFY_ADD, Edit.DELETE: ldap3.MODIFY_DELETE, Edit.REPLACE: ldap3.MODIFY_REPLACE}
_VERDICTS = {
    RESULT_SUCCESS: Verdict.DONE,
    RESULT_ATTRIBUTE_OR_VALUE_EXISTS: Verdict.CONFLICT,
    RESULT_ENTRY_ALREADY_EXISTS: Verdict.CONFLICT,
    RESULT_NO_SUCH_ATTRIBUTE: Verdict.CONFLICT,
    RESULT_OBJECT_CLASS_VIOLATION: Verdict.VIOLATION,
    RESULT_NO_SUCH_OBJECT: Verdict.GONE,
    RESULT_INSUFFICIENT_ACCESS_RIGHTS: Verdict.FORBIDDEN,
    RESULT_BUSY: Verdict.UNAVAILABLE,
    RESULT_UNAVAILABLE: Verdict.UNAVAILABLE,
}


class NoSuchBase(TargetError):
    """The entry that a search starts from is not there, or not for this account to see."""

    code = "target-no-such-base"


def escaped(value: bytes | str) -> str:
    """A value as it may stand in a search filter (RFC 4515)."""
    return str(escape_filter_chars(value))


def filter_flaw(condition: str) -> str:
    """Why the text is no search filter (RFC 4515), or a blank."""
    try:
        _search(condition, "", (), ldap3.SUBTREE)
    except LDAPException as error:
        return str(error) or "it is not of the form (attribute=value)"
    return ""


class ReadOnlyWire:
    """A signed-in connection that can search and nothing else. Connects at the first search and again after a loss."""

    _writes = False

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connection: Any = None

    def search(
        self, base: str, condition: str, attributes: Sequence[str], *, scope: str = ldap3.SUBTREE, page: int = PAGE_SIZE
    ) -> Listing:
        """All entries under a base that meet a filter, with these attributes, as they arrive.

        While they are read: raises `NoSuchBase`, `TargetUnavailable` where the server does not answer, and
        `TargetError` where it answers that it will not.
        """
        listing = Listing(())
        listing.entries = self._pages(base, condition, attributes, scope, page, listing.shortfalls)
        return listing

    def connect(self) -> None:
        """Connect and sign in, unless that is so already."""
        if self._connection is None:
            self._connection = _signed_in(self._endpoint, read_only=not self._writes)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.unbind()
            except (LDAPException, OSError):
                _shut(connection)

    def _pages(
        self, base: str, condition: str, attributes: Sequence[str], scope: str, page: int, shortfalls: list[str]
    ) -> Iterator[Entry]:
        cookie = b""
        while True:
            request = self._request(base, condition, attributes, scope)
            done: ber.Done | None = None
            for message in self._answers(request, paged_search_control(True, page, cookie)):
                if isinstance(message, Entry):
                    yield message
                elif isinstance(message, ber.Reference):
                    shortfalls.append(f"a part lies on another server, which is not asked: {', '.join(message.urls)}")
                else:
                    done = message
            assert done is not None  # noqa: S101  # `_answers` ends with it or raises
            self._judge(done, base, shortfalls)
            cookie = done.cookie
            if done.code != RESULT_SUCCESS or not cookie:
                return

    def _request(self, base: str, condition: str, attributes: Sequence[str], scope: str) -> Any:
        try:
            return _search(condition, base, attributes, scope)
        except LDAPException as error:
            raise TargetError(
                f"{self._endpoint.url}: {condition!r} is no search filter: {error}",
                remedy="correct people.filter, e.g. (objectClass=inetOrgPerson)",
            ) from None

    def _answers(self, request: Any, control: Any) -> Iterator[Entry | ber.Reference | ber.Done]:
        """The messages that answer one search request, the last of them its `Done`."""
        self.connect()
        whole = False
        try:
            number = self._connection.send("searchRequest", request, [control])
            self._connection.strategy._outstanding.pop(number, None)  # the answer is ours to read
            for message in self._messages(number):
                if message is None:
                    continue
                whole = isinstance(message, ber.Done)
                yield message
                if whole:
                    return
        except (LDAPException, OSError) as error:
            raise self._lost(error) from None
        except ber.Malformed as error:
            raise TargetError(f"{self._endpoint.url} sends what is not LDAP: {error}") from None
        finally:
            if not whole:  # answers may still be on their way, so this connection is good for nothing
                self._drop()

    def _messages(self, number: int) -> Iterator[ber.Message]:
        buffer = bytearray()
        while True:
            received = self._connection.socket.recv(_RECEIVED_AT_ONCE)
            if not received:
                raise ConnectionResetError("the server closed the connection")
            buffer += received
            position = 0
            while 0 < (end := ber.message_end(buffer, position)) <= len(buffer):
                answered, message = ber.decode(bytes(buffer[position:end]))
                position = end
                if answered == number:
                    yield message
                elif answered == 0:
                    raise ConnectionResetError("the server gave notice of disconnection")
            del buffer[:position]

    def _judge(self, done: ber.Done, base: str, shortfalls: list[str]) -> None:
        """What the final result code of a page means for what was read."""
        if done.code == RESULT_SUCCESS:
            return
        said = _said(done.code, done.words)
        if done.code in _CUT_SHORT:
            who = self._endpoint.bind_dn
            shortfalls.append(f"the server ended the search under {base} early ({said}); raise the limit for {who}")
        elif done.code == RESULT_NO_SUCH_OBJECT:
            seen = f"; the nearest entry above it is {done.matched}" if done.matched else ""
            raise NoSuchBase(
                f"{self._endpoint.url}: there is no entry {base} that {self._endpoint.bind_dn} can see{seen}",
                remedy="correct the base, or give this account the right to read it",
            )
        elif done.code in _LATER:
            raise TargetUnavailable(f"{self._endpoint.url}: {said}", remedy="try again later")
        else:
            referred = f", referring to {', '.join(done.referrals)}" if done.referrals else ""
            raise TargetError(
                f"{self._endpoint.url}: {self._endpoint.bind_dn} may not search under {base}: {said}{referred}",
                remedy="give this account the right to search and read there",
            )

    def _lost(self, error: Exception) -> TargetUnavailable:
        self._drop()
        return _unavailable(self._endpoint, error)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            _shut(connection)


class Wire(ReadOnlyWire):
    """A signed-in connection that can also change entries. Only a run is handed one."""

    _writes = True

    def modify(self, dn: str, modifications: Sequence[Modification]) -> Answer:
        """Make all these modifications to one entry, or none."""
        changes: dict[str, list[tuple[Any, list[bytes]]]] = {}
        for part in modifications:
            changes.setdefault(part.attribute, []).append((_EDITS[part.edit], list(part.values)))
        return self._write(lambda connection: connection.modify(dn, changes))

    def delete(self, dn: str) -> Answer:
        """Delete one entry that has none below it."""
        return self._write(lambda connection: connection.delete(dn))

    def _write(self, request: Any) -> Answer:
        try:
            self.connect()
        except TargetError as error:
            return Answer(Verdict.UNAVAILABLE, str(error))
        try:
            request(self._connection)
            result = self._connection.result
        except (LDAPException, OSError) as error:
            return Answer(Verdict.UNAVAILABLE, str(self._lost(error)))
        code = int(result["result"])
        words = "" if code == RESULT_SUCCESS else _said(code, str(result["message"] or ""))
        return Answer(_VERDICTS.get(code, Verdict.REFUSED), words)


def _search(condition: str, base: str, attributes: Sequence[str], scope: str) -> Any:
    return search_operation(base, condition, scope, ldap3.DEREF_NEVER, list(attributes), 0, 0, False, False, False)


WireType = TypeVar("WireType", bound=ReadOnlyWire)


@contextmanager
def opened(kind: type[WireType], endpoint: Endpoint) -> Iterator[WireType]:
    """A connection of this kind, signed in, and closed at the end. Raises `TargetUnavailable` and `TargetError`."""
    wire = kind(endpoint)
    wire.connect()
    try:
        yield wire
    finally:
        wire.close()


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


def _signed_in(endpoint: Endpoint, *, read_only: bool) -> Any:
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
        user=endpoint.bind_dn,
        password=endpoint.password.get_secret_value(),
        auto_referrals=False,
        auto_range=False,
        check_names=False,
        read_only=read_only,
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
            remedy="set `ca` to the file of the CA that issued it, and use the host name that stands in it",
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
    return _unavailable(endpoint, error)


def _not_signed_in(endpoint: Endpoint, result: Any) -> TargetError:
    code = int(result["result"])
    said = _said(code, str(result["message"] or ""))
    if code in _LATER:
        return TargetUnavailable(f"{endpoint.url}: {said}", remedy="try again later")
    return TargetError(
        f"{endpoint.url} does not let {endpoint.bind_dn} in: {said}", remedy="check bind.dn and bind.password"
    )


def _unavailable(endpoint: Endpoint, error: Exception) -> TargetUnavailable:
    late = isinstance(error, TimeoutError) or "timed out" in str(error)
    said = f"no answer within {endpoint.timeout} s" if late else str(error)
    return TargetUnavailable(
        f"{endpoint.url} (as {endpoint.bind_dn}) does not answer: {said}",
        remedy="check that the server runs and that host, port and firewall are right",
    )


def _said(code: int, words: str) -> str:
    name = RESULT_CODES.get(code, f"result code {code}")
    return f"{name}: {words}" if words else str(name)
