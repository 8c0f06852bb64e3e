"""The mark of an OpenLDAP directory changes with whatever an observation could show; it is blank where nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.ldap import LdapTarget
from reconciler.testing.targets import GROUPS, PEOPLE, LabAccount
from tests.adapters.directory_lab import context, person_entry
from tests.adapters.test_ldap_contract import LdapLab
from tests.servers.slapd import Slapd, required, started


@pytest.fixture(scope="module")
def synchronizing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A server that offers content synchronization."""
    required()
    with started(tmp_path_factory.mktemp("syncprov"), overlays=["syncprov"]) as server:
        yield server


@pytest.fixture
def lab(synchronizing: Slapd) -> LdapLab:
    return LdapLab(synchronizing, PEOPLE, GROUPS)


def modified(lab: LdapLab, dn: str, change: str) -> None:
    lab.server.modify(f"dn: {dn}\n{change}\n")


CHANGES: dict[str, Callable[[LdapLab], object]] = {
    "a member more": lambda lab: lab.put("docs-readers", "plain"),
    "a member less": lambda lab: modified(
        lab, lab.group_dn("docs-readers"), f"changetype: modify\ndelete: member\nmember: {lab.dn('smith')}"
    ),
    "an account more": lambda lab: lab.server.add(person_entry(LabAccount("new", "E1009", "New"), lab.branch)),
    "an account less": lambda lab: lab.remove_account("plain"),
    "another number": lambda lab: modified(
        lab, lab.dn("plain"), "changetype: modify\nreplace: employeeNumber\nemployeeNumber: E9"
    ),
    "another name": lambda lab: modified(
        lab, lab.dn("plain"), "changetype: modrdn\nnewrdn: cn=Plainer\ndeleteoldrdn: 1"
    ),
    "a group less": lambda lab: modified(lab, lab.group_dn("unmanaged"), "changetype: delete"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_changes_with_the_directory_and_only_then(lab: LdapLab, change: str) -> None:
    before = lab.target.mark()
    lab.target.observe([lab.locator("docs-readers")])
    assert before
    assert lab.target.mark(before) == before

    CHANGES[change](lab)

    assert lab.target.mark(before) not in (before, "")


def test_what_we_are_told_to_look_at_is_part_of_it(lab: LdapLab) -> None:
    filtered = {**lab.settings["people"], "filter": "(uid=zhang)"}  # type: ignore[dict-item]
    other = LdapTarget(context(Path()), {**lab.settings, "people": filtered})

    assert other.mark() not in (lab.target.mark(), "")


def test_without_content_synchronization_there_is_none(tmp_path: Path) -> None:
    """Also where the directory once had it, and the attribute that it wrote stands there still."""
    required()
    with started(tmp_path / "d", overlays=["syncprov"]) as server:
        assert LdapLab(server, PEOPLE, GROUPS).target.mark()
    with started(tmp_path / "d") as server:
        lab = LdapLab(server, PEOPLE, GROUPS)
        [suffix] = lab.server.search(server.suffix, "(o=*)", "contextCSN").values()
        assert suffix["contextCSN"]
        assert lab.target.mark() == ""
