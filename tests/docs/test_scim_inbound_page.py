"""The page on inbound SCIM: its commands are typed into a shell, its settings are read, its tables are whole."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from reconciler.workspace import Workspace
from reconciler.workspace.service import ScimSettings
from tests.cli.company import Company
from tests.cli.fixtures import *  # noqa: F403
from tests.servers.slapd import free_port

PAGE = (Path(__file__).parents[2] / "docs" / "scim-inbound.md").read_text("utf-8")
LONG = 120.0


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_works_as_it_is_written(rolled_out: Company) -> None:
    port = free_port()
    rolled_out.edit("reconciler.yaml", "127.0.0.1:8470", f"127.0.0.1:{port}")
    rolled_out.edit("reconciler.yaml", "service:\n", "service:\n  scim: {}\n")
    token, requests = blocks("sh")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**rolled_out.environment(), "PATH": path, "HR_WEBHOOK_SECRET": "whsec_" + "A" * 44}
    process = subprocess.Popen(
        ["reconciler", "serve"], cwd=rolled_out.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert b"Listening on" in process.stdout.readline()
        script = (token + requests).replace(":8470", f":{port}")
        done = subprocess.run(
            ["/bin/sh", "-euc", script],
            cwd=rolled_out.folder,
            env=environment,
            capture_output=True,
            timeout=LONG,
            check=True,
        )
        assert '"id": "E2001"' in done.stdout.decode()
        assert "Error" not in done.stdout.decode()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LONG)
    finally:
        process.kill()
        process.communicate()
    ledger = Workspace.load(rolled_out.folder / "reconciler.yaml").facts().ledger
    told = list(ledger.entries(subject="E2001", kinds={"hired", "transferred", "exited", "attributes-changed"}))
    assert [entry.kind for entry in told] == ["hired", "transferred", "exited"]
    assert {entry.actor for entry in told} == {"entra"}
    data = told[0].payload["data"]
    assert data == {
        "department": "rd/platform",
        "employment": "employee",
        "location": "cn/shanghai",
        "manager": "E1002",
        "name": "林小满",
        "post": "engineer",
    }


def test_the_settings_that_the_page_shows_are_settings_and_all_of_them(tmp_path: Path) -> None:
    head = {"format": "reconciler.workspace/1", "organization": "a", "timezone": "UTC", "policies": "p"}
    for block in blocks("yaml"):
        path = tmp_path / "reconciler.yaml"
        path.write_text(yaml.safe_dump({**head, **yaml.safe_load(block)}), "utf-8")
        assert Workspace.load(path).spec.service.scim is not None
    shown = set(re.findall(r"^\| `([a-z_]+)` \| [^|]+ \| [^|]+ \|$", PAGE, re.MULTILINE))
    assert shown >= set(ScimSettings.model_fields)
