"""A company for every test that asks for one, on a file system that is quick to flush where there is one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.passes.company import QUICK, STORES, Company
from tests.servers.fixtures import new_store, postgresql

__all__ = ["new_store", "postgresql"]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """The record is flushed to disk at every step, which is what most of the time here would go to."""
    with tempfile.TemporaryDirectory(dir=QUICK) as name:
        yield Path(name)


@pytest.fixture
def either_store(new_store: Callable[[], str]) -> Iterator[None]:
    """Companies with their stores in files, and then in PostgreSQL."""
    if new_store() == "sqlite:///s.db":
        yield
        return
    STORES.append(new_store)
    yield
    STORES.pop()


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)
