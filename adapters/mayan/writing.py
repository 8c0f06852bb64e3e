"""Grants and revocations: many in one request, and nothing believed that is not read back.

Mayan answers 200 to changes that it does not make. So each unit (one group, one direction) reads who is in the group,
sends what is missing, and reads again; only that decides. Its answers only say why something is not so.

Source: Mayan EDMS 4.12, `mayan.apps.rest_api.classes.BatchRequest`, `mayan.apps.user_management.api_views`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.api.trouble import Moved, Trouble
from adapters.mayan.access import Access, Obstacle, Roles
from adapters.mayan.api import LARGEST_BATCH, Answer, Api, is_number
from adapters.mayan.entitlements import locator_error, managed
from adapters.mayan.rights import CHANGING, Standing
from reconciler.targets import Op, Outcome, OutcomeKind, Step, TargetWriter

__all__ = ["MayanWriter"]

Numbered = tuple[int, Step]
OPS = frozenset({Op.GRANT, Op.REVOKE})
_OTHERS = (
    "Mayan's API cannot do that: it takes `is_active` and leaves it as it was; an administrator can, in Mayan itself"
)


class MayanWriter(TargetWriter):
    """Carries out batches over a connection that can write. `patience`: seconds to wait for a server that is busy."""

    def __init__(self, api: Api, standing: Standing, patience: float) -> None:
        self._api = api
        self._standing = standing
        self._patience = patience
        self._outcomes: dict[int, Outcome] = {}

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """See `TargetWriter.apply`. What is taken comes before what is given."""
        self._outcomes = {}
        access = Access(self._api, Roles(self._api))
        rounds: dict[int, list[list[Numbered]]] = {}
        for number, step in enumerate(steps):
            if (group := self._group(number, step, access)) is not None:
                _enter(rounds.setdefault(group, []), (number, step))
        for group, turns in sorted(rounds.items(), key=lambda each: each[1][0][0][1].op is Op.GRANT):
            for turn in turns:
                for op in (Op.REVOKE, Op.GRANT):
                    self._unit(group, op, [each for each in turn if each[1].op is op])
        return [self._outcomes[number] for number in range(len(steps))]

    def _group(self, number: int, step: Step, access: Access) -> int | None:
        if step.op not in OPS:
            self._outcomes[number] = Outcome(OutcomeKind.REFUSED, _OTHERS)
        elif words := locator_error(step.locator):
            self._outcomes[number] = Outcome(OutcomeKind.REFUSED, words)
        elif step.account == str(self._standing.id):
            words = f"{self._standing.name} is the user that the reconciler itself acts as"
            self._outcomes[number] = Outcome(OutcomeKind.REFUSED, words)
        else:
            try:
                return access.group(managed(step.locator))
            except Obstacle as obstacle:
                self._outcomes[number] = Outcome(OutcomeKind.STALE, str(obstacle))
            except Trouble as trouble:
                self._outcomes[number] = _failed(trouble)
        return None

    def _unit(self, group: int, op: Op, wishes: Sequence[Numbered]) -> None:
        if not wishes:
            return
        try:
            unit = _Unit(self._api, group, op is Op.GRANT, self._patience)
            self._outcomes |= unit.carry_out(wishes)
        except Trouble as trouble:
            self._outcomes |= {number: _failed(trouble) for number, _ in wishes if number not in self._outcomes}


@dataclass(slots=True)
class _Unit:
    """One group and one direction."""

    api: Api
    group: int
    adds: bool
    patience: float

    def carry_out(self, wishes: Sequence[Numbered]) -> Mapping[int, Outcome]:
        """The outcome of each. Raises `Trouble` where the group cannot be read before anything is sent."""
        before = self._members()
        whom = {number: _user(step, before) for number, step in wishes}
        settled = {number: Outcome(OutcomeKind.STALE, _gone(step)) for number, step in wishes if whom[number] is None}
        users = {number: user for number, user in whom.items() if user is not None}
        pending = {number: user for number, user in users.items() if (user in before) is not self.adds}
        missing = self._missing({user for number, user in users.items() if number not in pending} - before.keys())
        for number, step in wishes:
            if number in users and number not in pending:
                gone = users[number] in missing
                settled[number] = Outcome(OutcomeKind.STALE, _gone(step)) if gone else Outcome(OutcomeKind.ALREADY)
        if pending:
            settled |= self._changed(pending, dict(wishes))
        return settled

    def _changed(self, pending: Mapping[int, int], wishes: Mapping[int, Step]) -> Mapping[int, Outcome]:
        users = sorted(set(pending.values()))
        answers = self._send(users)
        try:
            after = self._members().keys()
        except Trouble as trouble:
            return {number: Outcome(OutcomeKind.UNAVAILABLE, trouble.said, trouble.wait) for number in pending}
        wrong = {user for user in users if (user in after) is not self.adds}
        try:
            missing = self._missing({user for user in wrong if answers[user].status == 400})
        except Trouble:
            missing = frozenset()  # what was done stays done, whatever became of the others
        return {
            number: self._outcome(wishes[number], answers[user], gone=user in missing)
            if user in wrong
            else Outcome(OutcomeKind.APPLIED)
            for number, user in pending.items()
        }

    def _outcome(self, step: Step, answer: Answer, *, gone: bool) -> Outcome:
        """Of what is not as it was wanted."""
        if gone:
            return Outcome(OutcomeKind.STALE, _gone(step))
        if answer.status in (0, 429) or answer.status >= 500:
            said = f"Mayan answers {answer.status}" if answer.status else "nothing is known of an answer"
            return Outcome(OutcomeKind.UNAVAILABLE, f"{said}: {answer.said}", answer.wait)
        if answer.status == 200:
            return Outcome(OutcomeKind.REFUSED, "Mayan answered 200 and did nothing: read back, it is as it was before")
        needed = " and ".join(CHANGING)
        said = f"Mayan answers {answer.status}, {answer.said}: the reconciler's role needs {needed} on everything"
        return Outcome(OutcomeKind.REFUSED, said)

    def _send(self, users: Sequence[int]) -> Mapping[int, Answer]:
        """What Mayan says to each. Whom it puts off is asked for again, as long as it lets some through."""
        path = f"groups/{self.group}/users/{'add' if self.adds else 'remove'}/"
        answers = dict.fromkeys(users, Answer())
        waiting, until = list(users), time.monotonic() + self.patience
        while waiting:
            for part in _parts(waiting):
                try:
                    said = self.api.batch([("POST", path, {"user": str(user)}) for user in part])
                except Trouble as trouble:
                    said = [Answer(trouble.status or 0, trouble.said, trouble.wait)] * len(part)
                answers |= dict(zip(part, said, strict=True))
            put_off = [user for user in waiting if answers[user].status == 429]
            if len(put_off) < len(waiting):
                until = time.monotonic() + self.patience
            wait = max((answers[user].wait or 1.0 for user in put_off), default=0.0)
            if time.monotonic() + wait > until:
                break
            if put_off:
                time.sleep(wait)
            waiting = put_off
        return answers

    def _members(self) -> Mapping[int, str]:
        found = self.api.every(f"groups/{self.group}/users/", "id,username")
        return {int(str(each["id"])): str(each["username"]) for each in found}

    def _missing(self, users: Iterable[int]) -> Collection[int]:
        """Those that are no users any more, as far as we see."""
        missing: set[int] = set()
        for part in _parts(sorted(users)):
            answers = self.api.batch([("GET", f"users/{user}/?_fields_only=id", {}) for user in part])
            missing |= {user for user, answer in zip(part, answers, strict=True) if answer.status == 404}
        return missing


def _user(step: Step, members: Mapping[int, str]) -> int | None:
    """Of whom the step speaks: of an account by its key, of a foreign principal by its user name."""
    if step.account:
        return int(step.account) if is_number(step.account) else None
    return next((number for number, name in members.items() if name == step.account_name), None)


def _gone(step: Step) -> str:
    return f"{step.account_name or step.account} is gone, or no longer shown to us"


def _failed(trouble: Trouble) -> Outcome:
    if trouble.passing or isinstance(trouble, Moved):
        return Outcome(OutcomeKind.UNAVAILABLE, trouble.said, trouble.wait)
    kind = OutcomeKind.STALE if trouble.status == 404 else OutcomeKind.REFUSED
    return Outcome(kind, f"{trouble.said}; {trouble.remedy}")


def _enter(turns: list[list[Numbered]], each: Numbered) -> None:
    """Into the last turn, or a new one where that speaks of the same account already."""
    who = (each[1].account, each[1].account_name if not each[1].account else "")
    if not turns or any(who == (step.account, step.account_name if not step.account else "") for _, step in turns[-1]):
        turns.append([])
    turns[-1].append(each)


def _parts(users: Sequence[int]) -> Iterable[Sequence[int]]:
    return (users[start : start + LARGEST_BATCH] for start in range(0, len(users), LARGEST_BATCH))
