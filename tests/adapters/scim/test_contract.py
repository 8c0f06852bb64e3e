"""The contract, on a real SCIM server: with all its features, and without some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from reconciler.testing.targets import Lab, LabAccount, MakeLab, TargetContract
from tests.adapters.scim.lab import ScimLab
from tests.servers.fixtures import scim  # noqa: F401
from tests.servers.scim import ScimServer

WAYS: Mapping[str, Mapping[str, object]] = {
    "all": {},
    "least": {"without": ["patch", "filter", "bulk"], "members": "each", "page_size": 50},
}


@pytest.fixture(params=WAYS)
def make_lab(scim: ScimServer, request: pytest.FixtureRequest) -> MakeLab:  # noqa: F811
    def make(accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> Lab:
        return ScimLab(scim.tenant(), accounts, groups, **WAYS[request.param])

    return make


class TestScim(TargetContract):
    pass
