"""What only group files can do to an adapter."""

from __future__ import annotations

from pathlib import Path

import pytest
from reconciler.targets import Op, OutcomeKind, Place, ProblemsFound, Reading, Step, TargetContext, TargetError
from unix_groups import UnixGroups

PASSWD = "chen:x:1001:500:Chen Jing,,,,E1001:/home/chen:/bin/sh\nwang:x:1002:100:,,,,E1002:/home/wang:/bin/sh\n"
GROUP = "users:x:100:\nlab:x:500:wang\n"


def files(folder: Path, passwd: str = PASSWD, group: str = GROUP) -> UnixGroups:
    (folder / "passwd").write_text(passwd, encoding="utf-8")
    (folder / "group").write_text(group, encoding="utf-8")
    context = TargetContext("files", folder, Place("reconciler.yaml", 7, 3))
    return UnixGroups(context, {"accounts": "passwd", "groups": "group"})


def outcome(target: UnixGroups, op: Op, uid: str) -> OutcomeKind:
    with target.writer() as writer:
        return writer.apply([Step(op, uid, "", {"group": "lab"})])[0].kind


def test_a_first_group_is_membership_too_and_cannot_be_taken_here(tmp_path: Path) -> None:
    target = files(tmp_path)

    (read,) = target.observe([{"group": "lab"}]).entitlements.values()
    assert len(read.members) == 2
    assert outcome(target, Op.GRANT, "1001") is OutcomeKind.ALREADY
    assert outcome(target, Op.REVOKE, "1001") is OutcomeKind.REFUSED
    assert outcome(target, Op.REVOKE, "1002") is OutcomeKind.APPLIED


@pytest.mark.parametrize(
    "passwd", [PASSWD[:-1], f"{PASSWD}+::::::\n", f"{PASSWD}half a line\n", f"{PASSWD}root2{PASSWD}"]
)
def test_accounts_that_were_cut_or_are_elsewhere_are_not_taken_for_all(tmp_path: Path, passwd: str) -> None:
    roll = files(tmp_path, passwd).observe([]).accounts

    assert roll.reading is Reading.PARTIAL
    assert "cannot be read whole" in roll.detail


def test_a_group_that_is_there_twice_is_not_guessed_at(tmp_path: Path) -> None:
    target = files(tmp_path, group=f"{GROUP}lab:x:501:\n")

    (read,) = target.observe([{"group": "lab"}]).entitlements.values()
    assert read.reading is Reading.FAILED
    assert outcome(target, Op.GRANT, "1002") is OutcomeKind.STALE


def test_what_cannot_be_written_has_not_happened(tmp_path: Path) -> None:
    target = files(tmp_path)
    (tmp_path / "group.reconciler").mkdir()

    assert outcome(target, Op.REVOKE, "1002") is OutcomeKind.UNAVAILABLE
    assert (tmp_path / "group").read_text("utf-8") == GROUP


def test_wrong_settings_are_all_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ProblemsFound) as caught:
        UnixGroups(TargetContext("files", tmp_path, Place("reconciler.yaml", 7, 3)), {"acounts": "x", "groups": 7})

    assert len(caught.value.problems) == 3
    assert "reconciler.yaml:7:3: error: target files: `acounts` is not a setting" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    target = files(tmp_path)
    (tmp_path / "passwd").unlink()

    with pytest.raises(TargetError, match="there is no "):
        target.observe([])
