"""What HR's side can get wrong: each is told with its line, nothing known is lost, nobody is out because of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.hr_lab import person
from tests.cli.company import Company
from tests.servers.hr_api import TOKEN, HrApi, Reply, serving, text_reply
from tests.story.test_feeds import POLICY, VAULT, large_company, people_file, readers, rows

COUNT = 40


def with_row(number: int, row: str) -> str:
    lines = rows(COUNT)
    lines[number] = row
    return people_file(lines)


LAST = "P00039,人员 39,rd,2020-01-06,active"
FILES: dict[str, tuple[str, int, str]] = {
    "too few columns": (with_row(39, "P00039,人员 39"), 4, "people.csv:41"),
    "two rows with one id": (people_file([*rows(COUNT), "P00039,人员 39,sales,2020-01-06,active"]), 4, "people.csv:42"),
    "an unknown department": (with_row(39, LAST.replace(",rd,", ",moon,")), 0, "undeclared-value: P00039"),
    "an id that changed its case": (with_row(39, LAST.replace("P00039", "p00039")), 4, "only in case"),
    "a day of no calendar": (with_row(39, LAST.replace("2020-01-06", "2020-02-31")), 4, "people.csv:41"),
    "a day before anybody": (with_row(39, LAST.replace("2020-01-06", "1820-01-06")), 4, "people.csv:41"),
    "a day before the company": (with_row(39, LAST.replace("2020-01-06", "1920-01-06")), 0, "strange-date: P00039"),
    "half of the file": (people_file(rows(COUNT // 2)), 3, "names 20 people"),
    "the file cut in a row": (people_file(rows(COUNT))[:-12], 4, "people.csv:41"),
    "an empty file": ("", 3, "empty"),
    "nobody in it": ("id,name,department,starts_on,status\n", 3, "names nobody"),
    "another company's": (people_file([row.replace("P", "Q") for row in rows(5)]), 3, "names 5 people"),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return large_company(tmp_path_factory.mktemp("bad") / "company", COUNT)


@pytest.mark.parametrize(("content", "status", "expected"), FILES.values(), ids=FILES)
def test_a_bad_file_is_told_and_takes_nothing_from_anybody(
    template: Company, tmp_path: Path, content: str, status: int, expected: str
) -> None:
    company = template.copy(tmp_path)
    everybody = readers(company)
    company.write("people.csv", content)

    done = company.run("people", "import", status=status)

    assert expected in done.said
    apply_whatever(company)
    kept = everybody - ({"P00039"} if "moon" in content else set())
    assert readers(company) >= kept
    company.run("ledger", "verify")


def apply_whatever(company: Company) -> None:
    """Somebody whose department nobody declared loses what it gave: the row is believed, the guard is not needed."""
    company.run("apply", "--yes")


def test_an_exit_before_the_hire_is_told(template: Company, tmp_path: Path) -> None:
    company = template.copy(tmp_path)

    said = company.run("people", "event", "exited", "P00001", "--at", "2019-01-01").out

    assert "before they were hired (2020-01-06)" in said


def test_people_who_manage_each_other_are_a_finding(tmp_path: Path) -> None:
    company = Company(tmp_path)
    company.write("reconciler.yaml", "format: reconciler.workspace/1\norganization: x\ntimezone: UTC\npolicies: p\n")
    company.write("p/policy.yaml", "attributes: {manager: {kind: person}}\nclearances: [{public: {}}]\n")
    company.write("a.csv", "id,manager\nE1,E2\nE2,E3\nE3,E2\nE4,E1\nE5,E5\n")

    findings = company.run("people", "import", "a.csv", "--output", "json").json[0]["findings"]

    circles = {each["subject"]: each["text"] for each in findings if each["kind"] == "person-cycle"}
    assert set(circles) == {"E2", "E5"}
    assert "E2 → E3 → E2" in circles["E2"]


# --- a system's API -------------------------------------------------------------------------------------------------

WORKSPACE = """\
format: reconciler.workspace/1
organization: Ten thousand
timezone: Asia/Shanghai
policies: policies
sources:
  hr:
    type: rest
    url: "{url}"
    auth: {{bearer: "${{env:HR_TOKEN}}"}}
    records: data.items
    pages: {{by: page, size: {{parameter: per_page, value: 10}}}}
    columns: {{id: employee_no, name: name.full, department: org.path}}
    changes: {{field: updated_at, parameter: updated_since}}
    retry: {{attempts: 1}}
targets:
  vault: {{type: casbin, model: vault.conf, policy: vault.csv}}
"""


def employee(number: int, department: str = "rd", day: int = 1) -> dict[str, object]:
    return person(number, org={"path": department}, updated_at=f"2026-11-{day:02}T00:00:00Z")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Company, HrApi]]:
    """A company whose people come from an API, all of them in place."""
    with serving(HrApi([employee(number) for number in range(25)])) as api:
        company = Company(tmp_path).having(HR_TOKEN=TOKEN)
        company.write("reconciler.yaml", WORKSPACE.format(url=api.url))
        company.write("policies/policy.yaml", POLICY)
        company.write("vault.conf", VAULT)
        company.write("vault.csv", "p, reader, wiki, read\n")
        company.run("people", "import")
        company.roll_out()
        yield company, api


REPLIES: dict[str, list[Reply | None]] = {
    "an error page that says 200": [Reply(200, b"<html>sign in</html>", {"Content-Type": "text/html"})],
    "an error that says 200": [text_reply('{"error": "maintenance"}')],
    "half of an answer": [None, text_reply('{"data": {"items": [')],
    "an end in the middle": [None, Reply(200, b'{"data": {"items": []}}' * 40, cut=30)],
    "a refusal half-way": [None, Reply(500)],
}


@pytest.mark.parametrize("replies", REPLIES.values(), ids=REPLIES)
def test_an_api_that_breaks_off_is_told_with_its_page_and_takes_nothing(
    served: tuple[Company, HrApi], replies: list[Reply | None]
) -> None:
    company, api = served
    before, everybody = company.entries(), readers(company)
    api.replies[:] = replies

    said = company.run("people", "import", "--full", status=1).err

    assert f"page {len(replies)}" in said
    assert TOKEN not in said
    assert company.entries() == before
    company.run("apply", "--yes")
    assert readers(company) == everybody


def test_pages_that_lead_round_in_a_circle_are_no_delivery(served: tuple[Company, HrApi]) -> None:
    company, api = served
    first = api.people[:10]
    api.replies[:] = [text_reply(json.dumps({"data": {"items": first}})) for _ in range(4)]
    before = company.entries()

    company.run("people", "import", "--full", status=1)

    assert company.entries() == before


def test_a_second_import_asks_for_what_has_changed(served: tuple[Company, HrApi]) -> None:
    company, api = served
    everybody = readers(company)
    api.asked.clear()
    api.people[3] = employee(3, department="sales", day=20)
    api.people.append(employee(99, day=21))

    told = company.run("people", "import", "--output", "json").json[0]

    assert all(asked.query.get("updated_since") for asked in api.pages_asked)
    assert (told["new"], told["changed"]) == (1, 1)
    assert told["waiting"] == [], "who is not in it has not left"
    company.run("apply", "--yes")
    assert readers(company) == everybody | {"E0099"}
    api.asked.clear()
    assert "nothing new" in company.run("people", "import", "--full").out
    assert not any("updated_since" in asked.query for asked in api.pages_asked)
    del api.people[5]
    assert company.run("people", "import").out
    assert company.run("people", "import", "--full", "--output", "json", status=3).json[0]["waiting"]


def test_who_has_left_by_what_has_changed_is_out(served: tuple[Company, HrApi]) -> None:
    company, api = served
    api.people[3] = {**employee(3, day=20), "status": "exited"}

    company.run("people", "import")
    company.run("apply", "--yes")

    assert "E0003" not in readers(company)
