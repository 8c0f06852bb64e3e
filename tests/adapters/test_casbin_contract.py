"""The casbin target keeps the promises of every target, on both kinds of store.

A casbin store lists neither accounts nor roles: a person needs no account before a grant, and a role is there as soon
as somebody says its name. The promises about accounts and groups that are not there read accordingly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

import pytest

from reconciler.targets import Locator, Op, Reading, Step
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
    seen,
)
from tests.adapters.vault import SqlVault, Vault

POWERS = "".join(f"p, {group}, papers of {group}, read\n" for group in (*GROUPS, "all", "everybody"))


class VaultLab(Lab):
    """A vault that knows every account by a role that nobody manages."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault
        self.target = vault.target

    def locator(self, group: str) -> Locator:
        return {"role": group}

    def key(self, login: str) -> str:
        return login

    def account_name(self, login: str) -> str:
        return login

    def members(self, group: str) -> set[str]:
        return {rule[0] for rule in self.vault.enforcer().get_grouping_policy() if rule[1] == group}

    def put(self, group: str, login: str) -> None:
        self.vault.append("g", f"  {login}\t", f" {group} ")

    def put_foreign(self, group: str) -> str:
        self.vault.append("g", "legacy", group)
        return "legacy"

    def remove_account(self, login: str) -> None:
        self.vault.forget(login)

    def picture(self) -> object:
        return self.vault.picture()


@pytest.fixture(params=[Vault, SqlVault])
def make_lab(request: pytest.FixtureRequest, tmp_path: Path) -> MakeLab:
    numbers = count()

    def make(accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> Lab:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        vault: Vault = request.param(folder)
        known = [f"g, {account.login}, everybody\n" for account in accounts]
        held = [f"g, {login}, {group}\n" for group, logins in groups.items() for login in logins]
        vault.fill(POWERS + "".join(known + held))
        return VaultLab(vault)

    return make


class TestCasbinContract(TargetContract):
    def test_an_observation_shows_all_accounts_and_members(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        observation = observe(lab, "docs-readers", "核心算法")

        assert observation.accounts.reading is Reading.COMPLETE
        for account in observation.accounts.accounts:
            assert account.key == account.name == account.login == account.match["id"]
        assert {account.key for account in observation.accounts.accounts} == {person.login for person in PEOPLE}
        for group, read in zip(("docs-readers", "核心算法"), observation.entitlements.values(), strict=True):
            assert read.reading is Reading.COMPLETE
            assert seen(observation, read) == set(GROUPS[group]) == lab.members(group)
            assert read.foreign == ()

    def test_a_group_that_does_not_exist_excludes_only_itself(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        observation = observe(lab, "nowhere", "docs-readers")
        nowhere, there = observation.entitlements.values()

        assert nowhere.reading is Reading.CONFIRMED_EMPTY
        assert [(finding.kind, finding.subject) for finding in observation.findings] == [("powerless-role", "nowhere")]
        assert there.reading is Reading.COMPLETE
        assert apply(lab, grant(lab, "nowhere", "plain"), grant(lab, "docs-readers", "plain")) == [APPLIED, APPLIED]

    def test_a_member_that_is_no_account_is_foreign_and_goes_only_when_told(self, make_lab: MakeLab) -> None:
        # Every name in a g line is an account: whether it is somebody's is for those who know people.
        lab = make_lab(PEOPLE, GROUPS)
        principal = lab.put_foreign("docs-readers")

        observation = observe(lab, "docs-readers")
        assert seen(observation) == {"zhang", "smith", principal}
        assert entitlement(observation).foreign == ()
        assert apply(lab, grant(lab, "docs-readers", "plain")) == [APPLIED]
        assert principal in lab.members("docs-readers")
        assert apply(lab, Step(Op.REVOKE, "", principal, lab.locator("docs-readers"))) == [APPLIED]
        assert lab.members("docs-readers") == {"zhang", "smith", "plain"}

    def test_an_account_that_is_gone_makes_its_steps_stale_and_no_others(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        lab.remove_account("smith")

        assert lab.target.describe().implicit_accounts
        assert apply(lab, grant(lab, "核心算法", "smith"), grant(lab, "核心算法", "plain")) == [APPLIED, APPLIED]
