"""What tests of this adapter have in common."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina

from reconciler.testing.targets import PEOPLE
from tests.adapters.scim.lab import ProxiedLab, ScimLab
from tests.servers.fixtures import scim  # noqa: F401
from tests.servers.scim import ScimServer
from tests.servers.scim_proxy import standing_between

GROUPS = {"docs-readers": ["zhang", "smith"], "核心算法": ["muller"], "empty": []}


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Retries come at once, as often as configured."""
    with stamina.set_testing(True, attempts=20, cap=True):
        yield


@pytest.fixture
def lab(scim: ScimServer) -> Iterator[ProxiedLab]:  # noqa: F811
    """A provider behind a proxy."""
    made = ScimLab(scim.tenant(), PEOPLE, GROUPS)
    with standing_between(made.tenant.url) as proxy:
        yield ProxiedLab(made, proxy)
