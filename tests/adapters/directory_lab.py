"""A branch of a directory as a `Lab`: what an LDAP server and an LDIF file have in common."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.targets import Place, TargetContext
from reconciler.testing.targets import LabAccount

GONE = "uid=nobody-we-know,ou=elsewhere,dc=example,dc=com"
_numbers = itertools.count()


def fresh_branch() -> str:
    """The name of a branch that no other test uses."""
    return f"ou=lab{next(_numbers)},dc=example,dc=com"


def hexed(text: str) -> str:
    """An attribute value in a DN with every octet escaped: the most unusual spelling of all."""
    return "".join(f"\\{octet:02X}" for octet in text.encode())


def escaped(text: str) -> str:
    """An attribute value in a DN, as OpenLDAP itself spells it."""
    special = "".join(f"\\{ord(c):02X}" if c in '\\,+"<>;=' else c for c in text)
    return special.replace("#", "\\23", 1) if special.startswith("#") else special


def person_dn(account: LabAccount, branch: str) -> str:
    return f"cn={escaped(account.name)},ou=people,{branch}"


def odd_dn(account: LabAccount, branch: str) -> str:
    """The same name in another spelling."""
    spelled = account.name.upper() if account.name.isascii() else account.name
    return f"CN = {hexed(spelled)} ; OU=People, {branch.upper().replace('DC=', 'dc= ')}"


def branch_entries(branch: str, accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> str:
    """The branch as LDIF."""
    by_login = {account.login: account for account in accounts}
    parts = [_unit(branch), _unit(f"ou=people,{branch}"), _unit(f"ou=groups,{branch}")]
    parts += [person_entry(account, branch) for account in accounts]
    for group, logins in groups.items():
        members = [person_dn(by_login[login], branch) for login in logins] or [f"cn=placeholder,ou=groups,{branch}"]
        lines = "\n".join(f"member: {member}" for member in members)
        parts.append(f"dn: cn={group},ou=groups,{branch}\nobjectClass: groupOfNames\ncn: {group}\n{lines}\n")
    return "\n".join(parts)


def person_entry(account: LabAccount, branch: str, extra: str = "") -> str:
    return (
        f"dn: {person_dn(account, branch)}\nobjectClass: inetOrgPerson\nuid: {account.login}\ncn: {account.name}\n"
        f"sn: x\nemployeeNumber: {account.id}\n{extra}"
    )


def branch_settings(branch: str, **more: object) -> dict[str, object]:
    return {
        "people": {"base": f"ou=people,{branch}", "match": {"employeeNumber": "id"}},
        "groups": {"base": f"ou=groups,{branch}", "kind": "groupOfNames"},
        **more,
    }


def context(folder: Path) -> TargetContext:
    return TargetContext("corp", folder, Place("reconciler.yaml", 7))


def _unit(dn: str) -> str:
    return f"dn: {dn}\nobjectClass: organizationalUnit\nou: {dn.split(',', maxsplit=1)[0].removeprefix('ou=')}\n"
