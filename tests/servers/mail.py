"""A real mail server for tests, on a loopback port of its own: it keeps what it is given."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.servers.slapd import free_port

__all__ = ["MailServer", "mail_server"]


@dataclass
class MailServer:
    """What came in, and what the server does about it: `answer` is what it says to each message."""

    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    answer: str = "250 OK"
    refused: str = ""

    async def handle_RCPT(  # noqa: N802  # the library's name
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address == self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
            self.recipients.append(list(envelope.rcpt_tos))
        return self.answer


@contextmanager
def mail_server(certificate: Path | None = None, password: bytes = b"") -> Iterator[MailServer]:
    """A server; with STARTTLS where there is a certificate, and for those who know the password where there is one."""
    own = MailServer()
    more: dict[str, Any] = {}
    if certificate is not None:
        more["tls_context"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        more["tls_context"].load_cert_chain(certificate)

    def lets_in(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and data.password == password
        return AuthResult(success=right, handled=right)

    if password:
        more |= {"authenticator": lets_in, "auth_required": True, "auth_require_tls": True}
    controller = Controller(own, hostname="127.0.0.1", port=free_port(), **more)
    controller.start()
    try:
        own.port = controller.port
        yield own
    finally:
        controller.stop()
