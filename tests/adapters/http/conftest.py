"""A declared system, with a proxy before it that a test can make misbehave."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina

from reconciler.testing.targets import GROUPS, PEOPLE
from tests.adapters.http.lab import ScimLab
from tests.servers.fixtures import scim  # noqa: F401
from tests.servers.scim import ScimServer
from tests.servers.scim_proxy import ScimProxy, standing_between


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Retries come at once, as often as configured."""
    with stamina.set_testing(True, attempts=20, cap=True):
        yield


@pytest.fixture
def proxy(scim: ScimServer) -> Iterator[ScimProxy]:  # noqa: F811
    """Before a provider of its own."""
    with standing_between(scim.tenant().url) as between:
        yield between


@pytest.fixture
def lab(scim: ScimServer, proxy: ScimProxy) -> ScimLab:  # noqa: F811
    """The contract's people and groups, declared by the proxy's address."""
    tenant = scim.tenant()
    proxy.upstream = tenant.url
    return ScimLab(tenant, PEOPLE, GROUPS, proxy.url)
