"""A system in memory that holds accounts and groups, and a log of every change that really happened to it.

Nothing here fails and nothing here knows of reconcilers: faults are the business of `target`, by which a reconciler
reaches it, and of whoever else walks in (`hands`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from reconciler.targets import Op

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Account:
    """`key` is stable; `name` is what members are listed by, and `id` the employee number (may be blank)."""

    key: str
    name: str
    login: str
    id: str
    enabled: bool = True


@dataclass(frozen=True)
class Written:
    """One change that really happened. `name` is the principal as it stood in the group, or the account's name."""

    number: int
    at: datetime
    who: str
    op: Op
    key: str
    name: str
    group: str = ""
    late: bool = False
    """Its sender had been overtaken, in the one instant that no lease can close."""


@dataclass
class Group:
    """Members by their folded name → as they were written."""

    name: str
    members: dict[str, str] = field(default_factory=dict)


class System:
    """Accounts and groups. Names are compared without regard to case, as directories do."""

    def __init__(self, name: str, *, implicit: bool = False) -> None:
        self.name = name
        self.implicit = implicit
        self.accounts: dict[str, Account] = {}
        self.groups: dict[str, Group] = {}
        self.log: list[Written] = []
        self.now: Callable[[], datetime] = lambda: EPOCH
        self.told: Callable[[Written], None] = lambda _: None

    # --- looking ------------------------------------------------------------------------------------------------------

    def add_group(self, name: str) -> Group:
        return self.groups.setdefault(name.casefold(), Group(name))

    def group(self, name: str) -> Group | None:
        return self.groups.get(name.casefold())

    def by_name(self, name: str) -> Account | None:
        folded = name.casefold()
        return next((each for each in self.accounts.values() if each.name.casefold() == folded), None)

    def holds(self, key: str, group: str) -> bool:
        account, found = self.accounts.get(key), self.group(group)
        return account is not None and found is not None and account.name.casefold() in found.members

    def of_person(self, person: str) -> Iterator[Account]:
        return (each for each in self.accounts.values() if each.id == person)

    def picture(self) -> object:
        """Everything there is, for comparison."""
        accounts = [(a.key, a.name, a.login, a.id, a.enabled) for a in self.accounts.values()]
        return sorted(accounts), {name: sorted(group.members.items()) for name, group in self.groups.items()}

    # --- changing; each returns whether anything changed --------------------------------------------------------------

    def grant(self, key: str, group: str, who: str, *, late: bool = False) -> bool:
        account, found = self.accounts[key], self.groups[group.casefold()]
        if account.name.casefold() in found.members:
            return False
        found.members[account.name.casefold()] = account.name
        self._write(who, Op.GRANT, key, account.name, found.name, late=late)
        return True

    def revoke(self, name: str, group: str, who: str, *, late: bool = False) -> bool:
        """Take out the principal of this name, an account's or any other."""
        found = self.groups[group.casefold()]
        spelled = found.members.pop(name.casefold(), None)
        if spelled is None:
            return False
        account = self.by_name(name)
        self._write(who, Op.REVOKE, account.key if account else "", spelled, found.name, late=late)
        return True

    def enable(self, key: str, who: str, *, enabled: bool, late: bool = False) -> bool:
        account = self.accounts[key]
        if account.enabled is enabled:
            return False
        account.enabled = enabled
        op = Op.ENABLE_ACCOUNT if enabled else Op.DISABLE_ACCOUNT
        self._write(who, op, key, account.name, late=late)
        return True

    def delete(self, key: str, who: str, *, memberships: bool = True, late: bool = False) -> None:
        account = self.accounts.pop(key)
        self._write(who, Op.DELETE_ACCOUNT, key, account.name, late=late)
        if memberships:
            for group in self.groups.values():
                group.members.pop(account.name.casefold(), None)

    def create(self, account: Account, who: str) -> None:
        self.accounts[account.key] = account
        self._write(who, Op.CREATE_ACCOUNT, account.key, account.name)

    def rename(self, key: str, name: str) -> None:
        """The same account under another name; its memberships follow it, and nothing anybody holds changes."""
        account = self.accounts[key]
        for group in self.groups.values():
            if group.members.pop(account.name.casefold(), None) is not None:
                group.members[name.casefold()] = name
        account.name = name

    def put_foreign(self, group: str, principal: str) -> None:
        """A member that is no account."""
        self.groups[group.casefold()].members[principal.casefold()] = principal

    def _write(self, who: str, op: Op, key: str, name: str, group: str = "", *, late: bool = False) -> None:
        written = Written(len(self.log), self.now(), who, op, key, name, group, late)
        self.log.append(written)
        self.told(written)
