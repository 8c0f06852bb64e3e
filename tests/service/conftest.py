"""Offices, each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.fixtures import chat, mail
from tests.servers.slapd import required, started
from tests.service.office import Office, days_ago, directory

__all__ = ["PEOPLE", "chat", "mail"]

PEOPLE = [f"E{n}" for n in range(1, 7)]


@pytest.fixture
def fresh_office(tmp_path: Path) -> Iterator[Office]:
    """Nobody is hired yet."""
    required()
    (tmp_path / "directory.ldif").write_text(directory(len(PEOPLE)), "utf-8")
    with started(tmp_path / "slapd", ldif=tmp_path / "directory.ldif") as slapd:
        (tmp_path / "office").mkdir()
        yield Office.made(tmp_path / "office", slapd)


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
