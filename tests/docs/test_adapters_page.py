"""The page for authors of adapters: its commands are run in a checkout of the example, its code is the example's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler import targets
from reconciler.testing.memory import MemoryTarget
from reconciler.testing.targets import TargetContract
from tests.docs.test_docs import Reader, blocks, commands, read
from tests.examples.adapter import SOURCE, checked_out

PAGE = "docs/adapters.md"


def test_the_example_passes_the_contract_and_is_used_from_a_separate_checkout(tmp_path: Path) -> None:
    checkout = checked_out(tmp_path)
    reader = Reader(tmp_path / "company")
    reader.folder, reader.environment = checkout.folder, dict(checkout.environment)

    for command in commands(PAGE, "shell"):
        reader.type(command)

    installed = tmp_path / "venv" / "lib"
    assert list(installed.glob("python*/site-packages/reconciler_unix_groups-*.dist-info/entry_points.txt"))


def test_all_code_that_is_shown_is_the_examples() -> None:
    sources = [
        path.read_text("utf-8") for path in sorted(SOURCE.rglob("*")) if path.suffix in (".py", ".toml", ".yaml")
    ]
    shown = [*blocks(PAGE, "python", "toml", "yaml")]

    assert len(shown) >= 8
    for block in shown:
        for part in block.strip("\n").split("\n\n[") if block.startswith("[") else [block.strip("\n")]:
            assert any(part in source for source in sources), part


def test_the_target_in_memory_does_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    (shown,) = blocks(PAGE, "py")

    exec(shown, {**vars(targets), "MemoryTarget": MemoryTarget})  # noqa: S102

    printed = capsys.readouterr().out.splitlines()
    assert re.findall(r"^This prints `(.*)` and `(.*)`\.$", read(PAGE), re.MULTILINE) == [tuple(printed)]


def test_the_example_is_as_short_as_it_is_said_to_be() -> None:
    code = (SOURCE / "unix_groups.py").read_text("utf-8").splitlines()
    lab = (SOURCE / "tests" / "test_contract.py").read_text("utf-8").splitlines()

    assert sum(bool(line.strip()) for line in code) < 150
    assert len(lab) == int(re.findall(r"has (\d+) lines", read(PAGE))[0])
    promises = [name for name in vars(TargetContract) if name.startswith("test_")]
    assert len(promises) == int(re.findall(r"(\d+) are the contract's", read(PAGE))[0])


def test_the_example_imports_the_contract_and_nothing_else_of_ours() -> None:
    imported = set()
    for path in SOURCE.rglob("*.py"):
        imported |= set(
            re.findall(r"^(?:from|import) (reconciler[\w.]*|adapters[\w.]*)", path.read_text("utf-8"), re.M)
        )

    assert imported == {"reconciler.targets", "reconciler.testing.targets"}
