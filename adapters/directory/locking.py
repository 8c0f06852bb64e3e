"""How an account is locked, so that it can no longer sign in, and how one sees it.

`ppolicy`: the password policy overlay's `pwdAccountLockedTime` with the value that means "until an administrator
unlocks it" (draft-behera-ldap-password-policy, section 5.3.3). A time there is a lock-out after wrong passwords; it
ends by itself and is no disabling. `shadow-expire`: `shadowExpire`, days since 1970-01-01 (RFC 2307); only on entries
of class shadowAccount.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from adapters.directory.entries import Edit, Entry, Modification

__all__ = ["LOCKS", "Lock"]


@dataclass(frozen=True, slots=True)
class Lock:
    """One way of locking: the attribute, the value that locks, and the class an entry needs for it."""

    attribute: str
    value: bytes
    object_class: str = ""

    @property
    def attributes(self) -> Sequence[str]:
        """What has to be read to see the lock, and whether it can be set."""
        return (self.attribute, "objectclass") if self.object_class else (self.attribute,)

    def is_locked(self, entry: Entry, at: datetime) -> bool:
        values = [value.strip() for value in entry.values(self.attribute)]
        if self.value in values:
            return True
        return self.object_class != "" and any(_expired(value, at) for value in values)

    def obstacle(self, entry: Entry) -> str:
        """Why this entry cannot be locked or unlocked in this way; empty where it can."""
        classes = {value.decode("utf-8", "replace").lower() for value in entry.values("objectclass")}
        if self.object_class and self.object_class.lower() not in classes:
            return f"{entry.dn} is no {self.object_class}, so {self.attribute} cannot be set on it"
        return ""

    def locking(self) -> Modification:
        return Modification(self.attribute, Edit.REPLACE, (self.value,))

    def unlocking(self) -> Modification:
        return Modification(self.attribute, Edit.REPLACE, ())


LOCKS = {
    "ppolicy": Lock("pwdaccountlockedtime", b"000001010000Z"),
    "shadow-expire": Lock("shadowexpire", b"1", "shadowAccount"),
}


def _expired(value: bytes, at: datetime) -> bool:
    try:
        day = int(value)
    except ValueError:
        return False
    return 0 <= day <= (at - datetime(1970, 1, 1, tzinfo=UTC)).days
