"""Users themselves: disabled, enabled, deleted, created; by one question for all of them, before and after.

Sources: RFC 7643, 4.1.1 (`active`); RFC 7644, 3.3 (creation), 3.6 (deletion).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.api.trouble import Trouble
from adapters.scim.attributes import USER, attribute, one_text, part
from adapters.scim.paging import Listing
from adapters.scim.provider import Provider
from adapters.scim.reading import belongs_to
from adapters.scim.replies import Kind, Reply, lost, outcome_of, reply_of
from adapters.scim.sending import Change, Sender
from adapters.scim.session import Session, address
from adapters.scim.settings import Layout
from adapters.scim.users import User, user_of
from adapters.templates import filled
from reconciler.targets import Op, Outcome, OutcomeKind, Step

__all__ = ["AccountSteps"]

_ATTEMPTS = 4


@dataclass(slots=True)
class AccountSteps:
    """Carries out steps on accounts."""

    session: Session
    provider: Provider
    layout: Layout
    sender: Sender
    _all: Listing | None = None
    """Everybody there was, where a provider without filters had to be asked for them."""
    _silence: Outcome | None = None
    """What became of a creation to which nothing was said: then the others are not tried."""

    def carry_out(self, numbered: Sequence[tuple[int, Step]], outcomes: dict[int, Outcome]) -> None:
        """Enter what became of each. Raises `Trouble` where the users cannot be read; what is entered by then stays."""
        for number, step in numbered:
            if step.op is Op.CREATE_ACCOUNT:
                outcomes[number] = self._created(step)
        left = {number: step for number, step in numbered if step.op is not Op.CREATE_ACCOUNT}
        own = self.provider.own_key() if left else ""
        for number, step in list(left.items()):
            if own and step.account == own:
                words = f"{step.account_name} is the account that the reconciler itself signs in as"
                outcomes[number] = Outcome(OutcomeKind.REFUSED, words)
                del left[number]
        replies: dict[int, Reply] = {}
        for attempt in range(_ATTEMPTS + 1):
            if not left:
                break
            users = self._users(left.values())
            for number, step in list(left.items()):
                outcome = self._judged(step, users.get(step.account), replies.get(number), last=attempt == _ATTEMPTS)
                if outcome is not None:
                    outcomes[number] = outcome
                    del left[number]
            replies = self._send(left, users)

    def _users(self, steps: Iterable[Step]) -> Mapping[str, User]:
        keys = {step.account for step in steps}
        listing = self.provider.users.of(keys)
        if listing.shortfall and keys - set(listing.resources):
            raise Trouble(f"the list of users may not be whole: {listing.shortfall}", "try again", passing=True)
        return {key: user_of(resource) for key, resource in listing.resources.items()}

    def _judged(self, step: Step, user: User | None, reply: Reply | None, *, last: bool) -> Outcome | None:
        """What became of the step, by what is there now; None where something is to be sent."""
        if user is None:
            if step.op is Op.DELETE_ACCOUNT:
                return Outcome(OutcomeKind.APPLIED if reply else OutcomeKind.ALREADY)
            text = f"{step.account_name} is gone or is another account: no user has the id {step.account} any more"
            return Outcome(OutcomeKind.STALE, text)
        if step.op is not Op.DELETE_ACCOUNT and user.active is (step.op is Op.ENABLE_ACCOUNT):
            return Outcome(OutcomeKind.APPLIED if reply else OutcomeKind.ALREADY)
        if reply is None or (reply.kind is Kind.MOVED and not last):
            return None
        return outcome_of(reply)

    def _send(self, steps: Mapping[int, Step], users: Mapping[str, User]) -> dict[int, Reply]:
        changes = {}
        for number, step in steps.items():
            path, version = address("Users", step.account), users[step.account].version
            deletes = step.op is Op.DELETE_ACCOUNT
            active = None if deletes else step.op is Op.ENABLE_ACCOUNT
            changes[number] = Change(path, version, active=active, deletes=deletes)
        by_path = {change.path: reply for change, reply in self.sender.send(list(changes.values()))}
        return {number: by_path[change.path] for number, change in changes.items()}

    # --- creation ---------------------------------------------------------------------------------------------------

    def _created(self, step: Step) -> Outcome:
        """Unless there is one already that would be found as this person's."""
        if self._silence is not None:
            return self._silence
        sent = False
        try:
            if there := self._there(step.person):
                return Outcome(OutcomeKind.ALREADY, f"there is {there}")
            sent = True
            answer = self.session.send("POST", "/Users", self._new(step.person))
            if not answer.done:
                return outcome_of(reply_of(answer))
            key = one_text(part(answer.value, "id"))
            if not key or key not in self.provider.users.of({key}, bare=True).resources:
                return Outcome(OutcomeKind.REFUSED, "it said that it was done, and there is no such user")
        except Trouble as trouble:
            outcome = lost(trouble, sent=sent)
            self._silence = outcome if trouble.passing else None
            return outcome
        return Outcome(OutcomeKind.APPLIED, f"it is {one_text(part(answer.value, 'userName')) or key}")

    def _there(self, person: Mapping[str, str]) -> str:
        """The name of the account that is this person's; a blank where there is none."""
        asked = {name: person[name].strip() for name in self.layout.match}
        listing = self.provider.users.having(asked) or self._everybody()
        if listing.shortfall:
            raise Trouble(f"the list of users may not be whole: {listing.shortfall}", "try again", passing=True)
        users = map(user_of, listing.resources.values())
        return next((user.name for user in users if belongs_to(self.layout, user, asked)), "")

    def _everybody(self) -> Listing:
        if self._all is None:
            self._all = self.provider.users.all()
        return self._all

    def _new(self, person: Mapping[str, str]) -> dict[str, object]:
        template = self.layout.accounts.create
        assert template is not None  # noqa: S101  # `ops` has no creation without one
        resource: dict[str, object] = {"active": True}
        schemas = [USER]
        for text, value in template.attributes.items():
            named = attribute(text)
            named.enter(resource, filled(value, person))
            schemas += [named.host] if named.host else []
        return {"schemas": list(dict.fromkeys(schemas)), **resource}
