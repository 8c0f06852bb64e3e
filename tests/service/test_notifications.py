"""Word to people, from the service as an operator starts it: what is held, who could not be let out, and how little it
costs when those who carry the message hang.
"""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tests.notifications.conftest import all_five, secret_file
from tests.servers.chat import KEY, SIGNING, WEBHOOK_SECRET, ChatServer, Received
from tests.servers.mail import MailServer
from tests.servers.slapd import required, started
from tests.service.conftest import PEOPLE
from tests.service.office import Office, days_ago, directory, exited, until

ROBOTS = ("wecom", "dingtalk", "feishu")
UNREAD = ("could not be read: dms", "读不到：dms")
DIGEST = re.compile(r"reconciler approve (sha256:[0-9a-f]{64}) --reason")


def speaking(office: Office, chat: ChatServer, mail: MailServer, **settings: object) -> None:
    """The office's workspace, with one channel of each type."""
    for name, text in (("signing", SIGNING), ("hook", WEBHOOK_SECRET)):
        secret_file(office.folder, name, text)
    path = office.folder / "reconciler.yaml"
    content = yaml.safe_load(path.read_text("utf-8"))
    channels = all_five(office.folder, chat, mail, pause_seconds=0, timeout=60)
    channels["dingtalk"]["language"] = "zh-CN"
    content["notifications"] = {"channels": channels, "patience_seconds": 0, "digest_at": "23:59:59", **settings}
    path.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")


def moved(person: str) -> dict[str, object]:
    now = datetime.now(UTC).isoformat()
    return {
        "id": f"m-{person}",
        "type": "transferred",
        "person": person,
        "effective_at": now,
        "data": {"department": "sales"},
    }


def said(chat: ChatServer, mail: MailServer, word: str) -> dict[str, list[str]]:
    """What holds the word, by channel."""
    found = {name: [text for text in chat.texts(name) if word in text] for name in (*ROBOTS, "webhook")}
    found["mail"] = [text for each in mail.messages if word in (text := each.get_content())]
    return found


def test_what_is_held_is_said_once_by_each_channel_with_what_releases_it(
    office: Office, chat: ChatServer, mail: MailServer
) -> None:
    speaking(office, chat, mail)
    with office.serving() as service:
        service.until_ready()
        assert service.post([moved(person) for person in PEOPLE[:5]]).status_code == 202
        until(lambda: all(said(chat, mail, "reconciler approve").values()), "word on each channel")
        told = said(chat, mail, "reconciler approve")
        assert {name: len(texts) for name, texts in told.items()} == dict.fromkeys(told, 1)
        digests = {name: set(DIGEST.findall(texts[0])) for name, texts in told.items()}
        assert len(set(map(frozenset, digests.values()))) == 1
        assert len(digests["mail"]) == 2, "two slices, one for each class"
        assert "扣住" in told["dingtalk"][0]
        assert "Held" in told["mail"][0]

        service.post([])  # nothing new: the same is seen again, and not said
        for digest in digests["mail"]:
            done = office.command("approve", digest, "--reason", "they moved")
            assert done.returncode == 0, done.stderr
        until(lambda: office.members("docs") == {PEOPLE[5]}, "what was approved, done")
        service.until_ready()
        assert service.end() == 0
        assert said(chat, mail, "reconciler approve") == told
        log = service.errors.read_text("utf-8")
    assert "notification-sent" in log
    assert not any(secret in log for secret in (KEY, SIGNING, WEBHOOK_SECRET, "access_token"))
    assert chat.refused == []


@pytest.fixture
def two_directories(tmp_path: Path) -> Iterator[tuple[Office, ExitStack]]:
    """An office whose people have access in two directories; the second one goes when the stack is closed."""
    required()
    ldif = tmp_path / "directory.ldif"
    ldif.write_text(directory(len(PEOPLE)), "utf-8")
    with started(tmp_path / "slapd", ldif=ldif) as slapd, ExitStack() as second:
        other = second.enter_context(started(tmp_path / "other", ldif=ldif))
        (tmp_path / "office").mkdir()
        office = Office.made(tmp_path / "office", slapd)
        path = office.folder / "reconciler.yaml"
        content = yaml.safe_load(path.read_text("utf-8"))
        content["targets"]["dms"] = {**content["targets"]["dir"], "url": f"ldap://127.0.0.1:{other.port}"}
        path.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
        policy = office.folder / "policies" / "policy.yaml"
        text = policy.read_text("utf-8")
        policy.write_text(
            text.replace("{read: {dir: {group: docs}}}", "{read: {dir: {group: docs}, dms: {group: docs}}}")
        )
        office.hire(PEOPLE, days_ago(30))
        office.settle()
        yield office, second


def test_a_leaver_on_a_dead_target_is_said_and_is_out_elsewhere_though_every_messenger_hangs(
    two_directories: tuple[Office, ExitStack], chat: ChatServer
) -> None:
    office, second = two_directories
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never says a word
        speaking(office, chat, MailServer(port=silent.getsockname()[1]))
        with office.serving() as service:
            service.until_ready()
            second.close()
            chat.hold.clear()
            assert service.post(exited("E1")).status_code == 202
            until(lambda: not office.anywhere("E1"), "E1 out of the directory that is there")
            until(lambda: chat.asked >= 4, "somebody at each messenger")
            assert chat.taken == [], "and none of them has answered"
            assert service.post([exited("E2"), moved("E3")]).status_code == 202
            until(lambda: not office.anywhere("E2"), "E2 out while all of them hang")

            chat.hold.set()
            for name in (*ROBOTS, "webhook"):
                until(lambda name=name: _tells(chat.texts(name), "E2", *UNREAD), f"word by {name}")  # type: ignore[misc]
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(60) == 0, "mail that hangs keeps nobody from stopping"
        for name in (*ROBOTS, "webhook"):
            texts = chat.texts(name)
            for person in ("E1", "E2"):
                assert sum(text.count(f"{person} may still") + text.count(f"{person} 在 dms") for text in texts) == 1
            assert sum(any(word in text for word in UNREAD) for text in texts) == 1, "of all the passes that failed"


def _tells(texts: list[str], person: str, *words: str) -> bool:
    """Whether the person is named somewhere, and one of the words stands somewhere."""
    whole = "\n".join(texts)
    return person in whole and any(word in whole for word in words)


def webhooks(chat: ChatServer) -> list[Received]:
    return [each for each in chat.taken if each.robot == "webhook"]


def test_killed_while_a_message_is_under_way_it_sends_the_same_one_again(
    office: Office, chat: ChatServer, mail: MailServer
) -> None:
    speaking(office, chat, mail)
    with office.serving() as service:
        service.until_ready()
        chat.hold.clear()
        assert service.post([moved(person) for person in PEOPLE[:5]]).status_code == 202
        until(lambda: chat.asked >= 4 and mail.messages, "every messenger at work")
        until(lambda: "sent" in office.command("notify", "list").stdout, "the record of it")
        service.process.kill()
        service.process.wait()
    chat.hold.set()
    until(lambda: len(chat.taken) == 4, "what was under way, arrived")

    with office.serving() as service:
        until(lambda: len(chat.taken) == 8, "each of them once more")
        service.until_ready()
        assert service.end() == 0

    first, second = webhooks(chat)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body["data"]["notices"] == second.body["data"]["notices"]
    for name in ROBOTS:
        one, two = chat.texts(name)
        assert set(DIGEST.findall(one)) == set(DIGEST.findall(two))
        assert "may have arrived" in two or "可能已送达过" in two
    assert len(mail.messages) == 1, "of which it was known that it had gone"


def test_policies_that_do_not_pass_are_said_and_said_again_only_after_they_passed(
    office: Office, chat: ChatServer, mail: MailServer
) -> None:
    speaking(office, chat, mail)
    policy = office.folder / "policies" / "policy.yaml"
    good = policy.read_text("utf-8")

    def broken() -> int:
        return sum("policies" in each.body["data"]["title"] or "do not pass" in each.text for each in webhooks(chat))

    with office.serving() as service:
        service.until_ready()
        for times in (1, 2):
            policy.write_text(good.replace("roles:", "rolls:"), "utf-8")
            assert service.post(exited(f"E{times}")).status_code == 202
            until(lambda: broken() == times, "word that they do not pass")  # noqa: B023  # asked at once
            policy.write_text(good, "utf-8")
            assert service.post(moved(f"E{times + 2}")).status_code == 202
            service.until_ready()
            assert broken() == times


def test_apply_from_cron_tells_too_and_a_messenger_that_hangs_does_not_keep_it(
    office: Office, chat: ChatServer, mail: MailServer
) -> None:
    speaking(office, chat, mail)
    office.tell(*(moved(person) for person in PEOPLE[:5]))

    first, second = office.command("apply"), office.command("apply")

    assert first.returncode == second.returncode == 3
    told = said(chat, mail, "reconciler approve")
    assert {name: len(texts) for name, texts in told.items()} == dict.fromkeys(told, 1)
    assert "notification-sent" in first.stderr
    assert "notification-sent" not in second.stderr
    assert KEY not in first.stderr + first.stdout
