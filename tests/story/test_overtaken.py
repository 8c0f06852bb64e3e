"""A plan saved at nine, its person out at half past nine, carried out at ten: nothing is granted to them."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.cli.company import Company

READERS = "handbook-readers"


def members(company: Company, group: str) -> list[str]:
    """The lines of a group's members, by the file itself."""
    entries = (company.folder / "directory.ldif").read_text("utf-8").split("\n\n")
    entry = next(entry for entry in entries if f"dn: cn={group}," in entry)
    return [line for line in entry.splitlines() if line.startswith("member: ")]


def take_out(company: Company, group: str, *logins: str) -> None:
    """Somebody takes members out by hand."""
    path = company.folder / "directory.ldif"
    entries = path.read_text("utf-8").split("\n\n")
    for at, entry in enumerate(entries):
        if f"dn: cn={group}," in entry:
            kept = [line for line in entry.splitlines() if not any(f"uid={login}," in line for login in logins)]
            entries[at] = "\n".join(kept)
    path.write_text("\n\n".join(entries), "utf-8")


def test_the_person_of_a_saved_plan_who_leaves_meanwhile_is_given_nothing(rolled_out: Company) -> None:
    company = rolled_out
    leaver, other = (line.split("uid=")[1].split(",")[0] for line in members(company, READERS)[-2:])
    take_out(company, READERS, leaver, other)
    plan = company.plan("--out", "nine.json")
    assert [each["op"] for each in plan["changes"]] == ["grant", "grant"]
    (person,) = (each["person"] for each in plan["changes"] if f"uid={leaver}," in each["account"])

    now = datetime.now(UTC).isoformat()
    company.run("people", "event", "exited", person, "--at", now)
    run = company.run("apply", "nine.json", "--yes", "--output", "json").json

    assert run["outcomes"] == {"applied": 1}, "the other one gets back what is theirs"
    assert run["no_longer_due"] == 1
    assert not [line for line in members(company, READERS) if f"uid={leaver}," in line]
    assert [line for line in members(company, READERS) if f"uid={other}," in line]


def test_a_saved_plan_is_carried_out_once(rolled_out: Company) -> None:
    """F3: the same file a second time is refused, whatever has become due again meanwhile."""
    company = rolled_out
    take_out(company, READERS, "pan.yue")
    company.plan("--out", "nine.json")
    company.run("apply", "nine.json", "--yes")
    take_out(company, READERS, "pan.yue")

    told = company.run("apply", "nine.json", "--yes", status=1)

    assert "carried out already" in told.err
    assert not [line for line in members(company, READERS) if "pan.yue" in line]
