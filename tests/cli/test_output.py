"""Exit statuses, standard output and standard error, JSON, colours, help; and that looking changes nothing."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import click
import pytest

from reconciler.cli.main import group
from tests.cli.company import Company

ESCAPE = re.compile(r"\x1b")
COLOUR = re.compile(r"\x1b\[[0-9;]*\b(3[0-9]|4[0-9]|9[0-7]|10[0-7])(;[0-9;]*)?m")


def commands(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command there is, groups included."""
    below = command.commands if isinstance(command, click.Group) else {}
    return [path, *(found for name, each in below.items() for found in commands(each, (*path, name)))]


COMMANDS = commands(group)


def test_the_list_of_commands_says_what_each_says_of_itself(company: Company) -> None:
    told = " ".join(company.run("--help").out.split())

    for name, *deeper in COMMANDS[1:]:
        if not deeper:
            said = group.commands[name].get_short_help_str(limit=1000)
            assert f"{name} {said}" in told


# --- exit statuses ----------------------------------------------------------------------------------------------------


def test_detailed_exit_statuses(informed_company: Company) -> None:
    company = informed_company
    assert company.plan("--detailed-exitcode", status=3)["summary"]["held"] > 0
    company.plan()
    company.run("apply", "--yes", status=3)
    company.run("approve", company.plan()["digest"], "--reason", "roll-out")
    company.run("apply", "--yes")
    company.plan("--detailed-exitcode")
    company.run("people", "event", "resignation-submitted", "E1017", "--at", "2026-01-05")

    assert company.plan("--detailed-exitcode", status=2)["summary"]["held"] == 0


def test_a_failed_change_ends_with_4_and_beats_what_is_held(informed_company: Company) -> None:
    """The vault's file turns into a folder that cannot be written: the directory goes on."""
    vault = informed_company.folder / "vault.csv"
    vault.unlink()
    vault.mkdir()

    run = informed_company.run("apply", "--yes", "--output", "json", status=4).json

    assert run["plan"]["targets"]["vault"]["error"]
    assert run["held"] > 0
    assert run["outcomes"] == {"applied": 2}


def test_a_run_says_what_a_target_remarks_on_what_it_did(informed_company: Company) -> None:
    """That an account could not be moved would otherwise stand in the record alone."""
    own = '{disable: ppolicy, leavers: "ou=left,ou=people,dc=example,dc=com"}'
    informed_company.edit("reconciler.yaml", "    foreign: report\n", f"    foreign: report\n    accounts: {own}\n")

    said = informed_company.run("apply", "--yes", status=3).out

    assert re.search(r"applied: disable-account E\d+ .*on corp-ldap: not moved: ", said)


# --- streams ----------------------------------------------------------------------------------------------------------


def test_every_command_prints_json_and_nothing_else(company: Company, tmp_path: Path) -> None:
    form = ("--output", "json")
    company.run("init", str(tmp_path / "new"), *form).json  # noqa: B018  # parsing is the test
    assert company.run("check", *form).json["ok"] is True
    assert company.run("schema", *form).json["$schema"]
    assert company.run("people", "import", *form).json[0]["new"] == 58
    assert company.run("evidence", "import", "evidence.csv", *form).json["recorded"] == 258
    event = company.run("people", "event", "resignation-submitted", "E1017", "--at", "2026-01-05", *form)
    assert event.json["events"][0]["outcome"] == "recorded"
    plan = company.run("plan", *form, "--out", "plan.json")
    assert plan.json == json.loads((company.folder / "plan.json").read_text("utf-8"))
    assert company.run("approve", plan.json["digest"], "--reason", "all", *form).json["changes"] > 200
    assert company.run("apply", "--yes", *form).json["held"] == 0
    assert company.run("why", "E1009", "core-algorithms:read", *form).json["denials"]
    assert company.run("ledger", "verify", *form).json["ok"] is True
    assert {each["level"] for each in company.run("doctor", *form).json} <= {"ok", "warning"}


def test_piped_output_is_plain_and_progress_is_nowhere(informed_company: Company) -> None:
    plan = informed_company.run("plan", "--verbose")
    applied = informed_company.run("apply", "--yes", status=3)

    for told in (plan, applied):
        assert not ESCAPE.search(told.said)
    assert plan.err == ""
    assert all(json.loads(line)["event"] for line in applied.err.splitlines()), "events, and no progress"
    assert "吴俊杰" in plan.out
    assert "𠮷田翔" in plan.out
    assert "Müller, Jürgen" in plan.out
    assert all(line == line.rstrip("\r") for line in plan.out.split("\n"))


def test_chinese_survives_a_pipe_without_any_locale(informed_company: Company) -> None:
    told = (
        replace(informed_company, by_script=True)
        .having(LANG="C", LC_ALL="C")
        .run("why", "E1009", "core-algorithms:read")
    )

    assert "吴俊杰" in told.out


def on_a_terminal(company: Company, *arguments: str) -> str:
    """What a command writes to a terminal, its standard error included."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        company.command(*arguments),
        cwd=company.folder,
        env={**company.environment(), "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65536):
            said += part
    except OSError:
        pass  # the terminal's other end is closed: the command has ended
    os.close(ours)
    process.wait()
    return said.decode()


def test_no_color_is_honoured_on_a_terminal(informed_company: Company) -> None:
    asked = ("why", "E1009", "core-algorithms:read")

    assert COLOUR.search(on_a_terminal(informed_company, *asked))
    assert not COLOUR.search(on_a_terminal(informed_company.having(NO_COLOR="1"), *asked))
    assert not COLOUR.search(on_a_terminal(informed_company.having(NO_COLOR="1"), "plan"))


def test_a_reader_that_goes_away_is_no_traceback(informed_company: Company) -> None:
    command = " ".join(informed_company.command("plan", "--verbose"))
    done = subprocess.run(
        ["sh", "-c", f"{command} | head -n 1"],
        cwd=informed_company.folder,
        env=informed_company.environment(),
        capture_output=True,
        check=True,
    )

    assert done.stderr == b""
    assert done.stdout.count(b"\n") == 1


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(fresh_template: Company, path: tuple[str, ...]) -> None:
    told = fresh_template.run(*path, "--help")

    assert told.out.startswith("Usage: reconciler")
    assert told.err == ""


# --- looking changes nothing ------------------------------------------------------------------------------------------


def test_f1_plan_leaves_every_file_of_the_targets_alone(informed_company: Company) -> None:
    def look() -> dict[str, tuple[bytes, int]]:
        files = [path for path in informed_company.folder.parent.rglob("*") if path.is_file()]
        own = informed_company.store.parent
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files if own not in path.parents}

    before, entries = look(), informed_company.entries()
    informed_company.folder.joinpath("directory.ldif").chmod(0o400)

    informed_company.run("plan")
    informed_company.run("plan", "--at", "2099-01-01")
    informed_company.run("doctor")

    assert look() == before
    assert informed_company.entries() == entries


def test_the_record_is_for_its_owner_alone(informed_company: Company) -> None:
    informed_company.run("plan", "--out", "plan.json")

    for path in (informed_company.store, informed_company.folder / "plan.json"):
        assert path.stat().st_mode & 0o077 == 0
