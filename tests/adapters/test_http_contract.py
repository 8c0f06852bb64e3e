"""The contract, on scim2-server driven as a plain REST system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from tests.adapters.http_lab import ScimLab
from tests.contract.suite import Lab, LabAccount, MakeLab, TargetContract
from tests.servers.fixtures import scim_server  # noqa: F401
from tests.servers.scim import ScimServer


@pytest.fixture
def make_lab(scim_server: ScimServer) -> MakeLab:  # noqa: F811
    def make(accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> Lab:
        return ScimLab(scim_server.tenant(), accounts, groups)

    return make


class TestScimAsRest(TargetContract):
    pass
