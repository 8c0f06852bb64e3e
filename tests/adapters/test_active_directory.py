"""What is particular to Active Directory: controllers, ranges, primary groups, protected accounts, identity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from adapters.active_directory import ActiveDirectoryTarget
from reconciler.targets import Op, Outcome, OutcomeKind, ProblemsFound, Step, Target
from tests.adapters.directory_lab import context
from tests.adapters.domain_lab import DomainLab
from tests.contract.suite import GROUPS, PEOPLE
from tests.servers.fixtures import samba, samba_seed  # noqa: F401
from tests.servers.samba import Samba

REFUSED, UNAVAILABLE = OutcomeKind.REFUSED, OutcomeKind.UNAVAILABLE
DOCS = {"group": "docs-readers"}
SETTINGS: dict[str, object] = {
    "url": "ldaps://dc1.example.com",
    "bind": {"dn": "CN=reconciler,CN=Users,DC=example,DC=com", "password": "hunter2"},
    "people": {"base": "OU=people,DC=example,DC=com", "match": {"employeeNumber": "id"}},
    "groups": {"base": "OU=groups,DC=example,DC=com"},
}


@pytest.fixture
def lab(samba: Samba) -> DomainLab:  # noqa: F811
    return DomainLab(samba, PEOPLE, GROUPS)


def target(settings: dict[str, object]) -> ActiveDirectoryTarget:
    return ActiveDirectoryTarget(context(Path()), settings)


def outcomes(of: Target, *steps: Step) -> Sequence[Outcome]:
    with of.writer() as writer:
        return writer.apply(steps)


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"tls": "none"}, "takes no password over an unencrypted connection"),
        ({"url": "ldap://dc1.example.com"}, "need `tls: starttls`"),
        ({"tls": "starttls"}, "encrypted from the first octet on"),
        ({"url": ["ldaps://dc1.example.com", "ldap://dc2.example.com"]}, "in the same way"),
        ({"url": []}, "at least 1"),
        ({"url": ["ldaps://dc1.example.com", "dc2.example.com"]}, "not of the form"),
        ({"url": "ldaps://dc1.example.com:3269"}, "global catalog"),
        ({"accounts": {"disable": "ppolicy"}}, "user-account-control"),
        ({"groups": {"base": "OU=groups,DC=example,DC=com", "kind": "groupOfNames"}}, "is not a setting"),
    ],
)
def test_settings_that_cannot_be_safe_are_refused_in_words(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ProblemsFound) as caught:
        target({**SETTINGS, **changed})
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_nothing_is_done_with_accounts_unless_configured() -> None:
    assert target(SETTINGS).describe().ops == {Op.GRANT, Op.REVOKE}
    assert target({**SETTINGS, "tls": "ldaps", "accounts": {"disable": "user-account-control"}}).describe().ops == {
        Op.GRANT,
        Op.REVOKE,
        Op.DISABLE_ACCOUNT,
        Op.ENABLE_ACCOUNT,
    }
