"""The contract, on a real Mayan EDMS; who is in which group is told by its database."""

from __future__ import annotations

import pytest

from tests.adapters.mayan.conftest import MakeMayanLab
from tests.contract.suite import MakeLab, TargetContract


@pytest.fixture
def make_lab(make: MakeMayanLab) -> MakeLab:
    return make


class TestMayanContract(TargetContract):
    pass
