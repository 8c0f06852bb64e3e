"""What is particular to LDIF: text that stays as it was, the file of changes, files that cannot be trusted."""

from __future__ import annotations

import base64
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ldif import LdifTarget
from adapters.ldif.document import Malformed, attribute_lines, parse
from reconciler.targets import Locator, Op, OutcomeKind, ProblemsFound, Reading, Step, TargetError
from reconciler.testing.targets import ALREADY, APPLIED, entitlement, seen
from tests.adapters.directory_lab import branch_settings, context
from tests.servers.slapd import SUFFIX, required, started

DOCS: Locator = {"group": "docs-readers"}
LONG = "说明" * 60
TEXT = f"""version: 1

# The company, as exported.
dn: dc=example,dc=com
objectClass: organization
objectClass: dcObject
o: Example
dc: example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups

dn: uid=zhang,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: zhang
cn:: {base64.b64encode("张伟".encode()).decode()}
sn: x
employeeNumber: E1001
# a remark inside an entry
# which goes on
  here
description: a line that is
  folded in
  two places

dn:: {base64.b64encode("cn=李娜,ou=people,dc=example,dc=com".encode()).decode()}
objectClass: inetOrgPerson
uid: li
cn: 李娜
sn: x
employeeNumber: E1002

dn: uid=smith,ou=people,
 dc=example,dc=com
objectClass: inetOrgPerson
uid: smith
cn: Smith
sn: x
employeeNumber: E1003


dn: cn=docs-readers,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: docs-readers
Member: UID=Zhang, ou=people,dc=example,dc=com
Member: uid=smith,ou=people,
 dc=example,dc=com
description:   spaces before

dn: cn=unmanaged,ou=groups,dc=example,dc=com
cn: unmanaged
objectClass: groupOfNames
member: uid=zhang,ou=people,dc=example,dc=com
"""


def ldif_target(folder: Path, text: str | bytes = TEXT, **more: object) -> LdifTarget:
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "directory.ldif").write_bytes(data)
    settings = branch_settings(SUFFIX, path="directory.ldif", **more)
    return LdifTarget(context(folder), settings)


def step(target: LdifTarget, op: Op, login: str) -> Step:
    accounts = {account.login: account for account in target.observe([]).accounts.accounts}
    return Step(op, accounts[login].key, accounts[login].name, {} if op is Op.DELETE_ACCOUNT else DOCS)


def apply(target: LdifTarget, *steps: Step) -> list[OutcomeKind]:
    with target.writer() as writer:
        return [outcome.kind for outcome in writer.apply(steps)]


def test_only_the_lines_of_what_changed_change(tmp_path: Path) -> None:
    target = ldif_target(tmp_path)

    assert apply(target, step(target, Op.REVOKE, "smith"), step(target, Op.GRANT, "li")) == [APPLIED, APPLIED]

    encoded = base64.b64encode("cn=李娜,ou=people,dc=example,dc=com".encode()).decode()
    assert len(f"Member:: {encoded}") <= 76
    expected = TEXT.replace("Member: uid=smith,ou=people,\n dc=example,dc=com\n", f"Member:: {encoded}\n")
    assert (tmp_path / "directory.ldif").read_text(encoding="utf-8") == expected


def test_line_ends_stay_as_they_are(tmp_path: Path) -> None:
    target = ldif_target(tmp_path, TEXT.replace("\n", "\r\n"))

    apply(target, step(target, Op.GRANT, "li"))

    data = (tmp_path / "directory.ldif").read_bytes()
    assert data.count(b"\r\n") == data.count(b"\n") == TEXT.count("\n") + 1
    assert seen(target.observe([DOCS])) == {"zhang", "smith", "li"}


def test_a_run_with_nothing_to_change_leaves_both_files_alone(tmp_path: Path) -> None:
    target = ldif_target(tmp_path)
    steps = [step(target, Op.REVOKE, "smith"), step(target, Op.GRANT, "li")]
    apply(target, *steps)
    files = [tmp_path / "directory.ldif", tmp_path / "directory.changes.ldif"]
    before = [(path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in files]

    assert apply(target, *steps) == [ALREADY, ALREADY]

    assert [(path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in files] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory.changes.ldif", "directory.ldif"]


def test_a_file_keeps_its_mode_and_its_link_and_the_changes_are_private(tmp_path: Path) -> None:
    target = ldif_target(tmp_path)
    real = tmp_path / "elsewhere.ldif"
    (tmp_path / "directory.ldif").rename(real)
    (tmp_path / "directory.ldif").symlink_to(real)
    real.chmod(0o640)

    apply(target, step(target, Op.GRANT, "li"))

    assert (tmp_path / "directory.ldif").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "directory.changes.ldif").stat().st_mode & 0o777 == 0o600


def test_changes_of_several_runs_are_kept_in_their_order(tmp_path: Path) -> None:
    target = ldif_target(tmp_path, changes="brought-back.ldif")

    apply(target, step(target, Op.GRANT, "li"))
    apply(target, step(target, Op.REVOKE, "li"))

    text = (tmp_path / "brought-back.ldif").read_text(encoding="utf-8")
    assert [text.index("add: member"), text.index("delete: member")] == sorted(
        [text.index("add: member"), text.index("delete: member")]
    )
    assert text.count("changetype: modify") == 2


def test_the_changes_make_of_a_real_directory_what_the_file_has_become(tmp_path: Path) -> None:
    required()
    target = ldif_target(tmp_path, accounts={"disable": "ppolicy", "delete": True})
    original = tmp_path / "original.ldif"
    shutil.copy(tmp_path / "directory.ldif", original)
    steps = [
        step(target, Op.REVOKE, "smith"),
        step(target, Op.REVOKE, "zhang"),
        Step(Op.DISABLE_ACCOUNT, *account(target, "li")),
        step(target, Op.DELETE_ACCOUNT, "smith"),
    ]
    assert apply(target, *steps) == [APPLIED] * 4
    assert entitlement(target.observe([DOCS])).reading is Reading.CONFIRMED_EMPTY
    assert apply(target, step(target, Op.GRANT, "li")) == [APPLIED]

    with started(tmp_path / "one", ldif=original, overlays=["ppolicy"]) as server:
        server.run("ldapmodify", "-f", str(tmp_path / "directory.changes.ldif"))
        changed = server.search(SUFFIX, "(objectClass=*)", "*", "pwdAccountLockedTime")
    with started(tmp_path / "other", ldif=tmp_path / "directory.ldif", overlays=["ppolicy"]) as server:
        rewritten = server.search(SUFFIX, "(objectClass=*)", "*", "pwdAccountLockedTime")
    assert changed == rewritten
    assert changed["cn=docs-readers,ou=groups,dc=example,dc=com"]["member"] == ["cn=李娜,ou=people,dc=example,dc=com"]


def account(target: LdifTarget, login: str) -> tuple[str, str]:
    [found] = [account for account in target.observe([]).accounts.accounts if account.login == login]
    return found.key, found.name


def test_without_entry_uuids_the_key_is_the_name(tmp_path: Path) -> None:
    keys = {account.key for account in ldif_target(tmp_path).observe([]).accounts.accounts}

    assert "cn=李娜,ou=people,dc=example,dc=com" in keys
    assert "uid=zhang,ou=people,dc=example,dc=com" in keys


def test_a_deleted_account_takes_only_its_entry_with_it(tmp_path: Path) -> None:
    target = ldif_target(tmp_path, accounts={"delete": True})

    assert apply(target, step(target, Op.DELETE_ACCOUNT, "smith")) == [APPLIED]

    start = TEXT.index("dn: uid=smith")
    expected = TEXT[:start] + TEXT[TEXT.index("\ndn: cn=docs-readers") :]
    assert (tmp_path / "directory.ldif").read_text(encoding="utf-8") == expected


def test_b2_a_file_that_ends_in_the_middle_of_a_line_proves_no_absence(tmp_path: Path) -> None:
    observation = ldif_target(tmp_path, TEXT[:-10]).observe([DOCS])

    assert observation.accounts.reading is Reading.PARTIAL
    assert "cut off" in observation.accounts.detail
    assert entitlement(observation).reading is Reading.PARTIAL


@pytest.mark.parametrize(
    ("remark", "words"),
    [
        ("# refldap://elsewhere.example.com/ou=branch,dc=example,dc=com??sub", "ldap://elsewhere.example.com/"),
        ("# pagedresults: cookie=BQAAAAAAAAA=", "last page is missing"),
    ],
)
def test_b2_what_ldapsearch_remarks_on_missing_entries_proves_no_absence(
    tmp_path: Path, remark: str, words: str
) -> None:
    before, after = TEXT.split("dn: uid=smith", maxsplit=1)
    observation = ldif_target(tmp_path, f"{before}{remark}\n\ndn: uid=smith{after}").observe([DOCS])

    assert observation.accounts.reading is Reading.PARTIAL
    assert words in observation.accounts.detail
    assert entitlement(observation).reading is Reading.PARTIAL


def test_an_export_in_pages_is_whole_once_the_last_has_come(tmp_path: Path) -> None:
    before, after = TEXT.split("dn: uid=smith", maxsplit=1)
    pages = f"{before}# pagedresults: cookie=BQAAAAAAAAA=\n\ndn: uid=smith{after}\n# pagedresults: cookie=\n"

    assert ldif_target(tmp_path, pages).observe([DOCS]).accounts.reading is Reading.COMPLETE


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("dn: cn=a,dc=x\ncn: a\nno colon here\n", 3, "expected `attribute: value`"),
        ("cn: a\n", 1, "an entry begins with its `dn`"),
        ("dn: cn=a,dc=x\ncn: a\n\n# search result\nsearch: 2\nresult: 4 Size\n", 5, "export with -LLL"),
        ("version: 1\n\ndn: not a name\n", 3, "expected `type=value`"),
        ("dn: cn=a,dc=x\nchangetype: add\n", 2, "a file of changes"),
        ("dn: cn=a,dc=x\njpegPhoto:< file:///etc/passwd\n", 2, "stands in another file"),
        ("dn: cn=a,dc=x\ncn:: !!!\n", 2, "no base64"),
        ("dn: cn=a,dc=x\ncn: a\n folded\n\n stray\n", 4, "expected"),
        ("dn:: /////w==\n", 1, "not UTF-8"),
        ("dn: \n", 1, "`dn` is empty"),
    ],
)
def test_what_is_no_ldif_is_refused_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(Malformed, match=message) as caught:
        parse(text.encode())
    assert caught.value.line == line

    with pytest.raises(TargetError, match=rf"directory\.ldif:{line}: .*{message}"):
        ldif_target(tmp_path, text).observe([])


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    target = ldif_target(tmp_path)
    (tmp_path / "directory.ldif").unlink()

    with pytest.raises(TargetError, match=r"directory\.ldif cannot be read"):
        target.observe([DOCS])
    with pytest.raises(TargetError), target.writer():
        pass


def test_a_base_that_is_not_in_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "directory.ldif").write_text(TEXT, encoding="utf-8")
    target = LdifTarget(context(tmp_path), branch_settings("ou=typo,dc=example,dc=com", path="directory.ldif"))

    with pytest.raises(TargetError, match="has no entry ou=people,ou=typo"):
        target.observe([DOCS])


def test_a_folder_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    target = ldif_target(tmp_path, changes="absent/changes.ldif")

    assert apply(target, step(target, Op.GRANT, "li")) == [OutcomeKind.UNAVAILABLE]
    assert (tmp_path / "directory.ldif").read_text(encoding="utf-8") == TEXT


def test_a_filter_is_refused_rather_than_ignored(tmp_path: Path) -> None:
    people = {"base": "ou=people,dc=x", "match": {"uid": "id"}, "filter": "(uid=*)"}
    with pytest.raises(ProblemsFound, match=r"`people\.filter` cannot be applied to a file"):
        LdifTarget(context(tmp_path), {**branch_settings(SUFFIX, path="x"), "people": people})
    with pytest.raises(ProblemsFound, match="did you mean `path`"):
        LdifTarget(context(tmp_path), branch_settings(SUFFIX, pth="x"))


VALUES = st.binary(max_size=200) | st.text(max_size=60).map(str.encode)


@given(VALUES, st.sampled_from([b"\n", b"\r\n"]))
def test_a_value_survives_being_written_and_read(value: bytes, newline: bytes) -> None:
    written = attribute_lines("description", value, newline)

    document = parse(b"dn: cn=a" + newline + written)

    assert document.records[0].values("description") == [value]
    assert all(len(line) <= 76 for line in written.split(newline))
    assert written.isascii()


LINES = st.sampled_from(
    [
        "dn: cn=a,dc=x",
        "dn:: Y249YQ==",
        "cn: a",
        "member: cn=b",
        "# remark",
        " folded",
        "version: 1",
        "",
        "",
        "Member:  x",
    ]
)


@given(st.lists(LINES, max_size=30), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_every_octet_of_a_file_is_kept(lines: list[str], newline: str, mark: bool, cut: bool) -> None:
    data = (b"\xef\xbb\xbf" if mark else b"") + (newline.join(lines) + ("" if cut else newline)).encode()
    with suppress(Malformed):
        assert parse(data).rendered() == data
