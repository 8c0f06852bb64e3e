"""Whom the reconciler itself acts as on a directory is known, in whatever spelling, as an account and as a member."""

from __future__ import annotations

from pathlib import Path

from adapters.ldap import LdapTarget
from reconciler.testing.targets import GROUPS, PEOPLE, entitlement
from tests.adapters.directory_lab import context
from tests.adapters.test_ldap_contract import LdapLab, server_settings
from tests.servers.fixtures import slapd  # noqa: F401
from tests.servers.slapd import Slapd


def test_d5_the_account_we_bind_with_is_known_as_a_member(slapd: Slapd) -> None:  # noqa: F811
    lab = LdapLab(slapd, PEOPLE, GROUPS)
    ours = slapd.account("reconciler")
    slapd.modify(
        f"dn: cn=docs-readers,ou=groups,{lab.branch}\nchangetype: modify\nadd: member\nmember: {ours.upper()}\n"
    )

    observation = lab.target.observe([{"group": "docs-readers"}])

    (spelled,) = observation.own
    assert spelled in entitlement(observation).foreign
    assert spelled.casefold() == ours.casefold()


def test_d5_the_account_we_bind_with_is_known_among_the_accounts(slapd: Slapd) -> None:  # noqa: F811
    lab = LdapLab(slapd, PEOPLE, GROUPS)
    settings = server_settings(slapd, lab.branch)
    bind = settings["bind"]
    assert isinstance(bind, dict)
    loudly = {**settings, "bind": {**bind, "dn": bind["dn"].upper().replace(",", " , ")}}
    people = {"base": slapd.suffix, "match": {"cn": "id"}, "filter": "(cn=reconciler)"}

    target = LdapTarget(context(Path()), {**loudly, "people": people})
    observation = target.observe([])

    (account,) = observation.accounts.accounts
    assert observation.own == {account.key}
