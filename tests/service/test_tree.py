"""Whether files are as they were is told without reading them, and never believed too early."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from reconciler.workspace.tree import AGED, mark_of


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment at which what was just written has aged."""
    ahead = time.time_ns() + 2 * AGED
    monkeypatch.setattr(time, "time_ns", lambda: ahead)


def test_what_was_written_a_moment_ago_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a")

    assert not mark_of([path]).settled


@pytest.mark.usefixtures("later")
def test_a_settled_mark_changes_with_whatever_changes(tmp_path: Path) -> None:
    path, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    path.write_text("a")
    other.write_text("b")
    before = mark_of([path, other])
    assert before.settled
    assert mark_of([path, other]) == before

    path.write_text("c")
    os.utime(path, ns=(0, 0))  # whoever sets the time back changes the entry all the same
    changed = mark_of([path, other])
    assert changed != before
    other.rename(tmp_path / "c.yaml")
    assert mark_of([path, tmp_path / "c.yaml"]) != changed
    assert mark_of([path]) != changed
    other.write_text("b")
    other.replace(path)
    assert mark_of([path]) != mark_of([tmp_path / "c.yaml"])


def test_a_file_of_a_time_to_come_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a")
    behind = time.time_ns() - 10 * AGED
    monkeypatch.setattr(time, "time_ns", lambda: behind)

    assert not mark_of([path]).settled


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        mark_of([tmp_path / "a.yaml"])
