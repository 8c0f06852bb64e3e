"""What the log says: to which request and which run a line belongs, and nothing of anybody but ids."""

from __future__ import annotations

import io
import json
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from threading import Barrier, current_thread

import pytest
import requests

from reconciler.apply.context import in_threads
from reconciler.logs import log, shown, within
from tests.servers.slapd import PASSWORD
from tests.service.office import NEXT_SECRET, PATIENCE, SECRET, Office, exited, signed, until

CANARY = "canary-4711"


def test_every_line_of_a_request_carries_its_id_and_so_does_the_answer(office: Office) -> None:
    with office.serving() as service:
        service.until_ready()
        body = json.dumps(exited("E1")).encode()
        headers = {**signed(body), "X-Request-ID": "hr-2026:11.23_a"}
        answer = requests.post(f"{service.url}/v1/events", body, headers=headers, timeout=PATIENCE)
        assert answer.headers["X-Request-ID"] == "hr-2026:11.23_a"
        refused = requests.post(f"{service.url}/v1/events", body, timeout=PATIENCE)
        assert refused.status_code == 401
        until(lambda: not office.anywhere("E1"), "E1 out")
        service.until_ready()
        assert service.end() == 0
        lines = service.log()

    own = [each["event"] for each in lines if each.get("request") == "hr-2026:11.23_a"]
    assert own == ["events-taken", "request-answered"]
    (told,) = [each for each in lines if each.get("request") == refused.headers["X-Request-ID"]]
    assert (told["event"], told["status"], told["route"]) == ("request-answered", 401, "/v1/events")


def test_every_line_of_a_pass_carries_its_id_and_those_of_a_run_the_runs(office: Office) -> None:
    with office.serving() as service:
        service.until_ready()
        assert service.post([exited("E1"), exited("E2")]).status_code == 202
        until(lambda: not office.anywhere("E1") and not office.anywhere("E2"), "both out")
        service.until_ready()
        assert service.end() == 0
        lines = service.log()

    passed = {each["person"]: each["pass"] for each in lines if each["event"] == "person-passed"}
    assert passed["E1"] != passed["E2"]
    for person in ("E1", "E2"):
        own = [each for each in lines if each.get("pass") == passed[person]]
        runs = {each["run"] for each in own if "run" in each}
        assert len(runs) == 1
        assert {each["event"] for each in own if "run" in each} >= {"run-started", "batch-sent", "run-finished"}
    assert all("pass" in each for each in lines if each["event"] in ("plan-made", "run-started", "batch-sent"))


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "王芳", '"};', "a\tb"])
def test_an_id_that_is_none_comes_back_and_stays_out_of_the_log(office_serving: tuple[Office, str], given: str) -> None:
    office, url = office_serving

    answer = requests.get(f"{url}/nothing", headers={"X-Request-ID": given.encode()}, timeout=PATIENCE)

    assert answer.headers["X-Request-ID"].encode("latin-1") == given.encode()

    def told() -> list[str]:
        lines = (office.folder / "service.log").read_text("utf-8").splitlines()
        return [each["request"] for each in map(json.loads, lines) if each["event"] == "request-answered"]

    until(told, "the request in the log")
    assert all(re.fullmatch(r"[0-9a-f]{32}|hung-up", each) for each in told())


def test_a_sender_that_hangs_up_in_the_middle_is_no_defect(office_serving: tuple[Office, str]) -> None:
    office, url = office_serving
    with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as sender:
        head = "POST /v1/events HTTP/1.1\r\nhost: x\r\nx-request-id: hung-up\r\ncontent-length: 100\r\n\r\n{"
        sender.sendall(head.encode())

    def told() -> list[dict[str, object]]:
        lines = (office.folder / "service.log").read_text("utf-8").splitlines()
        return [each for each in map(json.loads, lines) if each.get("request") == "hung-up"]

    until(told, "the end of it in the log")
    assert [(each["event"], each["status"]) for each in told()] == [("request-answered", 499)]
    assert 'status="500"' not in requests.get(f"{url}/metrics", timeout=PATIENCE).text


def test_what_is_done_side_by_side_says_to_what_it_belongs() -> None:
    stream = io.StringIO()
    with shown(stream, as_json=True), within(run="r1"):
        together = Barrier(4)

        def said(n: int) -> str:
            together.wait(PATIENCE)
            log.info("said", n=n)
            return current_thread().name

        threads = in_threads([partial(said, n) for n in range(4)])
        with within(run="r2"):
            log.info("inside")
        log.info("outside")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]

    assert len(set(threads)) > 1
    assert [each["run"] for each in lines] == ["r1"] * 4 + ["r2", "r1"]


def test_a_defect_is_told_by_its_kind_and_place_without_its_words() -> None:
    stream = io.StringIO()
    with shown(stream, as_json=True):
        try:
            raise ValueError(f"{CANARY} of 王芳")
        except ValueError as error:
            log.exception("defect", where="here")
            log.error("defect", where="there", exc_info=error)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]

    assert [each["exception"] for each in lines] == ["ValueError", "ValueError"]
    assert all(each["through"][0].startswith("test_logs.py:") for each in lines)
    assert CANARY not in stream.getvalue()


def test_neither_a_secret_nor_anything_of_a_person_but_the_id_is_logged(office: Office) -> None:
    name, mail = f"王芳-{CANARY}", f"{CANARY}@example.com"
    now = datetime.now(UTC).isoformat()
    data = {"department": "rd/ai", "name": name, "email": mail}
    changed = {"id": f"{CANARY}-event", "type": "attributes-changed", "person": "E2", "effective_at": now, "data": data}
    bad = {"id": f"{CANARY}-bad", "type": "hired", "person": "E3", "effective_at": CANARY, "data": data}
    with office.serving() as service:
        service.until_ready()
        assert service.post([changed, bad, exited("E1")]).status_code == 202
        service.post(f'{{"broken": "{CANARY}'.encode())
        service.post(exited("E4"), secret="whsec_" + "A" * 44)
        for path in (f"/{CANARY}", f"/v1/events?who={CANARY}", f"/readyz?{name}"):
            requests.get(service.url + path, headers={"authorization": f"Bearer {CANARY}"}, timeout=PATIENCE)
        until(lambda: not office.anywhere("E1"), "E1 out")
        office.slapd.process.kill()
        office.slapd.process.wait()
        assert service.post(exited("E5")).status_code == 202
        until(lambda: [each for each in service.log() if each.get("failed")], "a pass that failed")
        service.end()
        text = service.errors.read_text("utf-8")

    assert '"person": "E1"' in text
    secrets = [PASSWORD, *(secret.removeprefix("whsec_") for secret in (SECRET, NEXT_SECRET))]
    for word in (CANARY, "王芳", "uid=e", *secrets):
        assert word not in text, word


@pytest.mark.parametrize("as_json", [True, False])
def test_what_a_library_logs_does_not_come_between_the_lines(*, as_json: bool) -> None:
    """In a process of its own: here pytest listens to them."""
    program = f"""
import logging, sys
from reconciler.logs import log, shown
with shown(sys.stderr, as_json={as_json}):
    logging.getLogger("psycopg.pool").warning("error connecting")
    log.info("begun")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=True)
    (line,) = done.stderr.splitlines()
    assert "begun" in line
