"""Each channel against a receiver that checks what it is sent by its own code."""

from __future__ import annotations

import smtplib
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.errors import ProblemsFound
from reconciler.notifications import channel_of
from reconciler.notifications.channels import Channel, NotSent, Outgoing
from reconciler.notifications.notices import Content, Notice, NoticeKind
from reconciler.notifications.texts import Message, composed
from reconciler.workspace import Workspace, WorkspaceError
from tests.notifications.conftest import all_five, secret_file, written
from tests.servers.chat import KEY, SIGNING, WEBHOOK_SECRET, ChatServer, Reply
from tests.servers.mail import MailServer
from tests.servers.slapd import free_port

ROBOTS = ("wecom", "dingtalk", "feishu")
POSTED = (*ROBOTS, "webhook")


@pytest.fixture
def workspace(tmp_path: Path, chat: ChatServer, mail: MailServer) -> Workspace:
    return written(tmp_path, all_five(tmp_path, chat, mail))


def outgoing(text: str = "E1 仍有访问权", name: str = "abc", title: str = "【一家公司】权限") -> Outgoing:
    notice = Notice(NoticeKind.LEAVER, "k", {"target": "dir", "permissions": [], "read": 1}, "dir", "E1")
    return Outgoing(name, Message(title, text), datetime.now(UTC), "一家公司", "zh-CN", [notice])


@pytest.mark.parametrize("name", POSTED)
def test_it_arrives_and_holds_what_was_said(workspace: Workspace, chat: ChatServer, name: str) -> None:
    channel_of(workspace, name).send(outgoing())

    assert chat.refused == []
    assert [each.robot for each in chat.taken] == [name]
    assert "E1 仍有访问权" in chat.taken[0].text


def test_a_webhook_carries_the_values_too(workspace: Workspace, chat: ChatServer) -> None:
    channel_of(workspace, "webhook").send(outgoing())

    (taken,) = chat.taken
    assert taken.body["type"] == "notification.raised"
    assert taken.headers["webhook-id"] == "msg_abc"
    assert taken.body["data"]["notices"] == [
        {"kind": "leaver", "target": "dir", "person": "E1", "permissions": [], "read": 1}
    ]


def test_mail_goes_to_all_with_a_name_that_stays_the_same(workspace: Workspace, mail: MailServer) -> None:
    channel = channel_of(workspace, "mail")
    channel.send(outgoing())
    channel.send(outgoing())

    assert mail.recipients == [["ops@example.com", "hr@example.com"]] * 2
    first, second = mail.messages
    assert first["Message-ID"] == second["Message-ID"] == "<abc@example.com>"
    assert first["Subject"] == "【一家公司】权限"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first.get_content().strip() == "E1 仍有访问权"


def test_mail_for_somebody_goes_to_that_one_alone(workspace: Workspace, mail: MailServer) -> None:
    told = outgoing()
    channel_of(workspace, "mail").send(Outgoing(told.name, told.message, told.at, to=("boss@example.com",)))

    assert mail.recipients == [["boss@example.com"]]


def test_no_text_forges_a_header(workspace: Workspace, mail: MailServer) -> None:
    notice = Notice(NoticeKind.PASS, "pass", {"code": "x\r\nBcc: evil@example.com"})
    hostile = "公司\r\nBcc: evil@example.com\r\n\r\nbody"
    channel = channel_of(workspace, "mail")
    channel.send(
        Outgoing(
            "n",
            composed([notice], language="zh-CN", organization=hostile, style=channel.style),
            datetime.now(UTC),
        )
    )

    (message,) = mail.messages
    assert message["Bcc"] is None
    assert mail.recipients == [["ops@example.com", "hr@example.com"]]
    assert not any(line.startswith("Bcc:") for line in message.get_content().splitlines())


@pytest.mark.parametrize("name", ROBOTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    people=st.lists(st.text(min_size=1, max_size=300), min_size=1, max_size=400),
    organization=st.text(max_size=300),
    language=st.sampled_from(["zh-CN", "en"]),
)
def test_nothing_is_too_long_for_a_robot(
    workspace: Workspace, chat: ChatServer, name: str, people: list[str], organization: str, language: str
) -> None:
    content: Content = {"target": "目" * 100, "permissions": ["权" * 100] * 5, "read": 1}
    notices = [Notice(NoticeKind.LEAVER, str(n), content, "t", person) for n, person in enumerate(people)]
    channel = channel_of(workspace, name)
    message = composed(notices, language=language, organization=organization, style=channel.style)

    channel.send(Outgoing("n", message, datetime.now(UTC), organization, language, notices))

    assert chat.refused == []


# --- what goes wrong --------------------------------------------------------------------------------------------------


def failure(channel: Channel) -> NotSent:
    with pytest.raises(NotSent) as caught:
        channel.send(outgoing())
    return caught.value


LIMITED = {
    "wecom": (b'{"errcode": 45009, "errmsg": "api freq out of limit"}', timedelta(minutes=1)),
    "dingtalk": (b'{"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}', timedelta(minutes=10)),
    "feishu": (b'{"code": 11232, "msg": "frequency limited psm"}', timedelta(minutes=1)),
}


@pytest.mark.parametrize("name", ROBOTS)
def test_a_200_that_says_too_many_is_no_success(workspace: Workspace, chat: ChatServer, name: str) -> None:
    body, wait = LIMITED[name]
    chat.replies = [Reply(body=body)]

    failed = failure(channel_of(workspace, name))

    assert failed.wait == wait
    assert not failed.final
    assert not failed.unsure


@pytest.mark.parametrize("name", ROBOTS)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errcode": true}', b'{"msg": "?"}', b"[" * 5000])
def test_a_200_that_says_nothing_is_no_success(workspace: Workspace, chat: ChatServer, name: str, body: bytes) -> None:
    chat.replies = [Reply(body=body)]

    assert failure(channel_of(workspace, name)).unsure


@pytest.mark.parametrize("name", POSTED)
def test_retry_after_is_obeyed(workspace: Workspace, chat: ChatServer, name: str) -> None:
    chat.replies = [Reply(429, b"{}", (("Retry-After", "77"),))]

    assert failure(channel_of(workspace, name)).wait == timedelta(seconds=77)


@pytest.mark.parametrize("name", POSTED)
def test_a_redirect_is_not_followed(workspace: Workspace, chat: ChatServer, name: str) -> None:
    chat.replies = [Reply(307, b"{}", (("Location", f"http://127.0.0.1:{chat.port}/elsewhere"),))]

    assert "answers 307" in failure(channel_of(workspace, name)).text
    assert chat.asked == 1


@pytest.mark.parametrize("name", POSTED)
def test_an_answer_that_never_came_leaves_it_open(workspace: Workspace, chat: ChatServer, name: str) -> None:
    chat.replies = [Reply(cut=True)]

    assert failure(channel_of(workspace, name)).unsure


def test_a_wrong_signature_is_said_so(tmp_path: Path, chat: ChatServer) -> None:
    wrong = secret_file(tmp_path, "wrong", "SECwrong")
    channels = {
        name: {"type": name, "url": secret_file(tmp_path, f"{name}-url", chat.url(name)), "secret": wrong}
        for name in ("dingtalk", "feishu")
    }
    workspace = written(tmp_path, channels)

    assert "signature" in failure(channel_of(workspace, "dingtalk")).text
    assert "signature" in failure(channel_of(workspace, "feishu")).text


def test_a_keyword_is_put_in_where_the_text_does_not_hold_it(tmp_path: Path, chat: ChatServer) -> None:
    own = {"url": secret_file(tmp_path, "u", chat.url("dingtalk")), "secret": "${file:signing}", "keyword": "监控报警"}
    workspace = written(tmp_path, {"dingtalk": {"type": "dingtalk", **own}})

    channel_of(workspace, "dingtalk").send(outgoing())

    assert "监控报警" in chat.taken[0].body["markdown"]["title"]


@pytest.mark.parametrize(
    ("answer", "final"), [("451 4.3.0 try later", False), ("554 5.7.1 no such content here", True)]
)
def test_what_a_mail_server_refuses(workspace: Workspace, mail: MailServer, answer: str, final: bool) -> None:
    mail.answer = answer

    failed = failure(channel_of(workspace, "mail"))

    assert failed.final is final
    assert not failed.unsure


def test_whoever_has_a_mail_does_not_get_it_again_for_another_whom_the_server_does_not_know(
    workspace: Workspace, mail: MailServer
) -> None:
    mail.refused = "hr@example.com"

    channel_of(workspace, "mail").send(outgoing())

    assert mail.recipients == [["ops@example.com"]]


def test_mail_for_nobody_whom_the_server_knows_is_refused_for_good(tmp_path: Path, mail: MailServer) -> None:
    mail.refused = "hr@example.com"
    own = {"type": "mail", "server": "127.0.0.1", "port": mail.port, "tls": "none"}
    workspace = written(tmp_path, {"m": {**own, "sender": "a@example.com", "to": "hr@example.com"}})

    assert failure(channel_of(workspace, "m")).final


def test_a_good_bye_that_is_not_answered_does_not_send_a_mail_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        own = {"type": "mail", "server": "127.0.0.1", "port": listener.getsockname()[1], "tls": "none", "timeout": 1}
        workspace = written(tmp_path, {"m": {**own, "sender": "a@example.com", "to": "b@example.com"}})
        talker = Thread(target=_takes_one_mail_and_falls_silent, args=(listener,), daemon=True)
        talker.start()

        channel_of(workspace, "m").send(outgoing())


def _takes_one_mail_and_falls_silent(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection, connection.makefile("rwb") as talk:
        for reply in (b"220 here", b"250 mx", b"250 ok", b"250 ok", b"354 go on"):
            talk.write(reply + b"\r\n")
            talk.flush()
            talk.readline()
        while talk.readline() != b".\r\n":
            pass
        talk.write(b"250 taken\r\n")
        talk.flush()
        talk.read()


def test_nobody_listens(tmp_path: Path, mail: MailServer, chat: ChatServer) -> None:
    chat.port = free_port()
    channels = all_five(tmp_path, chat, mail)
    channels["mail"]["port"] = free_port()
    workspace = written(tmp_path, channels)

    for name in channels:
        failed = failure(channel_of(workspace, name))
        assert not failed.unsure, "what was never connected carried nothing"
        assert not failed.final
        with pytest.raises(NotSent):
            channel_of(workspace, name).reach()


def test_a_look_at_a_channel_sends_nothing(workspace: Workspace, chat: ChatServer, mail: MailServer) -> None:
    for name in (*POSTED, "mail"):
        channel_of(workspace, name).reach()

    assert chat.asked == 0
    assert mail.messages == []


def test_no_words_hold_a_key_or_a_secret(workspace: Workspace, chat: ChatServer) -> None:
    answers = [
        Reply(500, KEY.encode()),
        Reply(body=f'{{"errcode": 93000, "errmsg": "{KEY}"}}'.encode()),
        Reply(cut=True),
        Reply(403, b"{}"),
    ]
    for name in POSTED:
        channel = channel_of(workspace, name)
        shown = [repr(channel), str(channel), repr(vars(channel))]
        for answer in answers:
            chat.replies = [answer]
            if name == "webhook" and answer.status == 200 and not answer.cut:
                continue  # it says nothing in the body
            failed = failure(channel)
            assert failed.__context__ is None or failed.__suppress_context__
            shown += [str(failed), repr(failed)]
        if name == "webhook":
            shown = [text for text in shown if "_signer" not in text]
        assert not any(KEY in text or WEBHOOK_SECRET in text for text in shown)
        assert name in ("dingtalk", "feishu") or not any(SIGNING in text for text in shown)


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROBOTS)
def test_a_robots_address_may_not_stand_in_the_file(tmp_path: Path, chat: ChatServer, name: str) -> None:
    workspace = written(tmp_path, {name: {"type": name, "url": chat.url(name)}})

    with pytest.raises(WorkspaceError, match="in clear text") as caught:
        channel_of(workspace, name)

    assert KEY not in str(caught.value)
    assert caught.value.place is not None


@pytest.mark.parametrize(
    "url",
    [
        f"http://robots.example.com/send?key={KEY}",
        f"https://user:{KEY}@example.com/",
        f"ftp://example.com/{KEY}",
        f"https:///send?key={KEY}",
        f"https://example.com/{KEY}#x",
        f"https://example.com:99999/{KEY}",
        f"https://example.com/{KEY}\n",
    ],
)
def test_an_unsafe_address_is_refused_without_being_repeated(tmp_path: Path, url: str) -> None:
    path = tmp_path / "url"
    path.write_text(url + ("x" if url.endswith("\n") else ""), "utf-8")
    path.chmod(0o600)
    workspace = written(tmp_path, {"wecom": {"type": "wecom", "url": "${file:url}"}})

    with pytest.raises(WorkspaceError) as caught:
        channel_of(workspace, "wecom")

    assert KEY not in str(caught.value)


def test_secrets_in_clear_text_are_refused(tmp_path: Path) -> None:
    hook = {"type": "webhook", "url": "https://example.com/", "secret": WEBHOOK_SECRET}
    post = {"type": "mail", "server": "m", "sender": "a@example.com", "to": "b@example.com"}
    post |= {"user": "u", "password": "hunter2"}
    workspace = written(tmp_path, {"hook": hook, "post": post})

    for name in ("hook", "post"):
        with pytest.raises(WorkspaceError, match="clear text") as caught:
            channel_of(workspace, name)
        assert WEBHOOK_SECRET not in str(caught.value)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("secret", ["short", "whsec_c2hvcnQ=", "whsec_***"])
def test_a_webhooks_secret_has_its_length(tmp_path: Path, secret: str) -> None:
    own = {"type": "webhook", "url": "https://example.com/", "secret": secret_file(tmp_path, "s", secret)}
    with pytest.raises(WorkspaceError, match="24 bytes"):
        channel_of(written(tmp_path, {"w": own}), "w")


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"type": "wecom"}, "needs `url`"),
        ({"type": "wecom", "url": "${env:U}", "secret": "${env:S}"}, "has no `secret`"),
        ({"type": "mail", "server": "m", "sender": "a@example.com"}, "needs `to`"),
        ({"type": "mail", "server": "m", "sender": "a@example.com", "to": "b\nBcc: c@example.com"}, "no mail address"),
        ({"type": "mail", "server": "m", "sender": "someone", "to": "b@example.com"}, "no mail address"),
        ({"type": "sms"}, "sms"),
        ({"type": "webhook", "url": "https://e", "secret": "${env:S}", "kinds": ["helt"]}, "helt"),
        ({"type": "webhook", "url": "https://e", "secret": "${env:S}", "language": "de"}, "de"),
        ({"type": "mail", "server": "m", "sender": "a@e.com", "to": "b@e.com", "user": "u"}, "go together"),
    ],
)
def test_wrong_settings_are_said_at_their_place(tmp_path: Path, own: dict[str, object], says: str) -> None:
    with pytest.raises(ProblemsFound) as caught:
        written(tmp_path, {"x": own})

    assert says in str(caught.value)
    assert all(problem.place.line > 1 for problem in caught.value.problems)


def test_the_mail_servers_certificate_is_checked(tmp_path: Path, mail: MailServer, chat: ChatServer) -> None:
    channels = all_five(tmp_path, chat, mail)
    channels["mail"]["tls"] = "starttls"  # which this server does not have

    assert "cannot do that" in failure(channel_of(written(tmp_path, channels), "mail")).text
    assert issubclass(smtplib.SMTPNotSupportedError, smtplib.SMTPException)
