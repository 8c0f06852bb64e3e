"""Orders are sent to people: by a real mail server, and by a webhook that is checked as its receiver would."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from reconciler.targets import Op, Outcome, OutcomeKind, Step
from reconciler.testing.targets import PEOPLE, grant, observe, revoke
from tests.adapters.paper_lab import PaperLab
from tests.servers.hr_api import certified
from tests.servers.mail import MailServer, mail_server

GROUPS = {"docs-readers": ["zhang", "smith"], "核心算法": []}
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
ADDRESSES = {"sender": "reconciler@example.com", "to": ["desk@example.com", "guards@example.com"]}


def lab_with(folder: Path, **settings: object) -> PaperLab:
    return PaperLab(folder, PEOPLE, GROUPS, **settings)


def mailing(server: MailServer, **settings: object) -> dict[str, object]:
    return {"server": "127.0.0.1", "port": server.port, "tls": "none", **ADDRESSES, **settings}


def outcomes(lab: PaperLab, *steps: Step) -> list[Outcome]:
    with lab.target.writer() as writer:
        return list(writer.apply(steps))


def text_of(message: EmailMessage) -> str:
    body = message.get_body()
    assert body is not None
    return str(body.get_content())


def kinds(lab: PaperLab) -> set[str]:
    return {finding.kind for finding in observe(lab, "docs-readers").findings}


# --- mail -------------------------------------------------------------------------------------------------------------


def test_one_mail_has_all_orders_of_a_batch_and_is_sent_once(tmp_path: Path) -> None:
    with mail_server() as server:
        lab = lab_with(tmp_path, mail=mailing(server))
        steps = [grant(lab, "docs-readers", "plain"), revoke(lab, "docs-readers", "smith")]

        assert [each.kind for each in outcomes(lab, *steps)] == [OutcomeKind.ORDERED] * 2
        assert [each.kind for each in outcomes(lab, *steps)] == [OutcomeKind.ORDERED] * 2

        [message] = server.messages
        assert server.recipients == [ADDRESSES["to"]]
        assert message["Subject"] == "badges: 工单 work order 2 份工单"
        assert message["Auto-Submitted"] == "auto-generated"
        text = text_of(message)
        for form in lab.forms():
            assert form.read_text("utf-8").strip() in text.replace("\r\n", "\n")


def test_an_order_that_becomes_urgent_is_sent_again(tmp_path: Path) -> None:
    with mail_server() as server:
        lab = lab_with(tmp_path, mail=mailing(server))
        outcomes(lab, revoke(lab, "docs-readers", "smith"))
        urgent = Step(Op.REVOKE, "smith", "smith", lab.locator("docs-readers"), urgent=True)

        outcomes(lab, urgent)
        outcomes(lab, urgent)

        assert len(server.messages) == 2
        assert server.messages[1]["Subject"].startswith("[紧急 URGENT] badges: ")


def test_what_the_mail_server_does_not_take_is_an_order_that_nobody_was_told_of(tmp_path: Path) -> None:
    with mail_server() as server:
        lab = lab_with(tmp_path, mail=mailing(server))
        server.answer = "452 mailbox full"

        [outcome] = outcomes(lab, grant(lab, "docs-readers", "plain"))

        assert outcome.kind is OutcomeKind.UNAVAILABLE
        assert outcome.detail.endswith("; not sent: the mail server 127.0.0.1 refuses the mail (452)")
        assert kinds(lab) == {"open-work-order", "unsent-work-order"}
        server.answer = "250 OK"
        [outcome] = outcomes(lab, grant(lab, "docs-readers", "plain"))
        assert outcome.kind is OutcomeKind.ORDERED
        assert kinds(lab) == {"open-work-order"}
        assert len(server.messages) == 1
        assert len(lab.forms()) == 1


def test_a_recipient_who_is_refused_is_named(tmp_path: Path) -> None:
    with mail_server() as server:
        server.refused = "guards@example.com"
        lab = lab_with(tmp_path, mail=mailing(server))

        [outcome] = outcomes(lab, grant(lab, "docs-readers", "plain"))

        assert outcome.detail.endswith("does not take mail for guards@example.com")


def test_encrypted_mail_goes_to_whom_the_authority_vouches_for_and_to_nobody_else(tmp_path: Path) -> None:
    certificate = certified(tmp_path)
    with mail_server(certificate, password=b"right") as server:
        settings = mailing(server, tls="starttls", user="us", password="right")
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        lab = lab_with(tmp_path / "a", mail=settings)
        [outcome] = outcomes(lab, grant(lab, "docs-readers", "plain"))
        assert outcome.detail.endswith("has no certificate that can be trusted")
        assert server.messages == []

        lab = lab_with(tmp_path / "b", mail={**settings, "ca": str(certificate)})
        [outcome] = outcomes(lab, grant(lab, "docs-readers", "plain"))
        assert outcome.kind is OutcomeKind.ORDERED
        assert len(server.messages) == 1


def test_a_wrong_password_is_told_without_the_password(tmp_path: Path) -> None:
    certificate = certified(tmp_path)
    with mail_server(certificate, password=b"right") as server:
        settings = mailing(server, tls="starttls", user="us", password="wrong-one", ca=str(certificate))
        lab = lab_with(tmp_path, mail=settings)

        [outcome] = outcomes(lab, grant(lab, "docs-readers", "plain"))
        [finding] = lab.target.probe()[-1:]

        assert outcome.detail.endswith("does not let us in: look at `user` and `password`")
        assert (finding.kind, finding.subject) == ("unreachable-people", "mail")
        assert "wrong-one" not in outcome.detail + finding.text + repr(lab.target)


def test_what_mail_cannot_carry_is_told_in_words(tmp_path: Path) -> None:
    certificate = certified(tmp_path)
    with mail_server(certificate, password=b"right") as server:
        own = mailing(server, tls="starttls", user="us", ca=str(certificate))
        cases = [
            ({"password": "密码-1"}, "takes only ASCII to sign in with"),
            ({"password": "right", "server": "smtp..example.com"}, "has no address that can be used"),
            ({"password": "right", "ca": "not-there.pem"}, "the file that `ca` names is not there"),
        ]
        for more, words in cases:
            lab = lab_with(tmp_path, mail={**own, **more})

            [outcome] = outcomes(lab, grant(lab, "docs-readers", "plain"))
            [finding] = lab.target.probe()[-1:]

            assert outcome.kind is OutcomeKind.UNAVAILABLE
            assert words in outcome.detail
            assert words in finding.text
            assert "密码-1" not in outcome.detail + finding.text


# --- webhook ----------------------------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """Who is posted to: it takes what its own library finds rightly signed."""

    url: str = ""
    status: int = 204
    location: str = ""
    took: list[Any] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    own = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            own.took.append(Webhook(SECRET).verify(body, dict(self.headers)))
            own.names.append(self.headers["webhook-id"])
            self.send_response(own.status)
            if own.location:
                self.send_header("Location", own.location)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    own.url = f"http://127.0.0.1:{server.server_address[1]}/orders"
    yield own
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_signed_webhook_has_all_orders_of_a_batch(tmp_path: Path, receiver: Receiver) -> None:
    lab = lab_with(tmp_path, webhook={"url": receiver.url, "secret": SECRET})

    outcomes(lab, grant(lab, "docs-readers", "plain"), grant(lab, "核心算法", "zhang"))

    [told] = receiver.took
    orders = told["data"]["orders"]
    assert told["type"] == "work-orders.written"
    assert {(each["op"], each["account"], each["entitlement"]) for each in orders} == {
        ("grant", "plain", "docs-readers"),
        ("grant", "zhang", "核心算法"),
    }
    records = {path.stem: json.loads(path.read_text("utf-8")) for path in (tmp_path / "orders" / "records").iterdir()}
    assert {each["number"] for each in orders} == records.keys()


def test_a_webhook_that_fails_is_tried_again_under_the_same_name(tmp_path: Path, receiver: Receiver) -> None:
    lab = lab_with(tmp_path, webhook={"url": receiver.url, "secret": SECRET})
    receiver.status = 503
    [outcome] = outcomes(lab, grant(lab, "docs-readers", "plain"))
    assert outcome.kind is OutcomeKind.UNAVAILABLE
    assert outcome.detail.endswith("; not sent: the webhook answers 503")

    receiver.status = 200
    [outcome] = outcomes(lab, grant(lab, "docs-readers", "plain"))

    assert outcome.kind is OutcomeKind.ORDERED
    assert len(receiver.names) == 2
    assert len(set(receiver.names)) == 1


def test_no_redirect_is_followed(tmp_path: Path, receiver: Receiver) -> None:
    lab = lab_with(tmp_path, webhook={"url": receiver.url, "secret": SECRET})
    receiver.status, receiver.location = 307, receiver.url

    [outcome] = outcomes(lab, grant(lab, "docs-readers", "plain"))

    assert outcome.detail.endswith("the webhook answers 307")
    assert len(receiver.took) == 1


def test_a_webhook_at_an_address_that_is_none_is_said_to_not_answer(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, webhook={"url": "https://a..b/hook", "secret": SECRET})

    [outcome] = outcomes(lab, grant(lab, "docs-readers", "plain"))

    assert outcome.kind is OutcomeKind.UNAVAILABLE
    assert "cannot be reached" in outcome.detail


def test_what_does_not_answer_is_said_to_not_answer(tmp_path: Path, receiver: Receiver) -> None:
    lab = lab_with(tmp_path, webhook={"url": "http://127.0.0.1:9/", "secret": SECRET})

    [outcome] = outcomes(lab, grant(lab, "docs-readers", "plain"))

    assert outcome.detail.endswith("the webhook cannot be reached (ConnectionError)")
