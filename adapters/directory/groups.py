"""The kinds of group, and how their members are spelled and compared.

Sources: RFC 4519 (groupOfNames, groupOfUniqueNames), RFC 2307 (posixGroup), OpenLDAP's dyngroup.schema (groupOfURLs).

**Dynamic groups** are recognised and refused: nobody can be put into one or taken out of it, and the members that a
server may show in it are its own doing. What such a group asks for can be an entitlement: the value of an attribute.

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

__all__ = [
    "ACTIVE_DIRECTORY",
    "DYNAMIC",
    "GROUP_CLASSES",
    "KINDS",
    "GroupKind",
    "dynamic",
    "of_another_class",
    "value_principal",
]

DYNAMIC = "memberurl"
"""The attribute by which a group is a search: its members are whoever the search finds, now and later."""


@dataclass(frozen=True, slots=True)
class GroupKind:
    """A class of groups: its attribute of members, whether that holds DNs or user names, whether it may be empty.
    `primary`: the attribute by which an account is in a group with the same value without being among its members.
    `forgets`: whether the directory itself takes a deleted account out.
    """

    object_class: str
    attribute: str
    by_dn: bool
    needs_member: bool
    primary: str = ""
    forgets: bool = False

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


ACTIVE_DIRECTORY = GroupKind("group", "member", by_dn=True, needs_member=False, forgets=True)
"""The one kind of group that Active Directory has (MS-ADSC); its target offers no other, and the others not this."""

KINDS = {
    "groupOfNames": GroupKind("groupOfNames", "member", by_dn=True, needs_member=True),
    "groupOfUniqueNames": GroupKind("groupOfUniqueNames", "uniquemember", by_dn=True, needs_member=True),
    "posixGroup": GroupKind("posixGroup", "memberuid", by_dn=False, needs_member=False, primary="gidnumber"),
}
GROUP_CLASSES = (*KINDS, "groupOfURLs", "group", "groupOfEntries")
"""What is a group at all, in this directory or another."""


def dynamic(dn: str) -> str:
    """What there is to say of a dynamic group."""
    return (
        f"{dn} is a dynamic group: its members follow from its memberURL, and nobody can be added or removed; bind a "
        "group whose members are listed, or the attribute's value that it asks for"
    )


def of_another_class(entry: Entry, kind: GroupKind) -> str:
    """What there is to say of a group that is not of the target's kind."""
    classes = {value.decode("utf-8", "replace").lower() for value in entry.values("objectclass")}
    if entry.values(DYNAMIC) or "groupofurls" in classes:
        return dynamic(entry.dn)
    own = " and ".join(name for name in GROUP_CLASSES if name.lower() in classes)
    return f"{entry.dn} is a {own}, and this target's groups are of class {kind.object_class}"


def value_principal(value: bytes) -> str:
    """An attribute's value in the spelling under which equal values are equal (caseIgnoreMatch)."""
    return names.fold(value.decode("utf-8", "surrogateescape"))
