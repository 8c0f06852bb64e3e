"""The contract, on a real OpenLDAP server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from adapters.directory import names
from adapters.ldap import LdapTarget
from reconciler.targets import Locator
from tests.adapters.directory_lab import (
    GONE,
    branch_entries,
    branch_settings,
    context,
    fresh_branch,
    odd_dn,
    person_dn,
)
from tests.contract.suite import Lab, LabAccount, MakeLab, TargetContract
from tests.servers.fixtures import slapd  # noqa: F401
from tests.servers.slapd import PASSWORD, Slapd


def server_settings(server: Slapd, branch: str, who: str = "reconciler", **more: object) -> dict[str, object]:
    bind = {"dn": server.account(who), "password": PASSWORD}
    return {"url": server.url, "tls": "none", "bind": bind, **branch_settings(branch), **more}


class LdapLab(Lab):
    """A branch of a server's directory."""

    def __init__(self, server: Slapd, accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> None:
        self.server = server
        self.branch = fresh_branch()
        self.accounts = {account.login: account for account in accounts}
        server.add(branch_entries(self.branch, accounts, groups))
        self.settings = server_settings(server, self.branch)
        self.target = LdapTarget(context(Path()), self.settings)

    def locator(self, group: str) -> Locator:
        return {"group": group.upper()}

    def dn(self, login: str) -> str:
        return person_dn(self.accounts[login], self.branch)

    def group_dn(self, group: str) -> str:
        return f"cn={group},ou=groups,{self.branch}"

    def account_name(self, login: str) -> str:
        [dn] = self.server.search(f"ou=people,{self.branch}", f"(uid={login})", "1.1")
        return dn

    def key(self, login: str) -> str:
        [attributes] = self.server.search(f"ou=people,{self.branch}", f"(uid={login})", "entryUUID").values()
        return attributes["entryUUID"][0]

    def values(self, group: str, attribute: str = "member") -> list[str]:
        [attributes] = self.server.search(self.group_dn(group), "(objectClass=*)", attribute).values()
        return attributes.get(attribute, [])

    def members(self, group: str) -> set[str]:
        people = self.server.search(f"ou=people,{self.branch}", "(uid=*)", "uid")
        logins = {dn: attributes["uid"][0] for dn, attributes in people.items()}
        odd = {names.canonical(dn): login for dn, login in logins.items()}
        values = [value for value in self.values(group) if not value.startswith("cn=placeholder,")]
        return {logins.get(value) or odd.get(names.canonical(value), value) for value in values}

    def put(self, group: str, login: str) -> None:
        self.put_value(group, odd_dn(self.accounts[login], self.branch))

    def put_value(self, group: str, value: str, attribute: str = "member") -> None:
        self.server.modify(f"dn: {self.group_dn(group)}\nchangetype: modify\nadd: {attribute}\n{attribute}: {value}\n")

    def with_accounts(self) -> LdapTarget:
        can = {"disable": "ppolicy", "delete": True}
        return LdapTarget(context(Path()), server_settings(self.server, self.branch, who="admin", accounts=can))

    def put_foreign(self, group: str) -> str:
        self.put_value(group, GONE)
        return GONE

    def remove_account(self, login: str) -> None:
        self.server.modify(f"dn: {self.account_name(login)}\nchangetype: delete\n")

    def picture(self) -> object:
        return self.server.search(self.branch, "(objectClass=*)", "*", "+")


@pytest.fixture
def make_lab(slapd: Slapd) -> MakeLab:  # noqa: F811
    return lambda accounts, groups: LdapLab(slapd, accounts, groups)


class TestOpenLdap(TargetContract):
    pass
