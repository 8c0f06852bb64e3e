"""The `service` section, and what keeps a service from starting: every mistake at its place, no secret in any word."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest
import requests

from reconciler.errors import ProblemsFound
from reconciler.workspace import Workspace
from tests.servers.slapd import certificates
from tests.service.office import PATIENCE, Office, until

HEAD = "format: reconciler.workspace/1\norganization: a\ntimezone: UTC\npolicies: p\nservice:\n"


def read(tmp_path: Path, section: str) -> Workspace:
    path = tmp_path / "reconciler.yaml"
    path.write_text(HEAD + section, "utf-8")
    return Workspace.load(path)


def test_it_listens_on_loopback_unless_told_otherwise(tmp_path: Path) -> None:
    service = read(tmp_path, "  webhooks: {}\n").spec.service

    assert service.listen == "127.0.0.1:8470"
    assert service.address.loopback
    assert service.schedule.full_pass == "*/30 * * * *"


@pytest.mark.parametrize(
    ("section", "place", "words"),
    [
        ('  listen: "0.0.0.0:8470"\n', "6:3", "nothing would be encrypted"),
        ('  listen: "[2001:db8::1]:8470"\n', "6:3", "nothing would be encrypted"),
        ('  listen: "localhost:8470"\n', "6:11", "nowhere to listen"),
        ('  listen: "127.0.0.1:0"\n', "6:11", "nowhere to listen"),
        ('  listen: "127.0.0.1"\n', "6:11", "nowhere to listen"),
        ('  listen: "::1:8470"\n', "6:11", "nowhere to listen"),
        ("  lisen: x\n", "6:3", "did you mean `listen`"),
        ("  tls: {certificate: a.pem}\n", "6:3", "`key` is missing"),
        ("  schedule: {full_pass: hourly}\n", "6:25", "no cron expression"),
        ('  schedule: {full_pass: "0 0 31 2 *"}\n', "6:25", "no cron expression"),
        ("  schedule: {imports: {hr: hourly}}\n", "6:28", "no cron expression"),
        ('  schedule: {imports: {hr: "0 * * * *"}}\n', "6:24", "no source `hr`"),
        ('  schedule: {checkpoint: "61 * * * *"}\n', "6:26", "no cron expression"),
        ("  policy_repository: {}\n", "6:3", "`branch` is missing"),
        ('  policy_repository: {branch: "--upload-pack=x"}\n', "6:31", "no name of a branch"),
        ('  policy_repository: {branch: "a:b"}\n', "6:31", "no name of a branch"),
        ('  policy_repository: {branch: a, remote: "ext::sh"}\n', "6:42", "no name of a branch"),
        ("  look_every_seconds: -1\n", "6:23", "least that can stand here"),
        ("  max_body_bytes: 10\n", "6:19", "least that can stand here"),
        ("  stale_after_minutes: soon\n", "6:24", "whole number"),
        ("  scim: {id: email}\n", "6:14", "employeeNumber"),
        ("  scim: {inactive: perhaps}\n", "6:20", "exit"),
        ("  scim: {url: access.example.com}\n", "6:15", "no address of a SCIM service"),
        ("  scim: {atributes: {}}\n", "6:10", "did you mean `attributes`"),
        ("  webhooks: {hr: {}}\n", "6:14", "`secret` is missing"),
        ("  webhooks: {hr: {secret: []}}\n", "6:27", "is empty"),
        ('  webhooks: {" ": {secret: "${env:A}"}}\n', "6:13", "cannot be called"),
    ],
)
def test_a_mistake_is_told_at_its_place(tmp_path: Path, section: str, place: str, words: str) -> None:
    with pytest.raises(ProblemsFound) as found:
        read(tmp_path, section)

    (problem,) = found.value.problems
    assert words in f"{problem.message} {problem.remedy}"
    assert str(problem.place).endswith(f"reconciler.yaml:{place}"), problem.place


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ProblemsFound) as found:
        read(tmp_path, "  listen: nowhere\n  schedule: {full_pass: never}\n  max_body_bytes: 1\n")

    assert len(found.value.problems) == 3


@pytest.mark.parametrize(
    "section",
    ['  listen: "0.0.0.0:1"\n  behind_proxy: true\n', '  listen: "[::]:1"\n  tls: {certificate: a, key: b}\n'],
)
def test_who_says_so_listens_to_the_world(tmp_path: Path, section: str) -> None:
    assert not read(tmp_path, section).spec.service.address.loopback


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ('"hunter2hunter2"', "stands here in clear text"),
        ('"${env:NOT_THERE}"', "the environment has no NOT_THERE"),
        ('"${file:short}"', "has 6 bytes"),
        ('"${file:letters}"', "is not `whsec_` and base64"),
    ],
)
def test_a_secret_that_is_none_is_refused_and_not_repeated(fresh_office: Office, secret: str, words: str) -> None:
    for name, text in (("short", "whsec_aHVudGVy"), ("letters", "whsec_hunter2!")):
        (fresh_office.folder / name).write_text(text, "utf-8")
        (fresh_office.folder / name).chmod(0o600)
    path = fresh_office.folder / "reconciler.yaml"
    text = path.read_text("utf-8")
    path.write_text(text.replace('["${file:secret}", "${file:next-secret}"]', secret), "utf-8")

    done = fresh_office.command("serve")

    assert done.returncode == 1
    assert words in done.stderr
    assert "reconciler.yaml:18:" in done.stderr
    assert "hunter" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_told(fresh_office: Office) -> None:
    host, port = fresh_office.workspace().spec.service.listen.split(":")
    with closing(socket.create_server((host, int(port)))):
        done = fresh_office.command("serve")

    assert done.returncode == 1
    assert f"cannot listen on {host}:{port}" in done.stderr
    assert "reconciler.yaml:15:3" in done.stderr


def test_it_speaks_tls_with_the_files_that_it_is_given(fresh_office: Office) -> None:
    certificates(fresh_office.folder)
    path = fresh_office.folder / "reconciler.yaml"
    path.write_text(path.read_text("utf-8") + "  tls: {certificate: server.pem, key: server.key}\n", "utf-8")

    with fresh_office.serving() as service:
        url = service.url.replace("http://", "https://")
        ca = str(fresh_office.folder / "ca.pem")
        assert requests.get(f"{url}/healthz", verify=ca, timeout=PATIENCE).json() == {"alive": True}
        assert service.end() == 0
    path.write_text(path.read_text("utf-8").replace("key: server.key", "key: ca.key"), "utf-8")
    done = fresh_office.command("serve")
    assert done.returncode == 1
    assert "the certificate or its key cannot be used" in done.stderr


def test_it_is_not_ready_before_a_whole_pass_has_ended_well(fresh_office: Office) -> None:
    with fresh_office.serving() as service:
        until(lambda: any(each["event"] == "pass-failed" for each in service.log()), "a pass")
        assert [each["code"] for each in service.ready()["reasons"]] == ["no-pass"]
        assert requests.get(f"{service.url}/readyz", timeout=PATIENCE).status_code == 503
