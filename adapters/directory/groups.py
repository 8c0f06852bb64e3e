"""The kinds of group, and how their members are spelled and compared.

Sources: RFC 4519 (groupOfNames, groupOfUniqueNames), RFC 2307 (posixGroup).

**Placeholder.** groupOfNames and groupOfUniqueNames may not be without a member. A group that nobody should be in
therefore has the configured placeholder as its only member, by default the name `cn=placeholder` under the groups'
base, at which there is no entry: nobody can sign in as it, whoever could create it there could change the groups
anyway, and it does not make a group a member of itself, which programs that resolve nested groups stumble over. It is
added in the modification that removes the last member, removed in the one that adds the next, and reported neither as a
member nor as foreign. The empty name, another wide-spread placeholder, is nobody either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.directory import names
from adapters.directory.entries import Entry

__all__ = ["ACTIVE_DIRECTORY", "KINDS", "GroupKind"]


@dataclass(frozen=True, slots=True)
class GroupKind:
    """A class of groups: its attribute of members, whether that holds DNs or user names, whether it may be empty."""

    object_class: str
    attribute: str
    by_dn: bool
    needs_member: bool

    def principal(self, value: bytes) -> str:
        """A member's value in the spelling under which equal members are equal. What is no name stands for itself."""
        text = value.decode("utf-8", "surrogateescape")
        if not self.by_dn:
            # Servers tell `Alice` from `alice` here, the systems that read the group often do not: better to see both.
            return text.strip().lower()
        try:
            return names.canonical(text)
        except names.InvalidName:
            return "\0" + text

    def spellings(self, account: Entry) -> Sequence[bytes]:
        """The values by which this account is a member; the first is the one to add."""
        return (account.dn.encode("utf-8", "surrogateescape"),) if self.by_dn else account.values("uid")


ACTIVE_DIRECTORY = GroupKind("group", "member", by_dn=True, needs_member=False)
"""The one kind of group that Active Directory has (MS-ADSC); its target offers no other, and the others not this."""

KINDS = {
    "groupOfNames": GroupKind("groupOfNames", "member", by_dn=True, needs_member=True),
    "groupOfUniqueNames": GroupKind("groupOfUniqueNames", "uniquemember", by_dn=True, needs_member=True),
    "posixGroup": GroupKind("posixGroup", "memberuid", by_dn=False, needs_member=False),
}
