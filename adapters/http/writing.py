"""Changes, in few requests, and nothing believed that is not read back.

A batch is carried out in rounds in which no two steps speak of the same account in the same entitlement. A round: what
is there is known; what is missing is sent, many accounts at once where the system takes many; then it is read again,
and that, not the answer, says what became of it. So a system that answers 200 and does nothing is caught, and one whose
answer is lost has done what can be seen.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from adapters.api.trouble import Trouble
from adapters.http.accounts import Account, AccountsFound, find_accounts
from adapters.http.entitlements import Found, find_again, find_entitlements
from adapters.http.judging import ENABLED, account_judged, is_in, judged
from adapters.http.listing import Api
from adapters.http.queries import text_of
from adapters.http.reading import Principals, own_spellings
from adapters.http.requests import Answer, Sender
from adapters.http.settings import HttpSettings, Write
from adapters.http.templates import Values
from reconciler.targets import Locator, Op, Outcome, OutcomeKind, Reading, Step, TargetWriter, entitlement_key

__all__ = ["HttpWriter"]

Numbered = tuple[int, Step]
_ENTITLEMENTS = (Op.GRANT, Op.REVOKE)
_FEW = 10
"""So many entitlements are read again one by one, where their list shows members too; more are the list."""
_HALVED = 30
"""How often a batch of an entitlement is halved: enough to find three accounts among a thousand."""
_BEFORE = (Op.DISABLE_ACCOUNT, Op.END_SESSIONS)


@dataclass(frozen=True, slots=True)
class _Wish:
    """A step that has to be sent. `principal` is how its account is called in the entitlement."""

    number: int
    op: Op
    principal: str
    values: Values = field(repr=False)


_Sent: TypeAlias = tuple[_Wish, Answer]
"""And what the answer said."""


class HttpWriter(TargetWriter):
    """Carries out batches: reads over one connection, and sends over another."""

    def __init__(self, api: Api, sender: Sender) -> None:
        self._api = api
        self._settings: HttpSettings = api.settings
        self._sender = sender
        self._outcomes: dict[int, Outcome] = {}
        self._accounts = AccountsFound({}, Reading.FAILED)
        self._found: dict[str, Found] = {}

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """See `TargetWriter.apply`. Accounts are disabled first, and enabled and deleted last."""
        self._outcomes, self._sender.halted = {}, None
        numbered = [each for each in enumerate(steps) if self._possible(*each)]
        try:
            self._look(numbered)
            self._change_accounts([each for each in numbered if each[1].op in _BEFORE])
            for each in _rounds(numbered):
                self._round(each)
            rest = [each for each in numbered if each[1].op not in (*_BEFORE, *_ENTITLEMENTS)]
            self._change_accounts(rest)
        except Trouble as trouble:
            kind = OutcomeKind.UNAVAILABLE if trouble.passing else OutcomeKind.REFUSED
            failed = Outcome(kind, f"{trouble.said}; {trouble.remedy}", trouble.wait)
            self._record((number for number, _ in numbered), failed)
        return [self._outcomes[number] for number in range(len(steps))]

    def _possible(self, number: int, step: Step) -> bool:
        words = ""
        if step.op not in self._settings.writes:
            words = f"this target is not declared to {step.op}"
        elif step.op in _ENTITLEMENTS and set(step.locator) != set(self._settings.entitlements.named_by):
            words = f"an entitlement here has {', '.join(self._settings.entitlements.named_by)}"
        elif not step.account and not (step.op is Op.REVOKE and step.account_name):
            words = "the step names no account"
        if words:
            self._outcomes[number] = Outcome(OutcomeKind.REFUSED, words)
        return not words

    def _look(self, numbered: Sequence[Numbered]) -> None:
        """What is there now, of all that the steps speak of."""
        foreign = any(not step.account for _, step in numbered)
        keys = {step.account for _, step in numbered if step.account}
        self._accounts = find_accounts(self._api, None if foreign else sorted(keys))
        self._read({entitlement_key(step.locator): step.locator for _, step in numbered if step.op in _ENTITLEMENTS})

    def _read(self, locators: Mapping[str, Locator]) -> None:
        together: dict[str, Locator] = {}
        few = self._settings.entitlements.members.list is not None or len(locators) <= _FEW
        for key, locator in locators.items():
            before = self._found.get(key)
            again = find_again(self._api, locator, before) if few and before is not None and before.values else None
            if again is None:
                together[key] = locator
            else:
                self._found[key] = again
        self._found |= dict(zip(together, find_entitlements(self._api, list(together.values())), strict=True))

    # --- who is in what ---------------------------------------------------------------------------------------------

    def _round(self, steps: Sequence[Numbered]) -> None:
        principals = Principals(self._settings, self._accounts.by_key)
        sent: dict[str, list[_Sent]] = {}
        locators: dict[str, Locator] = {}
        for key, op, wishes in _by_entitlement(steps):
            found = self._found[key]
            wanted = [
                each for number, step in wishes if (each := self._wanted(number, step, found, principals)) is not None
            ]
            locators[key] = wishes[0][1].locator
            sent.setdefault(key, []).extend(self._send(self._settings.writes[op], found, wanted))
        changed = {key for key, each in sent.items() if each}
        read_back = self._reads_back
        if read_back:
            self._read({key: locators[key] for key in changed})
        for key in changed:
            for wish, answer in sent[key]:
                now = self._found[key]
                self._outcomes[wish.number] = (
                    judged(wish.op, wish.principal, answer, now, principals) if read_back else answer.outcome
                )
            if not read_back:
                done = [wish for wish, answer in sent[key] if answer.outcome.kind.done]
                self._found[key] = _believed(self._found[key], done, principals)

    def _wanted(self, number: int, step: Step, found: Found, principals: Principals) -> _Wish | None:
        """What has to be sent for a step, if anything; otherwise its outcome is recorded."""
        outcome = self._no_entitlement(found)
        who: tuple[str, Values] | Outcome = outcome or self._who(step, found, principals)
        if isinstance(who, Outcome):
            self._outcomes[number] = who
            return None
        spelling, values = who
        if spelling in principals.ambiguous:
            words = f"{spelling} may be one of several accounts: entitlements name accounts by {principals.attribute}"
            self._outcomes[number] = Outcome(OutcomeKind.REFUSED, words)
            return None
        there = is_in(spelling, found, principals)
        if there is (step.op is Op.GRANT) and (there or found.reading.whole):
            self._outcomes[number] = Outcome(OutcomeKind.ALREADY)
            return None
        return _Wish(number, step.op, spelling, values)

    def _no_entitlement(self, found: Found) -> Outcome | None:
        if found.missing:
            return Outcome(OutcomeKind.STALE, found.detail)
        if found.trouble is not None and found.trouble.passing:
            return Outcome(OutcomeKind.UNAVAILABLE, found.detail, found.trouble.wait)
        return Outcome(OutcomeKind.REFUSED, found.detail) if found.reading is Reading.FAILED else None

    def _who(self, step: Step, found: Found, principals: Principals) -> tuple[str, Values] | Outcome:
        if not step.account:
            return self._foreign(step, found, principals)
        account = self._account(step)
        if isinstance(account, Outcome):
            return account
        if step.op is Op.REVOKE and {account.key, account.observed.login} & own_spellings(
            self._settings, self._accounts
        ):
            return Outcome(
                OutcomeKind.REFUSED, f"{account.observed.name} is the account that the reconciler itself uses"
            )
        return principals.spelled(account), account.values

    def _account(self, step: Step) -> Account | Outcome:
        account = self._accounts.by_key.get(step.account)
        if account is not None:
            return account
        if not self._accounts.reading.whole:
            words = f"{step.account_name} is not among the accounts that could be read: {self._accounts.detail}"
            return Outcome(OutcomeKind.UNAVAILABLE, words)
        return Outcome(OutcomeKind.STALE, f"{step.account_name} is gone: there is no account {step.account} any more")

    def _foreign(self, step: Step, found: Found, principals: Principals) -> tuple[str, Values] | Outcome:
        """Somebody in the entitlement who is no account, as the system spells them."""
        spelling = principals.folded(step.account_name)
        if principals.key_of(step.account_name) is not None:
            return Outcome(OutcomeKind.STALE, f"{step.account_name} is an account by now")
        raw = next(
            (each for each in found.principals if principals.folded(text_of(each)) == spelling), step.account_name
        )
        return spelling, {f"account.{principals.attribute}": raw}

    def _send(self, write: Write, found: Found, wanted: Sequence[_Wish]) -> list[_Sent]:
        """Many at once, where the system takes many; what is refused for one account's sake goes in halves, so that
        its trouble is not everybody's, and not more often than it takes to find a few.
        """
        size = write.many or 1
        waiting = deque(wanted[start : start + size] for start in range(0, len(wanted), size))
        sent: list[_Sent] = []
        halved = 0
        while waiting:
            part = waiting.popleft()
            answer = self._sender.send(write, found.values, [each.values for each in part])
            if len(part) > 1 and answer.divisible and self._sender.client and halved < _HALVED:
                half = len(part) // 2
                waiting.extendleft((part[half:], part[:half]))
                halved += 1
            else:
                sent += ((each, answer) for each in part)
        return sent

    # --- accounts themselves ----------------------------------------------------------------------------------------

    def _change_accounts(self, steps: Sequence[Numbered]) -> None:
        sent: list[tuple[int, Step, Answer]] = []
        own = own_spellings(self._settings, self._accounts)
        for number, step in steps:
            account = self._account(step)
            if isinstance(account, Outcome):
                gone = step.op is Op.DELETE_ACCOUNT and account.kind is OutcomeKind.STALE
                self._outcomes[number] = Outcome(OutcomeKind.ALREADY) if gone else account
            elif {account.key, account.observed.login} & own and step.op is not Op.ENABLE_ACCOUNT:
                words = f"{account.observed.name} is the account that the reconciler itself uses"
                self._outcomes[number] = Outcome(OutcomeKind.REFUSED, words)
            elif account.observed.enabled is ENABLED.get(step.op):
                self._outcomes[number] = Outcome(OutcomeKind.ALREADY)
            else:
                answer = self._sender.send(self._settings.writes[step.op], {}, [account.values])
                sent.append((number, step, answer))
        if not sent:
            return
        if not self._reads_back:
            self._outcomes |= {number: answer.outcome for number, _, answer in sent}
            return
        keys = {step.account for _, step, _ in sent}
        now = self._accounts_again(keys)
        self._outcomes |= {number: account_judged(step, answer, now) for number, step, answer in sent}
        others = {key: account for key, account in self._accounts.by_key.items() if key not in keys}
        self._accounts = AccountsFound({**others, **now.by_key}, self._accounts.reading, self._accounts.detail)

    def _accounts_again(self, keys: Collection[str]) -> AccountsFound:
        """What was sent may have happened: where that cannot be read, it is left open."""
        try:
            return find_accounts(self._api, sorted(keys))
        except Trouble as trouble:
            return AccountsFound({}, Reading.FAILED, trouble.said)

    @property
    def _reads_back(self) -> bool:
        return self._settings.read_back and self._sender.client is not None and self._sender.sent > 0

    def _record(self, numbers: Iterable[int], outcome: Outcome) -> None:
        for number in numbers:
            self._outcomes.setdefault(number, outcome)


def _believed(found: Found, done: Sequence[_Wish], principals: Principals) -> Found:
    """An entitlement after what was answered, where that is not read back."""
    spellings = {wish.principal for wish in done}
    others = [each for each in found.principals if principals.folded(text_of(each)) not in spellings]
    added = [wish.values[f"account.{principals.attribute}"] for wish in done if wish.op is Op.GRANT]
    return replace(found, principals=[*others, *added])


def _rounds(numbered: Sequence[Numbered]) -> list[list[Numbered]]:
    """The grants and revocations, in rounds in which no two speak of the same account in the same entitlement."""
    rounds: list[list[Numbered]] = []
    times: Counter[tuple[str, str, str]] = Counter()
    for number, step in numbered:
        if step.op in _ENTITLEMENTS:
            who = (entitlement_key(step.locator), step.account, "" if step.account else step.account_name)
            if times[who] == len(rounds):
                rounds.append([])
            rounds[times[who]].append((number, step))
            times[who] += 1
    return rounds


def _by_entitlement(steps: Sequence[Numbered]) -> list[tuple[str, Op, list[Numbered]]]:
    """The steps of a round by entitlement and direction: revocations of all of them first."""
    found: dict[tuple[str, Op], list[Numbered]] = {}
    for number, step in steps:
        found.setdefault((entitlement_key(step.locator), step.op), []).append((number, step))
    ordered = sorted(found.items(), key=lambda each: each[0][1] is Op.GRANT)
    return [(key, op, wishes) for (key, op), wishes in ordered]
