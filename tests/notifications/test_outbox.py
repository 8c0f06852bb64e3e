"""The outbox: said once, whoever dies where; one message at a time; what is over is not said."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from reconciler.apply.tables import deliveries, notices
from reconciler.facts.people import Facts
from reconciler.facts.store import Store
from reconciler.notifications.channels import NotSent, Outgoing
from reconciler.notifications.notices import Notice, NoticeKind, Told
from reconciler.notifications.outbox import KEPT, LONGEST, Outbox, Route, State
from reconciler.notifications.sending import Sender
from reconciler.notifications.texts import Style

MONDAY = datetime(2026, 11, 23, 2, tzinfo=UTC)
DAY = timedelta(days=1)
COUNT = itertools.count()


@dataclass
class Clock:
    now: datetime = MONDAY

    def __call__(self) -> datetime:
        return self.now


class Killed(BaseException):
    """The process is gone at this point."""


@dataclass
class Wire:
    """A channel of which the test knows what came over the wire."""

    style: Style = field(default_factory=Style)
    least_pause: timedelta = timedelta(0)
    came: list[Outgoing] = field(default_factory=list)
    fails: list[NotSent] = field(default_factory=list)
    lost: list[NotSent] = field(default_factory=list)
    killed_before: bool = False
    killed_after: bool = False

    def send(self, outgoing: Outgoing) -> None:
        if self.killed_before:
            raise Killed
        if self.fails:
            raise self.fails.pop()
        self.came.append(outgoing)
        if self.killed_after:
            raise Killed
        if self.lost:
            raise self.lost.pop()

    def reach(self) -> Sequence[str]:
        return []

    def keys(self) -> Counter[str]:
        return Counter(str(notice.content["source"]) for each in self.came for notice in each.notices)


@dataclass
class Office:
    """One channel of a store, under a name of its own."""

    store: Store
    clock: Clock = field(default_factory=Clock)
    wire: Wire = field(default_factory=Wire)
    name: str = field(default_factory=lambda: f"channel-{next(COUNT)}")
    standing: set[str] = field(default_factory=set)
    recipients: Sequence[str] = ("",)
    delay: timedelta = timedelta(0)

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.store)

    def sender(self, pause: timedelta = timedelta(0), give_up_after: timedelta = DAY) -> Sender:
        facts = Facts(self.store, "UTC")
        return Sender(
            self.name, self.wire, self.outbox, facts, self.clock, "一家公司", "en", False, pause, give_up_after
        )

    def routes(self, _notice: Notice) -> Iterator[Route]:
        return (Route(self.name, who, self.clock() + self.delay) for who in self.recipients)

    def see(self, *keys: str) -> int:
        """A look at all imports of this office finds these refused."""
        self.standing = set(keys)
        found = [
            Notice(NoticeKind.IMPORT, f"{self.name}:{key}", {"source": key, "code": "x"}, self.name) for key in keys
        ]
        told = Told(frozenset({NoticeKind.IMPORT}), tuple(found), frozenset({self.name}))
        return self.outbox.settle(told, self.routes, self.clock())

    def send(self, **how: timedelta) -> bool:
        return self.sender(**how).send_next()

    def rows(self, *states: State) -> int:
        with self.store.reading() as connection:
            mine = deliveries.c.channel == self.name, deliveries.c.state.in_(states)
            return connection.execute(select(func.count()).select_from(deliveries).where(*mine)).scalar_one()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.open("sqlite:///outbox.db", folder=tmp_path_factory.mktemp("outbox"))


@pytest.fixture
def office(new_store: Callable[[], str], tmp_path: Path) -> Iterator[Office]:
    """On SQLite, and then on PostgreSQL."""
    opened = Store.open(new_store(), folder=tmp_path)
    yield Office(opened)
    opened.close()


def test_it_is_said_once_however_often_it_is_seen(office: Office) -> None:
    for _ in range(3):
        office.see("a", "b")
        office.send()
        office.clock.now += DAY

    assert office.wire.keys() == {"a": 1, "b": 1}


def test_what_was_over_and_is_back_is_said_again(office: Office) -> None:
    office.see("a")
    office.send()
    office.see()
    office.see("a")
    office.send()

    assert office.wire.keys() == {"a": 2}


def test_what_is_over_before_it_could_be_sent_is_not_said(office: Office) -> None:
    office.see("a", "b")
    office.see("b")
    office.send()

    assert office.wire.keys() == {"b": 1}
    assert office.rows(State.DROPPED) == 1


def test_a_storm_is_one_message(office: Office) -> None:
    office.see(*(str(n) for n in range(500)))
    while office.send():
        pass

    assert len(office.wire.came) == 1
    assert len(office.wire.keys()) == 500


def test_what_comes_while_the_channel_rests_is_one_message(office: Office) -> None:
    pause = timedelta(seconds=60)
    office.see("0")
    assert office.send(pause=pause)
    for n in range(1, 60):
        office.clock.now += timedelta(seconds=1)
        office.see(*map(str, range(n + 1)))
        assert not office.send(pause=pause)
    office.clock.now += timedelta(seconds=1)
    assert office.send(pause=pause)

    assert len(office.wire.came) == 2
    assert set(office.wire.keys().values()) == {1}


def test_each_recipient_gets_a_message_of_their_own(office: Office) -> None:
    office.recipients = ["", "E7"]
    office.see("a", "b")
    with suppress(NotSent):
        while office.send():
            office.clock.now += DAY / 100

    assert [len(each.notices) for each in office.wire.came] == [2], "E7 is nobody who is known"
    assert office.rows(State.GIVEN_UP) == 2


def test_patience(office: Office) -> None:
    office.delay = timedelta(seconds=60)
    office.see("a", "b")
    assert not office.send()
    office.see("b")
    office.clock.now += office.delay
    assert office.send()

    assert office.wire.keys() == {"b": 1}, "what mended itself meanwhile is not said"


def test_it_waits_longer_each_time_and_gives_up(office: Office) -> None:
    office.see("a")
    tries, waits, last = 0, [], office.clock.now
    while office.rows(State.WAITING) and tries < 1000:
        office.wire.fails = [NotSent("no")]
        if office.send():
            tries += 1
            waits.append(office.clock.now - last)
            last = office.clock.now
        office.clock.now += timedelta(minutes=1)

    assert office.rows(State.GIVEN_UP) == 1
    assert office.clock.now - MONDAY < DAY + 2 * LONGEST
    assert waits == sorted(waits)
    assert max(waits) <= LONGEST + timedelta(minutes=1)
    assert 40 < tries < 80
    (state,) = [each for each in office.outbox.states(MONDAY) if each.channel == office.name]
    assert (state.given_up, state.waiting, state.trouble) == (1, 0, "no")


def test_a_channel_that_says_when_is_not_asked_sooner(office: Office) -> None:
    office.see("a")
    office.wire.fails = [NotSent("no", wait=timedelta(minutes=10))]
    assert office.send()
    office.clock.now += timedelta(minutes=10) - timedelta(microseconds=1)
    assert not office.send()
    office.clock.now += timedelta(microseconds=1)
    assert office.send()


def test_nobody_is_made_to_wait_for_ever(office: Office) -> None:
    office.see("a")
    office.wire.fails = [NotSent("no", wait=timedelta(days=365))]
    assert office.send()
    office.clock.now += timedelta(hours=1)
    assert office.send()


def test_a_clock_that_was_set_back_makes_nobody_wait(office: Office) -> None:
    office.see("a")
    office.send(pause=timedelta(minutes=5))
    office.clock.now -= timedelta(days=30)
    office.see("a", "b")

    assert office.send()
    assert office.wire.keys() == {"a": 1, "b": 1}


def test_refused_for_good_is_never_tried_again(office: Office) -> None:
    office.see("a")
    office.wire.fails = [NotSent("too long", final=True)]
    office.send()
    office.clock.now += DAY

    assert not office.send()
    assert office.rows(State.GIVEN_UP) == 1


def test_while_somebody_is_at_it_nobody_else_is(office: Office) -> None:
    office.see("a")
    with office.outbox.alone(office.name) as alone:
        assert alone
        assert not office.send()
        claimed = office.outbox.claim(office.name, office.clock())
        assert claimed is not None

    assert office.send(), "whoever was at it has died"
    assert [each.name for each in office.wire.came] == [claimed.message]


def test_what_may_have_arrived_goes_again_alone_and_under_its_name(office: Office) -> None:
    office.see("a")
    office.wire.lost = [NotSent("who knows", unsure=True)]
    office.send()
    office.see("a", "b")
    office.clock.now += LONGEST
    assert office.send()
    assert office.send()

    first, again, other = office.wire.came
    assert first.name == again.name != other.name
    assert first.notices == again.notices
    assert "may have arrived" in again.message.body
    assert "may have arrived" not in first.message.body + other.message.body
    assert office.wire.keys() == {"a": 2, "b": 1}


def test_what_surely_did_not_arrive_goes_with_what_came_since(office: Office) -> None:
    office.see("a")
    office.wire.fails = [NotSent("no")]
    office.send()
    office.see("a", "b")
    office.clock.now += LONGEST
    office.send()

    (message,) = office.wire.came
    assert len(message.notices) == 2
    assert "may have arrived" not in message.message.body


def test_many_processes_send_each_thing_once(new_store: Callable[[], str], tmp_path: Path) -> None:
    url = new_store()
    stores = [Store.open(url, folder=tmp_path) for _ in range(4)]
    first = Office(stores[0])
    others = [Office(store, first.clock, first.wire, first.name) for store in stores]
    gate, more = Barrier(4), 25

    def work(office: Office) -> None:
        gate.wait()
        for n in range(more):
            office.see(*map(str, range(n + 1)))
            office.send()

    threads = [Thread(target=work, args=(office,)) for office in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    others[0].see(*map(str, range(more)))
    while others[0].send():
        pass

    raised = Counter(str(notice.content["source"]) for each in first.wire.came for notice in each.notices)
    with stores[0].reading() as connection:
        decided = connection.execute(select(func.count()).select_from(deliveries)).scalar_one()
        dropped = first.rows(State.DROPPED)
    assert sum(raised.values()) == decided - dropped, "nothing that was decided went twice"
    assert first.rows(State.SENT) == decided - dropped
    for store in stores:
        store.close()


def test_what_was_said_is_forgotten_in_time(office: Office) -> None:
    office.see("a")
    office.send()
    office.see()
    office.clock.now += KEPT + DAY
    office.see("b")

    with office.store.reading() as connection:
        mine = select(func.count()).select_from(notices).where(notices.c.target == office.name)
        assert connection.execute(mine).scalar_one() == 1


# --- whoever dies where -----------------------------------------------------------------------------------------------

KEYS = st.sets(st.sampled_from("abcd"), max_size=4)
STEP = st.one_of(
    st.tuples(st.just("see"), KEYS),
    st.tuples(st.just("wait"), st.integers(1, 400)),
    st.tuples(
        st.sampled_from(["send", "refused", "lost", "killed-at-claim", "killed-before", "killed-after"]),
        st.none(),
    ),
)


@contextmanager
def dying(office: Office, how: str) -> Iterator[None]:
    """Somebody sends, and that happens to them."""
    wire = office.wire
    wire.fails = [NotSent("no")] if how == "refused" else []
    wire.lost = [NotSent("who knows", unsure=True)] if how == "lost" else []
    wire.killed_before, wire.killed_after = how == "killed-before", how == "killed-after"
    with suppress(Killed):
        yield
    wire.fails, wire.lost, wire.killed_before, wire.killed_after = [], [], False, False


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=25))
@example([("see", {"a", "b"}), ("killed-after", None), ("refused", None), ("see", {"a"})])
def test_at_most_once_but_for_what_nobody_could_know(store: Store, steps: list[tuple[str, object]]) -> None:
    office = Office(store)
    raised: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    names: dict[str, set[str]] = defaultdict(set)
    for what, value in steps:
        before = len(office.wire.came)
        if what == "see":
            assert isinstance(value, set)
            raised.update(value - office.standing)
            office.see(*sorted(value))
        elif what == "wait":
            assert isinstance(value, int)
            office.clock.now += timedelta(seconds=value)
        elif what == "killed-at-claim":
            office.outbox.claim(office.name, office.clock())
        else:
            with dying(office, what):
                office.send()
            if what in ("lost", "killed-after"):
                for each in office.wire.came[before:]:
                    unknown.update(str(notice.content["source"]) for notice in each.notices)
    for _ in range(12):
        office.clock.now += LONGEST
        office.send(give_up_after=timedelta(days=365))
    for each in office.wire.came:
        for notice in each.notices:
            names[str(notice.content["source"])].add(each.name)

    came = office.wire.keys()
    assert office.rows(State.WAITING, State.SENDING, State.UNSURE, State.GIVEN_UP) == 0
    for key in "abcd":
        assert came[key] <= raised[key] + unknown[key], "no more often than it was decided, or could not be known"
        assert len(names[key]) <= raised[key], "under one name each time"
        assert not (key in office.standing and raised[key] == 1) or came[key] >= 1, "what stands is said"
