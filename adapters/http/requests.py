"""What is sent to change something, and what an answer to it means."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.api.client import Client, Request, Response
from adapters.api.trouble import Trouble
from adapters.http.conversation import Conversation
from adapters.http.listing import Api
from adapters.http.settings import Write
from adapters.http.templates import CannotSay, Values
from reconciler.targets import Outcome, OutcomeKind

__all__ = ["Answer", "Sender"]

_OF_CONTENT = (0, 200, 400, 409, 422)
"""What may be said of a request for one account's sake: other statuses are of all of them alike."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said to a request. `status` is 0 where nothing was sent, and -1 where nothing came."""

    outcome: Outcome
    status: int = 0

    @property
    def divisible(self) -> bool:
        """Whether a part of the same might go through."""
        return self.outcome.kind is OutcomeKind.REFUSED and self.status in _OF_CONTENT


@dataclass(slots=True)
class Sender:
    """Sends declared changes. `halted` is why nothing more is sent: the system is away, or asks us to come back later.
    Without a client it is dry: what would be sent is written into the conversation.
    """

    api: Api
    client: Client | None
    conversation: Conversation
    halted: Answer | None = None
    sent: int = 0

    def send(self, write: Write, values: Values, accounts: Sequence[Values]) -> Answer:
        """One request, for one account or many; what its answer says, before anything is read back."""
        try:
            request = self._request(write, values, accounts)
        except CannotSay as error:
            return Answer(Outcome(OutcomeKind.REFUSED, str(error)))
        if self.client is None:
            self.conversation.rendered(request)
            file = self.api.settings.conversation
            words = f"nothing is sent, as `dry: true` says; what would be sent is in {file}"
            return Answer(Outcome(OutcomeKind.REFUSED, words))
        if self.halted is not None:
            return self.halted
        self.sent += 1
        try:
            return self._meaning(write, self._sent(self.client, request, again=write.idempotency is not None))
        except Trouble as trouble:
            return self._troubled(trouble)

    def _request(self, write: Write, values: Values, accounts: Sequence[Values]) -> Request:
        named = values if write.many else {**values, **accounts[0]}
        url = self.api.url(write.path.path(named, slashes=self.api.settings.encoded_slash))
        query = {name: each.within(named) for name, each in write.query.items()}
        headers = {"Accept": self.api.settings.media_type}
        body = None
        if write.body is not None:
            body = write.body.value(named, accounts)
            headers["Content-Type"] = self.api.settings.media_type
        if write.idempotency is not None:
            headers[write.idempotency] = secrets.token_hex(16)
        return Request(write.method, url, query, headers, body)

    def _sent(self, client: Client, request: Request, *, again: bool) -> Response:
        try:
            return client.send(request)
        except Trouble as trouble:
            lost = trouble.passing and (trouble.status is None or trouble.status >= 500) and trouble.wait is None
            if not (again and lost):
                raise
        return client.send(request)  # the same key: it takes effect once

    def _meaning(self, write: Write, response: Response) -> Answer:
        answer = Answer(self._outcome(write, response), response.status)
        if response.status == 401:  # asking on with credentials that are not accepted locks accounts
            self.halted = answer
        return answer

    def _outcome(self, write: Write, response: Response) -> Outcome:
        kind = write.meaning(response.status)
        words = self.api.words.of(response.body)
        if kind is OutcomeKind.APPLIED:
            try:
                self._check(response)
            except Trouble as trouble:
                return Outcome(OutcomeKind.REFUSED, f"it answers {response.status}: {trouble.said}")
            return Outcome(kind, f"it answers {response.status}")
        return Outcome(kind, f"it answers {response.status}" + (f", “{words}”" if words else ""))

    def _check(self, response: Response) -> None:
        """A page for browsers, or an error in the clothes of success. An answer that is no JSON may say nothing."""
        text = response.body.strip()
        if text[:1] in (b"{", b"[") or (self.api.settings.success and text) or text[:1] == b"<":
            self.api.answer(response)

    def _troubled(self, trouble: Trouble) -> Answer:
        if not trouble.passing:
            return Answer(Outcome(OutcomeKind.REFUSED, f"{trouble.said}; {trouble.remedy}"), trouble.status or -1)
        answer = Answer(Outcome(OutcomeKind.UNAVAILABLE, trouble.said, trouble.wait), trouble.status or -1)
        if trouble.status in (None, 429) or trouble.wait is not None:
            self.halted = answer
        return answer
