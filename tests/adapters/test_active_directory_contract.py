"""The contract, on a real Active Directory domain."""

from __future__ import annotations

import pytest

from reconciler.testing.targets import MakeLab, TargetContract
from tests.adapters.domain_lab import DomainLab
from tests.servers.fixtures import samba, samba_seed  # noqa: F401
from tests.servers.samba import Samba


@pytest.fixture
def make_lab(samba: Samba) -> MakeLab:  # noqa: F811
    return lambda accounts, groups: DomainLab(samba, accounts, groups)


class TestActiveDirectory(TargetContract):
    pass
