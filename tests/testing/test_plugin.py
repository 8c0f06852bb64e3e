"""The pytest plug-in, as somebody meets it who has installed us and tests something."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LIGHT = """
import json, sys
before = set(sys.modules)
import reconciler.testing.plugin
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def pytest_in(folder: Path, text: str) -> str:
    """What pytest says of a test module, run by itself."""
    (folder / "test_own.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "-c", "/dev/null"]
    done = subprocess.run([*command, "--rootdir", ".", "."], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_loading_it_imports_nothing_but_pytest() -> None:
    command = [sys.executable, "-c", f"import pytest\n{LIGHT}"]
    loaded = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert loaded == ["reconciler", "reconciler.testing", "reconciler.testing.plugin"]


def test_a_run_that_has_nothing_to_do_with_us_is_not_disturbed(tmp_path: Path) -> None:
    said = pytest_in(tmp_path, "def test_own(): pass\n")

    assert "1 passed" in said
    assert "warning" not in said


def test_an_adapter_without_a_lab_is_told_what_is_missing(tmp_path: Path) -> None:
    said = pytest_in(
        tmp_path,
        "from reconciler.testing.sources import SourceContract\n"
        "from reconciler.testing.targets import TargetContract\n"
        "class TestWiki(TargetContract): pass\n"
        "class TestFeed(SourceContract): pass\n",
    )

    assert "the target contract needs a fixture `make_lab`" in said
    assert "the source contract needs a fixture `make_source`" in said
    assert "passed" not in said


def test_a_failed_promise_shows_the_values_that_differ(tmp_path: Path) -> None:
    said = pytest_in(
        tmp_path,
        "from types import SimpleNamespace\n"
        "from reconciler.testing.targets import TargetContract\n"
        "class Lab:\n"
        "    target = SimpleNamespace(check_locator=lambda locator: None)\n"
        "class TestWiki(TargetContract):\n"
        "    def test_one(self):\n"
        "        self.test_a_binding_that_can_mean_nothing_here_is_told_in_words(lambda *given: Lab())\n",
    )

    assert "where None = " in said
