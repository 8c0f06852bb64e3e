"""The contract, on scim2-server driven as a plain REST system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from reconciler.testing.targets import Lab, LabAccount, MakeLab, TargetContract
from tests.adapters.http.lab import ScimLab
from tests.servers.fixtures import scim  # noqa: F401
from tests.servers.scim import ScimServer


@pytest.fixture
def make_lab(scim: ScimServer) -> MakeLab:  # noqa: F811
    def make(accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> Lab:
        return ScimLab(scim.tenant(), accounts, groups)

    return make


class TestScimAsRest(TargetContract):
    pass
