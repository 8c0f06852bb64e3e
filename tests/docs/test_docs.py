"""The documentation is run, not believed: its commands, what they print, its links and the names it uses.

In a block marked ``console`` a line that begins with ``$ `` is a command, and what follows is what it prints. Every
document gets its own copy of the example company, moved to today; its commands run there in their order.

- ``# exit 3`` after a command: it ends with that status; otherwise with 0.
- ``…`` or ``...`` as a line: lines are left out. ``…`` inside a line: so is a part of it.
- Days, times, digests and positions (``file:line:column``, ledger entries) are not compared: they move.
- ``DIGEST`` in a command: the digest that stands in the line shown last; a reader copies it from there.
- ``make`` is not run; the target has to exist.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import adapters
import reconciler
from adapters.transforms import STEPS
from reconciler.cli.main import group
from reconciler.errors import ReconcilerError
from reconciler.facts.events import EventType
from reconciler.plan.guards import CHECKS
from reconciler.plan.model import CauseKind
from reconciler.policy import load_policy
from reconciler.sources import SourceContext
from reconciler.targets import OutcomeKind, Place, TargetContext

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")
DOCUMENTS = [*READMES, *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
OTHERS = ["CHANGELOG.md", "CONTRIBUTING.md", "examples/README.md"]
LEFT_OUT = ("…", "...")

FENCE = re.compile(r"^```(?P<language>[a-z]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
STATUS = re.compile(r"\s+# exit (?P<status>\d+)$")
LINK = re.compile(r"\[[^\]]*\]\((?P<to>[^)\s]+)\)")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MASKS = (
    (re.compile(r"sha256:(?:[0-9a-f]{64}|…)"), "DIGEST"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "HASH"),
    (re.compile(r"\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?Z?)?"), "WHEN"),
    (re.compile(r"\.(yaml|csv|json|ldif):\d+(?::\d+)?"), r".\1:PLACE"),
    (re.compile(r"\bledger:\d+"), "ledger:ENTRY"),
    (re.compile(r"\bledger entry \d+"), "ledger entry ENTRY"),
    (re.compile(r"\bRun [0-9a-f]{12}\b"), "Run RUN"),
    (re.compile(r"\bpeople confirm [0-9a-f]{12}\b"), "people confirm IMPORT"),
)


@dataclass(frozen=True)
class Command:
    """One command of a document, and the lines that it is said to print."""

    text: str
    status: int
    shown: tuple[str, ...]


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str, *languages: str) -> Iterator[str]:
    for fence in FENCE.finditer(read(document)):
        if not languages or fence["language"] in languages:
            yield fence["body"]


def commands(document: str, language: str = "console") -> list[Command]:
    found: list[Command] = []
    for block in blocks(document, language):
        text, shown = "", list[str]()
        for line in [*block.splitlines(), "$ "]:
            if not line.startswith("$ "):
                shown.append(line)
                continue
            if text:
                status = STATUS.search(text)
                found.append(Command(STATUS.sub("", text), int(status["status"]) if status else 0, tuple(shown)))
            text, shown = line.removeprefix("$ "), []
    return found


# --- commands are run -------------------------------------------------------------------------------------------------


def masked(line: str) -> str:
    for pattern, word in MASKS:
        line = pattern.sub(word, line)
    return line.rstrip()


def says(real: str, shown: str) -> bool:
    """Whether a real line is the one that the document shows."""
    parts = [re.escape(part) for part in masked(shown).split("…")]
    return re.fullmatch(".*".join(parts), masked(real)) is not None


def find_shown(command: Command, printed: str) -> str:
    """The last digest that the document shows of this output; every shown line has to be there, in this order."""
    real, digest = iter(printed.splitlines()), ""
    for shown in command.shown:
        if not shown.strip() or shown.strip() in LEFT_OUT:
            continue
        line = next((line for line in real if says(line, shown)), None)
        assert line is not None, f"$ {command.text}\ndoes not print (in this order): {shown}\nbut:\n{printed}"
        if found := DIGEST.search(line):
            digest = found[0]
    return digest


class Reader:
    """Somebody who types a document's commands, in a copy of the example company."""

    def __init__(self, folder: Path) -> None:
        redate = [sys.executable, "examples/redate.py", str(folder), "examples", "policies"]
        subprocess.run(redate, cwd=ROOT, check=True, capture_output=True)
        self.folder = folder / "examples"
        self.digest = ""
        self.environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PYTHONUTF8": "1",
        }

    def type(self, command: Command) -> None:
        words = shlex.split(command.text)
        if words[0] == "make":
            assert re.search(rf"^{re.escape(words[1])}:", read("Makefile"), re.MULTILINE), command.text
            return
        if words[0] == "cd":
            self.folder = self.folder / words[1]
            assert self.folder.is_dir(), command.text
            return
        text = command.text.replace("DIGEST", self.digest or "DIGEST")
        done = subprocess.run(
            ["/bin/sh", "-c", text],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert done.returncode == command.status, f"$ {text}\nended with {done.returncode}:\n{done.stdout}"
        self.digest = find_shown(command, done.stdout) or self.digest


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_does_what_the_document_says(document: str, tmp_path: Path) -> None:
    reader = Reader(tmp_path / "company")

    for command in commands(document):
        reader.type(command)


def test_a_line_that_is_not_printed_is_noticed() -> None:
    command = Command("echo one; echo two", 0, ("two", "one"))

    with pytest.raises(AssertionError, match="does not print"):
        find_shown(command, "one\ntwo\n")


def test_days_digests_and_places_may_differ_and_words_may_not() -> None:
    assert says("E1: expired on 2026-10-21 (roles.yaml:14:9, ledger:7)", "E1: expired on 2031-01-01 (…, ledger:8)")
    assert says("approve sha256:" + "a" * 64, "approve sha256:…")
    assert not says("E1 may read", "E1 may not read")
    assert not says("57 changes", "58 changes")


# --- the two READMEs --------------------------------------------------------------------------------------------------


def headings(document: str) -> list[str]:
    prose = FENCE.sub("", read(document))
    return [line for line in prose.splitlines() if re.match(r"#{1,6} ", line)]


def test_both_readmes_say_the_same() -> None:
    english, chinese = READMES

    assert [len(line.split()[0]) for line in headings(english)] == [len(line.split()[0]) for line in headings(chinese)]
    assert commands(english) == commands(chinese)
    assert list(blocks(english, "yaml", "sh")) == list(blocks(chinese, "yaml", "sh"))


# --- links and names --------------------------------------------------------------------------------------------------


def anchors(document: str) -> set[str]:
    """What a heading is called in a link, as code hosts spell it."""
    words = (re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()) for line in headings(document))
    return {text.replace(" ", "-") for text in words}


@pytest.mark.parametrize("document", [*DOCUMENTS, *OTHERS])
def test_every_link_leads_somewhere(document: str) -> None:
    for link in LINK.finditer(FENCE.sub("", read(document))):
        target, _, anchor = link["to"].partition("#")
        if "://" in target:
            continue
        path = (ROOT / document).parent / target if target else ROOT / document
        assert path.exists(), f"{document}: {link['to']}"
        if anchor:
            assert anchor in anchors(str(path.resolve().relative_to(ROOT))), f"{document}: {link['to']}"


def mentioned(document: str) -> Iterator[list[str]]:
    """Every command line of ours that a document quotes, in a block or in running text."""
    text = read(document)
    lines = [line for body in blocks(document, "console", "sh") for line in body.splitlines()]
    spans = re.findall(r"`(reconciler [^`]+)`", FENCE.sub("", text))
    for line in [*lines, *spans]:
        for part in re.split(r"&&|\|\||[|;]", STATUS.sub("", line)):
            words = part.strip().removeprefix("$ ").split()
            if "reconciler" in words[:4] and not part.lstrip().startswith("#"):
                yield words[words.index("reconciler") + 1 :]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_and_option_that_is_named_exists(document: str) -> None:
    for words in mentioned(document):
        command: click.Command = group
        options = {"--help", "-h", "--version"}
        for word in words:
            if isinstance(command, click.Group) and not word.startswith("-"):
                name = word.strip(".,:")
                assert name in command.commands, f"{document}: reconciler {' '.join(words)}"
                command = command.commands[name]
            elif word.startswith("-") and len(word) > 1:
                known = ([*parameter.opts, *parameter.secondary_opts] for parameter in command.params)
                options |= {option for each in known for option in each}
                assert word.split("=")[0] in options, f"{document}: reconciler {' '.join(words)}"


def test_every_folder_or_file_that_the_docs_name_is_there() -> None:
    for document in DOCUMENTS:
        for path in re.findall(r"`((?:policies|examples|docs|reconciler|adapters|tests)/[\w./-]*)`", read(document)):
            assert (ROOT / path).exists(), f"{document}: {path}"


def test_every_document_is_reached_from_the_index() -> None:
    index = {link["to"] for link in LINK.finditer(read("docs/index.md"))}

    assert {Path(document).name for document in DOCUMENTS if document.startswith("docs/")} - {"index.md"} <= index


# --- what the pages claim to list whole -------------------------------------------------------------------------------


def classes(root: type[ReconcilerError]) -> Iterator[type[ReconcilerError]]:
    for kind in root.__subclasses__():
        yield kind
        yield from classes(kind)


def test_the_error_codes_are_all_there_and_no_others() -> None:
    for package in (reconciler, adapters):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in module.name:
                importlib.import_module(module.name)
    ours = {
        kind.code for kind in classes(ReconcilerError) if kind.__module__.split(".")[0] in ("reconciler", "adapters")
    }
    table = read("docs/errors.md").split("## Errors that end a command")[1].split("##")[0]

    assert set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) == ours


def test_every_code_of_a_problem_stands_in_the_code() -> None:
    source = "".join(
        path.read_text("utf-8") for folder in ("reconciler", "adapters") for path in (ROOT / folder).rglob("*.py")
    )
    tables = read("docs/errors.md").split("## Problems in policies")[1]

    for row in re.findall(r"^\| (`[^|]*) \|", tables, re.MULTILINE):
        for code in re.findall(r"`([a-z-]+)`", row):
            assert f'"{code}"' in source, code


def listed(document: str, words: set[str]) -> set[str]:
    return {word for word in words if f"`{word}`" in read(document)}


def test_guards_causes_events_and_outcomes_are_all_named() -> None:
    guards, causes = set(CHECKS), {kind.value for kind in CauseKind}
    events, outcomes = {kind.value for kind in EventType}, {kind.value for kind in OutcomeKind}

    assert listed("docs/operations.md", guards | causes) == guards | causes
    assert listed("docs/auditors.md", causes) == causes
    assert listed("docs/hr.md", events) == events
    assert listed("docs/adapters.md", outcomes) == outcomes


def test_every_kind_of_finding_is_explained() -> None:
    source = "".join(
        path.read_text("utf-8")
        for folder in ("reconciler/plan", "reconciler/facts", "adapters")
        for path in (ROOT / folder).rglob("*.py")
    )
    kinds = set(re.findall(r'\b(?:Target|Feed)?Finding\(\s*"([a-z-]+)"', source))

    assert kinds
    assert listed("docs/operations.md", kinds) | listed("docs/hr.md", kinds) == kinds


# --- examples ---------------------------------------------------------------------------------------------------------


def within(part: object, whole: object) -> bool:
    if isinstance(part, Mapping) and isinstance(whole, Mapping):
        return all(key in whole and within(value, whole[key]) for key, value in part.items())
    return part == whole


def test_the_readme_quotes_the_starter_policies() -> None:
    sections: dict[str, Any] = {}
    for path in (ROOT / "policies").glob("*.yaml"):
        sections |= yaml.safe_load(path.read_text("utf-8"))

    quoted = [yaml.safe_load(block) for block in blocks("README.md", "yaml")]
    assert quoted
    assert all(within(block, sections) for block in quoted)


def test_the_example_of_the_policy_page_passes() -> None:
    example = next(block for block in blocks("docs/policies.md", "yaml"))

    policy = load_policy({"example.yaml": example.encode()}, revision="")

    assert {"engineer", "lead"} == set(policy.roles)


@pytest.mark.parametrize("document", ["docs/policies.md", "docs/policy-tests.md"])
def test_every_policy_that_is_shown_passes(document: str) -> None:
    """A block that is a part of a policy (without levels of its own) is read beside the starter set."""
    starter = {path.name: path.read_bytes() for path in (ROOT / "policies").glob("*.yaml")}
    shown = [block for block in blocks(document, "yaml") if "repos:" not in block]

    assert shown
    for block in shown:
        whole = "clearances" in yaml.safe_load(block)
        load_policy({**({} if whole else starter), "shown.yaml": block.encode()}, revision="")


@pytest.mark.parametrize(("document", "count"), [("docs/operations.md", 3), ("docs/active-directory.md", 2)])
def test_the_targets_that_the_docs_configure_can_be_made(document: str, count: int, tmp_path: Path) -> None:
    kinds = {point.name: point.load() for point in entry_points(group="reconciler.targets")}
    shown = [yaml.safe_load(block) for block in blocks(document, "yaml")]
    settings = [own for block in shown for own in block.get("targets", {}).items()]

    assert len(settings) >= count
    for name, target in settings:
        own = {key: value for key, value in target.items() if key not in ("type", "foreign", "orphans")}
        assert kinds[target["type"]](TargetContext(name, tmp_path, Place("docs")), own)


@pytest.mark.parametrize("document", ["docs/hr.md", "docs/sources.md"])
def test_the_sources_that_the_docs_configure_can_be_made(document: str, tmp_path: Path) -> None:
    kinds = {point.name: point.load() for point in entry_points(group="reconciler.sources")}
    shown = [settings for block in blocks(document, "yaml") for settings in sources_in(block)]

    assert shown
    for settings in shown:
        own = {key: value for key, value in settings.items() if key != "type"}
        assert kinds[settings["type"]](SourceContext("hr", tmp_path, Place("docs")), own)


def test_every_kind_of_source_and_every_step_has_its_example() -> None:
    shown = {settings["type"] for block in blocks("docs/sources.md", "yaml") for settings in sources_in(block)}

    assert shown == {point.name for point in entry_points(group="reconciler.sources")}
    assert all(re.search(rf"^\| .*`{{?{step}\b", read("docs/sources.md"), re.MULTILINE) for step in STEPS)


def sources_in(block: str) -> Iterator[Mapping[str, Any]]:
    yield from yaml.safe_load(block)["sources"].values()


def test_the_chain_can_be_checked_as_the_auditors_page_says(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "company")
    for command in commands("docs/auditors.md"):
        reader.type(command)
    (script,) = blocks("docs/auditors.md", "python")

    def run(*words: str) -> str:
        done = subprocess.run(
            words, cwd=reader.folder, env=reader.environment, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    verified, *_ = run(str(Path(sys.executable).with_name("reconciler")), "ledger", "verify").splitlines()
    assert run(sys.executable, "-c", script).strip() == verified.removeprefix("The ledger verifies: ")
    run(sys.executable, "-c", ALTERING)
    assert "AssertionError: entry 70: payload altered" in run(sys.executable, "-c", script)


ALTERING = """
import sqlite3

with sqlite3.connect("state/reconciler.db") as store:
    for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        store.execute(f"DROP TRIGGER {name}")
    store.execute("UPDATE ledger_payloads SET payload = payload || ' ' WHERE seq = 70")
"""
"""What somebody does who may write to the store: its triggers, which refuse this, are no obstacle to them."""
