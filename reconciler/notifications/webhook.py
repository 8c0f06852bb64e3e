"""A webhook, signed as Standard Webhooks 1.0 has it: for whoever wants to handle what is said by a program."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import timedelta

from standardwebhooks import Webhook as Signer

from reconciler.notifications.channels import Outgoing
from reconciler.notifications.posting import Address, UnusableAddress, dumped
from reconciler.notifications.texts import Style

__all__ = ["Webhook"]

LEAST = 24
"""Bytes that a secret has at least: the specification's own limit."""


class Webhook:
    """An address that takes signed JSON. Whoever gets one `webhook-id` twice has got one message twice."""

    style = Style()
    least_pause = timedelta(0)

    def __init__(self, address: Address, secret: str) -> None:
        try:
            enough = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) >= LEAST
        except (binascii.Error, ValueError):
            enough = False
        if not enough:
            raise UnusableAddress(f"`secret` is not `whsec_` and at least {LEAST} bytes in base64")
        self._address = address
        self._signer = Signer(secret)

    def send(self, outgoing: Outgoing) -> None:
        """POST it."""
        told = [
            {"kind": each.kind.value, "target": each.target, "person": each.person, **each.content}
            for each in outgoing.notices
        ]
        data = {
            "organization": outgoing.organization,
            "language": outgoing.language,
            "title": outgoing.message.title,
            "text": outgoing.message.body,
            "notices": told,
        }
        body = dumped({"type": "notification.raised", "timestamp": outgoing.at.isoformat(), "data": data})
        name = f"msg_{outgoing.name}"
        headers = {
            "webhook-id": name,
            "webhook-timestamp": str(int(outgoing.at.timestamp())),
            "webhook-signature": self._signer.sign(name, outgoing.at, body.decode()),
        }
        self._address.post(body, headers)

    def reach(self) -> Sequence[str]:
        """Connect."""
        self._address.reach()
        return []
