"""Which domain controller is asked, and that it stays the same one.

Controllers copy from each other some seconds or minutes later. Who reads from one and writes to another grants what was
revoked a moment ago, or reads back what was not copied yet and takes a change for lost. So the first controller that
answers is the one for as long as this object lives, which is one pass: whatever is read or written afterwards goes to
it or fails. A name can stand for several controllers, as that of a domain does; therefore a controller is known by what
it says about itself (`dsServiceName` in the root DSE, MS-ADTS section 3.1.1.3.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import TypeVar

from adapters.ldap.requests import Scope, any_value
from adapters.ldap.settings import Endpoint
from adapters.ldap.wire import Question, ReadOnlyWire
from reconciler.targets import TargetError, TargetUnavailable

__all__ = ["Controllers"]


@dataclass(slots=True)
class Bond:
    """The controller that was found first, by its own name for itself; blank until then."""

    identity: str = ""

    def meet(self, wire: ReadOnlyWire, endpoint: Endpoint) -> None:
        """Raises `TargetUnavailable` where this is another controller, `TargetError` where it is none."""
        roots = list(wire.ask([Question("", Scope.BASE, any_value("objectClass"))], ("dsServiceName",)))
        identity = roots[0].text("dsServiceName") if roots else ""
        if not identity:
            raise TargetError(
                f"{endpoint.url} is no domain controller: it names no directory service of its own",
                remedy="use `type: ldap` for other directories",
            )
        if self.identity and identity != self.identity:
            raise TargetUnavailable(
                f"{endpoint.url} is another domain controller than before ({identity} instead of {self.identity})",
                remedy="name each controller by its own host name; the next pass starts afresh",
            )
        self.identity = identity


WireType = TypeVar("WireType", bound=ReadOnlyWire)


@dataclass(slots=True)
class Controllers:
    """The controllers of a domain, in the order in which they are tried until one answers."""

    endpoints: Sequence[Endpoint]
    _bond: Bond = field(default_factory=Bond)
    _chosen: Endpoint | None = None
    _turn: RLock = field(default_factory=RLock)

    @contextmanager
    def opened(self, kind: type[WireType]) -> Iterator[WireType]:
        """A connection of this kind to the one controller, closed at the end. Raises `TargetUnavailable` where it does
        not answer, whoever else might, and `TargetError` where it will not be used.
        """
        wire = self._connected(kind)
        try:
            yield wire
        finally:
            wire.close()

    def _connected(self, kind: type[WireType]) -> WireType:
        with self._turn:
            if self._chosen is None:
                return self._first(kind)
        try:
            return self._to(self._chosen, kind)
        except TargetUnavailable as error:
            if len(self.endpoints) == 1:
                raise
            why = "it was read from before, and another controller may lag behind it"
            raise TargetUnavailable(f"{error.message}; no other is asked: {why}", remedy=error.remedy) from None

    def _first(self, kind: type[WireType]) -> WireType:
        silent: list[TargetUnavailable] = []
        for endpoint in self.endpoints:
            try:
                wire = self._to(endpoint, kind)
            except TargetUnavailable as error:
                silent.append(error)
                continue
            self._chosen = endpoint
            return wire
        if len(silent) == 1:
            raise silent[0]
        raise TargetUnavailable("; ".join(error.message for error in silent), remedy=silent[0].remedy)

    def _to(self, endpoint: Endpoint, kind: type[WireType]) -> WireType:
        wire = kind(endpoint, lambda fresh: self._bond.meet(fresh, endpoint))
        wire.connect()
        return wire
