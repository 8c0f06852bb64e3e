"""Offices, each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.slapd import required, started
from tests.service.office import Office, days_ago, directory

PEOPLE = [f"E{n}" for n in range(1, 7)]


@contextmanager
def company(folder: Path, people: int) -> Iterator[Office]:
    """A company of so many in the directory; nobody is hired yet."""
    required()
    (folder / "directory.ldif").write_text(directory(people), "utf-8")
    with started(folder / "slapd", ldif=folder / "directory.ldif") as slapd:
        (folder / "office").mkdir()
        yield Office.made(folder / "office", slapd)


@pytest.fixture
def fresh_office(tmp_path: Path) -> Iterator[Office]:
    """Nobody is hired yet."""
    with company(tmp_path, len(PEOPLE)) as office:
        yield office


@pytest.fixture
def office(fresh_office: Office) -> Office:
    """Six researchers who have what they should have."""
    fresh_office.hire(PEOPLE, days_ago(30))
    fresh_office.settle()
    return fresh_office


@pytest.fixture(scope="module")
def office_serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, str]]:
    """A service for many requests that change nothing."""
    required()
    folder = tmp_path_factory.mktemp("serving")
    (folder / "directory.ldif").write_text(directory(1), "utf-8")
    with started(folder / "slapd", ldif=folder / "directory.ldif") as slapd:
        (folder / "office").mkdir()
        office = Office.made(folder / "office", slapd)
        office.hire(["E1"], days_ago(30))
        with office.serving() as service:
            yield office, service.url
