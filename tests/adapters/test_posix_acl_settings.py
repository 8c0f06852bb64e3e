"""The settings of the posix-acl target, its locators, and whose the user numbers are."""

from __future__ import annotations

import grp
import pwd
from pathlib import Path

import pytest

from adapters.posix_acl import PosixAclTarget
from adapters.posix_acl.accounts import AccountsFile, SystemAccounts
from reconciler.targets import Op, Place, ProblemsFound, Reading, TargetContext, TargetError
from tests.adapters.file_server import FIRST, FileServer, required

GOOD = {"root": "srv", "accounts": {"system": True}, "match": {"login": "id"}}


def made(folder: Path, **settings: object) -> PosixAclTarget:
    given = {key: value for key, value in {**GOOD, **settings}.items() if value is not None}
    return PosixAclTarget(TargetContext("files", folder, Place("reconciler.yaml", 7)), given)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ProblemsFound) as caught:
        made(tmp_path, root=None, cross_mount=True, check_below=7, accounts={})

    text = "\n".join(str(problem) for problem in caught.value.problems)
    for part in (
        "`root` is missing",
        "did you mean `cross_mounts`?",
        "`check_below`",
        "either `system: true` or `file",
    ):
        assert part in text


def test_an_account_is_matched_by_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(ProblemsFound, match="mail"):
        made(tmp_path, match={"mail": "id"})
    assert made(tmp_path, match={"mail": "id"}, accounts={"file": "people.csv"}).match_attributes() == ("id",)
    assert made(tmp_path, match={"other": "id", "login": "email"}).match_attributes() == ("id", "email")
    assert made(tmp_path).describe().ops == {Op.GRANT, Op.REVOKE}


@pytest.mark.parametrize(
    ("locator", "said"),
    [
        ({"path": "falcon", "permission": "read"}, None),
        ({"path": ".", "permission": "read-write"}, None),
        ({"path": "项目/a b", "permission": "write"}, None),
        ({"path": "falcon"}, "nothing missing"),
        ({"path": "falcon", "permission": "read", "depth": "3"}, "nothing more"),
        ({"path": "falcon", "permission": "raed"}, "did you mean `read`?"),
        ({"path": "falcon", "permission": "rwx"}, "is no permission"),
        ({"path": "/srv/falcon", "permission": "read"}, "no folder under the root"),
        ({"path": "falcon/../hr", "permission": "read"}, "no folder under the root"),
        ({"path": "falcon//a", "permission": "read"}, "no folder under the root"),
        ({"path": "falcon/", "permission": "read"}, "no folder under the root"),
        ({"path": "./falcon", "permission": "read"}, "no folder under the root"),
        ({"path": "", "permission": "read"}, "no folder under the root"),
        ({"path": "a\0b", "permission": "read"}, "no folder under the root"),
    ],
)
def test_a_locator_names_a_folder_in_one_spelling(tmp_path: Path, locator: dict[str, str], said: str | None) -> None:
    found = made(tmp_path).check_locator(locator)

    assert found is None if said is None else found is not None and said in found


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    target = made(tmp_path)
    for call in (lambda: target.observe([]), target.probe, lambda: target.writer().__enter__()):
        with pytest.raises(TargetError, match="there is no folder"):
            call()


def test_a_root_that_is_fine_has_nothing_to_tell(tmp_path: Path) -> None:
    required()
    server = FileServer(tmp_path)

    assert [finding.kind for finding in server.target.probe() if finding.kind != "insecure-links"] == []
    assert server.target.mark() == ""


# --- accounts ---------------------------------------------------------------------------------------------------------


def test_lines_as_getent_prints_them(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    path.write_text(
        "# staff\nzhang:x:20000:100:张伟,Room 7,1,2,E1001:/home/zhang:/bin/sh\n\n"
        "smith:x:20001:100::/home/smith:/bin/sh\n",
        encoding="utf-8",
    )

    read = AccountsFile(path, {"other": "id", "name": "name"}).read()

    zhang, smith = read.by_number.values()
    assert (zhang.key, zhang.name, zhang.login, zhang.match) == (
        "20000",
        "zhang",
        "zhang",
        {"id": "E1001", "name": "张伟"},
    )
    assert smith.match == {}  # blank is nobody
    assert read.reading is Reading.COMPLETE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zhang:x:20000:100:::\nsmith:x:2000", "line 2"),
        ("zhang:x:20000:100:::", "its last line has no end"),
        ("", "it is empty"),
        ("zhang:x:minus:100:::\n", "zhang (minus)"),
        (":x:5:100:::\n", "no login (5)"),
    ],
)
def test_a_file_that_may_be_cut_is_read_in_part(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "passwd"
    path.write_text(text, encoding="utf-8")

    read = AccountsFile(path, {"login": "id"}).read()

    assert read.reading is Reading.PARTIAL
    assert said in read.detail


def test_two_accounts_of_one_number_are_told(tmp_path: Path) -> None:
    path = tmp_path / "accounts.csv"
    path.write_text(
        "login,uid,id\nzhang,20000,E1\nsmith,20000,E2\nmuller,20001\nlong,20002,E3,more\n", encoding="utf-8"
    )

    read = AccountsFile(path, {"id": "id"}).read()

    assert [account.login for account in read.by_number.values()] == ["zhang", "muller"]
    assert [(finding.kind, finding.subject) for finding in read.findings] == [("shared-user-number", "smith")]
    assert "line 5" in read.detail


def test_columns_and_files_that_are_missing_are_told(tmp_path: Path) -> None:
    path = tmp_path / "accounts.csv"
    with pytest.raises(TargetError, match="cannot be read"):
        AccountsFile(path, {"login": "id"}).read()
    path.write_text("login,number\nzhang,1\n", encoding="utf-8")
    with pytest.raises(TargetError, match="no column uid, mail"):
        AccountsFile(path, {"mail": "id"}).read()


def test_the_accounts_of_the_machine() -> None:
    everybody = [entry.pw_uid for entry in pwd.getpwall()]

    found = SystemAccounts({"login": "id"}, first=0).read().by_number

    assert set(found) == set(everybody) - {65534, 65535}
    assert found[0].match == {"id": pwd.getpwuid(0).pw_name}
    assert 0 not in SystemAccounts({"login": "id"}, first=1).read().by_number


def test_a_system_account_and_a_group_are_foreign_by_name(tmp_path: Path) -> None:
    required()
    server = FileServer(tmp_path, accounts={"system": True}, match={"login": "id"})
    server.make("falcon/")
    user, group = pwd.getpwuid(1), grp.getgrgid(1)
    server.setfacl("falcon", "-m", f"user:{user.pw_uid}:r-x,group:{group.gr_gid}:r-x")

    seen = server.observe("falcon")

    [read] = seen.entitlements.values()
    assert list(read.foreign) == [f"group:{group.gr_name}", f"user:{user.pw_name}"]
    assert seen.accounts.reading.whole


def test_an_account_that_the_machine_knows_and_does_not_list_makes_the_reading_partial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As sssd does unless it is told to enumerate: everything else is the machine's own.
    required()
    server = FileServer(tmp_path, accounts={"system": True, "first_uid": 1}, match={"login": "id"})
    server.make("falcon/")
    server.setfacl("falcon", "-m", "user:1:r-x")
    others = [entry for entry in pwd.getpwall() if entry.pw_uid != 1]
    monkeypatch.setattr(pwd, "getpwall", lambda: others)

    accounts = server.observe("falcon").accounts

    assert accounts.reading is Reading.PARTIAL
    assert f"user:{pwd.getpwuid(1).pw_name}" in accounts.detail


def test_no_account_file_while_applying_changes_nothing(tmp_path: Path) -> None:
    required()
    server = FileServer(tmp_path)
    server.make("falcon/")
    (tmp_path / "accounts.csv").unlink()

    assert server.grant("zhang", "falcon").kind.value == "unavailable"
    assert not any(f":{FIRST}:" in line for line in server.lines("falcon"))
