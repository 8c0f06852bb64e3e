"""Who sent a request: whoever holds one of a webhook's secrets, and signed it just now; and who says that something was
pushed, where a code host signs in its own way.

Sources: the Standard Webhooks specification, 1.0.0 (HMAC-SHA256 over id, timestamp and body; five minutes each way);
GitHub's documentation of `X-Hub-Signature-256` (HMAC-SHA256 over the body), GitLab's of `X-Gitlab-Token` (the secret).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from reconciler.service.answers import BodyRefused, SignatureRefused
from reconciler.workspace import Workspace, WorkspaceError

__all__ = ["PushSignatures", "Signatures"]

HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
LEAST = 24
"""Bytes that a secret has at least: the specification's own limit."""

_MAKE = "make one: echo whsec_$(openssl rand -base64 32)"


class Signatures:
    """The webhooks and their secrets."""

    def __init__(self, secrets: Mapping[str, Sequence[str]]) -> None:
        self._signers = {name: [Webhook(secret) for secret in own] for name, own in secrets.items()}

    @classmethod
    def of(cls, workspace: Workspace) -> Signatures:
        """Those of the workspace. Raises `WorkspaceError`, whose words never repeat a secret."""
        secrets = workspace.webhook_secrets()
        for name, own in secrets.items():
            if (flaw := next(filter(None, map(_flaw, own)), "")) != "":
                place = workspace.place("service", "webhooks", name, "secret")
                raise WorkspaceError(f"the secret of webhook `{name}` {flaw}", place=place, remedy=_MAKE)
        return cls(secrets)

    def sender(self, headers: Mapping[str, str], body: bytes) -> str:
        """The webhook that signed this. Raises `SignatureRefused`, and `BodyRefused` for what is no text at all."""
        try:
            body.decode()
        except UnicodeDecodeError:
            raise BodyRefused("the body is no JSON: it is not UTF-8", remedy="send UTF-8") from None
        given = {name: headers[name] for name in HEADERS if headers.get(name)}
        if missing := [name for name in HEADERS if name not in given]:
            text = f"the request is not signed: it has no {', '.join(missing)}"
            raise SignatureRefused(text, remedy="sign it after Standard Webhooks")
        reason = "no webhook is configured here that could have signed it"
        for name, signers in self._signers.items():
            for signer in signers:
                try:
                    signer.verify(body, given, json_parse=False)
                except (WebhookVerificationError, ValueError) as error:  # ValueError: what cannot even be decoded
                    reason = str(error) if isinstance(error, WebhookVerificationError) else "it cannot be read"
                else:
                    return name
        remedy = "sign id, timestamp and the body as it is sent, with the webhook's secret, by a clock that is right"
        raise SignatureRefused(f"the signature does not hold: {reason}", remedy=remedy)


class PushSignatures:
    """Those who may say that something was pushed. That is all they say: nothing of what they send is believed, so that
    one who repeats it has the repository asked once more, and no harm done.
    """

    def __init__(self, signed: Signatures, github: Sequence[str] = (), gitlab: Sequence[str] = ()) -> None:
        self._signed = signed
        self._github = [secret.encode() for secret in github]
        self._gitlab = gitlab

    @classmethod
    def of(cls, workspace: Workspace) -> PushSignatures:
        """Those of the workspace. Raises `WorkspaceError`, whose words never repeat a secret."""
        secrets = workspace.push_secrets()
        place = workspace.place("service", "policy_repository", "push")
        if (flaw := next(filter(None, map(_flaw, secrets.secret)), "")) != "":
            raise WorkspaceError(f"the secret of pushes {flaw}", place=place, remedy=_MAKE)
        for kind, own in (("github", secrets.github), ("gitlab", secrets.gitlab)):
            if any(len(secret.encode()) < LEAST for secret in own):
                text = f"the `{kind}` secret of pushes has fewer than {LEAST} characters, and such a one can be guessed"
                raise WorkspaceError(text, place=place, remedy="make one: openssl rand -hex 32")
        return cls(Signatures({"push": secrets.secret}), secrets.github, secrets.gitlab)

    def check(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raises `SignatureRefused`, and `BodyRefused` for what is no text at all."""
        if mark := headers.get("x-hub-signature-256"):
            made = ("sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest() for secret in self._github)
            holds = _any_equal(mark, made)
        elif token := headers.get("x-gitlab-token"):
            holds = _any_equal(token, self._gitlab)
        else:
            self._signed.sender(headers, body)
            holds = True
        if not holds:
            remedy = "give the code host the secret that `service.policy_repository.push` refers to"
            raise SignatureRefused("the push is not signed by anybody known here", remedy=remedy)


def _any_equal(given: str, wanted: Iterable[str]) -> bool:
    """Each is compared, in a time that does not tell how far they agree."""
    return sum(hmac.compare_digest(given.encode(), each.encode()) for each in wanted) > 0


def _flaw(secret: str) -> str:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return "is not `whsec_` and base64"
    return f"has {len(key)} bytes, and fewer than {LEAST} can be guessed" if len(key) < LEAST else ""
