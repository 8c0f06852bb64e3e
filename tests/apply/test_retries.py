"""What gets no answer is tried again for a while, and a target that keeps failing is set aside. Nothing here sleeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply.patience import Patience
from reconciler.apply.tables import Kind
from reconciler.targets import Op, Outcome, OutcomeKind, Step, TargetError, TargetUnavailable
from tests.apply.shelves import Shelf, Waits, change, kinds, run

SILENCE = Outcome(OutcomeKind.UNAVAILABLE, "no answer in 5 s")


def patient(waits: Waits, **settings: Any) -> Patience:
    return Patience(**{"wait": waits, "jitter": lambda: 1.0, **settings})


def test_what_gets_no_answer_is_tried_again() -> None:
    waits = Waits()
    shelf = Shelf({"u1": [SILENCE, SILENCE]})
    report, notebook, log = run({"a": shelf}, [change("u1"), change("u2")], patience=patient(waits))

    assert kinds(report) == {"u1": "applied", "u2": "applied"}
    assert waits.seconds == [0.25, 0.5]
    assert log == [
        *["run-started", "intended", "send u1,u2", "effect"],
        *["send u1", "send u1", "effect", "run-finished"],
    ]
    assert [said["detail"] for said in notebook.of(Kind.EFFECT)] == ["", "(3 attempts)"]


def test_one_intent_and_one_answer_however_often_it_was_tried_and_what_reading_shows() -> None:
    shelf = Shelf({"u1": SILENCE})
    _, notebook, _ = run({"a": shelf}, [change("u1")], patience=patient(Waits(), attempts=3))
    assert len(notebook.of(Kind.INTENDED)) == 1
    tried, read = notebook.of(Kind.EFFECT)
    assert (tried["outcome"], tried["detail"]) == ("unavailable", "no answer in 5 s (3 attempts)")
    assert (read["outcome"], read["run"]) == ("not-applied", tried["run"]), "reading back has shown it"


def test_what_an_unanswered_attempt_had_done_was_done_from_here() -> None:
    """Otherwise an additive entitlement would keep it for ever: what was there before a grant is not ours to take."""
    shelf = Shelf({"u1": [SILENCE]})
    shelf.before = lambda _: shelf.members.add("u1")
    report, notebook, _ = run({"a": shelf}, [change("u1")], patience=patient(Waits()))
    assert kinds(report) == {"u1": "applied"}
    assert "an attempt that got no answer had done it" in str(notebook.of(Kind.EFFECT)[0]["detail"])


def test_what_another_run_says_to_have_done_meanwhile_is_not_claimed_twice() -> None:
    shelf = Shelf({"u1": [SILENCE], "u2": [SILENCE]})
    shelf.before = lambda _: shelf.members.update({"u1", "u2"})
    report, notebook, _ = run({"a": shelf}, [change("u1"), change("u2")], patience=patient(Waits()), theirs={"u1"})
    assert kinds(report) == {"u1": "already", "u2": "applied"}
    assert [said["outcome"] for said in notebook.of(Kind.EFFECT)] == ["already", "applied"]


def test_nor_is_what_reading_back_shows_where_nobody_ever_answered() -> None:
    shelf = Shelf({"u1": SILENCE, "u2": SILENCE})
    shelf.before = lambda _: shelf.members.update({"u1", "u2"})
    changes = [change("u1"), change("u2")]
    report, notebook, _ = run({"a": shelf}, changes, patience=patient(Waits(), attempts=2), theirs={"u1"})
    assert kinds(report) == {"u1": "already", "u2": "applied"}
    assert [said["outcome"] for said in notebook.of(Kind.EFFECT)][2:] == ["already", "applied"]


def test_what_nobody_wants_any_more_is_not_tried_again() -> None:
    unwanted: set[str] = set()
    waits = Waits(then=lambda: unwanted.add("u1"))
    shelf = Shelf({"u1": [SILENCE], "u2": [SILENCE]})
    report, _, log = run({"a": shelf}, [change("u1"), change("u2")], unwanted, patient(waits))
    assert kinds(report) == {"u1": "unavailable", "u2": "applied"}
    assert [line for line in log if line.startswith("send")] == ["send u1,u2", "send u2"]


def test_the_target_says_when_to_come_back() -> None:
    waits = Waits()
    shelf = Shelf({"u1": [Outcome(OutcomeKind.UNAVAILABLE, "429", retry_after=7.0)]})
    run({"a": shelf}, [change("u1")], patience=patient(waits, jitter=lambda: 0.0))
    assert waits.seconds == [7.0]


def test_a_target_that_asks_for_too_much_is_set_aside() -> None:
    waits = Waits()
    shelf = Shelf({"u1": Outcome(OutcomeKind.UNAVAILABLE, "429", retry_after=900.0)}, size=1)
    report, _, log = run({"a": shelf}, [change("u1"), change("u2")], patience=patient(waits))
    assert waits.seconds == []
    assert report.set_aside == {"a": "it asks to be left alone for 900 s"}
    assert "send u2" not in log


def test_a_run_does_not_wait_for_one_target_longer_than_it_may() -> None:
    waits = Waits()
    shelf = Shelf({f"u{n}": SILENCE for n in range(9)}, size=1)
    run({"a": shelf}, [change(f"u{n}") for n in range(9)], patience=patient(waits, in_all=2.0, silent_batches=99))
    assert sum(waits.seconds) <= 2.0


def test_every_retry_has_a_connection_of_its_own() -> None:
    shelf = Shelf({"u1": [TargetUnavailable("connection lost")]})
    report, _, _ = run({"a": shelf}, [change("u1")], patience=patient(Waits()))
    assert shelf.opened == 2
    assert kinds(report) == {"u1": "applied"}


# --- set aside --------------------------------------------------------------------------------------------------------


def test_a_target_that_keeps_failing_is_set_aside_and_the_others_finish() -> None:
    dead = Shelf({f"u{n}": SILENCE for n in range(20)})
    healthy = Shelf()
    changes = [change(f"u{n}", target=name) for name in ("dead", "healthy") for n in range(20)]
    report, notebook, _ = run({"dead": dead, "healthy": healthy}, changes, patience=patient(Waits()))

    assert len(healthy.members) == 20
    assert report.counts() == {"applied": 20, "unavailable": 20}
    assert len([line for line in dead.log if line.startswith("send u")]) == 3 * 4, "three batches, four times each"
    (finding,) = report.findings
    assert (finding.kind, finding.target) == ("target-set-aside", "dead")
    assert finding.text == (
        "set aside in this run, 14 of 20 changes not tried: "
        "3 batches in a row got no answer: no answer in 5 s (4 attempts)"
    )
    untried = [each for each in report.failed if not each.entry]
    assert len(untried) == 14
    assert untried[0].outcome.detail.startswith("not tried: 3 batches in a row")
    assert notebook.of(Kind.RUN_FINISHED)[0]["set_aside"].keys() == {"dead"}


def test_f5_a_bad_account_excludes_only_itself() -> None:
    """Two batches in a row, but what lies between them is answered."""
    shelf = Shelf({"u1": SILENCE, "u2": SILENCE, "u4": SILENCE, "u5": SILENCE}, size=1)
    report, _, _ = run({"a": shelf}, [change(f"u{n}") for n in range(1, 8)], patience=patient(Waits()))
    assert report.set_aside == {}
    assert {account for account, kind in kinds(report).items() if kind == "applied"} == {"u3", "u6", "u7"}


def test_no_connection_after_some_attempts_is_enough() -> None:
    waits = Waits()
    shelf = Shelf(opening=[TargetUnavailable("refused")] * 9)
    report, notebook, _ = run({"a": shelf}, [change("u1"), change("u2")], patience=patient(waits))
    assert shelf.opened == 4
    assert len(waits.seconds) == 3
    assert report.set_aside == {"a": "no connection that can write (4 attempts): refused"}
    assert notebook.of(Kind.INTENDED) == [], "nothing was about to be sent"


def test_a_connection_that_comes_about_at_last_is_used() -> None:
    shelf = Shelf(opening=[TargetUnavailable("refused"), TargetUnavailable("refused")])
    report, _, _ = run({"a": shelf}, [change("u1")], patience=patient(Waits()))
    assert kinds(report) == {"u1": "applied"}


def test_what_is_final_is_not_tried_again() -> None:
    waits = Waits()
    shelf = Shelf(opening=[TargetError("wrong password")])
    report, _, _ = run({"a": shelf}, [change("u1")], patience=patient(waits))
    assert waits.seconds == []
    assert report.set_aside == {"a": "no connection that can write: wrong password"}


def test_a_connection_lost_in_the_middle_leaves_the_rest_and_says_so() -> None:
    shelf = Shelf({"u2": TargetUnavailable("connection lost")}, size=1)

    def closed(steps: Sequence[Step]) -> None:
        if steps[0].account == "u2":
            shelf.opening += [TargetUnavailable("refused")] * 9

    shelf.before = closed
    report, notebook, _ = run({"a": shelf}, [change(f"u{n}") for n in range(1, 5)], patience=patient(Waits()))
    assert kinds(report) == {"u1": "applied", "u2": "unavailable", "u3": "unavailable", "u4": "unavailable"}
    outcomes = [(said["subject"], said["outcome"]) for said in notebook.of(Kind.EFFECT)]
    assert outcomes == [("u1", "applied"), ("u2", "unavailable"), ("u2", "not-applied")]


# --- waits ------------------------------------------------------------------------------------------------------------


@given(attempt=st.integers(1, 40), jitter=st.floats(0, 1))
def test_waits_grow_and_end(attempt: int, jitter: float) -> None:
    patience = Patience(jitter=lambda: jitter)
    assert patience.first_wait / 2 <= patience.pause(attempt) <= patience.longest_wait
    assert patience.pause(attempt) <= patience.pause(attempt + 1)


@given(asked=st.floats(0, 1e6), jitter=st.floats(0, 1))
def test_nobody_comes_back_before_they_were_told_to(asked: float, jitter: float) -> None:
    assert Patience(jitter=lambda: jitter).pause(1, asked) >= asked


@pytest.mark.parametrize("op", list(Op))
def test_every_kind_of_step_is_tried_again(op: Op) -> None:
    shelf = Shelf({"u1": [SILENCE]})
    run({"a": shelf}, [change("u1", op)], patience=patient(Waits()))
    assert shelf.asked["u1"] == 1
