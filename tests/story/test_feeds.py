"""What HR's file may do to a whole company, and what it may not: on the real command line, targets included."""

from __future__ import annotations

from pathlib import Path

from tests.cli.company import Company

VAULT = """\
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
"""
WORKSPACE = """\
format: reconciler.workspace/1
organization: Ten thousand
timezone: Asia/Shanghai
policies: policies
sources:
  hr: {type: csv, path: people.csv, feed: full}
targets:
  vault: {type: casbin, model: vault.conf, policy: vault.csv}
"""
POLICY = """\
attributes:
  department: {kind: one_of, values: [rd, sales]}
clearances:
  - public: {}
resources:
  wiki: {classification: public, owner: {person: "P00001"}, access: {read: {vault: {role: reader}}}}
roles:
  staff: {match: {department: [rd, sales]}, grants: {read: [wiki]}}
"""


def rows(count: int, leavers: int = 0, department: str = "rd") -> list[str]:
    """People by number; the first of them have left."""
    return [f"P{n:05},人员 {n},{department},2020-01-06,{'exited' if n < leavers else 'active'}" for n in range(count)]


def people_file(lines: list[str]) -> str:
    return "\n".join(["id,name,department,starts_on,status", *lines]) + "\n"


def large_company(folder: Path, count: int) -> Company:
    """Everybody reads the wiki."""
    company = Company(folder)
    company.write("reconciler.yaml", WORKSPACE)
    company.write("policies/policy.yaml", POLICY)
    company.write("vault.conf", VAULT)
    company.write("vault.csv", "p, reader, wiki, read\n")
    company.write("people.csv", people_file(rows(count)))
    company.run("people", "import")
    company.roll_out()
    return company


def readers(company: Company) -> set[str]:
    """Who holds the role, by the file itself."""
    lines = (company.folder / "vault.csv").read_text("utf-8").splitlines()
    return {line.split(",")[1].strip() for line in lines if line.startswith("g,")}


def test_900_exits_among_10_000_people_wait_for_one_word(tmp_path: Path) -> None:
    company = large_company(tmp_path, 10_000)
    everybody = readers(company)
    assert len(everybody) == 10_000

    joiners = [f"N{n},新人 {n},sales,2020-01-06,active" for n in range(3)]
    company.write("people.csv", people_file([*rows(10_000, leavers=900), *joiners]))
    taken = company.run("people", "import", "--output", "json", status=3).json[0]
    assert len(taken["waiting"]) == 900
    assert {each["person"] for each in taken["waiting"]} == {f"P{n:05}" for n in range(900)}

    company.run("apply", "--yes")
    assert readers(company) == everybody | {"N0", "N1", "N2"}  # newcomers get in, nobody is out

    company.run("people", "confirm", taken["import"])
    company.run("apply", "--yes")
    assert readers(company) == {f"P{n:05}" for n in range(900, 10_000)} | {"N0", "N1", "N2"}
    assert company.plan("--detailed-exitcode")["changes"] == []


def test_an_exit_by_event_outlasts_a_nightly_feed_that_still_says_active(rolled_out: Company) -> None:
    company = rolled_out
    company.run("people", "event", "exited", "E1012", "--at", "2026-01-05T10:00")
    assert company.plan()["summary"]["revoke"] > 0
    company.run("apply", "--yes")

    company.edit("people.csv", "E1016,Seán O'Brien", "E1016,Seán Ó Briain")  # something else is news that night
    assert "E1012" in (company.folder / "people.csv").read_text("utf-8")
    said = company.run("people", "import").out
    assert "1 changed" in said

    assert not [change for change in company.plan()["changes"] if change["person"] == "E1012"]
    assert company.run("can", "E1012", "handbook:read").out == "no\n"


def test_a_leaver_whose_row_names_an_unknown_department_is_out(tmp_path: Path) -> None:
    company = large_company(tmp_path, 40)

    company.write("people.csv", people_file([*rows(39), "P00039,人员 39,reorganised/unknown,2020-01-06,exited"]))
    said = company.run("people", "import").out
    assert "undeclared-value: P00039" in said
    company.run("apply", "--yes")

    assert readers(company) == {f"P{n:05}" for n in range(39)}


def test_a_leaver_whose_row_has_too_few_cells_is_out(tmp_path: Path) -> None:
    company = large_company(tmp_path, 40)
    shorter = "id,name,status,department,starts_on\n"
    full = [f"P{n:05},人员 {n},active,rd,2020-01-06\n" for n in range(39)]

    company.write("people.csv", "".join([shorter, *full, "P00039,人员 39,exited\n"]))
    said = company.run("people", "import", status=4).out
    assert "people.csv:41" in said
    company.run("apply", "--yes")

    assert readers(company) == {f"P{n:05}" for n in range(39)}
