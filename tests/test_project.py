"""Promises that the project's own files keep: locks for any mirror, one version, names that say something."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)", re.MULTILINE)
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pins(lock: str) -> dict[str, str]:
    return {match["name"]: match["version"] for match in PIN.finditer(read(lock))}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host_index_or_path(lock: str) -> None:
    text = read(lock)

    assert "://" not in text
    assert not re.search(r"^\s*-", text.replace("    --hash=sha256:", ""), re.MULTILINE), (
        "only pins and hashes, no options"
    )
    assert not re.search(r"\b[a-z0-9-]+\.(org|com|net|io|cn|dev)\b", text, re.IGNORECASE)
    assert " @ " not in text
    assert not re.search(r"(^|\s)[./~]*/\S", text), "no file paths"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_requirement_is_pinned_and_hashed(lock: str) -> None:
    statements = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n?", "", read(lock), flags=re.MULTILINE)).splitlines()
    statements = [statement for statement in statements if statement.strip()]

    assert statements
    for statement in statements:
        assert PIN.match(statement), statement
        assert re.search(r"--hash=sha256:[0-9a-f]{64}(\s|$)", statement), f"no hash: {statement}"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-build.lock"])
def test_developing_installs_the_versions_that_running_installs(lock: str) -> None:
    assert pins(lock).items() <= pins("requirements-dev.lock").items()


def test_what_is_locked_is_installed_as_it_stands() -> None:
    """Left to look for itself, pip takes the newest of what a dependency asks for with an extra, which has no hash."""
    from_locks = [line for line in read("Makefile").splitlines() if "--require-hashes" in line]

    assert from_locks
    assert all("--no-deps" in line for line in from_locks)


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    locked = {re.sub(r"[-_.]+", "-", name).lower() for name in pins("requirements.lock")}

    for requirement in project["dependencies"]:
        name = re.split(r"[^A-Za-z0-9._-]", requirement)[0]
        assert re.sub(r"[-_.]+", "-", name).lower() in locked, f"run `make lock`: {name} is not locked"


def test_the_changelog_speaks_of_this_version_first() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    newest = re.search(r"^## \[?(?P<version>\d[^\s\]]*)", read("CHANGELOG.md"), re.MULTILINE)

    assert newest is not None
    assert newest["version"] == version


def test_every_module_has_a_name_that_says_something() -> None:
    modules = [path for folder in ("reconciler", "adapters") for path in (ROOT / folder).rglob("*") if is_module(path)]

    assert modules
    assert [str(path.relative_to(ROOT)) for path in modules if path.stem in FORBIDDEN_NAMES] == []


def is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__")
