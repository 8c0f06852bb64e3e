"""The queue of who is due, as laws: nobody is lost, nobody waits for ever, leavers first, one pass at a time each."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reconciler.passes.due import CROWD, TURN, Due

PEOPLE = st.sampled_from([f"E{n}" for n in range(6)])


class Queue(RuleBasedStateMachine):
    """Beside the queue stands a simple truth: of each person, the facts that no pass has seen yet."""

    def __init__(self) -> None:
        super().__init__()
        self.due = Due()
        self.entry = 0
        self.unseen: dict[str, set[int]] = {}
        self.in_the_lane: dict[str, frozenset[int]] = {}
        self.left_to_whole: dict[str, set[int]] = {}
        self.whole_saw: dict[str, frozenset[int]] | None = None
        self.asked = False

    @initialize(crowd=st.sampled_from([0, 2, CROWD]))
    def opened(self, crowd: int) -> None:
        self.due = Due(crowd)

    # --- what happens -------------------------------------------------------------------------------------------------

    @rule(person=PEOPLE, leaving=st.booleans())
    def told(self, person: str, leaving: bool) -> None:
        self.entry += 1
        self.due.mark(person, entry=self.entry, leaving=leaving)
        self.unseen.setdefault(person, set()).add(self.entry)

    @rule()
    def asked_for_everything(self) -> None:
        self.due.mark_everything()
        self.asked = True

    @rule()
    def taken(self) -> None:
        person = self.due.take()
        if person is None:
            return
        assert person not in self.in_the_lane, "two passes for one person"
        self.in_the_lane[person] = frozenset(self.unseen.get(person, ()))

    @precondition(lambda self: self.in_the_lane)
    @rule(data=st.data(), well=st.booleans(), goes_on=st.booleans())
    def passed(self, data: st.DataObject, well: bool, goes_on: bool) -> None:
        person = data.draw(st.sampled_from(sorted(self.in_the_lane)))
        saw = self.in_the_lane.pop(person)
        self.due.passed(person, well=well, goes_on=goes_on)
        if well and not goes_on:
            # What an earlier pass left to a whole one stays with that.
            self.unseen[person] = self.unseen.get(person, set()) - (saw - self.left_to_whole.get(person, set()))
        if goes_on:
            self.left_to_whole.setdefault(person, set()).update(saw & self.unseen.get(person, set()))

    @rule()
    def tried_again(self) -> None:
        self.due.try_again()

    @precondition(lambda self: self.due.whole_wanted)
    @rule()
    def whole_began(self) -> None:
        assert self.whole_saw is None, "two whole passes"
        self.due.whole_began()
        self.whole_saw = {person: frozenset(facts) for person, facts in self.unseen.items()}
        self.asked = False

    @precondition(lambda self: self.whole_saw is not None)
    @rule(well=st.booleans())
    def whole_ended(self, well: bool) -> None:
        assert self.whole_saw is not None
        self.due.whole_ended(well=well)
        if well:
            for person, facts in self.whole_saw.items():
                self.unseen[person] -= facts
                self.left_to_whole.get(person, set()).difference_update(facts)
        else:
            self.asked = True
        self.whole_saw = None

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def nobody_is_lost(self) -> None:
        assert {person for person, facts in self.unseen.items() if facts} <= self.due.people

    @invariant()
    def nothing_is_called_reconciled_that_nobody_has_seen(self) -> None:
        unseen = min((fact for facts in self.unseen.values() for fact in facts), default=self.entry + 1)
        assert self.due.reconciled(self.entry) < unseen

    @invariant()
    def what_was_asked_for_is_wanted(self) -> None:
        assert self.due.whole_wanted or not self.asked or self.whole_saw is not None

    def teardown(self) -> None:
        """Once everything ends well, nobody is due any more."""
        for person in list(self.in_the_lane):
            self.due.passed(person, well=True, goes_on=False)
        if self.whole_saw is not None:
            self.due.whole_ended(well=True)
        self.due.try_again()
        for person in list(iter(self.due.take, None)):
            self.due.passed(person, well=True, goes_on=False)
        if self.due.whole_wanted:
            self.due.whole_began()
            self.due.whole_ended(well=True)
        assert not self.due.people
        assert not self.due.whole_wanted
        assert self.due.reconciled(self.entry) == self.entry


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


def test_leavers_come_first_in_their_order() -> None:
    due = Due()
    due.mark("new", entry=1)
    for n in range(TURN):
        due.mark(f"L{n}", entry=2 + n, leaving=True)

    assert [due.take() for _ in range(TURN + 1)] == [*(f"L{n}" for n in range(TURN)), "new"]


def test_an_endless_stream_of_leavers_does_not_keep_others_waiting_for_ever() -> None:
    due = Due()
    due.mark("new", entry=1)
    taken = []
    for n in range(2 * TURN):
        due.mark(f"L{n}", entry=2 + n, leaving=True)
        due.mark(f"M{n}", entry=2 + n, leaving=True)
        taken.append(due.take())

    assert taken.index("new") == TURN


def test_somebody_who_waits_and_then_leaves_is_a_leaver() -> None:
    due = Due()
    due.mark("one", entry=1)
    due.mark("two", entry=2)
    due.mark("two", entry=3, leaving=True)

    assert [due.take(), due.take(), due.take()] == ["two", "one", None]
    assert due.reconciled(3) == 0


def test_news_about_somebody_whose_pass_is_under_way_waits_for_its_end() -> None:
    due = Due()
    due.mark("one", entry=1, leaving=True)
    assert due.take() == "one"
    due.mark("one", entry=2, leaving=True)

    assert due.take() is None
    due.passed("one", well=True, goes_on=False)
    assert due.reconciled(2) == 1
    assert due.take() == "one"


def test_a_crowd_goes_to_the_whole_pass_and_a_leaver_in_it_does_not() -> None:
    due = Due()
    for n in range(10 * CROWD):
        due.mark(f"E{n}", entry=n + 1)
    due.mark("last", entry=10 * CROWD + 1, leaving=True)

    lane = list(iter(due.take, None))
    assert lane[0] == "last"
    assert len(lane) == CROWD + 1
    assert due.whole_wanted
    assert len(due.people) == 10 * CROWD + 1


def test_what_a_whole_pass_has_seen_meanwhile_asks_for_no_further_one() -> None:
    due = Due()
    due.mark("one", entry=1)
    due.take()
    due.mark_everything()
    due.whole_began()
    due.whole_ended(well=True)

    due.passed("one", well=True, goes_on=True)

    assert not due.whole_wanted
    assert not due.people


def test_what_failed_and_was_left_to_a_whole_pass_meanwhile_waits_for_that() -> None:
    """Told again while in the lane: that pass fails, the next one finds more to do, and a later one does not."""
    due = Due()
    due.mark("one", entry=1)
    due.take()
    due.mark("one", entry=2)
    due.passed("one", well=False, goes_on=False)
    due.take()
    due.passed("one", well=True, goes_on=True)
    due.try_again()

    assert due.take() is None, "the second pass has seen what the first one failed over"
    due.mark("one", entry=3)
    due.take()
    due.passed("one", well=True, goes_on=False)

    assert due.whole_wanted
    assert due.reconciled(3) == 0
    due.whole_began()
    due.whole_ended(well=True)
    assert due.reconciled(3) == 3


def test_what_was_told_in_two_passes_and_left_to_a_whole_one_counts_from_the_first() -> None:
    due = Due()
    for entry in (1, 2):
        due.mark("one", entry=entry)
        due.take()
        due.passed("one", well=True, goes_on=True)
    due.mark("one", entry=3)
    due.take()
    due.passed("one", well=True, goes_on=False)

    assert due.reconciled(3) == 0


def test_what_a_pass_failed_over_is_tried_again_once_that_is_due_and_not_before() -> None:
    due = Due()
    due.mark("one", entry=1, leaving=True)
    due.take()
    due.passed("one", well=False, goes_on=True)

    assert due.take() is None
    assert due.failed == {"one"}
    assert due.whole_wanted, "and a whole pass may do it as well"
    due.try_again()
    assert due.take() == "one"
    due.passed("one", well=True, goes_on=False)
    assert due.people == {"one"}
    due.whole_began()
    due.whole_ended(well=True)
    assert not due.people


def test_who_failed_and_was_seen_by_a_whole_pass_meanwhile_is_done() -> None:
    due = Due()
    due.mark("one", entry=1)
    due.take()
    due.mark_everything()
    due.whole_began()
    due.whole_ended(well=True)
    due.passed("one", well=False, goes_on=False)

    assert not due.people
    due.try_again()
    assert due.take() is None


def test_somebody_who_is_told_of_all_the_time_holds_back_no_more_than_what_nobody_has_seen() -> None:
    due = Due()
    for turn in range(50):
        due.mark("one", entry=turn + 1)
        due.take()
        due.whole_began()
        due.mark("one", entry=1000 + turn)
        due.passed("one", well=True, goes_on=True)
        due.whole_ended(well=True)

        assert due.reconciled(2000) == 999 + turn
        due.take()
        due.passed("one", well=True, goes_on=False)
        assert not due.people
