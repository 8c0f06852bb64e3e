"""The contract, on Mayan EDMS driven as a plain REST system; and what it answers and does not do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from reconciler.targets import Op, OutcomeKind, Step
from reconciler.testing.targets import (
    APPLIED,
    GROUPS,
    PEOPLE,
    Lab,
    LabAccount,
    MakeLab,
    TargetContract,
    apply,
    entitlement,
    grant,
    observe,
    revoke,
)
from tests.adapters.http.mayan_lab import MayanAsRestLab
from tests.servers.fixtures import mayan, mayan_server_of_all  # noqa: F401
from tests.servers.mayan import Mayan


@pytest.fixture
def make_lab(mayan: Mayan) -> MakeLab:  # noqa: F811
    def make(accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> Lab:
        mayan.sql("DELETE FROM auth_user_groups USING auth_group g WHERE g.id = group_id AND g.name <> 'reconciler'")
        mayan.sql("DELETE FROM auth_group WHERE name <> 'reconciler'")
        mayan.sql("DELETE FROM auth_user WHERE username NOT IN ('admin', 'reconciler')")
        return MayanAsRestLab(mayan, accounts, groups)

    return make


class TestMayanAsRest(TargetContract):
    def test_many_accounts_are_all_seen_and_changed(self, make_lab: MakeLab) -> None:
        """Over several pages; fewer than elsewhere, because each change is a request of its own here."""
        people = [LabAccount(f"u{number:04}", f"E{number:04}", f"员工 {number:04}") for number in range(305)]
        lab = make_lab(people, {"all": [person.login for person in people[:250]]})

        observation = observe(lab, "all")
        assert len(observation.accounts.accounts) == 305
        assert len(entitlement(observation).members) == 250
        steps = [revoke(lab, "all", person.login) for person in people[:10]]
        steps += [grant(lab, "all", person.login) for person in people[250:260]]
        assert set(apply(lab, *steps)) == {APPLIED}
        assert lab.members("all") == {person.login for person in people[10:260]}


def test_disabling_an_account_answers_200_and_does_nothing(mayan: Mayan) -> None:  # noqa: F811
    disable = {"method": "PATCH", "path": "users/{account.key}/", "body": {"is_active": False}}
    lab = MayanAsRestLab(mayan, PEOPLE, GROUPS, disable=disable)

    with lab.target.writer() as writer:
        (outcome,) = writer.apply([Step(Op.DISABLE_ACCOUNT, lab.key("smith"), "smith")])

    assert outcome.kind is OutcomeKind.REFUSED
    assert "answers 200, and nothing changed" in outcome.detail
    assert all(account.enabled for account in observe(lab, "docs-readers").accounts.accounts)
