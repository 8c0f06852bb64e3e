"""A connection to a server: searching in pages and, for a run, modifying, several requests at a time.

Promises: every page's final result code is looked at, and what it means for completeness is said; referrals are never
followed, and that is said too; a `ReadOnlyWire` cannot change anything; a request that got no answer is told as such,
and what other requests were answered stays true. Sources: RFC 4511, RFC 2696 (paging), RFC 4528 (assertions).

A page is asked for as soon as the end of the one before has arrived, so that the server works on it while that one is
read here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from adapters.directory.entries import Answer, Entry, Listing, NewEntry, Request, Verdict
from adapters.ldap import ber, requests
from adapters.ldap.bulk import Habits, decoded
from adapters.ldap.exchange import Exchange
from adapters.ldap.requests import Filter, Scope
from adapters.ldap.session import LATER, Session, said, unavailable
from adapters.ldap.settings import Endpoint
from reconciler.targets import TargetError, TargetUnavailable

__all__ = ["NoSuchBase", "Question", "ReadOnlyWire", "Wire", "opened"]

PAGE_SIZE = 1000
OUTSTANDING = 32
"""So many requests are under way at once: enough that neither side waits for the other."""
_SUCCESS, _NO_SUCH_OBJECT, _ASSERTION_FAILED = 0, 32, 122
_CUT_SHORT = {3, 4, 11}  # time, size and administrative limit
_VERDICTS = {
    _SUCCESS: Verdict.DONE,
    16: Verdict.CONFLICT,  # noSuchAttribute
    20: Verdict.CONFLICT,  # attributeOrValueExists
    _NO_SUCH_OBJECT: Verdict.GONE,
    50: Verdict.FORBIDDEN,  # insufficientAccessRights
    51: Verdict.UNAVAILABLE,  # busy
    52: Verdict.UNAVAILABLE,  # unavailable
    65: Verdict.VIOLATION,  # objectClassViolation
    68: Verdict.CONFLICT,  # entryAlreadyExists, which Active Directory answers where a value exists
    _ASSERTION_FAILED: Verdict.CHANGED,
}


class NoSuchBase(TargetError):
    """The entry that a search starts from is not there, or not for this account to see."""

    code = "target-no-such-base"


@dataclass(frozen=True, slots=True)
class Question:
    """A search that few entries answer: fewer than any server's limit, so that they need no pages."""

    base: str
    scope: Scope
    condition: Filter


Greeting: TypeAlias = "Callable[[ReadOnlyWire], None]"
"""What is said first on a connection."""


class ReadOnlyWire:
    """A signed-in connection that can search and nothing else. Connects at the first search and again after a loss.

    `greet` is called with each new connection before anything else is asked; where it raises `TargetError`, that
    connection is not used.
    """

    def __init__(self, endpoint: Endpoint, greet: Greeting | None = None) -> None:
        self._endpoint = endpoint
        self._greet = greet
        self._session: Session | None = None
        self._exchange: Exchange | None = None

    def search(
        self,
        base: str,
        condition: Filter,
        attributes: Sequence[str],
        *,
        scope: Scope = Scope.SUBTREE,
        page: int = PAGE_SIZE,
    ) -> Listing:
        """All entries under a base that meet a filter, with these attributes, as they arrive.

        They are read to the end before anything else is asked. While they are read: raises `NoSuchBase`,
        `TargetUnavailable` where the server does not answer, and `TargetError` where it answers that it will not.
        """
        listing = Listing(())
        request = requests.search(base, scope, condition, attributes)
        listing.entries = self._pages(request, base, page, listing.shortfalls)
        return listing

    def ask(self, questions: Sequence[Question], attributes: Sequence[str]) -> Listing:
        """As `search`, of many questions at once, each of which few entries answer: they are asked side by side and
        their answers come in any order. One about a single entry that is not there is answered by none.
        """
        listing = Listing(())
        listing.entries = self._side_by_side(questions, attributes, listing.shortfalls)
        return listing

    def connect(self) -> Exchange:
        """Connect and sign in, unless that is so already. Raises `TargetUnavailable` and `TargetError`."""
        if self._session is None or self._exchange is None:
            self._session = Session(self._endpoint)
            self._exchange = Exchange(self._session.socket)
            self._greeted()
        return self._exchange

    def _greeted(self) -> None:
        try:
            if self._greet is not None:
                self._greet(self)
        except TargetError:
            self.close()
            raise

    def close(self) -> None:
        session, self._session, self._exchange = self._session, None, None
        if session is not None:
            session.close()

    def _pages(self, request: bytes, base: str, page: int, shortfalls: list[str]) -> Iterator[Entry]:
        habits = Habits()
        with self._conversation() as exchange:
            number = _asked(exchange, request, requests.page(page, b""))
            while number:
                done, following = None, 0
                while done is None:
                    octets, found = exchange.arrived()
                    if ber.ended(octets, *found[-1]) == number:
                        _, done = ber.result(octets[slice(*found.pop())])
                        exchange.open.discard(number)
                    if done is not None and done.code == _SUCCESS and done.cookie:
                        following = _asked(exchange, request, requests.page(page, done.cookie))
                    yield from _entries(octets, found, (number,), shortfalls, habits)
                self._judge(done, base, shortfalls)
                number = following

    def _side_by_side(
        self, questions: Sequence[Question], attributes: Sequence[str], shortfalls: list[str]
    ) -> Iterator[Entry]:
        under_way: dict[int, Question] = {}
        waiting, habits = deque(questions), Habits()
        with self._conversation() as exchange:
            while waiting or under_way:
                while waiting and len(under_way) < OUTSTANDING:
                    each = waiting.popleft()
                    under_way[exchange.queue(requests.search(each.base, each.scope, each.condition, attributes))] = each
                exchange.flush()
                octets, found = exchange.arrived()
                ends = [bound for bound in found if ber.ended(octets, *bound) in under_way]
                others = [bound for bound in found if bound not in ends] if ends else found
                yield from _entries(octets, others, under_way, shortfalls, habits)
                for bound in ends:
                    number, done = ber.result(octets[slice(*bound)])
                    exchange.open.discard(number)
                    each = under_way.pop(number)
                    if done.code != _NO_SUCH_OBJECT or each.scope is not Scope.BASE:
                        self._judge(done, each.base, shortfalls)

    @contextmanager
    def _conversation(self) -> Iterator[Exchange]:
        """The connection, which is good for nothing more once an answer was not read to its end. Raises as `search`."""
        exchange = self.connect()
        try:
            yield exchange
        except OSError as error:
            raise self._lost(error) from None
        except ber.Malformed as error:
            raise TargetError(f"{self._endpoint.url} sends what is not LDAP: {error}") from None
        finally:
            if exchange.open:
                self._drop()

    def _judge(self, done: ber.Done, base: str, shortfalls: list[str]) -> None:
        """What the final result code of a page means for what was read."""
        if done.code == _SUCCESS:
            return
        told = said(done.code, done.words)
        if done.code in _CUT_SHORT:
            who = self._endpoint.user
            shortfalls.append(f"the server ended the search under {base} early ({told}); raise the limit for {who}")
        elif done.code == _NO_SUCH_OBJECT:
            seen = f"; the nearest entry above it is {done.matched}" if done.matched else ""
            raise NoSuchBase(
                f"{self._endpoint.url}: there is no entry {base} that {self._endpoint.user} can see{seen}",
                remedy="correct the base, or give this account the right to read it",
            )
        elif done.code in LATER:
            raise TargetUnavailable(f"{self._endpoint.url}: {told}", remedy="try again later")
        else:
            referred = f", referring to {', '.join(done.referrals)}" if done.referrals else ""
            raise TargetError(
                f"{self._endpoint.url}: {self._endpoint.user} may not search under {base}: {told}{referred}",
                remedy="give this account the right to search and read there",
            )

    def _lost(self, error: Exception) -> TargetUnavailable:
        self._drop()
        return unavailable(self._endpoint, error)

    def _drop(self) -> None:
        session, self._session, self._exchange = self._session, None, None
        if session is not None:
            session.drop()


class Wire(ReadOnlyWire):
    """A signed-in connection that can also change entries. Only a run is handed one."""

    def __init__(self, endpoint: Endpoint, greet: Greeting | None = None) -> None:
        super().__init__(endpoint, greet)
        self._asserts: bool | None = None

    def modify(self, wanted: Sequence[Request]) -> Sequence[Answer]:
        """Make each of these changes, of different entries, in no order; one answer for each."""
        return self._write([requests.modification(each.dn, each.parts) for each in wanted], wanted)

    def delete(self, wanted: Request) -> Answer:
        """Delete one entry that has none below it."""
        [answer] = self._write([requests.deletion(wanted.dn)], [wanted])
        return answer

    def add(self, wanted: NewEntry) -> Answer:
        """Add one entry."""
        [answer] = self._write([requests.addition(wanted.dn, wanted.attributes)], [Request(wanted.dn)])
        return answer

    def move(self, wanted: Sequence[tuple[Request, str, str]]) -> Sequence[Answer]:
        """Put each of these entries below another one: (which, under which name of its own, below which)."""
        moves = [requests.move(each.dn, rdn, superior) for each, rdn, superior in wanted]
        return self._write(moves, [each for each, *_ in wanted])

    def give_secret(self, dn: str, secret: str) -> Answer:
        """Set an entry's password; the server hashes it as it hashes all (RFC 3062)."""
        [answer] = self._write([requests.new_password(dn, secret)], [Request(dn)])
        return answer

    def _write(self, operations: Sequence[bytes], wanted: Sequence[Request]) -> Sequence[Answer]:
        answers: dict[int, Answer] = {}
        rest = Answer(Verdict.UNAVAILABLE)
        try:
            controls = [self._controls(each.provided) for each in wanted]
            with self._conversation() as exchange:
                self._exchanged(exchange, operations, controls, answers)
        except TargetError as error:
            rest = Answer(Verdict.UNAVAILABLE, str(error))
        return [answers.get(place, rest) for place in range(len(operations))]

    def _exchanged(
        self,
        exchange: Exchange,
        operations: Sequence[bytes],
        controls: Sequence[Sequence[bytes]],
        answers: dict[int, Answer],
    ) -> None:
        under_way: dict[int, int] = {}
        following = 0
        while following < len(operations) or under_way:
            while following < len(operations) and len(under_way) < OUTSTANDING:
                under_way[exchange.queue(operations[following], *controls[following])] = following
                following += 1
            exchange.flush()
            octets, found = exchange.arrived()
            for bound in found:
                number, done = ber.result(octets[slice(*bound)])
                if number not in under_way:
                    raise ConnectionResetError(done.words or "the server gave notice of disconnection")
                exchange.open.discard(number)
                answers[under_way.pop(number)] = _answer(done)

    def _controls(self, provided: Mapping[str, bytes]) -> Sequence[bytes]:
        """The assertion that the entry still is as it was seen, where there is one and the server takes it."""
        if not provided or not self._takes_assertions():
            return ()
        return (requests.asserting(requests.all_of(*(requests.equal(*each) for each in provided.items()))),)

    def _takes_assertions(self) -> bool:
        """Raises `TargetError`."""
        if self._asserts is None:
            root = list(self.search("", requests.any_value("objectClass"), ("supportedControl",), scope=Scope.BASE))
            self._asserts = any(requests.ASSERTION.encode() in entry.values("supportedControl") for entry in root)
        return self._asserts


def _asked(exchange: Exchange, request: bytes, *controls: bytes) -> int:
    number = exchange.queue(request, *controls)
    exchange.flush()
    return number


def _entries(
    octets: bytes, found: Sequence[tuple[int, int]], numbers: Container[int], shortfalls: list[str], habits: Habits
) -> Sequence[Entry]:
    entries, others = decoded(octets, found, numbers, habits)
    for answered, message in others:
        if answered == 0:
            raise ConnectionResetError("the server gave notice of disconnection")
        if answered in numbers and isinstance(message, ber.Reference):
            shortfalls.append(f"a part lies on another server, which is not asked: {', '.join(message.urls)}")
        elif answered in numbers and message is not None:  # an end with something behind it: nobody can say of what
            raise ConnectionResetError("the server goes on after its last answer")
    return entries


def _answer(done: ber.Done) -> Answer:
    words = "" if done.code == _SUCCESS else said(done.code, done.words)
    return Answer(_VERDICTS.get(done.code, Verdict.REFUSED), words)


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
