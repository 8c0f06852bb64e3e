"""A new workspace: what `init` writes passes `check`, and it overwrites nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.cli.company import Company


def test_a_new_workspace_passes_check(tmp_path: Path) -> None:
    here = Company(tmp_path)
    told = here.run("init", "新公司")
    workspace = replace(here, folder=tmp_path / "新公司")

    assert "reconciler check" in told.out
    checked = workspace.run("check", "--output", "json").json
    assert checked["ok"] is True
    assert {each["severity"] for each in checked["problems"]} <= {"warning"}
    assert 'organization: "新公司"' in (workspace.folder / "reconciler.yaml").read_text("utf-8")


def test_a_second_init_refuses_and_leaves_everything(tmp_path: Path) -> None:
    here = Company(tmp_path)
    here.run("init", "acme")
    here.write("acme/policies/roles.yaml", "roles: {}\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    told = here.run("init", "acme", status=1)

    assert "acme/reconciler.yaml" in told.err
    assert "→" in told.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_init_where_nothing_can_be_written(tmp_path: Path) -> None:
    here = Company(tmp_path)
    here.write("taken", "a file")

    told = here.run("init", "taken", status=1)

    assert "taken" in told.err
    assert "→" in told.err


def test_a_new_workspace_takes_people_and_plans_on_a_vault_alone(tmp_path: Path) -> None:
    """The first quarter of an hour: init, a CSV file, and the document vault that needs no server."""
    here = Company(tmp_path)
    here.run("init", "acme")
    acme = replace(here, folder=tmp_path / "acme")
    acme.write(
        "people.csv",
        "id,name,employment,department,post,grade,projects,location,manager,starts_on,ends_on,status,assignment,email\n"
        "A1,何晓明,employee,rd/ai,architect,P7,,cn,,2020-01-01,,active,,\n",
    )
    today = "2026-01-05"
    acme.write(
        "proofs.csv",
        "person,evidence,version,valid_from,valid_until\n"
        + "".join(
            f"A1,{kind},{version},{today},2099-12-31\n"
            for kind, version in (
                ("nda", 3),
                ("ip-assignment", 1),
                ("secrecy-training", ""),
                ("rd-training", ""),
                ("background-check", ""),
                ("non-compete", 2),
            )
        ),
    )
    acme.run("people", "import")
    acme.run("evidence", "import", "proofs.csv")
    acme = acme.having(LDAP_PASSWORD="unused")

    run = acme.run("apply", "--yes", "--target", "vault", "--output", "json").json

    assert {(each["person"], each["entitlement"]) for each in run["plan"]["changes"]} == {
        ("A1", "core-reader"),
        ("A1", "core-writer"),
    }
    assert "g, A1, core-reader" in (acme.folder / "vault.csv").read_text("utf-8")
