"""The contract, on a real Mayan EDMS; who is in which group is told by its database."""

from __future__ import annotations

import pytest

from reconciler.testing.targets import MakeLab, TargetContract
from tests.adapters.mayan.conftest import MakeMayanLab


@pytest.fixture
def make_lab(make: MakeMayanLab) -> MakeLab:
    return make


class TestMayanContract(TargetContract):
    pass
