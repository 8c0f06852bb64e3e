"""How an account is locked, so that it can no longer sign in, and how one sees it.

`ppolicy`: the password policy overlay's `pwdAccountLockedTime` with the value that means "until an administrator
unlocks it" (draft-behera-ldap-password-policy, section 5.3.3). A time there is a lock-out after wrong passwords; it
ends by itself and is no disabling. `shadow-expire`: `shadowExpire`, days since 1970-01-01 (RFC 2307); only on entries
of class shadowAccount. `user-account-control`: bit 2 of Active Directory's `userAccountControl` (MS-ADTS, section
2.2.16); its other bits say other things, and stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from adapters.directory.entries import Edit, Entry, Modification

__all__ = ["LOCKS", "AccountControl", "Lock", "ValueLock"]


class Lock(Protocol):
    """One way of locking an account."""

    @property
    def attributes(self) -> Sequence[str]:
        """What has to be read to see the lock, and whether it can be set."""

    def is_locked(self, entry: Entry, at: datetime) -> bool:
        """Whether this account cannot sign in, for good."""

    def obstacle(self, entry: Entry) -> str:
        """Why this entry cannot be locked or unlocked in this way; empty where it can."""

    def locking(self, entry: Entry) -> Sequence[Modification]:
        """What locks this account as it was read."""

    def unlocking(self, entry: Entry) -> Sequence[Modification]:
        """What unlocks this account as it was read."""


@dataclass(frozen=True, slots=True)
class ValueLock:
    """An attribute that is there, with the value that locks, or not there; and the class that an entry needs for it."""

    attribute: str
    value: bytes
    object_class: str = ""

    @property
    def attributes(self) -> Sequence[str]:
        return (self.attribute, "objectclass") if self.object_class else (self.attribute,)

    def is_locked(self, entry: Entry, at: datetime) -> bool:
        values = [value.strip() for value in entry.values(self.attribute)]
        if self.value in values:
            return True
        return self.object_class != "" and any(_expired(value, at) for value in values)

    def obstacle(self, entry: Entry) -> str:
        classes = {value.decode("utf-8", "replace").lower() for value in entry.values("objectclass")}
        if self.object_class and self.object_class.lower() not in classes:
            return f"{entry.dn} is no {self.object_class}, so {self.attribute} cannot be set on it"
        return ""

    def locking(self, entry: Entry) -> Sequence[Modification]:
        return (Modification(self.attribute, Edit.REPLACE, (self.value,)),)

    def unlocking(self, entry: Entry) -> Sequence[Modification]:
        return (Modification(self.attribute, Edit.REPLACE, ()),)


@dataclass(frozen=True, slots=True)
class AccountControl:
    """A bit of a number whose other bits are somebody else's.

    The number that was read is deleted and the new one added, in one request: where it was changed in between, there is
    nothing to delete, and the directory makes neither change.
    """

    attribute: str = "useraccountcontrol"
    bit: int = 2

    @property
    def attributes(self) -> Sequence[str]:
        return (self.attribute,)

    def is_locked(self, entry: Entry, at: datetime) -> bool:
        number = self._number(entry)
        return number is not None and bool(number & self.bit)

    def obstacle(self, entry: Entry) -> str:
        if self._number(entry) is None:
            return f"{self.attribute} of {entry.dn} cannot be read, so that it cannot be changed safely"
        return ""

    def locking(self, entry: Entry) -> Sequence[Modification]:
        return self._set(entry, (self._number(entry) or 0) | self.bit)

    def unlocking(self, entry: Entry) -> Sequence[Modification]:
        return self._set(entry, (self._number(entry) or 0) & ~self.bit)

    def _set(self, entry: Entry, number: int) -> Sequence[Modification]:
        before = entry.values(self.attribute)
        after = (str(number).encode(),)
        return (Modification(self.attribute, Edit.DELETE, before), Modification(self.attribute, Edit.ADD, after))

    def _number(self, entry: Entry) -> int | None:
        try:
            return int(entry.text(self.attribute))
        except ValueError:
            return None


LOCKS = {
    "ppolicy": ValueLock("pwdaccountlockedtime", b"000001010000Z"),
    "shadow-expire": ValueLock("shadowexpire", b"1", "shadowAccount"),
}


def _expired(value: bytes, at: datetime) -> bool:
    try:
        day = int(value)
    except ValueError:
        return False
    return 0 <= day <= (at - datetime(1970, 1, 1, tzinfo=UTC)).days
