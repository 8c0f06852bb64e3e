"""The contract, on a system that only people can change: what is ordered is carried out by hand and confirmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

import pytest

from reconciler.targets import Op, Step
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
from tests.adapters.paper_lab import PaperLab


@pytest.fixture
def make_lab(tmp_path: Path) -> MakeLab:
    numbers = count()

    def make(accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> Lab:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return PaperLab(folder, accounts, groups)

    return make


class TestWorkOrder(TargetContract):
    def test_a_member_that_is_no_account_is_foreign_and_goes_only_when_told(self, make_lab: MakeLab) -> None:
        # Whoever the inventory names is an account: whether it is somebody's is for those who know people.
        lab = make_lab(PEOPLE, GROUPS)
        principal = lab.put_foreign("docs-readers")

        observation = observe(lab, "docs-readers")
        assert seen(observation) == {"zhang", "smith", principal}
        assert entitlement(observation).foreign == ()
        assert apply(lab, grant(lab, "docs-readers", "plain")) == [APPLIED]
        assert principal in lab.members("docs-readers")
        assert apply(lab, Step(Op.REVOKE, "", principal, lab.locator("docs-readers"))) == [APPLIED]
        assert lab.members("docs-readers") == {"zhang", "smith", "plain"}
