"""Steps, carried out: who is to go and to come in one request for each group, several groups in one where the provider
takes them so; and nothing believed that is not read back.

What is there is read, what is missing is sent with the version that was read, and the result is read again. A group
that somebody changed in between is read anew, a few times. Accounts are disabled first, and enabled last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapters.api.trouble import Trouble
from adapters.scim.accounts import AccountSteps
from adapters.scim.attributes import Attribute
from adapters.scim.creating import Creations
from adapters.scim.groups import Group, Groups
from adapters.scim.paging import Listing
from adapters.scim.provider import Provider
from adapters.scim.reading import several
from adapters.scim.replies import Kind, Reply, lost, outcome_of
from adapters.scim.sending import Change, Sender
from adapters.scim.session import Session, address
from adapters.scim.settings import Layout
from adapters.scim.users import User, user_of
from reconciler.targets import Op, Outcome, OutcomeKind, Step, TargetWriter

__all__ = ["ScimWriter"]

Numbered = tuple[int, Step]
_ENTITLEMENTS = (Op.GRANT, Op.REVOKE)
_ORDER = ((Op.DISABLE_ACCOUNT,), _ENTITLEMENTS, (Op.DELETE_ACCOUNT,), (Op.CREATE_ACCOUNT,), (Op.ENABLE_ACCOUNT,))
_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class _Holder:
    """What has the values that come and go: a group with its members, or a user with the values of an attribute.
    `name`: what the group has to be called still; a blank where it was named by its id.
    """

    path: str
    key: str
    attribute: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class _State:
    """A holder as it is now: small letters of a value (of a group's member: as it is) → the value."""

    values: Mapping[str, str]
    version: str


@dataclass(slots=True)
class _Wish:
    """One step on one holder. `value`: what is to come or go, as the state has it."""

    number: int
    adds: bool
    value: str
    spelled: str
    sent: bool = False


class ScimWriter(TargetWriter):
    """Carries out batches over a connection that can write."""

    def __init__(self, session: Session, provider: Provider, layout: Layout) -> None:
        self._session = session
        self._provider = provider
        self._layout = layout
        self._outcomes: dict[int, Outcome] = {}

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """See `TargetWriter.apply`."""
        self._outcomes = {}
        numbered = [each for each in enumerate(steps) if not self._impossible(*each)]
        for ops in _ORDER:
            chosen = [each for each in numbered if each[1].op in ops]
            if chosen:
                self._phase(chosen, ops)
        return [self._outcomes[number] for number in range(len(steps))]

    def _phase(self, numbered: Sequence[Numbered], ops: tuple[Op, ...]) -> None:
        """What cannot be found out about some steps leaves those open, and no others."""
        sent = 0
        try:
            sender = Sender(self._session, self._provider.features, self._layout)
            try:
                if ops is _ENTITLEMENTS:
                    self._entitlements(numbered, sender)
                elif Op.CREATE_ACCOUNT in ops:
                    Creations(self._session, self._provider, self._layout).carry_out(numbered, self._outcomes)
                else:
                    AccountSteps(self._provider, sender).carry_out(numbered, self._outcomes)
            finally:
                sent = sender.sent
        except Trouble as trouble:
            unknown = lost(trouble, sent=sent > 0)
            self._outcomes |= {number: unknown for number, _ in numbered if number not in self._outcomes}

    def _impossible(self, number: int, step: Step) -> bool:
        words = ""
        if step.op not in self._layout.ops:
            words = f"this target is not configured to {step.op}"
        elif step.op in _ENTITLEMENTS:
            words = self._layout.locator_error(step.locator) or ""
            if not words and not step.account and not (step.op is Op.REVOKE and step.account_name):
                words = "the step names no account"
            elif not words and not step.account and "attribute" in step.locator:
                words = "only accounts have attributes"
        if words:
            self._outcomes[number] = Outcome(OutcomeKind.REFUSED, words)
        return bool(words)

    # --- entitlements -----------------------------------------------------------------------------------------------

    def _entitlements(self, numbered: Sequence[Numbered], sender: Sender) -> None:
        resolved = _Resolved(self._provider, self._layout, numbered)
        turns: list[dict[_Holder, dict[str, _Wish]]] = []
        spoken: Counter[tuple[_Holder, str]] = Counter()
        for number, step in numbered:
            holder = resolved.holder(step)
            if isinstance(holder, Outcome):
                self._outcomes[number] = holder
                continue
            wish = _wish(number, step)
            turn = spoken[holder, wish.value]  # two wishes about the same value keep their order
            spoken[holder, wish.value] += 1
            if turn == len(turns):
                turns.append({})
            turns[turn].setdefault(holder, {})[wish.value] = wish
        for wishes in turns:
            _Turn(self, sender, wishes).carry_out()

    def settle(self, number: int, outcome: Outcome) -> None:
        """What became of a step."""
        self._outcomes[number] = outcome

    def states(self, holders: Sequence[_Holder]) -> Mapping[_Holder, _State]:
        """The holders as they are now, those that are still there under the name they were meant by."""
        groups = [holder for holder in holders if holder.attribute == "members"]
        users = [holder for holder in holders if holder.attribute != "members"]
        found: dict[_Holder, _State] = {}
        known = self._provider.groups.of([holder.key for holder in groups]) if groups else {}
        for holder in groups:
            group = known.get(holder.key)
            if group is not None and holder.name in ("", group.name.casefold()):
                found[holder] = _of_group(group)
        listing = self._provider.users.of({holder.key for holder in users}) if users else Listing()
        for holder in users:
            if holder.key in listing.resources:
                user = user_of(listing.resources[holder.key])
                found[holder] = _of_user(user, self._layout.managed[holder.attribute.casefold()])
        return found


class _Resolved:
    """Which group or user a step is about, and whether the account that it speaks of is there; asked once for all."""

    def __init__(self, provider: Provider, layout: Layout, numbered: Sequence[Numbered]) -> None:
        steps = [step for _, step in numbered]
        self._layout = layout
        names = {step.locator["group"] for step in steps if "group" in step.locator}
        self._groups = provider.groups.without_members(names) if names else Groups()
        asked = {step.account for step in steps if step.op is Op.GRANT or "attribute" in step.locator}
        asked |= {step.account_name for step in steps if not step.account}
        listing = provider.users.of(asked, bare=True)
        self._users = set(listing.resources)
        self._shortfall = listing.shortfall

    def holder(self, step: Step) -> _Holder | Outcome:
        """What the step is about, or why nothing can be done."""
        if obstacle := self._obstacle(step):
            return obstacle
        if "attribute" in step.locator:
            named = self._layout.managed[step.locator["attribute"].casefold()]
            return _Holder(address("Users", step.account), step.account, named.name)
        if "id" in step.locator:
            key = step.locator["id"]
            return _Holder(address("Groups", key), key, "members") if address("Groups", key) else _gone(key)
        name = step.locator["group"]
        found = self._groups.found(step.locator)
        if len(found) > 1:
            return Outcome(OutcomeKind.REFUSED, several(name, len(found)))
        if not found or self._groups.shortfall:
            short = f"the list of groups may not be whole: {self._groups.shortfall}"
            return Outcome(OutcomeKind.UNAVAILABLE, short) if self._groups.shortfall else _gone(name)
        return _Holder(address("Groups", found[0].key), found[0].key, "members", name.casefold())

    def _obstacle(self, step: Step) -> Outcome | None:
        if not step.account:
            there = step.account_name in self._users
            return Outcome(OutcomeKind.STALE, f"{step.account_name} is an account by now") if there else None
        if step.account in self._users or (step.op is Op.REVOKE and "attribute" not in step.locator):
            return None
        if self._shortfall:
            return Outcome(OutcomeKind.UNAVAILABLE, f"the list of users may not be whole: {self._shortfall}")
        text = f"{step.account_name} is gone or is another account: no user has the id {step.account} any more"
        return Outcome(OutcomeKind.STALE, text)


@dataclass(slots=True)
class _Turn:
    """Wishes of which no two speak of the same value of the same holder."""

    writer: ScimWriter
    sender: Sender
    wishes: Mapping[_Holder, dict[str, _Wish]]
    _replies: dict[tuple[_Holder, str], Reply] = field(default_factory=dict)

    def carry_out(self) -> None:
        """Until nothing is left to send, or it has been changed under our hands too often."""
        open_: Mapping[_Holder, dict[str, _Wish]] = self.wishes
        states = self.writer.states(list(open_))
        for attempt in range(_ATTEMPTS):
            changes = self._changes(open_, states)
            if not changes:
                return
            self._send(changes, states)
            states = self.writer.states(list(changes))
            open_ = self._judged(changes, states, last=attempt == _ATTEMPTS - 1)

    def _changes(
        self, wishes: Mapping[_Holder, dict[str, _Wish]], states: Mapping[_Holder, _State]
    ) -> Mapping[_Holder, dict[str, _Wish]]:
        """What is left to be sent; what needs no sending is settled."""
        left: dict[_Holder, dict[str, _Wish]] = {}
        for holder, each in wishes.items():
            state = states.get(holder)
            for value, wish in each.items():
                if state is None:
                    self.writer.settle(wish.number, _gone_meanwhile(holder))
                elif (value in state.values) is wish.adds:
                    kind = OutcomeKind.APPLIED if wish.sent else OutcomeKind.ALREADY
                    self.writer.settle(wish.number, Outcome(kind))
                else:
                    left.setdefault(holder, {})[value] = wish
        return left

    def _send(self, wishes: Mapping[_Holder, dict[str, _Wish]], states: Mapping[_Holder, _State]) -> None:
        by_path: dict[tuple[str, str], _Holder] = {}
        changes = []
        for holder, each in wishes.items():
            state = states[holder]
            by_path[holder.path, holder.attribute] = holder
            go = [state.values[value] for value, wish in each.items() if not wish.adds]
            come = [wish.spelled for wish in each.values() if wish.adds]
            changes.append(Change(holder.path, state.version, holder.attribute, go, come))
        for change, reply in self.sender.send(changes):
            holder = by_path[change.path, change.attribute]
            for value in (*change.remove, *change.add):
                self._replies[holder, value if holder.attribute == "members" else value.casefold()] = reply

    def _judged(
        self, wishes: Mapping[_Holder, dict[str, _Wish]], states: Mapping[_Holder, _State], *, last: bool
    ) -> Mapping[_Holder, dict[str, _Wish]]:
        """By what is there now, whatever was said; what has to be tried again."""
        again: dict[_Holder, dict[str, _Wish]] = {}
        for holder, each in wishes.items():
            state = states.get(holder)
            for value, wish in each.items():
                reply = self._replies[holder, value]
                wish.sent = True
                if state is not None and (value in state.values) is wish.adds:
                    self.writer.settle(wish.number, Outcome(OutcomeKind.APPLIED))
                elif state is None:
                    self.writer.settle(wish.number, _gone_meanwhile(holder))
                elif reply.kind is Kind.MOVED and not last:
                    again.setdefault(holder, {})[value] = wish
                else:
                    self.writer.settle(wish.number, outcome_of(reply))
        return again


def _gone(name: str) -> Outcome:
    return Outcome(OutcomeKind.STALE, f"there is no group {name} any more")


def _gone_meanwhile(holder: _Holder) -> Outcome:
    if holder.attribute != "members":
        return Outcome(OutcomeKind.STALE, f"no user has the id {holder.key} any more")
    return _gone(holder.name or holder.key)


def _wish(number: int, step: Step) -> _Wish:
    if "attribute" in step.locator:
        value = step.locator["value"]
        return _Wish(number, step.op is Op.GRANT, value.casefold(), value)
    value = step.account or step.account_name
    return _Wish(number, step.op is Op.GRANT, value, value)


def _of_group(group: Group) -> _State:
    return _State({member: member for member in group.members}, group.version)


def _of_user(user: User, attribute: Attribute) -> _State:
    return _State({value.casefold(): value for value in attribute.values(user.resource)}, user.version)
