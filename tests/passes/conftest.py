"""A company for every test that asks for one, on a file system that is quick to flush where there is one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.passes.company import QUICK, Company


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """The record is flushed to disk at every step, which is what most of the time here would go to."""
    with tempfile.TemporaryDirectory(dir=QUICK) as name:
        yield Path(name)


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)
