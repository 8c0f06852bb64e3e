"""The page on the service, and the demo of it: what they show is done, by the same shell and the same `curl`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import yaml

from reconciler.workspace import Workspace
from tests.cli.company import Company
from tests.cli.fixtures import *  # noqa: F403
from tests.servers.slapd import free_port, insist, missing_programs

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "service.md").read_text("utf-8")
LONG = 300.0


def blocks(language: str, page: str = PAGE) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def typed(script: str, company: Company, environment: Mapping[str, str], port: int) -> list[Any]:
    """A block, typed into a shell with the service's own port; every JSON document that is printed."""
    done = subprocess.run(
        ["/bin/sh", "-euc", script.replace(":8470", f":{port}")],
        cwd=company.folder,
        env=environment,
        capture_output=True,
        timeout=LONG,
        check=True,
    )
    decoder, text, found = json.JSONDecoder(), done.stdout.decode().strip(), []
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].strip()
    return found


@contextmanager
def started(script: str, company: Company) -> Iterator[dict[str, str]]:
    """The page's block that starts the service, run by a shell; the environment that it leaves for the next block."""
    script = script.replace("reconciler serve", "printenv HR_WEBHOOK_SECRET >secret; exec reconciler serve")
    environment = {**company.environment(), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        ["/bin/sh", "-euc", script], cwd=company.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert b"Listening on" in process.stdout.readline()
        yield {**environment, "HR_WEBHOOK_SECRET": (company.folder / "secret").read_text().strip()}
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LONG)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_the_page_works_as_it_is_written(rolled_out: Company) -> None:
    insist("" if not missing_programs() else missing_programs())
    port = free_port()
    rolled_out.edit("reconciler.yaml", "127.0.0.1:8470", f"127.0.0.1:{port}")
    start, send, health = blocks("sh")
    (shown,) = map(json.loads, blocks("json"))
    with started(start, rolled_out) as environment:
        (answer,) = typed(send, rolled_out, environment, port)
        assert [each.keys() for each in answer["events"]] == [each.keys() for each in shown["events"]]
        assert answer["events"][0]["outcome"] == "recorded"
        deadline, pause = time.monotonic() + LONG, Event()
        while not (said := typed(health, rolled_out, environment, port))[1]["ready"] or said[1]["due"]:
            assert time.monotonic() < deadline, said
            pause.wait(0.2)
        assert said[0] == {"alive": True}
        script = f"./send-event.sh http://127.0.0.1:{port} <events/04-exit.json"
        assert typed(script, rolled_out, environment, port)[0]["events"][0]["outcome"] == "recorded"
    told = rolled_out.run("why", "E1017", "chip-designs:read", status=0).out
    assert "notice" in told


def test_the_settings_that_the_page_shows_are_settings(tmp_path: Path) -> None:
    head = {"format": "reconciler.workspace/1", "organization": "a", "timezone": "UTC", "policies": "p"}
    for block in blocks("yaml"):
        path = tmp_path / "reconciler.yaml"
        path.write_text(yaml.safe_dump({**head, **yaml.safe_load(block)}), "utf-8")
        Workspace.load(path)
    fields = set(Workspace.load(path).spec.service.model_dump()) - {"schedule"} | {"schedule.full_pass"}
    assert set(re.findall(r"^\| `([a-z_.]+)` \| [^|]+ \| [^|]+ \|$", PAGE, re.MULTILINE)) >= fields


@pytest.mark.parametrize("where", ["openldap", "files"])
def test_the_demo_of_the_service_tells_its_story(where: str, tmp_path: Path) -> None:
    insist("" if not missing_programs() else missing_programs())
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"HOME": str(tmp_path), "LANG": "C.UTF-8", "PATH": path}
    environment |= {"DEMO_FOLDER": str(tmp_path / "demo"), "DEMO_PORT": str(free_port()), "DEMO_ON": where}

    done = subprocess.run(
        ["examples/demo-service.sh"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert ("A real OpenLDAP server answers" in done.stdout) == (where == "openldap")
    assert re.search(r"gone \d+ ms after", done.stdout)
    assert "Plan: in sync" in done.stdout
    assert "The ledger verifies" in done.stdout
