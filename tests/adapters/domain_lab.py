"""A unit of an Active Directory domain as a `Lab`."""

from __future__ import annotations

import base64
import itertools
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.active_directory import ActiveDirectoryTarget
from adapters.directory import names
from reconciler.targets import Locator, Outcome, Step, Target
from tests.adapters.directory_lab import context, escaped, hexed
from tests.contract.suite import Lab, LabAccount
from tests.servers.samba import LABS, PASSWORD, Samba

NORMAL, DISABLED, NO_PASSWORD = 0x200, 0x2, 0x20
ACCOUNT = NORMAL | NO_PASSWORD
"""`userAccountControl` of an account of a lab: it has no password, which the domain lets it have none of."""
_numbers = itertools.count()
_used: set[Path] = set()
"""The folders of the servers that had a lab before: no two accounts of a domain may have one login."""


def line(attribute: str, value: str) -> str:
    """An attribute's line in LDIF; in base 64, since what ldb takes for text ends at a control character."""
    return f"{attribute}:: {base64.b64encode(value.encode()).decode()}\n"


def modification(dn: str, edit: str, attribute: str, *values: str) -> str:
    return f"{line('dn', dn)}changetype: modify\n{edit}: {attribute}\n{''.join(line(attribute, v) for v in values)}\n"


def settings_of(server: Samba, unit: str, who: str = "reconciler", **more: object) -> dict[str, object]:
    return {
        "url": server.tls_url,
        "ca": str(server.ca),
        "bind": {"dn": server.account(who), "password": PASSWORD},
        "people": {"base": f"OU=people,{unit}", "match": {"employeeNumber": "id"}},
        "groups": {"base": f"OU=groups,{unit}"},
        **more,
    }


def target(settings: Mapping[str, object]) -> ActiveDirectoryTarget:
    return ActiveDirectoryTarget(context(Path()), settings)


def outcomes(of: Target, *steps: Step) -> Sequence[Outcome]:
    with of.writer() as writer:
        return writer.apply(steps)


class DomainLab(Lab):
    """A unit with its own people and groups; the server's lab before it gives its logins away."""

    def __init__(self, server: Samba, accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> None:
        self.server = server
        self.unit = f"OU=lab{next(_numbers)},{LABS}"
        self.accounts = {account.login: account for account in accounts}
        self._free_logins()
        server.add(self._entries(groups))
        self.target = target(settings_of(server, self.unit))

    def _free_logins(self) -> None:
        if self.server.folder in _used:
            there = self.server.search(LABS, "(objectClass=user)", "sAMAccountName")
            taken = [dn for dn, own in there.items() if own["sAMAccountName"][0] in self.accounts]
            unique = ((dn, f"x{uuid.uuid4().hex[:18]}") for dn in taken)
            changes = "".join(modification(dn, "replace", "sAMAccountName", login) for dn, login in unique)
            if changes:
                self.server.modify(changes)
        _used.add(self.server.folder)

    def _entries(self, groups: Mapping[str, Sequence[str]]) -> str:
        units = (self.unit, f"OU=people,{self.unit}", f"OU=groups,{self.unit}", f"OU=elsewhere,{self.unit}")
        parts = [f"{line('dn', unit)}objectClass: organizationalUnit\n" for unit in units]
        parts += [person_entry(account, self.unit) for account in self.accounts.values()]
        parts += [group_entry(f"CN={group},OU=groups,{self.unit}", self.dns(groups[group])) for group in groups]
        return "\n".join(parts)

    def dns(self, logins: Sequence[str]) -> Sequence[str]:
        return [person_dn(self.accounts[login], self.unit) for login in logins]

    def with_accounts(self) -> Target:
        can = {"disable": "user-account-control", "delete": True}
        return target(settings_of(self.server, self.unit, who="Administrator", accounts=can))

    def locator(self, group: str) -> Locator:
        return {"group": group.upper()}

    def group_dn(self, group: str) -> str:
        return f"CN={group},OU=groups,{self.unit}"

    def attributes(self, login: str, *asked: str) -> tuple[str, dict[str, list[str]]]:
        [found] = self.server.search(self.unit, f"(sAMAccountName={login})", *asked).items()
        return found

    def account_name(self, login: str) -> str:
        return self.attributes(login, "1.1")[0]

    def key(self, login: str) -> str:
        octets = self.attributes(login, "objectGUID")[1]["objectGUID"][0].encode("utf-8", "surrogateescape")
        return str(uuid.UUID(bytes_le=octets))

    def values(self, group: str) -> list[str]:
        [attributes] = self.server.search(self.group_dn(group), "(objectClass=*)", "member").values()
        return attributes.get("member", [])

    def members(self, group: str) -> set[str]:
        people = self.server.search(f"OU=people,{self.unit}", "(objectClass=user)", "sAMAccountName")
        logins = {names.canonical(dn): attributes["sAMAccountName"][0] for dn, attributes in people.items()}
        return {logins.get(names.canonical(value), value) for value in self.values(group)}

    def put(self, group: str, login: str) -> None:
        account = self.accounts[login]
        spelled = account.name.upper() if account.name.isascii() else account.name
        self.put_value(group, f"cn={hexed(spelled)},ou=PEOPLE,{self.unit.upper()}")

    def put_value(self, group: str, value: str) -> None:
        self.server.modify(modification(self.group_dn(group), "add", "member", value))

    def put_foreign(self, group: str) -> str:
        stranger = LabAccount(f"s{uuid.uuid4().hex[:18]}", "", "Stranger, A")
        dn = f"CN={escaped(stranger.name)},OU=elsewhere,{self.unit}"
        self.server.add(f"{line('dn', dn)}objectClass: user\nsAMAccountName: {stranger.login}\n")
        self.put_value(group, dn)
        return self.account_name(stranger.login)

    def move(self, login: str, rdn: str, unit: str = "people") -> str:
        """Rename an account, or move it to another unit of the lab, by hand; its new name."""
        change = f"changetype: modrdn\n{line('newrdn', rdn)}deleteoldrdn: 1\n"
        self.server.modify(f"{line('dn', self.account_name(login))}{change}newsuperior: OU={unit},{self.unit}\n")
        return self.account_name(login)

    def make_primary(self, group: str, login: str) -> None:
        """Make a group the primary one of an account that is a member, which the domain then takes out of `member`."""
        [attributes] = self.server.search(self.group_dn(group), "(objectClass=*)", "objectSid").values()
        sid = attributes["objectSid"][0].encode("utf-8", "surrogateescape")
        relative = str(int.from_bytes(sid[-4:], "little"))
        self.server.modify(modification(self.account_name(login), "replace", "primaryGroupID", relative))

    def remove_account(self, login: str) -> None:
        self.server.modify(f"{line('dn', self.account_name(login))}changetype: delete\n")

    def picture(self) -> object:
        return self.server.search(self.unit, "(objectClass=*)", "*", "uSNChanged")


def person_dn(account: LabAccount, unit: str) -> str:
    return f"CN={escaped(account.name)},OU=people,{unit}"


def person_entry(account: LabAccount, unit: str, extra: str = "") -> str:
    own = f"sAMAccountName: {account.login}\nuserAccountControl: {ACCOUNT}\n"
    number = f"employeeNumber: {account.id}\n" if account.id else ""
    return f"{line('dn', person_dn(account, unit))}objectClass: user\n{own}{number}{extra}"


def group_entry(dn: str, members: Sequence[str], extra: str = "") -> str:
    login = f"sAMAccountName: g{uuid.uuid4().hex[:18]}\n"
    return f"{line('dn', dn)}objectClass: group\n{login}{extra}{''.join(line('member', each) for each in members)}"
