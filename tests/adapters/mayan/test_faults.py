"""Mayan in its bad days, which the real one behind a disturbed line stands for: all of it, or words; never a part."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import stamina

from adapters.mayan import MayanTarget
from reconciler.targets import Op, OutcomeKind, Reading, Step, TargetError, TargetUnavailable
from tests.adapters.mayan.between import Between, Fault, listing
from tests.adapters.mayan.lab import MayanLab, context, outcomes, step
from tests.servers.hr_api import Reply, certified, serving, text_reply
from tests.servers.mayan import RECONCILER

READERS = {"group": "docs-readers"}
HTML = "<!DOCTYPE html><html><head><title>Sign in · 登录</title></head></html>"
USER = {"id": 7, "username": "u", "email": "e", "is_active": True}


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Retries come at once, as often as configured."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture
def between(lab: MayanLab) -> Iterator[Between]:
    line = Between([], mayan=lab.server)
    with serving(line):
        lab.target = MayanTarget(context(), lab.settings | {"url": line.base})
        yield line


# --- reading ----------------------------------------------------------------------------------------------------------

ANSWERS: Mapping[str, tuple[Reply, Sequence[str]]] = {
    "401": (text_reply('{"detail": "who is that?"}', 401), ["401", "who is that?"]),
    "403": (
        text_reply(f'{{"detail": "Invalid token {RECONCILER}."}}', 403),
        ["403", "Invalid token …", "token is right"],
    ),
    "404": (text_reply(HTML, 404), ["404", "Sign in · 登录"]),
    "204": (Reply(204, b""), ["204"]),
    "a page for browsers": (text_reply(HTML), ["page for browsers", "Sign in · 登录"]),
    "another object": (text_reply('{"people": []}'), ["no list `results`", "Mayan EDMS"]),
    "no object": (text_reply("[1, 2]"), ["no JSON object"]),
    "no JSON": (text_reply('{"count": 2'), ["cannot be read"]),
    "records without a name": (listing("x", "y"), ["no JSON object"]),
    "no count": (text_reply('{"results": [], "count": null}'), ["`count`"]),
    "a redirect elsewhere": (Reply(302, headers={"Location": "https://sso.example.com/"}), ["sso.example.com"]),
}


@pytest.mark.parametrize("fault", ANSWERS)
def test_a_b_no_such_answer_is_taken_for_people(lab: MayanLab, between: Between, fault: str) -> None:
    reply, words = ANSWERS[fault]
    between.faults = [Fault("/api/v4/users/", reply, times=9)]

    with pytest.raises(TargetError) as caught:
        lab.target.observe([READERS])

    assert [word for word in words if word not in str(caught.value)] == []
    assert not isinstance(caught.value, TargetUnavailable)
    assert RECONCILER not in str(caught.value)
    assert "/api/v4/users/" in str(caught.value)


PASSING = {
    "503": Reply(503, headers={"Retry-After": "1"}),
    "429": Reply(429, headers={"Retry-After": "1"}),
    "cut": Reply(body=b'{"count": 0, "results": []}' * 9, cut=20),
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_is_not_noticed_and_one_that_stays_is_told(
    lab: MayanLab, between: Between, fault: str
) -> None:
    between.faults = [Fault("/users/", PASSING[fault])]
    assert lab.target.observe([READERS]).accounts.reading is Reading.COMPLETE

    between.faults = [Fault("/api/v4/users/", PASSING[fault], times=99)]
    with pytest.raises(TargetUnavailable, match="asked 3 times"):
        lab.target.observe([READERS])


FLAWS: Mapping[str, tuple[Sequence[Reply], str]] = {
    "circles": ([listing(USER, count=300)] * 9, "go round in circles"),
    "fewer than it says": ([listing(USER, count=2), listing(count=2)], "end after 1 records, and there should be 2"),
    "a page lost": ([listing(USER, count=2), *[Reply(503)] * 9], "503"),
    "a next page after the last": ([listing(USER, following="http://elsewhere/")], "next page after the last"),
    "somebody twice, again and again": ([listing(USER, USER)] * 9, "came twice"),
}


@pytest.mark.parametrize("fault", FLAWS)
@pytest.mark.parametrize("of", ["people", "members"])
def test_b2_b3_of_a_part_what_is_there_is_true_and_what_is_absent_proves_nothing(
    lab: MayanLab, between: Between, of: str, fault: str
) -> None:
    replies, words = FLAWS[fault]
    path = "/api/v4/users/" if of == "people" else f"/groups/{lab.group('docs-readers')}/users/"
    between.faults = [Fault(path, reply) for reply in replies]

    observation = lab.target.observe([READERS])

    part = observation.accounts if of == "people" else observation.entitlements["group=docs-readers"]
    assert part.reading is Reading.PARTIAL
    assert words in part.detail
    assert "u" in {each.login for each in observation.accounts.accounts}


def test_whether_there_is_a_group_is_not_told_from_a_part(lab: MayanLab, between: Between) -> None:
    between.faults = [Fault("/api/v4/groups/", each) for each in (listing({"id": 1, "name": "x"}, count=2), Reply(404))]

    [read] = lab.target.observe([READERS]).entitlements.values()

    assert read.reading is Reading.FAILED
    assert "is not known" in read.detail


def test_a_group_that_cannot_be_read_excludes_only_itself(lab: MayanLab, between: Between) -> None:
    between.faults = [Fault(f"/groups/{lab.group('docs-readers')}/users/", Reply(500), times=99)]

    broken, whole = lab.target.observe([READERS, {"group": "核心算法"}]).entitlements.values()

    assert (broken.reading, whole.reading) == (Reading.FAILED, Reading.COMPLETE)
    assert "500" in broken.detail


def test_a_listing_that_changes_while_it_is_read_is_begun_anew(lab: MayanLab, between: Between) -> None:
    between.faults = [Fault("/api/v4/users/", listing(USER, USER))]

    assert len(lab.target.observe([READERS]).accounts.accounts) == 4


def test_a_server_that_is_not_there_or_not_to_be_trusted(lab: MayanLab, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(TargetUnavailable, match="Connection refused"):
            MayanTarget(context(), lab.settings | {"url": url}).observe([])
    certificate = certified(tmp_path)
    with serving(Between([], mayan=lab.server), certificate) as line:
        with pytest.raises(TargetError, match="not to be trusted"):
            MayanTarget(context(), lab.settings | {"url": line.base}).observe([])
        trusting = MayanTarget(context(tmp_path), lab.settings | {"url": line.base, "ca": certificate.name})
        assert len(trusting.observe([]).accounts.accounts) == 4


# --- writing ----------------------------------------------------------------------------------------------------------

BATCH = "/api/v4/batch_requests/"
REFUSALS: Mapping[str, tuple[Reply, OutcomeKind]] = {
    "403": (text_reply('{"detail": "not you"}', 403), OutcomeKind.REFUSED),
    "409": (text_reply('{"detail": "conflict"}', 409), OutcomeKind.REFUSED),
    "412": (text_reply('{"detail": "changed"}', 412), OutcomeKind.REFUSED),
    "500": (Reply(500), OutcomeKind.UNAVAILABLE),
    "a redirect elsewhere": (Reply(307, headers={"Location": "https://e.example.com/"}), OutcomeKind.REFUSED),
    "a page for browsers": (text_reply(HTML), OutcomeKind.UNAVAILABLE),
    "an answer to nobody": (listing(), OutcomeKind.UNAVAILABLE),
    "too many inside": (
        listing({"name": "0", "status_code": 429, "headers": {"Retry-After": "9999"}, "data": {"detail": "throttled"}}),
        OutcomeKind.UNAVAILABLE,
    ),
    "an error inside": (listing({"name": "0", "status_code": 500, "headers": {}, "data": {}}), OutcomeKind.UNAVAILABLE),
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_f4_what_was_not_done_is_never_called_done(lab: MayanLab, between: Between, fault: str) -> None:
    reply, kind = REFUSALS[fault]
    between.faults = [Fault(BATCH, reply, times=99)]

    [outcome] = outcomes(lab, step(lab, Op.GRANT, "plain", READERS))

    assert (outcome.kind, outcome.detail != "") == (kind, True)
    assert lab.members("docs-readers") == {"zhang", "smith"}


def test_a_lost_answer_to_what_was_done_is_no_failure(lab: MayanLab, between: Between) -> None:
    between.faults = [Fault(BATCH, Reply(body=b"{}", cut=0), after=True)]

    kinds = [
        each.kind
        for each in outcomes(lab, step(lab, Op.GRANT, "plain", READERS), step(lab, Op.REVOKE, "zhang", READERS))
    ]

    assert kinds == [OutcomeKind.APPLIED, OutcomeKind.APPLIED]
    assert lab.members("docs-readers") == {"plain", "smith"}


def test_what_is_put_off_is_sent_again_when_mayan_says_so(lab: MayanLab, between: Between) -> None:
    put_off = {"name": "0", "status_code": 429, "headers": {"Retry-After": "0"}, "data": {"detail": "throttled"}}
    between.faults = [Fault(BATCH, listing(put_off))]

    [outcome] = outcomes(lab, step(lab, Op.GRANT, "plain", READERS))

    assert outcome.kind is OutcomeKind.APPLIED
    assert lab.members("docs-readers") == {"plain", "zhang", "smith"}


def test_what_was_done_stays_done_whatever_becomes_of_the_others(lab: MayanLab, between: Between) -> None:
    between.faults = [Fault(BATCH, Reply(403), times=9, skip=1)]
    steps = [step(lab, Op.GRANT, "plain", READERS), Step(Op.GRANT, "99999", "nobody", READERS)]

    done, refused = outcomes(lab, *steps)

    assert done.kind is OutcomeKind.APPLIED
    assert refused.kind is OutcomeKind.REFUSED
    assert "plain" in lab.members("docs-readers")


def test_what_cannot_be_read_back_is_left_open(lab: MayanLab, between: Between) -> None:
    between.faults = [Fault(f"/groups/{lab.group('docs-readers')}/users/", Reply(503), times=99, skip=1)]

    [outcome] = outcomes(lab, step(lab, Op.GRANT, "plain", READERS))

    assert outcome.kind is OutcomeKind.UNAVAILABLE
