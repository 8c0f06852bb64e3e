"""What starts passes beside events and the clock, on a running service: a push, a schedule, a hand in the directory."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
import requests

from reconciler.service.answers import SignatureRefused
from reconciler.service.hands import Hands
from reconciler.service.premises import Premises
from reconciler.service.signatures import PushSignatures, Signatures
from reconciler.workspace import Workspace, WorkspaceError
from tests.audit.repository import ENVIRONMENT, commit, git
from tests.servers.slapd import required, started
from tests.service.conftest import PEOPLE
from tests.service.office import NEXT_SECRET, PATIENCE, SECRET, Office, days_ago, directory, exited, signed, until

GITHUB, GITLAB = "github-0123456789abcdef0123456789abcdef", "gitlab-0123456789abcdef0123456789abcdef"
BODY = json.dumps({"ref": "refs/heads/main", "after": "whatever"}).encode()


def github(body: bytes, secret: str = GITHUB) -> dict[str, str]:
    """As GitHub signs."""
    return {"x-hub-signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


# --- who says it --------------------------------------------------------------------------------------------------


@pytest.fixture
def pushes() -> PushSignatures:
    return PushSignatures(Signatures({"push": [SECRET, NEXT_SECRET]}), [GITHUB, GITHUB + "2"], [GITLAB])


SIGNED: dict[str, Callable[[], dict[str, str]]] = {
    "standard": lambda: signed(BODY),
    "standard, the next secret": lambda: signed(BODY, NEXT_SECRET),
    "github": lambda: github(BODY),
    "github, the next secret": lambda: github(BODY, GITHUB + "2"),
    "gitlab": lambda: {"x-gitlab-token": GITLAB},
}
NOT_SIGNED: dict[str, Callable[[], dict[str, str]]] = {
    "not at all": dict,
    "another body": lambda: signed(b"another body"),
    "long ago": lambda: signed(BODY, at=datetime(2026, 1, 1, tzinfo=UTC)),
    "github, another body": lambda: github(b"another body"),
    "github, somebody else": lambda: github(BODY, "somebody else's"),
    "github, by gitlab's": lambda: github(BODY, GITLAB),
    "github, by the other secret": lambda: github(BODY, SECRET),
    "github, of another kind": lambda: {"x-hub-signature-256": "sha1=0"},
    "github, no hexadecimal": lambda: {"x-hub-signature-256": "sha256=é"},
    "gitlab, by github's": lambda: {"x-gitlab-token": GITHUB},
    "gitlab, by the other secret": lambda: {"x-gitlab-token": SECRET},
    "gitlab, a part": lambda: {"x-gitlab-token": GITLAB[:-1]},
    "gitlab, blank": lambda: {"x-gitlab-token": ""},
}


@pytest.mark.parametrize("how", SIGNED)
def test_a_push_is_signed_in_one_of_three_ways(pushes: PushSignatures, how: str) -> None:
    pushes.check(SIGNED[how](), BODY)


@pytest.mark.parametrize("how", NOT_SIGNED)
def test_a_push_of_somebody_else_is_refused_whichever_way(pushes: PushSignatures, how: str) -> None:
    with pytest.raises(SignatureRefused) as found:
        pushes.check(NOT_SIGNED[how](), BODY)
    assert GITHUB not in str(found.value)
    assert GITLAB not in str(found.value)


def test_where_nobody_is_configured_nobody_is_heard() -> None:
    nobody = PushSignatures(Signatures({}))
    for headers in (signed(BODY), github(BODY), github(BODY, ""), {"x-gitlab-token": GITLAB}):
        with pytest.raises(SignatureRefused):
            nobody.check(headers, BODY)


@pytest.mark.parametrize(
    ("push", "words"),
    [
        ("{github: hunter2hunter2hunter2hunter2}", "stands here in clear text"),
        ('{gitlab: "${env:NOT_THERE}"}', "the environment has no NOT_THERE"),
        ('{gitlab: "${env:SHORT}"}', "fewer than 24 characters"),
        ('{secret: "${env:SHORT}"}', "bytes, and fewer than 24"),
    ],
)
def test_a_secret_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, push: str, words: str
) -> None:
    monkeypatch.setenv("SHORT", "aHVudGVy")
    text = "format: reconciler.workspace/1\norganization: a\ntimezone: UTC\npolicies: p\n"
    text += f"service:\n  policy_repository:\n    branch: main\n    push: {push}\n"
    (tmp_path / "reconciler.yaml").write_text(text, "utf-8")

    with pytest.raises(WorkspaceError) as found:
        PushSignatures.of(Workspace.load(tmp_path / "reconciler.yaml"))

    assert words in found.value.message
    assert "hunter2" not in str(found.value)
    assert "aHVudGVy" not in str(found.value)


# --- what follows -------------------------------------------------------------------------------------------------


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """Six researchers in a directory that tells what has changed, and policies that come from somewhere else."""
    required()
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "directory.ldif").write_text(directory(len(PEOPLE)), "utf-8")
    with started(tmp_path / "slapd", ldif=tmp_path / "directory.ldif", overlays=["syncprov"]) as slapd:
        (tmp_path / "office").mkdir()
        office = Office.made(tmp_path / "office", slapd)
        office.hire(PEOPLE, days_ago(30))
        office.settle()
        yield office


def from_somewhere_else(office: Office, desk: Path, more: str = "") -> None:
    """The policies are in git, and pushed to from that desk."""
    there = desk.with_suffix(".git")
    git(desk.parent, "init", "-q", "--bare", "-b", "main", str(there))
    git(office.folder, "init", "-q", "-b", "main")
    (office.folder / ".gitignore").write_text("*\n!/.gitignore\n!/policies\n!/policies/*\n", "utf-8")
    commit(office.folder, {})
    git(office.folder, "remote", "add", "origin", str(there))
    git(office.folder, "push", "-q", "origin", "main")
    git(desk.parent, "clone", "-q", str(there), str(desk))
    for name, text in (("github", GITHUB), ("gitlab", GITLAB)):
        (office.folder / name).write_text(text, "utf-8")
        (office.folder / name).chmod(0o600)
    push = '{secret: "${file:secret}", github: "${file:github}", gitlab: "${file:gitlab}"}'
    with (office.folder / "reconciler.yaml").open("a", encoding="utf-8") as stream:
        stream.write(f"  policy_repository: {{branch: main, push: {push}}}\n{more}")


def pushed(desk: Path, before: str, after: str) -> None:
    """Somebody changes a line of the policies and pushes."""
    text = (desk / "policies" / "policy.yaml").read_text("utf-8")
    assert before in text
    commit(desk, {"policies/policy.yaml": text.replace(before, after)})
    git(desk, "push", "-q", "origin", "HEAD:main")


def test_a_signed_push_brings_the_policies_and_a_pass_under_them(watched: Office, tmp_path: Path) -> None:
    desk = tmp_path / "desk"
    from_somewhere_else(watched, desk)
    tree = watched.folder / "policies" / "policy.yaml"
    with watched.serving() as service:
        service.until_ready()
        push = f"{service.url}/v1/push"
        pushed(desk, "match: {department: rd/ai}", "match: {department: rd/none}")
        assert requests.post(push, BODY, timeout=PATIENCE).status_code == 401
        assert requests.post(push, BODY, headers={"x-gitlab-token": "no"}, timeout=PATIENCE).status_code == 401

        answer = requests.post(push, BODY, headers=github(BODY), timeout=PATIENCE)

        assert (answer.status_code, answer.json()) == (202, {"heard": True})
        until(lambda: "rd/none" in tree.read_text("utf-8"), "the policies")
        until(lambda: held(service.log()), "a pass under them, in which a guard holds what would empty a group")
        assert watched.members("algorithms") == set(PEOPLE)

        pushed(desk, "match: {department: rd/none}", "match: {department: rd/ai}, rolls: {}")
        assert requests.post(push, BODY, headers={"x-gitlab-token": GITLAB}, timeout=PATIENCE).status_code == 202
        until(lambda: "rolls" in tree.read_text("utf-8"), "policies that do not pass")
        assert service.post(exited("E1")).status_code == 202
        until(lambda: not watched.anywhere("E1"), "a leaver out by the last policies that did")
        until(lambda: any(each["event"] == "policies-do-not-pass" for each in service.log()), "it is said")

        pushed(desk, ", rolls: {}", "")
        assert requests.post(push, BODY, headers=signed(BODY), timeout=PATIENCE).status_code == 202
        until(lambda: "rolls" not in tree.read_text("utf-8"), "policies that pass")
        service.until_ready()
        assert service.end() == 0


def held(log: list[dict[str, object]]) -> bool:
    return any(each["event"] == "plan-made" and each["held"] for each in log)


def test_what_a_hand_changes_in_a_directory_is_put_right_within_seconds(watched: Office) -> None:
    with (watched.folder / "reconciler.yaml").open("a", encoding="utf-8") as stream:
        stream.write('  look_every_seconds: 1\n  schedule: {full_pass: "0 0 1 1 *"}\n')
    with watched.serving() as service:
        service.until_ready()
        change = "dn: cn=docs,ou=groups,dc=example,dc=com\nchangetype: modify\n{}: member\nmember: uid=e3,{}\n"
        watched.slapd.modify(change.format("delete", "ou=people,dc=example,dc=com"))

        until(lambda: watched.members("docs") == set(PEOPLE), "E3 back")
        assert any(each["event"] == "changed-by-hand" for each in service.log())
        assert service.end() == 0


def test_what_a_hand_changes_just_when_another_process_becomes_the_watch_is_seen(watched: Office) -> None:
    change = "dn: cn=docs,ou=groups,dc=example,dc=com\nchangetype: modify\ndelete: member\nmember: uid=e3,{}\n"
    workspace = watched.workspace()
    asked: list[bool] = []

    def ours() -> bool:
        """From the third question on; and at that moment somebody changes something."""
        asked.append(True)
        if len(asked) == 3:
            watched.slapd.modify(change.format("ou=people,dc=example,dc=com"))
        return len(asked) >= 3

    told = Event()
    premises = Premises(workspace, workspace.facts(), workspace.actor())
    hands = Hands(premises, 0.02, told.set, lambda: 0.0, ours)
    hands.start()
    try:
        until(told.is_set, "a whole pass is asked for")
    finally:
        hands.stop()


def test_people_are_brought_in_by_a_process_of_the_service(watched: Office) -> None:
    rows = "".join(f"{person},人,rd/ai,2020-01-01,active\n" for person in PEOPLE)
    (watched.folder / "people.csv").write_text("id,name,department,starts_on,status\n" + rows, "utf-8")
    with (watched.folder / "reconciler.yaml").open("a", encoding="utf-8") as stream:
        stream.write('  schedule: {imports: {hr: "0 0 1 1 *"}}\n')
        stream.write("sources:\n  hr: {type: csv, path: people.csv, feed: full}\n")
    with watched.serving() as service:
        until(lambda: any(each["event"] == "people-imported" for each in service.log()), "the import at the start")
        (told,) = [each for each in service.log() if each["event"] == "people-imported"]
        assert (told["source"], told["waiting"]) == ("hr", 0)
        service.until_ready()
        assert service.ready()["attention"] == []
        assert service.end() == 0


def test_an_import_that_fails_is_said_and_keeps_nothing_from_being_done(watched: Office) -> None:
    with (watched.folder / "reconciler.yaml").open("a", encoding="utf-8") as stream:
        stream.write('  schedule: {imports: {hr: "0 0 1 1 *"}}\n')
        stream.write("sources:\n  hr: {type: csv, path: people.csv, feed: full}\n")
    with watched.serving() as service:
        until(lambda: service.ready()["attention"], "what somebody has to see to")
        (said,) = service.ready()["attention"]
        assert said["code"] == "source"
        service.until_ready()
        assert service.post(exited("E1")).status_code == 202
        until(lambda: not watched.anywhere("E1"), "E1 out")
        assert sum(each["event"] == "errand-failed" for each in service.log()) == 1, "and not again and again"
