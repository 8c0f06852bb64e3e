"""What an entry is in the domain beside a name: protected, one of the system's own, somebody's primary group.

Sources: MS-ADTS 3.1.1.6.1 (AdminSDHolder, `adminCount`) and 2.2.12 (`groupType`), MS-SAMR 3.1.1.8.2
(`primaryGroupID`), MS-DTYP 2.4.2 (a SID's octets: the last four are the identifier within the domain, lowest
octet first).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from adapters.directory.entries import Entry
from adapters.directory.reading import group_keys

__all__ = ["ACCOUNT_ATTRIBUTES", "GROUP_ATTRIBUTES", "AccountStanding", "GroupStanding", "account_of", "group_of"]

_PROTECTING = ("adminCount", "isCriticalSystemObject")
ACCOUNT_ATTRIBUTES = (*_PROTECTING, "primaryGroupID", "objectSid")
GROUP_ATTRIBUTES = (*_PROTECTING, "groupType", "objectSid")
_BUILT_IN, _SECURITY = 0x00000001, 0x80000000


@dataclass(frozen=True, slots=True)
class AccountStanding:
    """`protection`: why it is not to be touched, or a blank. `primary_group`: the SID of a group that it is in without
    being among its members; empty where that cannot be read.
    """

    protection: str
    primary_group: bytes


@dataclass(frozen=True, slots=True)
class GroupStanding:
    """`refusal`: why it is no entitlement, or a blank. `security`: whether it opens anything by itself."""

    sid: bytes
    refusal: str
    security: bool


def account_of(entry: Entry) -> AccountStanding:
    """The standing of an entry that is somebody's account, or any other principal's."""
    sid, relative = b"".join(entry.values("objectSid")[:1]), entry.text("primaryGroupID")
    primary = sid[:-4] + int(relative).to_bytes(4, "little") if len(sid) > 8 and relative.isdecimal() else b""
    return AccountStanding(_protection(entry), primary)


def group_of(entry: Entry, allowed: Collection[str]) -> GroupStanding:
    """The standing of a group; `allowed` are those of the system's own that may be changed, in canonical spelling."""
    kind = _bits(entry)
    reason = _protection(entry) or ("is one of the groups built into every domain" if kind & _BUILT_IN else "")
    if reason and any((name.dn or name.cn) in allowed for name in group_keys(entry)):
        reason = ""
    refusal = f"{entry.dn} {reason}; name it in groups.system if policies are to decide who is in it" if reason else ""
    return GroupStanding(b"".join(entry.values("objectSid")[:1]), refusal, bool(kind & _SECURITY))


def _protection(entry: Entry) -> str:
    if entry.text("isCriticalSystemObject").upper() == "TRUE":
        return "belongs to the system (isCriticalSystemObject)"
    count = entry.text("adminCount")
    return "" if count in ("", "0") else f"is protected as administrative (adminCount={count})"


def _bits(entry: Entry) -> int:
    """`groupType`, a number with a sign, as the bits that it means; those of a security group where it is not told."""
    try:
        return int(entry.text("groupType")) & 0xFFFFFFFF
    except ValueError:
        return _SECURITY
