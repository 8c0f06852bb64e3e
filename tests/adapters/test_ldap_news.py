"""What an OpenLDAP directory tells of others' changes: each that an observation could show, none of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.targets import News, Op, Step
from reconciler.testing.targets import GROUPS, PEOPLE
from tests.adapters.test_ldap_contract import LdapLab
from tests.adapters.test_ldap_marks import CHANGES, lab, synchronizing
from tests.servers.slapd import Slapd, required, started

__all__ = ["lab", "synchronizing"]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_somebody_changes_is_told_once(lab: LdapLab, change: str) -> None:
    since = lab.target.news().cursor
    assert since
    assert lab.target.news(since) == News(since)

    CHANGES[change](lab)

    told = lab.target.news(since)
    assert told.changed
    assert lab.target.news(told.cursor) == News(told.cursor)


def test_what_we_have_changed_is_no_news(lab: LdapLab) -> None:
    since = lab.target.news().cursor
    with lab.target.writer() as writer:
        step = Step(Op.GRANT, lab.key("plain"), lab.account_name("plain"), lab.locator("docs-readers"))
        (outcome,) = writer.apply([step])
    assert outcome.kind.done

    told = lab.target.news(since)
    assert told.cursor != since
    assert not told.changed


def test_what_somebody_changes_beside_what_we_change_is(lab: LdapLab) -> None:
    since = lab.target.news().cursor
    CHANGES["another number"](lab)
    with lab.target.writer() as writer:
        writer.apply([Step(Op.GRANT, lab.key("plain"), lab.account_name("plain"), lab.locator("docs-readers"))])

    assert lab.target.news(since).changed


def test_what_happens_elsewhere_in_the_directory_is_no_news(lab: LdapLab, synchronizing: Slapd) -> None:
    since = lab.target.news().cursor
    other = LdapLab(synchronizing, PEOPLE, GROUPS)
    other.put("docs-readers", "plain")

    assert not lab.target.news(since).changed


def test_a_server_without_content_synchronization_tells_nothing(tmp_path: Path) -> None:
    required()
    with started(tmp_path / "d") as server:
        assert LdapLab(server, PEOPLE, GROUPS).target.news() == News()
