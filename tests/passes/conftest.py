"""A company for every test that asks for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.passes.company import Company


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)
