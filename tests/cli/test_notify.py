"""The group `notify`, and what commands tell people: on the example company, to receivers on loopback."""

from __future__ import annotations

import yaml

from tests.cli.company import Company
from tests.servers.chat import KEY, SIGNING, WEBHOOK_SECRET, ChatServer, Reply
from tests.servers.mail import MailServer
from tests.servers.slapd import free_port


def speaking(company: Company, chat: ChatServer, mail: MailServer, **more: object) -> Company:
    """The company with four channels, its secrets in the environment."""
    path = company.folder / "reconciler.yaml"
    content = yaml.safe_load(path.read_text("utf-8"))
    content["notifications"] = {
        "language": "zh-CN",
        "digest_at": "00:00",
        "channels": {
            "security": {"type": "wecom", "url": "${env:WECOM}", "pause_seconds": 0},
            "ops": {"type": "dingtalk", "url": "${env:DINGTALK}", "secret": "${env:SIGNING}", "pause_seconds": 0},
            "soc": {"type": "webhook", "url": chat.url("webhook"), "secret": "${env:HOOK}", "pause_seconds": 0},
            "people": {
                "type": "mail",
                "server": "127.0.0.1",
                "port": mail.port,
                "tls": "none",
                "sender": "reconciler@example.com",
                "to": "hr@example.com",
                "pause_seconds": 0,
            },
        },
        **more,
    }
    path.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    secrets = {"WECOM": chat.url("wecom"), "DINGTALK": chat.url("dingtalk"), "SIGNING": SIGNING}
    return company.having(**secrets, HOOK=WEBHOOK_SECRET, HR_WEBHOOK_SECRET=WEBHOOK_SECRET)


def test_a_test_message_goes_to_one_channel(rolled_out: Company, chat: ChatServer, mail: MailServer) -> None:
    company = speaking(rolled_out, chat, mail)

    assert company.run("notify", "test", "security").out == "security: sent.\n"
    assert company.run("notify", "test", "people", "--output", "json").json == {"channel": "people", "sent": True}

    assert [each.robot for each in chat.taken] == ["wecom"]
    assert "星河科技" in chat.taken[0].text
    assert "测试" in chat.taken[0].text
    assert "security" in chat.taken[0].text
    assert mail.messages[0]["Subject"].startswith("【星河科技】")


def test_a_test_message_that_does_not_arrive_says_why_and_no_secret(
    rolled_out: Company, chat: ChatServer, mail: MailServer
) -> None:
    company = speaking(rolled_out, chat, mail)
    chat.replies = [Reply(body=b'{"errcode": 93000, "errmsg": "invalid webhook url"}')]

    said = company.run("notify", "test", "security", "-v", status=1)

    assert "look at `url`" in said.out
    assert KEY not in said.said
    assert "it has: ops, people, security, soc" in company.run("notify", "test", "nobody", status=1).err


def test_doctor_looks_at_every_channel_and_sends_nothing(
    rolled_out: Company, chat: ChatServer, mail: MailServer
) -> None:
    company = speaking(rolled_out, chat, mail)

    found = company.run("doctor", "--output", "json").json

    fine = {each["about"] for each in found if each["level"] == "ok" and each["about"].startswith("channel")}
    assert fine == {f"channel {name}" for name in ("security", "ops", "soc", "people")}
    assert any(each["about"] == "channel people" and "unencrypted" in each["text"] for each in found)
    assert chat.asked == 0
    assert mail.messages == []


def test_doctor_says_which_channel_cannot_be_reached_or_used(
    rolled_out: Company, chat: ChatServer, mail: MailServer
) -> None:
    mail.port = free_port()
    company = speaking(rolled_out, chat, mail).having(WECOM=f"http://robots.example.com/?key={KEY}")

    said = company.run("doctor", status=1)

    assert "channel people: the mail server cannot be reached" in said.out
    assert "channel security" in said.out
    assert "write https://" in said.out
    assert KEY not in said.said


def test_apply_tells_what_is_held_once(informed_company: Company, chat: ChatServer, mail: MailServer) -> None:
    company = speaking(informed_company, chat, mail)

    first = company.run("apply", "--yes", status=3)
    second = company.run("apply", "--yes", status=3)

    assert "approve" in first.out
    assert {each.robot for each in chat.taken} == {"wecom", "dingtalk", "webhook"}
    held = [text for text in chat.texts("wecom") if "reconciler approve sha256:" in text]
    assert len(held) == 1
    assert "notification-sent" in first.err
    assert "notification-sent" not in second.err
    listed = {each["channel"]: each for each in company.run("notify", "list", "--output", "json").json}
    assert listed.keys() == {"security", "ops", "soc", "people"}
    assert all(each["waiting"] == each["given_up"] == 0 and each["sent"] for each in listed.values())


def test_apply_does_its_work_whatever_becomes_of_the_word(
    informed_company: Company, chat: ChatServer, mail: MailServer
) -> None:
    mail.port = free_port()
    company = speaking(informed_company, chat, mail).having(WECOM="nonsense")

    told = company.run("apply", "--yes", status=3)

    assert "nobody is told by this channel" in told.err
    assert "notification-not-sent" in told.err
    waiting = {each["channel"]: each["waiting"] for each in company.run("notify", "list", "--output", "json").json}
    assert waiting["people"]
    assert waiting["security"]


def test_what_waits_is_sent_by_a_command_of_its_own(
    informed_company: Company, chat: ChatServer, mail: MailServer
) -> None:
    real = mail.port
    mail.port = free_port()
    company = speaking(informed_company, chat, mail)
    company.run("apply", "--yes", status=3)
    assert mail.messages == []
    company.edit("reconciler.yaml", f"port: {mail.port}", f"port: {real}")

    ended = company.run("notify", "send", status=4)  # it rests for five seconds after a failure

    assert "people" in ended.out
    assert company.run("notify", "list").out.count("waiting") == 4


def test_a_feed_that_is_refused_is_said_and_one_that_waits(
    rolled_out: Company, chat: ChatServer, mail: MailServer
) -> None:
    company = speaking(rolled_out, chat, mail)
    people = company.folder / "people.csv"
    whole = people.read_text("utf-8")
    people.write_text(whole.splitlines(keepends=True)[0], "utf-8")
    company.run("people", "import", status=3)
    company.run("people", "import", "--dry-run", status=3)

    assert sum("feed-held" in text for text in chat.texts("webhook")) == 1
    lines = whole.splitlines(keepends=True)
    people.write_text("".join(lines[:-1]), "utf-8")
    ended = company.run("people", "import", "--output", "json", status=3).json
    company.run("people", "import", status=3)
    waits = [text for text in chat.texts("webhook") if f"reconciler people confirm {ended[0]['import']}" in text]
    assert len(waits) == 1


def test_revoke_tells_where_it_could_not(rolled_out: Company, chat: ChatServer, mail: MailServer) -> None:
    company = speaking(rolled_out, chat, mail)
    (company.folder / "directory.ldif").unlink()

    company.run("revoke", "E1012", "--reason", "SEC-1", status=4)

    assert sum("E1012" in text and "corp-ldap" in text for text in chat.texts("webhook")) == 1


def test_help_teaches(rolled_out: Company) -> None:
    said = rolled_out.run("notify", "--help").out

    for word in ("test", "send", "list"):
        assert word in said
    assert "reconciler notify test security" in rolled_out.run("notify", "test", "--help").out
    assert "notify" in rolled_out.run("--help").out
