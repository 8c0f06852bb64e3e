"""Users themselves: disabled, enabled, deleted; by one question for all of them, before and after.

Sources: RFC 7643, 4.1.1 (`active`); RFC 7644, 3.6 (deletion).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.api.trouble import Trouble
from adapters.scim.provider import Provider
from adapters.scim.replies import Kind, Reply, outcome_of
from adapters.scim.sending import Change, Sender
from adapters.scim.session import address
from adapters.scim.users import User, user_of
from reconciler.targets import Op, Outcome, OutcomeKind, Step

__all__ = ["AccountSteps"]

_ATTEMPTS = 4


@dataclass(slots=True)
class AccountSteps:
    """Carries out steps on accounts."""

    provider: Provider
    sender: Sender

    def carry_out(self, numbered: Sequence[tuple[int, Step]], outcomes: dict[int, Outcome]) -> None:
        """Enter what became of each. Raises `Trouble` where the users cannot be read; what is entered by then stays."""
        left = dict(numbered)
        own = self.provider.own_key()
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
