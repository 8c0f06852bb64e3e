"""Erasing somebody: the chain verifies, the projections are what a rebuild makes, nothing opens, nothing is left."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, make_url, select, text

from reconciler.facts.erasure import Erasure, ErasureRefused, erase
from reconciler.facts.events import parse_event
from reconciler.facts.ledger import LedgerBroken
from reconciler.facts.model import Person
from reconciler.facts.people import Facts
from reconciler.facts.recording import EventOutcome, record_events
from reconciler.facts.store import metadata
from reconciler.passes import Wiring, execute
from tests.passes.company import MONDAY, QUICK, STORES, Account, Company, settled_company, staff
from tests.servers.postgresql import Postgresql

pytestmark = pytest.mark.usefixtures("either_store")

NOT_PROJECTED = {
    "ledger_entries",
    "ledger_payloads",
    "subject_keys",
    "proposals",
    "standing",
    "leases",
    "alembic_version",
}


def dump(connection: Connection) -> list[str]:
    """Every row of every projection, in order."""
    lines: list[str] = []
    for table in metadata.sorted_tables:
        if table.name not in NOT_PROJECTED:
            rows = connection.execute(select(table).order_by(*table.primary_key.columns)).all()
            lines += [f"{table.name} {tuple(row)!r}" for row in rows]
    return lines


def rebuilt(facts: Facts) -> tuple[list[str], list[str]]:
    """The projections before and after making them again."""
    with facts.store.writing() as connection:
        before = dump(connection)
        facts.ledger.rebuild(connection)
        return before, dump(connection)


def gone(company: Company, person: str) -> Erasure:
    return erase(company.wiring(targets=()).facts, person, "LEGAL-1", now=company.now, actor="dpo")


def with_leaver(folder: Path) -> Company:
    company, _ = settled_company(folder, 6, "rd/ai")
    company.tell("attributes-changed", "E1", "2026-02-01", name="王芳", email="wang.fang@example.com")
    company.tell("exited", "E1", "2026-11-20")
    company.apply()
    return company


def test_the_chain_verifies_and_a_rebuild_gives_the_same(tmp_path: Path) -> None:
    company = with_leaver(tmp_path)
    facts = company.wiring(targets=()).facts

    done = gone(company, "E1")

    assert done.payloads > 5
    facts.ledger.verify()
    before, after = rebuilt(facts)
    assert before == after
    facts.ledger.verify()


def test_what_was_said_of_many_accounts_at_once_is_forgotten_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "FEW_LINKS", 0)
    company, accounts = Company(tmp_path), staff(4)
    company.hire(*(account.number for account in accounts))
    company.directory(accounts, {"docs": [], "algorithms": []})
    company.settle()
    company.tell("exited", "E1", "2026-11-20")
    company.apply()
    wiring = company.wiring(targets=())
    assert {entry.kind for entry in wiring.ledger.entries()} & {"account-linked", "accounts-linked"} == {
        "accounts-linked"
    }

    gone(company, "E1")

    with wiring.store.reading() as connection:
        assert set(wiring.journal.links(connection, "dir").values()) == {"E2", "E3", "E4"}
    before, after = rebuilt(wiring.facts)
    assert before == after


def files_of(company: Company, request: pytest.FixtureRequest) -> list[Path]:
    """The files that the store's tables stand in, with all that was written to them on disk."""
    if not STORES:
        return list((company.folder / "state").iterdir())
    server: Postgresql = request.getfixturevalue("postgresql")
    with server.connect(str(make_url((company.folder / "store-url").read_text("utf-8")).database)) as admin:
        admin.execute("CHECKPOINT")
        ours = admin.execute(
            "SELECT pg_relation_filepath(named.oid) FROM pg_class c, LATERAL (VALUES (c.oid), (c.reltoastrelid)) "
            "named (oid) WHERE c.relnamespace = 'reconciler'::regnamespace AND c.relkind IN ('r', 'i') "
            "AND named.oid <> 0"
        )
        return [path for (name,) in ours if (path := server.folder / "data" / name).exists()]


def noted_of(company: Company, request: pytest.FixtureRequest) -> str:
    """What the database remembers of the tables' values for planning."""
    server: Postgresql = request.getfixturevalue("postgresql")
    with server.connect(str(make_url((company.folder / "store-url").read_text("utf-8")).database)) as admin:
        return str(admin.execute("SELECT * FROM pg_stats WHERE schemaname = 'reconciler'").fetchall())


def test_nothing_is_left_but_the_id_and_that_they_are_out(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    company = with_leaver(tmp_path)
    facts = company.wiring(targets=()).facts
    others = facts.population(["E2"])
    if STORES:
        with facts.store.writing() as connection:
            connection.execute(text("ANALYZE"))
        assert "王芳" in noted_of(company, request)
    assert any("王芳".encode() in file.read_bytes() for file in files_of(company, request))

    gone(company, "E1")
    facts.store.scrub()

    person = facts.find_person("E1")
    assert (person.name, person.email, person.assignments) == ("", "", ())
    assert "E1" not in facts.population().evidence
    assert facts.population(["E2"]).people == others.people
    for file in files_of(company, request):
        content = file.read_bytes()
        assert "王芳".encode() not in content
        assert b"wang.fang" not in content
        assert b"uid=u1," not in content
    assert not STORES or "王芳" not in noted_of(company, request)


def test_whoever_bears_an_erased_id_stays_a_leaver(tmp_path: Path) -> None:
    company = with_leaver(tmp_path)
    gone(company, "E1")

    assert company.look().plan.changes == ()
    company.put("docs", staff(1)[0])  # somebody lets them in by hand
    done = company.apply()

    assert {(change.person, change.leaver) for change in done.plan.changes} == {("E1", True)}
    assert "u1" not in company.members("docs")


def test_an_erased_id_is_never_used_again(tmp_path: Path) -> None:
    company = with_leaver(tmp_path)
    done = gone(company, "E1")
    facts = company.wiring(targets=()).facts
    raw = {"id": "again", "type": "rehired", "person": "E1", "effective_at": "2026-12-01", "data": {}}

    (result,) = record_events(facts, [parse_event(raw)], source="hr", now=company.now, actor="hr")

    assert result.outcome is EventOutcome.REFUSED
    assert f"was erased (ledger entry {done.entry})" in str(result.error)
    company.hire("E77")
    assert facts.find_person("E77").number != facts.find_person("E1").number
    assert [before == after for before, after in [rebuilt(facts)]] == [True]


@pytest.mark.parametrize("person", ["E2", "E1"])
def test_who_works_here_cannot_be_erased(tmp_path: Path, person: str) -> None:
    company, _ = settled_company(tmp_path, 4)
    company.tell("exited", "E1", "2026-12-20")  # still to come

    with pytest.raises(ErasureRefused, match="works here, or will"):
        gone(company, person)


class Overtaken(Facts):
    """As soon as somebody has been looked up, they are hired again."""

    def find_person(self, text: str, known_at: int | None = None) -> Person:
        found = super().find_person(text, known_at)
        raw = {"id": "back", "type": "rehired", "person": text, "effective_at": "2026-11-21", "data": {}}
        record_events(self, [parse_event(raw)], source="hr", now=MONDAY, actor="hr")
        return found


def test_who_comes_back_at_the_last_moment_is_not_erased(tmp_path: Path) -> None:
    company = with_leaver(tmp_path)
    facts = company.wiring(targets=()).facts
    overtaken = Overtaken(facts.store, facts.timezone, facts.projections[2:])

    with pytest.raises(ErasureRefused, match="works here, or will"):
        erase(overtaken, "E1", "LEGAL-1", now=company.now, actor="dpo")

    assert facts.find_person("E1").name == "王芳"


def test_nobody_is_erased_twice_or_without_a_reason(tmp_path: Path) -> None:
    company = with_leaver(tmp_path)
    facts = company.wiring(targets=()).facts
    with pytest.raises(ErasureRefused, match="needs a reason"):
        erase(facts, "E1", " ", now=company.now, actor="dpo")
    gone(company, "E1")
    with pytest.raises(ErasureRefused, match="was erased already"):
        gone(company, "E1")


def remove_payload(connection: Connection, seq: int) -> None:
    connection.execute(text("DELETE FROM ledger_payloads WHERE seq = :seq"), {"seq": seq})


def list_as_erased(connection: Connection, seq: int) -> None:
    connection.execute(text("INSERT INTO erased_payloads (seq, entry) VALUES (:seq, 1)"), {"seq": seq})


@pytest.mark.parametrize("how", [(remove_payload,), (list_as_erased, remove_payload), (list_as_erased,)])
def test_a_payload_that_goes_without_an_entry_is_found(
    tmp_path: Path, how: tuple[Callable[[Connection, int], None], ...]
) -> None:
    company = with_leaver(tmp_path)
    gone(company, "E1")
    facts = company.wiring(targets=()).facts
    victim = next(entry.seq for entry in facts.ledger.entries() if entry.subject == "E2")
    with facts.store.writing() as connection:
        if STORES:  # the database goes to the next test, and has to keep what guards it
            connection.execute(text("ALTER TABLE ledger_payloads DISABLE TRIGGER ledger_payloads_no_delete"))
        else:
            connection.execute(text("DROP TRIGGER ledger_payloads_no_delete"))
        for step in how:
            step(connection, victim)
        if STORES:
            connection.execute(text("ALTER TABLE ledger_payloads ENABLE TRIGGER ledger_payloads_no_delete"))

    with pytest.raises(LedgerBroken, match=f"ledger entry {victim}"):
        facts.ledger.verify()


def test_the_database_lets_no_payload_go_without_an_entry(tmp_path: Path) -> None:
    company = with_leaver(tmp_path)
    gone(company, "E1")
    facts = company.wiring(targets=()).facts
    victim = next(entry.seq for entry in facts.ledger.entries() if entry.subject == "E2")

    for statement in (
        f"DELETE FROM ledger_payloads WHERE seq = {victim}",  # noqa: S608  # a number of ours
        "DELETE FROM subject_keys WHERE subject = 'E2'",
        f"UPDATE ledger_payloads SET payload = '{{}}' WHERE seq = {victim}",  # noqa: S608
    ):
        with pytest.raises(Exception, match="append-only"), facts.store.writing() as connection:
            connection.execute(text(statement))


STEPS = st.lists(
    st.sampled_from(["exit E1", "exit E2", "move E3", "proof E1", "take E1", "apply", "apply", "link", "approve"]),
    max_size=10,
)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],  # each makes stores of its own
)
@given(STEPS, st.sets(st.sampled_from(["E1", "E2"]), min_size=1))
def test_whatever_happened_a_rebuild_gives_the_same(steps: list[str], erased: set[str]) -> None:
    with tempfile.TemporaryDirectory(dir=QUICK) as folder:
        company, accounts = settled_company(Path(folder), 5, "rd/ai")
        for step in steps:
            _happen(company, step, accounts)
            company.pass_time(hours=1)
        for person in ("E1", "E2"):
            _leave(company, person)
        company.apply()
        facts = company.wiring(targets=()).facts
        for person in sorted(erased):
            gone(company, person)
        company.pass_time(days=1)
        company.apply()

        before, after = rebuilt(facts)
        assert before == after
        facts.ledger.verify()
        _members_are_out(company.wiring(), erased)


def _leave(company: Company, person: str) -> None:
    known = company.wiring(targets=()).facts.find_person(person)
    if not known.exited:
        company.tell("exited", person, "2026-11-20")


def _happen(company: Company, step: str, accounts: Sequence[Account]) -> None:
    verb, _, person = step.partition(" ")
    if verb == "exit":
        _leave(company, person)
    elif verb == "move":
        company.tell("transferred", person, "2026-11-20", department="sales")
    elif verb == "proof":
        company.tell("evidence-recorded", person, "2026-11-01", kind="nda", valid_from="2026-11-01")
    elif verb == "take":
        company.take("docs", accounts[0])
    elif verb == "approve":
        plan = company.look().plan
        if plan.held:
            company.approve(plan.digest)
    else:
        company.apply()


def _members_are_out(wiring: Wiring, erased: set[str]) -> None:
    with wiring.store.reading() as connection:
        for person in erased:
            assert wiring.journal.held_by(connection, wiring.facts.find_person(person).number) == []
