"""The fixture that hands a test a running OpenLDAP server. A module that uses it imports it by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.slapd import Slapd, required, started


@pytest.fixture(scope="session")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """One server for all tests of a process; each test works in a branch of its own."""
    required()
    with started(tmp_path_factory.mktemp("slapd"), overlays=["ppolicy"]) as server:
        yield server
