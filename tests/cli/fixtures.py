"""Companies to run commands on, each test's own. A conftest that wants them imports them by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.company import Company, informed, redated

__all__ = ["company", "fresh_template", "informed_company", "informed_template", "rolled_out", "rolled_out_template"]


@pytest.fixture(scope="session")
def fresh_template(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """Copied by others, never used itself."""
    return redated(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="session")
def informed_template(fresh_template: Company, tmp_path_factory: pytest.TempPathFactory) -> Company:
    """Copied by others, never used itself."""
    return informed(fresh_template.copy(tmp_path_factory.mktemp("informed")))


@pytest.fixture(scope="session")
def rolled_out_template(informed_template: Company, tmp_path_factory: pytest.TempPathFactory) -> Company:
    """Copied by others, never used itself."""
    company = informed_template.copy(tmp_path_factory.mktemp("rolled-out"))
    company.roll_out()
    return company


@pytest.fixture
def company(fresh_template: Company, tmp_path: Path) -> Company:
    """The company before the first command."""
    return fresh_template.copy(tmp_path)


@pytest.fixture
def informed_company(informed_template: Company, tmp_path: Path) -> Company:
    """The company with its people and evidence on record; no plan was ever made."""
    return informed_template.copy(tmp_path)


@pytest.fixture
def rolled_out(rolled_out_template: Company, tmp_path: Path) -> Company:
    """The company after the first roll-out: everything agrees."""
    return rolled_out_template.copy(tmp_path)
