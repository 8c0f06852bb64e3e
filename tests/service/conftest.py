"""Offices, each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.fixtures import chat, mail
from tests.servers.slapd import required, started
from tests.service.office import Office, Service, days_ago, directory

__all__ = ["PEOPLE", "chat", "mail"]

PEOPLE = [f"E{n}" for n in range(1, 7)]
ODD = "部门/王 芳:1?#%2F"
"""An id as no system should make one, and some does."""

MORE = """
resources:
  项目/猎鹰: {classification: internal, access: {read: {dir: {group: docs}}, write: {dir: {group: docs}}}}
roles:
  falcon: {members: [{person: E1, until: 2060-06-30, reason: "owner"}], grants: {read: [项目/猎鹰], write: [项目/猎鹰]}}
  odd:    {match: {department: "部"}, grants: {read: [项目/猎鹰]}}
service_accounts:
  svc-index: {owner: {person: E1}, ceiling: internal, grants: {read: [docs]}, until: 2060-01-01}
"""


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


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, Service]]:
    """A service for many questions: three researchers who have what they should, one without proofs, and somebody with
    an odd id who is in no directory.
    """
    with asked_office(tmp_path_factory.mktemp("asked")) as office, office.serving() as service:
        service.until_ready()
        yield office, service


@contextmanager
def asked_office(folder: Path) -> Iterator[Office]:
    """The company of those questions, not served yet."""
    required()
    (folder / "directory.ldif").write_text(directory(len(PEOPLE)), "utf-8")
    with started(folder / "slapd", ldif=folder / "directory.ldif") as slapd:
        (folder / "office").mkdir()
        office = Office.made(folder / "office", slapd)
        (office.folder / "policies" / "more.yaml").write_text(MORE, "utf-8")
        office.hire(PEOPLE[:3], days_ago(30))
        for person, department in (("E4", "rd/ai"), (ODD, "部/二")):
            told = {"id": f"h-{person}", "type": "hired", "person": person, "effective_at": "2020-01-01"}
            office.tell({**told, "data": {"department": department, "name": "王芳"}})
        office.settle()
        yield office
