"""Telling people of orders: by mail (RFC 5321) or by a signed webhook (Standard Webhooks 1.0), several in one message.

Each message is sent at least once: whoever dies between sending and noting it sends it again, under the same name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import smtplib
import ssl
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Protocol

import requests

from adapters.work_order.order import Order
from adapters.work_order.settings import Mail, Webhook

__all__ = ["Channel", "MailChannel", "NotSent", "WebhookChannel", "message_name"]

_DONE = range(200, 300)
_FAILURES = (OSError, smtplib.SMTPException, UnicodeError)
"""`UnicodeError`: an address that is none, or a password that its protocol cannot carry."""


class NotSent(Exception):
    """Nobody can be sure that the message has arrived; the words say why."""


class Channel(Protocol):
    """One way of telling people."""

    name: str

    def send(self, orders: Sequence[Order], forms: Sequence[str], name: str, now: datetime) -> None:
        """Send these orders, with their forms, in one message of this name. Raises `NotSent`."""

    def reach(self) -> None:
        """Whether it would work. Raises `NotSent`."""


def message_name(orders: Sequence[Order]) -> str:
    """The name of the message with these orders: the same for the same orders, however often it is sent."""
    text = json.dumps(sorted([order.number, order.urgent_since is not None] for order in orders))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class MailChannel:
    """Mail."""

    name = "mail"

    def __init__(self, target: str, settings: Mail, folder: Path) -> None:
        self._target = target
        self._settings = settings
        self._ca = folder / settings.ca if settings.ca else None

    def send(self, orders: Sequence[Order], forms: Sequence[str], name: str, now: datetime) -> None:
        """See `Channel.send`."""
        message = EmailMessage()
        urgent = "[紧急 URGENT] " if any(order.urgent_since for order in orders) else ""
        count = f"{len(orders)} 份工单" if len(orders) > 1 else orders[0].number
        message["Subject"] = f"{urgent}{self._target}: 工单 work order {count}"
        message["From"] = self._settings.sender
        message["To"] = ", ".join(self._settings.to)
        message["Date"] = format_datetime(now)
        message["Message-ID"] = f"<{name}@{self._settings.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday note comes back
        message.set_content("\n\n\n".join(forms))
        try:
            with self._connection() as server:
                refused = server.send_message(message)
        except _FAILURES as error:
            raise NotSent(f"the mail server {self._settings.server} {_said(error)}") from None
        if refused:
            raise NotSent(f"the mail server {self._settings.server} does not take mail for {', '.join(refused)}")

    def reach(self) -> None:
        """See `Channel.reach`."""
        try:
            with self._connection() as server:
                server.noop()
        except _FAILURES as error:
            raise NotSent(f"the mail server {self._settings.server} {_said(error)}") from None

    def _connection(self) -> smtplib.SMTP:
        settings, verified = self._settings, ssl.create_default_context(cafile=self._ca)
        server: smtplib.SMTP
        if settings.tls == "tls":
            server = smtplib.SMTP_SSL(settings.server, settings.port, timeout=settings.timeout, context=verified)
        else:
            server = smtplib.SMTP(settings.server, settings.port, timeout=settings.timeout)
        try:
            if settings.tls == "starttls":
                server.starttls(context=verified)
            if settings.user is not None and settings.password is not None:
                server.login(settings.user, settings.password.get_secret_value())
        except BaseException:
            server.close()
            raise
        return server


class WebhookChannel:
    """A signed POST."""

    name = "webhook"

    def __init__(self, target: str, settings: Webhook, folder: Path) -> None:
        self._target = target
        self._settings = settings
        self._ca = folder / settings.ca if settings.ca else None

    def send(self, orders: Sequence[Order], forms: Sequence[str], name: str, now: datetime) -> None:
        """See `Channel.send`."""
        told = [{**json.loads(order.as_json()), "text": form} for order, form in zip(orders, forms, strict=True)]
        body = json.dumps({"type": "work-orders.written", "timestamp": now.isoformat(), "data": {"orders": told}})
        identity, moment = f"msg_{name}", str(int(now.timestamp()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": identity,
            "webhook-timestamp": moment,
            "webhook-signature": _signature(self._settings.key, identity, moment, body),
        }
        try:
            # No proxy or .netrc of the environment, and no redirect: an order goes where the workspace says.
            with requests.Session() as session:
                session.trust_env = False
                answer = session.post(
                    self._settings.url,
                    data=body.encode(),
                    headers=headers,
                    timeout=self._settings.timeout,
                    allow_redirects=False,
                    verify=str(self._ca) if self._ca else True,
                    stream=True,
                )
                status = answer.status_code
        except (OSError, ValueError) as error:  # ValueError: an address that is none
            raise NotSent(f"the webhook cannot be reached ({type(error).__name__})") from None
        if status not in _DONE:
            raise NotSent(f"the webhook answers {status}")

    def reach(self) -> None:
        """Nothing is posted that is no order."""


def _signature(key: bytes, identity: str, moment: str, body: str) -> str:
    signed = hmac.digest(key, f"{identity}.{moment}.{body}".encode(), "sha256")
    return f"v1,{base64.b64encode(signed).decode()}"


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "does not let us in: look at `user` and `password`"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"does not take mail for {', '.join(error.recipients)}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"refuses the mail ({error.smtp_code})"
    if isinstance(error, ssl.SSLError):
        return "has no certificate that can be trusted"
    if isinstance(error, UnicodeEncodeError):
        return "takes only ASCII to sign in with: choose another `user` or `password`"
    if isinstance(error, UnicodeError):
        return "has no address that can be used: correct `server`"
    if isinstance(error, FileNotFoundError):
        return "cannot be checked, since the file that `ca` names is not there"
    return f"does not do what is asked ({type(error).__name__})"
