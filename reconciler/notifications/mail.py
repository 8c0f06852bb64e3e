"""Mail (RFC 5321, RFC 5322): to the channel's own addresses, or to the person whom it concerns."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

from reconciler.logs import log
from reconciler.notifications.channels import NotSent, Outgoing
from reconciler.notifications.texts import Style
from reconciler.workspace.notifications import Channel as Settings

__all__ = ["Mail"]


class Mail:
    """A mail server that takes our mail. Its certificate is checked, unless the workspace says `tls: none`."""

    style = Style()
    least_pause = timedelta(0)

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._ca = folder / settings.ca if settings.ca else None

    def send(self, outgoing: Outgoing) -> None:
        """One mail to all of them; the same name, the same Message-ID."""
        mail = EmailMessage()
        mail["Subject"] = outgoing.message.title
        mail["From"] = self._settings.sender
        mail["To"] = ", ".join(outgoing.to or self._settings.to)
        mail["Date"] = format_datetime(outgoing.at)
        mail["Message-ID"] = f"<{outgoing.name}@{self._settings.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday note comes back
        mail["Content-Language"] = outgoing.language
        mail.set_content(outgoing.message.body + "\n")
        server = self._session()
        try:
            refused = server.send_message(mail)
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused, UnicodeError) as error:
            raise _told(error) from None
        except (OSError, smtplib.SMTPException) as error:
            raise NotSent(f"the mail server broke off ({type(error).__name__})", unsure=True) from None
        finally:
            _leave(server)
        if refused:  # those whom it was taken for have it: it is not sent once more for the others
            log.warning("mail-refused-for-some", addresses=len(refused), message=outgoing.name)

    def reach(self) -> Sequence[str]:
        """Connect and sign in."""
        server = self._session()
        try:
            server.noop()
        except (OSError, smtplib.SMTPException) as error:
            raise _told(error) from None
        finally:
            _leave(server)
        return ["mail goes unencrypted"] if self._settings.tls == "none" else []

    def _session(self) -> smtplib.SMTP:
        try:
            return self._connected()
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            raise _told(error) from None

    def _connected(self) -> smtplib.SMTP:
        own, verified = self._settings, ssl.create_default_context(cafile=self._ca)
        if own.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(own.server, own.port, timeout=own.timeout, context=verified)
        else:
            server = smtplib.SMTP(own.server, own.port, timeout=own.timeout)
        try:
            if own.tls == "starttls":
                server.starttls(context=verified)
            if own.user:
                server.login(own.user, own.password)
        except BaseException:
            server.close()
            raise
        return server


def _leave(server: smtplib.SMTP) -> None:
    """What goes wrong with a good-bye changes nothing about what was sent before."""
    with suppress(OSError, smtplib.SMTPException):
        server.quit()
    server.close()


def _told(error: Exception) -> NotSent:
    """Our own words: what a server says may repeat what it was told."""
    match error:
        case smtplib.SMTPAuthenticationError():
            return NotSent("the mail server does not let us in: look at `user` and `password`")
        case smtplib.SMTPNotSupportedError():
            return NotSent("the mail server cannot do that: look at `tls` and `user`")
        case smtplib.SMTPRecipientsRefused():
            codes = {code for code, _ in error.recipients.values()}
            return NotSent("the mail server does not take mail for any of the addresses", final=min(codes) >= 500)
        case smtplib.SMTPResponseException():
            # Of what comes to a session, only the message itself can be refused for good.
            final = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500
            return NotSent(f"the mail server refuses ({error.smtp_code})", final=final)
        case ssl.SSLError():
            return NotSent("the mail server has no certificate that can be trusted: look at `tls` and `ca`")
        case UnicodeError():
            return NotSent("`server` is no name that can be used, or `user` and `password` are not ASCII")
        case FileNotFoundError():
            return NotSent("the file that `ca` names is not there")
        case _:
            return NotSent(f"the mail server cannot be reached ({type(error).__name__})")
