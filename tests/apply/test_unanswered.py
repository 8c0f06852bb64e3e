"""What nobody answered to may have happened: nothing is said about it until somebody has read what became of it."""

from __future__ import annotations

import pytest

from reconciler.apply.sight import Sight
from reconciler.apply.tables import Kind
from reconciler.targets import AccountsRead, Observation, Op, Outcome, OutcomeKind, Reading, TargetUnavailable
from tests.apply.shelves import NOW, Shelf, Waits, change, kinds, run
from tests.apply.test_retries import SILENCE, patient

REFUSED = Outcome(OutcomeKind.REFUSED, "no right")


def test_a_refusal_after_silence_does_not_say_that_the_silent_attempt_did_nothing() -> None:
    shelf = Shelf({"u1": [SILENCE, REFUSED]})
    shelf.before = lambda _: shelf.members.add("u1")  # the first attempt did it

    report, notebook, _ = run({"a": shelf}, [change("u1")], patience=patient(Waits()))

    assert kinds(report) == {"u1": "applied"}
    assert [said["outcome"] for said in notebook.of(Kind.EFFECT)] == ["unavailable", "applied"]


def test_a_refusal_after_silence_is_tried_no_more_and_reads_as_one() -> None:
    shelf = Shelf({"u1": [SILENCE, REFUSED, None]})

    report, notebook, log = run({"a": shelf}, [change("u1")], patience=patient(Waits()))

    assert log.count("send u1") == 2
    assert [each.outcome.detail for each in report.failed] == [
        "refused, after an attempt that got no answer: no right (2 attempts)"
    ]
    assert [said["outcome"] for said in notebook.of(Kind.EFFECT)] == ["unavailable", "not-applied"]


def test_who_is_no_longer_wanted_once_there_is_a_connection_is_sent_nothing() -> None:
    """Waiting for a connection takes as long as it takes, and people leave meanwhile."""
    unwanted: set[str] = set()
    shelf = Shelf(opening=[TargetUnavailable("refused")])
    waits = Waits(then=lambda: unwanted.add("u1"))

    report, notebook, log = run({"a": shelf}, [change("u1"), change("u2")], unwanted, patient(waits))

    assert kinds(report) == {"u1": "stale", "u2": "applied"}
    assert "send u2" in log
    assert [each["id"] for said in notebook.of(Kind.INTENDED) for each in said["changes"]] == [change("u2").id]


def test_an_account_that_was_disabled_and_then_deleted_contradicts_nobody() -> None:
    sight = Sight(Observation(NOW, AccountsRead(Reading.COMPLETE), {}))
    gone = {"op": Op.DISABLE_ACCOUNT.value, "account_key": "u1"}
    assert sight.shows(gone) is True
    assert sight.shows({**gone, "op": Op.ENABLE_ACCOUNT.value}) is False
    partial = Sight(Observation(NOW, AccountsRead(Reading.PARTIAL), {}))
    assert partial.shows(gone) is None


class LaterAndLater(frozenset[str]):
    """Of whom nobody wants to give anything: u1 from one line of the log on, u2 once something is on record of u1."""

    log: list[str]
    first: str

    def __contains__(self, account: object) -> bool:
        return {"u1": self.first, "u2": "effect"}.get(str(account), "") in self.log


@pytest.mark.parametrize(
    ("first", "silent", "sent"),
    [("intended", [], ["u3"]), ("waited", ["u1", "u2", "u3"], ["u1,u2,u3", "u3"])],
    ids=["the first", "the second"],
)
def test_no_sending_goes_by_an_answer_that_is_older_than_what_was_recorded_since(
    first: str, silent: list[str], sent: list[str]
) -> None:
    shelf, unwanted = Shelf({key: [SILENCE] for key in silent}, size=3), LaterAndLater()
    unwanted.log, unwanted.first = shelf.log, first
    waits = Waits(then=lambda: shelf.log.append("waited"))

    report, _, log = run({"a": shelf}, [change("u1"), change("u2"), change("u3")], unwanted, patient(waits))

    assert [line.removeprefix("send ") for line in log if line.startswith("send ")] == sent
    assert kinds(report)["u3"] == "applied"
