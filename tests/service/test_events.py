"""`POST /v1/events` on a running service: what is on record once it has answered, and what it refuses."""

from __future__ import annotations

import json
import socket
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import requests

from reconciler.facts.events import EVENT_KINDS
from tests.service.office import NEXT_SECRET, PATIENCE, SECRET, Office, exited, signed, until


def test_a_leaver_is_out_by_one_event(office: Office) -> None:
    assert office.anywhere("E1")
    with office.serving() as service:
        answer = service.post(exited("E1"))

        assert answer.status_code == 202, answer.text
        (said,) = answer.json()["events"]
        assert (said["id"], said["outcome"]) == ("exit-E1", "recorded")
        assert said["entry"] == answer.json()["ledger_seq"]
        until(lambda: not office.anywhere("E1"), "E1 out of every group")
        service.until_ready()
        assert office.members("docs") == {"E2", "E3", "E4", "E5", "E6"}
        assert service.end() == 0
    ledger = office.wiring(targets=()).ledger
    (entry,) = ledger.entries(kinds={"exited"})
    assert (entry.actor, entry.payload["source"]) == ("hr", "hr")
    ledger.verify()


def test_who_resigns_steps_down_and_who_is_hired_comes_in_by_the_whole_pass(fresh_office: Office) -> None:
    office = fresh_office
    office.hire(["E1", "E2", "E3", "E4", "E5"], "2026-01-01")
    office.settle()
    now = datetime.now(UTC).isoformat()
    with office.serving() as service:
        resigned = {"id": "r", "type": "resignation-submitted", "person": "E1", "effective_at": now}
        hired = {"id": "n", "type": "hired", "person": "E6", "effective_at": "2020-01-01", "data": {"department": "rd"}}
        told = {"id": "p", "type": "evidence-recorded", "person": "E6", "effective_at": "2026-01-01"}
        proof = {**told, "data": {"kind": "nda", "valid_from": "2026-01-01"}}

        answer = service.post({"events": [resigned, hired, proof]})

        assert [each["outcome"] for each in answer.json()["events"]] == ["recorded"] * 3
        until(lambda: office.members("docs") == {"E2", "E3", "E4", "E5", "E6"}, "one out, one in")
        service.until_ready()
        assert office.members("algorithms") == {"E2", "E3", "E4", "E5"}


def test_the_same_again_is_known_already_and_another_of_that_id_is_refused(office: Office) -> None:
    event = exited("E1", "x")
    with office.serving() as service:
        first = service.post(event)
        again = service.post(event)  # the whole request, as a sender does who had no answer
        other = service.post({**event, "person": "E2"})

        assert again.status_code == 202
        assert again.json()["events"][0]["outcome"] == "already"
        assert again.json()["ledger_seq"] == first.json()["ledger_seq"]
        assert other.status_code == 422
        assert other.json()["events"][0]["code"] == "event-conflict"
        assert other.json()["ledger_seq"] is None
    assert office.entries("exited") == 1


def test_only_who_holds_a_secret_and_signs_now_is_heard(office: Office) -> None:
    now, body = datetime.now(UTC), json.dumps(exited("E1")).encode()
    right = signed(body)
    unknown = "whsec_" + "A" * 44
    tries = {
        "no signature": {},
        "no id": {key: value for key, value in right.items() if key != "webhook-id"},
        "another's secret": signed(body, unknown),
        "of another body": signed(body + b" "),
        "under another id": {**right, "webhook-id": "msg_2"},
        "of six minutes ago": signed(body, at=now - timedelta(minutes=6)),
        "of six minutes from now": signed(body, at=now + timedelta(minutes=6)),
        "an old one with today's time": {
            **signed(body, at=now - timedelta(minutes=6)),
            "webhook-timestamp": right["webhook-timestamp"],
        },
        "no such version": {**right, "webhook-signature": right["webhook-signature"].replace("v1", "v9")},
        "no base64": {**right, "webhook-signature": "v1,%%%"},
        "no comma": {**right, "webhook-signature": "v1"},
        "no time": {**right, "webhook-timestamp": "yesterday"},
        "not a number": {**right, "webhook-timestamp": "nan"},
    }
    with office.serving() as service:
        for what, headers in tries.items():
            answer = requests.post(f"{service.url}/v1/events", body, headers=headers, timeout=PATIENCE)
            assert answer.status_code == 401, what
            assert answer.json()["error"]["code"] == "signature", what
            assert SECRET.removeprefix("whsec_") not in answer.text, what
        assert service.post(exited("E2"), NEXT_SECRET).status_code == 202, "the secret that is being rotated in"
        several = signed(body)
        several["webhook-signature"] = (
            f"v1,AAAA {signed(body, unknown)['webhook-signature']} " + several["webhook-signature"]
        )
        answer = requests.post(f"{service.url}/v1/events", body, headers=several, timeout=PATIENCE)
        assert answer.status_code == 202, "one of several signatures holds"
    assert office.entries("exited") == 2


def test_ten_thousand_events_of_which_one_is_wrong(office: Office) -> None:
    day = "2026-01-01"
    events: list[object] = [
        {"id": f"n{n}", "type": "hired", "person": f"N{n}", "effective_at": day, "data": {"department": "sales"}}
        for n in range(9_999)
    ]
    events.insert(5_000, {"id": "bad", "type": "hierd", "person": "N", "effective_at": day})
    with office.serving() as service:
        answer = service.post(events)

        assert answer.status_code == 202
        said = answer.json()["events"]
        assert [each["id"] for each in said] == [each["id"] for each in events]  # type: ignore[index]
        (wrong,) = [each for each in said if each["outcome"] != "recorded"]
        assert (wrong["id"], wrong["outcome"], wrong["code"]) == ("bad", "refused", "event")
        assert "did you mean `hired`" in wrong["message"]
        service.post(exited("E1"))
        until(lambda: not office.anywhere("E1"), "the leaver behind ten thousand hires")
    assert office.entries("hired") == 9_999 + 6


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff\xfe", "body"),
        (b'{"id": NaN}', "body"),
        (b'{"id": ' + b"9" * 5_000 + b"}", "body"),
        (b"[]", "body"),
        (b'{"events": 7}', "body"),
        (b'{"events": [], "and": 1}', "body"),
        (b"[" * 20 + b"]" * 20, "body"),
        (b"[" * 500_000, "body"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "body"),
    ],
)
def test_what_holds_no_events_is_refused_whole(office_serving: tuple[Office, str], body: bytes, code: str) -> None:
    _, url = office_serving

    answer = requests.post(f"{url}/v1/events", body, headers=signed(body), timeout=PATIENCE)

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == code
    assert "sys." not in answer.text, "what Python says to programmers"


@pytest.mark.parametrize(
    "event",
    [
        7,
        "exited",
        None,
        {},
        {"id": "\ud800", "type": "exited", "person": "E1", "effective_at": "2026-01-01"},
        {"id": "a\x00b", "type": "exited", "person": "E1", "effective_at": "2026-01-01"},
        {"id": "i", "type": "exited", "person": {"$ne": 1}, "effective_at": "2026-01-01"},
        {"id": "i", "type": "exited", "person": "E1", "effective_at": "9" * 5_000},
        {"id": "i", "type": "exited", "person": "E1", "effective_at": "0001-01-01T00:00:00+08:00"},
        {"id": "i", "type": "exited", "person": "E1", "effective_at": "9999-12-31T23:59:59-08:00"},
        {"id": "i", "type": "hired", "person": "N", "effective_at": "2026-01-01", "data": {"ends_on": "2026-W10-1"}},
        {"id": "i", "type": "rehired", "person": "N", "effective_at": "2026-01-01", "data": {"ends_on": "1800-01-01"}},
        {"id": "i" * 100_000, "type": "exited", "person": "E1", "effective_at": "2026-01-01"},
        {"id": "i", "type": "exited", "person": "E1", "effective_at": "2026-01-01", "source": "another"},
        {"id": "i", "type": "unlocked", "person": "E1", "effective_at": "2026-01-01", "confirmed": True},
    ],
)
def test_an_event_that_cannot_be_taken_is_refused_in_words(office_serving: tuple[Office, str], event: object) -> None:
    office, url = office_serving
    before = list(office.wiring(targets=()).ledger.entries(kinds=EVENT_KINDS))
    body = json.dumps([event]).encode()

    answer = requests.post(f"{url}/v1/events", body, headers=signed(body), timeout=PATIENCE)

    assert answer.status_code == 422, answer.text
    (said,) = answer.json()["events"]
    assert said["outcome"] == "refused"
    assert said["code"] in ("event", "not-allowed")
    assert 0 < len(said["message"]) <= 500
    assert list(office.wiring(targets=()).ledger.entries(kinds=EVENT_KINDS)) == before


def test_somebody_unknown_waits_and_is_not_lost(office: Office) -> None:
    with office.serving() as service:
        said = service.post(exited("E77")).json()["events"][0]
        assert said["outcome"] == "waits"
        assert "E77" in said["note"]
        service.until_ready()


def test_evidence_of_a_kind_that_no_policy_has_is_taken_and_said(office: Office) -> None:
    day = "2026-01-01"
    told = {"type": "evidence-recorded", "person": "E1", "effective_at": day}
    events = [{**told, "id": kind, "data": {"kind": kind, "valid_from": day}} for kind in ("trainign", "training")]
    with office.serving() as service:
        wrong, right = service.post(events).json()["events"]

    assert (wrong["outcome"], right["outcome"], right["note"]) == ("recorded", "recorded", "")
    assert "did you mean `training`?" in wrong["note"]


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(office: Office) -> None:
    host, port = office.workspace().spec.service.listen.split(":")
    with office.serving() as service:
        with closing(socket.create_connection((host, int(port)), PATIENCE)) as line:
            head = f"POST /v1/events HTTP/1.1\r\nhost: {host}\r\ncontent-length: 100000000\r\n\r\n"
            line.sendall(head.encode())  # and not one byte of the body
            assert line.recv(4096).startswith(b"HTTP/1.1 413 ")

        def endless() -> object:
            while True:
                yield b" " * 65_536

        answer = requests.post(f"{service.url}/v1/events", endless(), timeout=PATIENCE)  # type: ignore[arg-type]
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "body-too-large"


def test_nothing_is_acknowledged_while_the_record_is_out_of_reach(office: Office) -> None:
    store = office.folder / "state" / "reconciler.db"
    with office.serving() as service:
        service.until_ready()
        with closing(sqlite3.connect(store, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            locked = service.post(exited("E1"))
            assert locked.status_code == 503
            assert (locked.json()["error"]["code"], locked.headers["retry-after"]) == ("store-busy", "5")
        aside = store.rename(store.with_name("aside"))
        gone = service.post(exited("E1"))
        assert gone.status_code == 503
        assert str(store) not in gone.text
        assert service.ready()["reasons"][0]["code"] == "store"
        assert requests.get(f"{service.url}/healthz", timeout=PATIENCE).status_code == 200
        aside.rename(store)
        assert service.post(exited("E1")).status_code == 202
        until(lambda: not office.anywhere("E1"), "E1 out once the record is back")
        service.until_ready()
    assert office.entries("exited") == 1


def test_a_webhook_does_what_the_access_policy_allows_it_and_no_more(office: Office) -> None:
    path = office.folder / "reconciler.yaml"
    named = "policies: policies\noperators: operators.csv\n"
    path.write_text(path.read_text("utf-8").replace("policies: policies\n", named), "utf-8")
    (office.folder / "operators.csv").write_text(
        f"p, {office.workspace().actor().name}, *, *\np, hr, record, E1\n", "utf-8"
    )
    now = datetime.now(UTC).isoformat()
    locked = {"id": "l", "type": "locked-out", "person": "E1", "effective_at": now, "data": {"ref": "SEC-1"}}
    over = {"id": "u", "type": "unlocked", "person": "E1", "effective_at": now, "confirmed": True}
    with office.serving() as service:
        said = service.post([locked, exited("E2"), over]).json()["events"]

        assert [each["outcome"] for each in said] == ["recorded", "refused", "refused"]
        assert {each["code"] for each in said[1:]} == {"not-allowed"}
        until(lambda: not office.anywhere("E1"), "E1 out")
        with (office.folder / "operators.csv").open("a", encoding="utf-8") as stream:
            stream.write("p, hr, approve, *\n")
        assert service.post(over).json()["events"][0]["outcome"] == "recorded"
        until(lambda: office.anywhere("E1"), "E1 back by the whole pass")
    assert office.members("docs") == {"E1", "E2", "E3", "E4", "E5", "E6"}
