"""The same people in three formats are the same people; a delivery that is cut takes nothing from anybody."""

from __future__ import annotations

import csv
import io
from datetime import date
from pathlib import Path

import openpyxl
import pytest

from tests.cli.company import Company
from tests.story.test_feeds import large_company, people_file, readers, rows

COUNT = 40


def workbook(text: str) -> bytes:
    """The same table as Excel would save it: days as days."""
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    for record in csv.reader(io.StringIO(text)):
        page.append([date.fromisoformat(cell) if cell[:3] == "202" else cell for cell in record])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


FORMATS = {
    "people.csv": lambda text: text.encode(),
    "people-gb.csv": lambda text: text.encode("gb18030"),
    "people.xlsx": workbook,
}
WORKSPACE = "sources:\n  hr: {type: csv, path: people.csv, feed: full}\n"


def deliver(company: Company, name: str, content: bytes) -> None:
    """HR changes the format of its delivery; the source stays the same one."""
    (company.folder / name).write_bytes(content)
    kind = "xlsx" if name.endswith("xlsx") else "csv"
    path = company.folder / "reconciler.yaml"
    lines = [
        f"  hr: {{type: {kind}, path: {name}, feed: full}}" if line.startswith("  hr:") else line
        for line in path.read_text("utf-8").splitlines()
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def test_after_the_first_the_others_add_nothing_to_the_record(tmp_path: Path) -> None:
    company = large_company(tmp_path, COUNT)
    text, before = people_file(rows(COUNT)), company.entries()

    for name, write in FORMATS.items():
        deliver(company, name, write(text))
        assert "nothing new for the record" in company.run("people", "import").out
        assert company.entries() == before


def test_files_that_no_source_delivers_are_told_apart_by_what_they_hold(tmp_path: Path) -> None:
    company = Company(tmp_path)
    company.write("reconciler.yaml", "format: reconciler.workspace/1\norganization: x\ntimezone: UTC\npolicies: p\n")
    company.write("p/policy.yaml", "attributes: {department: {kind: tree}}\nclearances: [{public: {}}]\n")
    text = people_file(rows(COUNT))
    entries = []
    for name, content in (("a.csv", text.encode("gb18030")), ("b.xlsx", workbook(text)), ("c.data", workbook(text))):
        (company.folder / name).write_bytes(content)
        company.run("people", "import", f"./{name}")
        entries.append(company.entries())

    assert len(set(entries)) == 1


@pytest.mark.parametrize("name", FORMATS)
def test_a_delivery_that_is_cut_anywhere_revokes_nothing(tmp_path: Path, name: str) -> None:
    """Whatever the import says (it may be refused, quarantined, or wait), the plan after it takes nothing away."""
    company = large_company(tmp_path, COUNT)
    everybody = readers(company)
    content = FORMATS[name](people_file(rows(COUNT)))
    header = content.index(b"\n") if name.endswith("csv") else 0

    for end in (0, header, len(content) // 3, len(content) * 4 // 5, len(content) - 2, len(content) - 1):
        deliver(company, name, content[:end])
        import_whatever(company)
        company.run("apply", "--yes")
        assert readers(company) == everybody


def import_whatever(company: Company) -> None:
    import subprocess

    done = subprocess.run(
        company.command("people", "import"),
        cwd=company.folder,
        env=company.environment(),
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode in (0, 1, 3, 4)
