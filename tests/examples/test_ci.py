"""The workflow files that we offer: their scripts are run against a real git, and they run nothing of a stranger's.

What only a host of repositories could answer (its comment service) is a script that writes down what it was told.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.audit.repository import ENVIRONMENT, git, repository
from tests.cli.company import Company
from tests.cli.fixtures import *  # noqa: F403

CI = Path(__file__).parents[2] / "examples" / "ci"
WORKFLOWS = sorted((CI / "github").glob("*.yml"))
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")
HARMLESS = re.compile(r"^\s*(github\.event\.pull_request\.(number|head\.sha)|secrets\.\w+|github\.token)\s*$")


def workflow(name: str) -> Any:
    return yaml.load((CI / "github" / name).read_text("utf-8"), yaml.BaseLoader)  # noqa: S506  # texts only


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


def script(name: str, step: str) -> str:
    return str(next(one for one in steps(name) if one.get("name") == step)["run"])


# --- what must never be ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_text_of_a_pull_request_is_pasted_into_a_script(path: Path) -> None:
    for step in steps(path.name):
        assert "${{" not in step.get("run", "")
        for value in step.get("env", {}).values():
            assert all(HARMLESS.match(inner) for inner in EXPRESSION.findall(value)), value


def test_the_job_that_knows_people_never_checks_out_what_is_proposed() -> None:
    assert "pull_request_target" in workflow("policy-impact.yml")["on"]
    checkouts = [step for step in steps("policy-impact.yml") if "checkout" in step.get("uses", "")]
    assert len(checkouts) == 1
    assert "ref" not in checkouts[0].get("with", {})
    for step in steps("policy-impact.yml"):
        assert not re.search(r"git (checkout|switch|merge|pull|reset|worktree)", step.get("run", ""))


def test_the_job_that_runs_for_strangers_has_no_secret() -> None:
    text = (CI / "github" / "policies.yml").read_text("utf-8")
    assert "pull_request_target" not in text
    assert "secrets." not in text
    assert workflow("policies.yml")["permissions"] == {"contents": "read"}


def test_on_gitlab_the_comment_is_written_from_the_protected_branch_alone() -> None:
    jobs = yaml.safe_load((CI / "gitlab" / "policies.gitlab-ci.yml").read_text("utf-8"))
    (rule,) = jobs["policies:impact"]["rules"]
    assert "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH" in rule["if"]
    assert "merge_request_event" not in rule["if"]
    assert "comment-impact.sh" not in json.dumps(jobs["policies:check"])


# --- what they do ---------------------------------------------------------------------------------------------------


PEOPLE = """id,name,employment,department,post,grade,location
E1010,王芳,employee,rd/ai/vision,engineer,P5,cn
E1011,李雷,employee,rd/ai,engineer,P4,cn
"""
EVIDENCE = "person,evidence,version,valid_from\nE1010,nda,3,2026-10-01\nE1011,nda,3,2026-10-01\n"


class Proposed:
    """A clone of the base branch beside an origin that also has a proposed commit under a ref of its own."""

    def __init__(self, company: Company, tmp_path: Path, ref: str) -> None:
        root = repository(company.folder.parent)
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "base")
        roles = root / "policies" / "roles.yaml"
        roles.write_text(roles.read_text("utf-8").replace("min: P6", "min: P5"), "utf-8")
        (root / "policies" / "note.yaml").write_text("roles: {}\n# $(touch pwned) `touch pwned`\n")
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "proposed")
        self.sha = git(root, "rev-parse", "HEAD")
        git(root, "update-ref", ref, self.sha)
        git(root, "reset", "-q", "--hard", "HEAD~1")
        self.clone = tmp_path / "clone"
        git(tmp_path, "clone", "-q", f"file://{root}", str(self.clone))
        self.temp = tmp_path / "temp"
        self.temp.mkdir()
        self.bin = tmp_path / "bin"
        self.bin.mkdir()

    @property
    def workspace(self) -> Path:
        return self.clone / "examples"

    def run(self, command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.bin}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(self.temp), "LANG": "C.UTF-8", **ENVIRONMENT, **more}
        return subprocess.run(
            command, cwd=self.workspace, env=environment, capture_output=True, text=True, check=False, timeout=120
        )


@pytest.fixture
def proposed(company: Company, tmp_path: Path) -> Proposed:
    return Proposed(company, tmp_path, "refs/pull/7/head")


def impact_step(proposed: Proposed, sha: str = "") -> subprocess.CompletedProcess[str]:
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]
    variables = {"RUNNER_TEMP": str(proposed.temp), "PULL_REQUEST": "7", "HEAD_SHA": sha or proposed.sha}
    files = {"PEOPLE_CSV": PEOPLE, "EVIDENCE_CSV": EVIDENCE}
    assert proposed.run([*bash, script("policy-impact.yml", "People")], **variables, **files).returncode == 0
    return proposed.run([*bash, script("policy-impact.yml", "Impact")], **variables)


def test_github_comments_the_impact_of_a_pull_request(proposed: Proposed) -> None:
    done = impact_step(proposed)
    assert done.returncode == 0, done.stderr
    (proposed.bin / "gh").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$HOME/told"\n')
    (proposed.bin / "gh").chmod(0o755)
    comment = script("policy-impact.yml", "Comment")
    told = proposed.run(["bash", "-e", "-c", comment], RUNNER_TEMP=str(proposed.temp), PULL_REQUEST="7", GH_TOKEN="x")
    assert told.returncode == 0, told.stderr
    arguments = (proposed.temp / "told").read_text().split("\n")
    assert arguments[:3] == ["pr", "comment", "7"]
    body = (proposed.temp / "impact.md").read_text("utf-8")
    assert "basic-docs:write" in body
    assert "E1010" not in body
    assert not list(proposed.clone.rglob("pwned"))


def test_a_commit_pushed_meanwhile_is_not_taken_for_the_one_asked_about(proposed: Proposed) -> None:
    assert impact_step(proposed, "0" * 40).returncode != 0


def test_policies_that_do_not_pass_are_commented_and_fail_the_job(proposed: Proposed) -> None:
    root = proposed.clone.parent / "company"
    (root / "policies" / "broken.yaml").write_text("roles: {x: {grants: {read: ['```nothing```']}}}\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "broken")
    sha = git(root, "rev-parse", "HEAD")
    git(root, "update-ref", "refs/pull/7/head", sha)
    assert impact_step(proposed, sha).returncode == 0
    body = (proposed.temp / "impact.md").read_text("utf-8")
    assert "unknown-resource" in body
    assert body.count("```") == 2
    assert (proposed.temp / "failed").exists()


# --- GitLab ---------------------------------------------------------------------------------------------------------


class _Notes(BaseHTTPRequestHandler):
    """What a host answers to the three calls of the script, and what it was told."""

    commit = ""
    told: list[tuple[str, str, Any]] = []  # noqa: RUF012  # one list for one server, emptied by the fixture
    notes: list[dict[str, Any]] = []  # noqa: RUF012

    def do_GET(self) -> None:
        answer = self.notes if "/notes" in self.path else [{"iid": 7, "sha": self.commit}]
        self._answer(answer)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["PRIVATE-TOKEN"] == "secret-token"
        self.told.append((self.command, self.path, body))
        self.notes.append({"id": 31, **body})
        self._answer({})

    do_PUT = do_POST  # noqa: N815  # the names are the standard library's

    def _answer(self, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # the standard library's name
        return


@pytest.fixture
def host() -> Iterator[str]:
    _Notes.told.clear()
    _Notes.notes.clear()
    server = HTTPServer(("127.0.0.1", 0), _Notes)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api/v4"
    server.shutdown()
    thread.join()
    server.server_close()


def test_gitlab_writes_one_note_and_renews_it(company: Company, tmp_path: Path, host: str) -> None:
    proposed = Proposed(company, tmp_path, "refs/merge-requests/7/head")
    _Notes.commit = proposed.sha
    variables = {
        "CI_API_V4_URL": host,
        "CI_PROJECT_ID": "1",
        "RECONCILER_GITLAB_TOKEN": "secret-token",
        "PEOPLE_CSV": str(tmp_path / "人员.csv"),
        "EVIDENCE_CSV": str(tmp_path / "evidence.csv"),
    }
    (tmp_path / "人员.csv").write_text(PEOPLE, "utf-8")
    (tmp_path / "evidence.csv").write_text(EVIDENCE, "utf-8")
    for method, path in (("POST", "/merge_requests/7/notes"), ("PUT", "/merge_requests/7/notes/31")):
        done = proposed.run(["sh", str(CI / "gitlab" / "comment-impact.sh")], **variables)
        assert done.returncode == 0, done.stderr
        asked, where, body = _Notes.told[-1]
        assert (asked, where.endswith(path)) == (method, True)
        assert "basic-docs:write" in body["body"]
    assert not list(proposed.clone.rglob("pwned"))
