"""What HR sends when something went wrong on its way, and what the command says and does about it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from tests.cli.company import Company


def rewrite(company: Company, change: Callable[[str], str | None]) -> None:
    """Change (or, with None, drop) lines of the people file; its header stays."""
    path = company.folder / "people.csv"
    header, *rows = path.read_text("utf-8").splitlines()
    changed = [line for line in map(change, rows) if line is not None]
    path.write_text("\n".join([header, *changed]) + "\n", "utf-8")


def line_of(company: Company, person: str) -> int:
    """The line of the people file on which a person stands first."""
    lines = (company.folder / "people.csv").read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.startswith(person))


def test_importing_twice_adds_nothing(informed_company: Company) -> None:
    before = informed_company.entries()

    told = informed_company.run("people", "import")
    proofs = informed_company.run("evidence", "import", "evidence.csv", "--output", "json").json

    assert "nothing new for the record" in told.out
    assert proofs == {"recorded": 0, "known": 258, "quarantined": []}
    assert informed_company.entries() == before


def test_a_missing_column_is_named_with_the_nearest_one(informed_company: Company) -> None:
    before = informed_company.entries()
    informed_company.edit("people.csv", "工号,姓名", "编号,姓名")

    told = informed_company.run("people", "import", status=1)

    assert "people.csv:1:" in told.err
    assert "`工号` (for `id`) is missing" in told.err
    assert "{id: 编号}" in told.err
    assert informed_company.entries() == before


def test_a_bad_date_excludes_its_row_and_no_other(company: Company) -> None:
    rewrite(company, lambda line: re.sub(r"\d{4}-\d{2}-", "2022-13-", line) if line.startswith("E1005") else line)

    told = company.run("people", "import", status=4)

    assert f"people.csv:{line_of(company, 'E1005')}: error: `starts_on`: `2022-13-" in told.out
    assert "→" in told.out
    assert "57 new" in told.out
    assert "E1005" in company.run("why", "E1005", "handbook:read", status=1).err
    assert company.run("why", "E1006", "handbook:read", "--output", "json").json["allowed"] is True


def test_a_row_that_goes_bad_leaves_the_person_as_they_were(informed_company: Company) -> None:
    before = informed_company.plan()["digest"]
    rewrite(informed_company, lambda line: line.replace("P5", "P5,,,") if line.startswith("E1005") else line)

    told = informed_company.run("people", "import", status=4)

    assert f"people.csv:{line_of(informed_company, 'E1005')}: error: 17 cells" in told.out
    assert informed_company.plan()["digest"] == before


def test_an_undeclared_value_is_unknown_and_a_finding(informed_company: Company) -> None:
    rewrite(informed_company, lambda line: line.replace("工程师", "魔术师") if line.startswith("E1010") else line)

    told = informed_company.run("people", "import")

    assert "undeclared-value: E1010: `post` is `魔术师`" in told.out
    answer = informed_company.run("why", "E1010", "core-algorithms:read", "--output", "json").json
    assert answer["allowed"] is False
    assert answer["reasons"] == []


def test_a8_a_file_that_names_nobody_changes_nothing(rolled_out: Company) -> None:
    before = rolled_out.entries()
    rewrite(rolled_out, lambda line: None)
    assert "names nobody" in rolled_out.run("people", "import", status=3).err

    rolled_out.write("people.csv", "")
    told = rolled_out.run("people", "import", "--output", "json", status=3)
    assert told.out == ""
    assert json.loads(told.err)["error"]["remedy"]

    assert rolled_out.entries() == before
    assert rolled_out.plan()["changes"] == []


def test_a4_a_shrunk_file_changes_nothing(rolled_out: Company) -> None:
    before = rolled_out.entries()
    rewrite(rolled_out, lambda line: line if line < "E1050" else None)

    told = rolled_out.run("people", "import", status=3)

    assert "49 people" in told.err
    assert "58" in told.err
    assert "→" in told.err
    assert rolled_out.entries() == before
    assert rolled_out.plan()["changes"] == []


def test_a_third_of_the_company_leaving_waits_for_one_word(rolled_out: Company) -> None:
    gone = [f"E10{number}" for number in range(27, 47)]
    rewrite(rolled_out, lambda line: line.replace(",在职,", ",已离职,") if line[:5] in gone else line)

    report = rolled_out.run("people", "import", "--output", "json", status=3).json[0]
    assert [each["person"] for each in report["waiting"]] == gone
    assert rolled_out.plan()["changes"] == []

    rolled_out.run("people", "import", status=3)
    confirmed = rolled_out.run("people", "confirm", report["import"], "--output", "json").json
    assert confirmed["recorded"] == gone
    again = rolled_out.run("people", "confirm", report["import"], status=1)
    assert "already" in again.err
    rolled_out.run("people", "import")

    run = rolled_out.run("apply", "--yes", "--output", "json").json
    revoked = {each["person"] for each in run["plan"]["changes"]}
    assert revoked == set(gone)
    assert run["held"] == 0
    assert set(run["outcomes"]) == {"applied"}


def test_somebody_missing_from_the_file_has_not_left(rolled_out: Company) -> None:
    rewrite(rolled_out, lambda line: None if line.startswith("E1049") else line)

    told = rolled_out.run("people", "import", status=3)

    assert "E1049: absent from the feed" in told.out
    assert "reconciler people confirm" in told.out
    assert rolled_out.plan()["changes"] == []


def test_files_and_sources_that_are_not_there(informed_company: Company) -> None:
    for command in (
        ["people", "import", "no-such-source"],
        ["people", "import", "nowhere.csv"],
        ["evidence", "import", "nowhere.csv"],
        ["people", "confirm", "no-such-import"],
        ["people", "event", "--file", "nowhere.json"],
    ):
        told = informed_company.run(*command, status=1)
        assert told.out == ""
        assert command[-1] in told.err
        assert "→" in told.err


def test_a_bad_proof_excludes_only_itself(company: Company) -> None:
    company.run("people", "import")
    company.write(
        "proofs.csv",
        "person,evidence,version,valid_from\nE1009,nda,3,2026-02-30\nE1010,no-such-proof,,2026-01-01\nE1011,nda,3,2026-01-05\n",
    )

    told = company.run("evidence", "import", "proofs.csv", status=4)

    assert "proofs.csv:2: error:" in told.out
    assert "proofs.csv:3: error:" in told.out
    assert "1 recorded" in told.out


def test_an_event_that_is_refused_keeps_no_other_back(company: Company) -> None:
    company.run("people", "import")
    good = '{"id": "a", "type": "resignation-submitted", "person": "E1017", "effective_at": "2026-01-05", "data": {}}'
    bad = '{"id": "b", "type": "resigned", "person": "E1018", "effective_at": "2026-01-05", "data": {}}'

    answer = company.run("people", "event", "--file", "-", "--output", "json", stdin=f"{bad}\n{good}\n", status=1).json

    assert [each["person"] for each in answer["events"]] == ["E1017"]
    assert len(answer["refused"]) == 1
    assert answer["refused"][0]["remedy"]

    before = company.entries()
    assert "known already" in company.run("people", "event", "--file", "-", stdin=good).out
    assert company.entries() == before
    other = company.run("people", "event", "--file", "-", stdin=good.replace("E1017", "E1018"), status=1)
    assert "a" in other.said
    assert company.entries() == before
