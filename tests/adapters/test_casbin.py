"""The casbin target: what it reads is what the enforcer decides, and what it writes changes nothing else."""

from __future__ import annotations

import fcntl
import shutil
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, make_url, text

from adapters.casbin import CasbinTarget, file_store
from adapters.casbin.sql_store import SqlStore
from reconciler.targets import (
    BitMap,
    Locator,
    Op,
    OutcomeKind,
    Place,
    Reading,
    Step,
    TargetContext,
    TargetError,
    TargetUnavailable,
    entitlement_key,
)
from tests.adapters.vault import (
    ALL,
    ASKED,
    DESIGNS,
    POWERS,
    READER,
    WRITER,
    SqlVault,
    Vault,
    findings,
    grant,
    members,
    revoke,
)

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture(params=[Vault, SqlVault])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Vault:
    made: Vault = request.param(tmp_path)
    return made


@pytest.fixture
def file_vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


# --- what the enforcer decides is what was granted --------------------------------------------------


def test_a_grant_opens_and_a_revocation_closes(vault: Vault) -> None:
    vault.fill(POWERS)

    assert vault.apply(grant("E1007", READER), grant("E1018", DESIGNS)) == [OutcomeKind.APPLIED] * 2
    assert vault.enforcer().enforce("E1007", "core-algorithms", "read")
    assert vault.enforcer().enforce("E1018", "chip-designs", "read")
    assert not vault.enforcer().enforce("E1018", "core-algorithms", "read")

    assert vault.apply(revoke("E1007", READER), revoke("E1018", DESIGNS)) == [OutcomeKind.APPLIED] * 2
    assert not vault.enforcer().enforce("E1007", "core-algorithms", "read")
    assert not vault.enforcer().enforce("E1018", "chip-designs", "read")


def test_a_step_whose_effect_is_there_is_already(vault: Vault) -> None:
    vault.fill(POWERS + "g, E1007, core-reader\n")

    assert vault.apply(grant("E1007", READER), revoke("E1008", READER)) == [OutcomeKind.ALREADY] * 2
    assert vault.apply(grant("E1008", READER), grant("E1008", READER)) == [OutcomeKind.APPLIED, OutcomeKind.ALREADY]


def test_an_observation_names_who_the_enforcer_lets_in(vault: Vault) -> None:
    vault.fill(
        POWERS + "g, E1007, core-reader\ng, E1008, core-writer\ng, E1008, core-reader\np, 李慕白, chip-designs, read\n"
    )
    observed = vault.observe()

    assert members(observed, READER) == {"E1007", "E1008"}
    assert members(observed, WRITER) == {"E1008"}
    assert members(observed, DESIGNS) == {"李慕白"}
    assert [account.match for account in observed.accounts.accounts] == [
        {"id": "E1007"},
        {"id": "E1008"},
        {"id": "李慕白"},
    ]
    assert all(read.reading is Reading.COMPLETE for read in observed.entitlements.values())
    assert observed.accounts.reading is Reading.COMPLETE
    assert not observed.findings


PEOPLE = [f"E{number}" for number in range(1000, 1006)]
STEPS = st.lists(
    st.builds(Step, st.sampled_from([Op.GRANT, Op.REVOKE]), st.sampled_from(PEOPLE), st.just(""), st.sampled_from(ALL)),
    max_size=30,
)
MEMBERSHIPS = st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(ALL)), max_size=8)
NOISE = st.lists(
    st.sampled_from(
        [
            "# 注释",
            "",
            "   ",
            "p, auditor, log, read",
            "g, svc, auditor",
            "#g, E1000, core-reader",
            "p,a,b,c",
            "g , x,y ",
        ]
    ),
    max_size=6,
)
SHUFFLED = st.tuples(MEMBERSHIPS, NOISE).flatmap(
    lambda drawn: st.permutations([line_of(*membership) for membership in drawn[0]] + drawn[1])
)


def line_of(person: str, locator: Locator) -> str:
    if "role" in locator:
        return f"g, {person},{locator['role']}"
    return f"p,{person},  {locator['object']}, {locator['action']}"


def managed(line: str) -> bool:
    return any(line == line_of(person, locator) for person in PEOPLE for locator in ALL)


def expected(lines: Sequence[str], steps: Sequence[Step]) -> set[tuple[str, str]]:
    held = {(p, entitlement_key(locator)) for p in PEOPLE for locator in ALL if line_of(p, locator) in lines}
    for step in steps:
        (held.add if step.op is Op.GRANT else held.discard)((step.account, entitlement_key(step.locator)))
    return held


@given(SHUFFLED, STEPS, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_after_any_steps_the_enforcer_agrees_and_other_lines_are_as_they_were(
    lines: list[str], steps: list[Step], end: str, ended: bool
) -> None:
    lines = [*POWERS.splitlines(), *lines]
    with TemporaryDirectory() as folder:
        vault = Vault(Path(folder))
        vault.fill(end.join(lines) + (end if ended else ""))
        outcomes = vault.apply(*steps)
        held = expected(lines, steps)
        enforcer, observed = vault.enforcer(), vault.observe()
        after = vault.policy.read_bytes().decode()

        assert all(outcome.done for outcome in outcomes)
        assert {(p, key) for p in PEOPLE for key, asked in ASKED.items() if enforcer.enforce(p, *asked)} == held
        assert {(p, entitlement_key(locator)) for locator in ALL for p in members(observed, locator)} == held
        kept = [line for line in lines if not managed(line)]
        left = [line.removesuffix("\r") for line in after.split("\n")]
        assert [line for line in left if line in kept and line] == [line for line in kept if line]
        again = [grant(p, locator) for p in PEOPLE for locator in ALL if (p, entitlement_key(locator)) in held]
        assert vault.apply(*again) == [OutcomeKind.ALREADY] * len(again)
        assert vault.policy.read_bytes().decode() == after


@given(SHUFFLED, STEPS)
def test_granting_what_was_revoked_and_revoking_what_was_granted_leaves_the_other_bytes(
    lines: list[str], steps: list[Step]
) -> None:
    kept = [line for line in lines if not managed(line)]
    with TemporaryDirectory() as folder:
        vault = Vault(Path(folder))
        vault.fill("\n".join(kept) + "\n")
        before = vault.policy.read_bytes()
        vault.apply(*steps)
        vault.apply(*[revoke(person, locator) for person in PEOPLE for locator in ALL])

        assert vault.policy.read_bytes() == before


@given(st.text(max_size=12), st.sampled_from(ALL))
def test_a_name_is_written_so_that_casbin_reads_it_back_or_is_refused(name: str, locator: Locator) -> None:
    with TemporaryDirectory() as folder:
        vault = Vault(Path(folder))
        vault.fill(POWERS)
        (outcome,) = vault.apply(grant(name, locator))
        rules = vault.enforcer().get_policy() + vault.enforcer().get_grouping_policy()

        if outcome is OutcomeKind.REFUSED:
            assert vault.policy.read_bytes() == POWERS.encode()
        else:
            assert len(rules) == 3
            assert members(vault.observe(), locator) == {name}
            assert vault.apply(revoke(name, locator)) == [OutcomeKind.APPLIED]
            assert vault.policy.read_bytes() == POWERS.encode()


@pytest.mark.parametrize(
    "name",
    ["", " E1", "E1 ", "E1\ng, evil, core-writer", "E1, core-writer", "E1\r", "a(b", "a]", '"E1"', "E\u2028", "\x00"],
)
def test_a_hostile_name_is_refused_and_nothing_is_written(vault: Vault, name: str) -> None:
    vault.fill(POWERS)

    assert vault.apply(grant(name, READER), grant("E1007", READER)) == [OutcomeKind.REFUSED, OutcomeKind.APPLIED]
    assert vault.enforcer().get_grouping_policy() == [["E1007", "core-reader"]]


def test_a_name_that_others_hold_as_a_role_is_granted_nothing(vault: Vault) -> None:
    vault.fill(POWERS + "g, E1, core-reader\ng, E2, E3\n")

    assert vault.apply(grant("E3", WRITER), grant("core-reader", WRITER)) == [OutcomeKind.REFUSED] * 2
    assert not vault.enforcer().enforce("E2", "core-algorithms", "write")


# --- reading ----------------------------------------------------------------------------------------


def test_an_empty_store_is_confirmed_empty(vault: Vault) -> None:
    vault.fill("")
    observed = vault.observe()

    assert observed.accounts.reading is Reading.CONFIRMED_EMPTY
    assert {read.reading for read in observed.entitlements.values()} == {Reading.CONFIRMED_EMPTY}
    assert findings(observed) == {("powerless-role", "core-reader"), ("powerless-role", "core-writer")}


def test_a3_a_missing_store_is_an_error_and_not_an_empty_answer(vault: Vault) -> None:
    with pytest.raises(TargetError, match="there is no"):
        vault.observe()
    with pytest.raises(TargetError, match="there is no"), vault.target.writer():
        pass
    assert not vault.policy.exists()
    assert not (vault.folder / "vault.db").exists()


def test_a3_a_missing_table_is_an_error_and_not_an_empty_answer(tmp_path: Path) -> None:
    (tmp_path / "vault.db").touch()

    with pytest.raises(TargetError, match="there is no table casbin_rule"):
        SqlVault(tmp_path).observe()


def test_a_store_that_is_no_database_is_not_read_as_empty(tmp_path: Path) -> None:
    (tmp_path / "vault.db").write_text("this is no database, and long enough to tell" * 40, encoding="utf-8")

    with pytest.raises(TargetError):
        SqlVault(tmp_path).observe()


def test_a_folder_is_no_policy(file_vault: Vault) -> None:
    file_vault.policy.mkdir()

    with pytest.raises(TargetError, match="is a folder"):
        file_vault.observe()


@pytest.mark.parametrize("line", ["p, E1, core-algorithms", "g, E1", ", E1", "g, E1), core-reader", "p"])
def test_a_line_that_breaks_the_enforcer_makes_the_reading_partial(vault: Vault, line: str) -> None:
    vault.fill(POWERS + f"g, E1007, core-reader\n{line}\n")
    observed = vault.observe()

    assert members(observed, READER) == {"E1007"}
    assert {read.reading for read in observed.entitlements.values()} == {Reading.PARTIAL}
    assert observed.accounts.reading is Reading.PARTIAL
    assert [finding.kind for finding in observed.findings] == ["unreadable-line"]
    assert vault.apply(revoke("E1007", READER)) == [OutcomeKind.APPLIED]


def test_bytes_that_are_no_utf8_make_the_reading_partial_and_stay(file_vault: Vault) -> None:
    file_vault.policy.write_bytes(POWERS.encode() + "p, 读者, x, y\n".encode("gb18030"))

    assert file_vault.observe().accounts.reading is Reading.PARTIAL
    file_vault.apply(grant("E1", READER))
    assert "p, 读者, x, y\n".encode("gb18030") in file_vault.policy.read_bytes()


def test_a_line_that_casbin_passes_over_is_said(file_vault: Vault) -> None:
    file_vault.fill("\ufeffp, core-writer, core-algorithms, write\n" + POWERS + "g2, a, b\n")

    observed = file_vault.observe(READER, WRITER)
    assert [(finding.kind, finding.subject) for finding in observed.findings] == [
        ("ignored-line", "vault.csv:1"),
        ("ignored-line", "vault.csv:6"),
    ]
    assert observed.accounts.reading is Reading.CONFIRMED_EMPTY


def test_a_narrow_reading_leaves_the_others_out(vault: Vault) -> None:
    vault.fill(POWERS + "g, E1, core-reader\ng, E2, core-reader\n")
    observed = vault.target.observe([READER], ["E2", "E3"])

    assert members(observed, READER) == {"E2"}
    assert not observed.entitlements[entitlement_key(READER)].foreign
    assert vault.target.observe([READER], ["E3"]).entitlements[entitlement_key(READER)].reading is Reading.COMPLETE


def test_a_role_that_holds_a_managed_role_is_no_hiding_place(vault: Vault) -> None:
    vault.fill(POWERS + "g, senior, core-reader\ng, E1, senior\ng, E2, core-writer\ng, x, E2\n")
    observed = vault.observe()

    assert members(observed, READER) == {"senior"}
    assert members(observed, WRITER) == {"E2"}, "that somebody holds E2 as a role must not keep E2 from being revoked"
    assert ("indirect-access", "core-reader") in findings(observed)
    assert any("senior" in finding.text and "E1" in finding.text for finding in observed.findings)
    assert vault.enforcer().enforce("E1", "core-algorithms", "read")


def test_a_managed_role_inside_another_is_foreign_and_can_be_taken_out(vault: Vault) -> None:
    vault.fill(POWERS + "g, core-writer, core-reader\ng, E1, core-writer\n")
    observed = vault.observe()

    assert observed.entitlements[entitlement_key(READER)].foreign == ("core-writer",)
    assert observed.entitlements[entitlement_key(READER)].within == [entitlement_key(WRITER)]
    assert [account.name for account in observed.accounts.accounts] == ["E1"]
    assert vault.apply(Step(Op.REVOKE, "", "core-writer", READER)) == [OutcomeKind.APPLIED]
    assert not vault.enforcer().enforce("E1", "core-algorithms", "read")


def test_a_managed_role_is_found_behind_a_role_that_nobody_manages(vault: Vault) -> None:
    vault.fill(POWERS + "g, senior, core-reader\ng, core-writer, senior\ng, E1, core-writer\ng, E2, senior\n")
    observed = vault.observe()

    assert observed.entitlements[entitlement_key(READER)].within == [entitlement_key(WRITER)]
    assert observed.entitlements[entitlement_key(WRITER)].within == []
    assert any("senior" in finding.text and "E2" in finding.text for finding in observed.findings)


def test_a_role_that_carries_a_managed_permission_is_said_and_kept(vault: Vault) -> None:
    vault.fill(POWERS + "p, core-reader, chip-designs, read\ng, E1, core-reader\n")
    observed = vault.observe()

    assert members(observed, DESIGNS) == set()
    assert observed.entitlements[entitlement_key(DESIGNS)].within == [entitlement_key(READER)]
    assert findings(observed) == set()
    assert vault.enforcer().enforce("E1", "chip-designs", "read")


def test_names_in_lines_that_nobody_manages_are_accounts_only_where_they_hold_a_role(vault: Vault) -> None:
    vault.fill(
        POWERS + "p, auditor, log, read\ng, svc-audit, auditor\np, unused, log, read\ng, outer, auditor\ng, E1, outer\n"
    )

    assert [account.key for account in vault.observe().accounts.accounts] == ["E1", "svc-audit"]


def test_the_example_vault_is_read_without_a_doubt(file_vault: Vault) -> None:
    for name in ("vault.conf", "vault.csv"):
        shutil.copy(EXAMPLES / name, file_vault.folder)
    observed = file_vault.observe()

    assert members(observed, READER) == {"E1007", "E1012", "E1046"}
    assert members(observed, DESIGNS) == {"E1018", "E1055"}
    assert not observed.findings
    assert file_vault.apply(revoke("E1055", DESIGNS), grant("E1059", READER)) == [OutcomeKind.APPLIED] * 2
    assert not file_vault.enforcer().enforce("E1055", "chip-designs", "read")
    assert file_vault.enforcer().enforce("E1059", "core-algorithms", "read")


def test_a_role_that_gives_nothing_is_said(vault: Vault) -> None:
    vault.fill("p, core-reader, core-algorithms, read\ng, E1, empty\n")

    assert findings(vault.observe(READER, {"role": "empty"})) == {("powerless-role", "empty")}


def test_a_role_with_power_through_another_is_not_powerless(vault: Vault) -> None:
    vault.fill(POWERS + "g, outer, core-reader\n")

    assert ("powerless-role", "outer") not in findings(vault.observe({"role": "outer"}))


def test_a_line_that_stands_twice_is_taken_away_twice(vault: Vault) -> None:
    vault.fill(POWERS + "g, E1, core-reader\ng,E1,core-reader\n")

    assert vault.observe().entitlements[entitlement_key(READER)].members == BitMap([0])
    assert vault.apply(revoke("E1", READER)) == [OutcomeKind.APPLIED]
    assert not vault.enforcer().enforce("E1", "core-algorithms", "read")


def test_names_that_differ_in_case_are_different_subjects(vault: Vault) -> None:
    vault.fill(POWERS + "g, e1, core-reader\n")

    assert vault.apply(revoke("E1", READER)) == [OutcomeKind.ALREADY]
    assert members(vault.observe(), READER) == {"e1"}


# --- writing ----------------------------------------------------------------------------------------


def test_what_a_casbin_store_cannot_do_is_refused(vault: Vault) -> None:
    vault.fill(POWERS)
    odd: Locator = {"group": "core-reader"}

    assert (
        vault.apply(Step(Op.DISABLE_ACCOUNT, "E1", "E1"), grant("E1", odd), revoke("E1", odd))
        == [OutcomeKind.REFUSED] * 3
    )


def test_writers_at_the_same_time_lose_nothing(vault: Vault) -> None:
    vault.fill(POWERS)
    people = [f"E{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda person: vault.apply(grant(person, READER)), people))

    assert outcomes == [[OutcomeKind.APPLIED]] * len(people)
    assert members(vault.observe(), READER) == set(people)


def test_a_store_that_another_writer_holds_is_unavailable(file_vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    file_vault.fill(POWERS)
    monkeypatch.setattr(file_store, "LOCK_SECONDS", 0.0)

    with file_vault.policy.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert file_vault.apply(grant("E1", READER)) == [OutcomeKind.UNAVAILABLE]
        assert file_vault.observe().accounts.reading is Reading.COMPLETE or not file_vault.observe().accounts.accounts
    assert file_vault.apply(grant("E1", READER)) == [OutcomeKind.APPLIED]


def test_a_store_that_vanishes_during_a_run_fails_its_steps_alone(file_vault: Vault) -> None:
    file_vault.fill(POWERS)
    with file_vault.target.writer() as writer:
        file_vault.policy.unlink()
        (outcome,) = writer.apply([grant("E1", READER)])

    assert outcome.kind is OutcomeKind.REFUSED
    assert "there is no casbin policy" in outcome.detail
    assert not file_vault.policy.exists()


def test_mode_and_link_stay_and_nothing_is_left_beside(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    vault = Vault(tmp_path)
    real = tmp_path / "real" / "policy.csv"
    real.write_text(POWERS, encoding="utf-8")
    real.chmod(0o640)
    vault.policy.symlink_to(real)
    vault.apply(grant("E1", READER))

    assert vault.policy.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert "g, E1, core-reader" in real.read_text(encoding="utf-8")
    assert list(real.parent.iterdir()) == [real]


def test_nothing_to_do_writes_nothing(file_vault: Vault) -> None:
    file_vault.fill(POWERS + "g, E1, core-reader")
    before = file_vault.policy.stat()
    file_vault.apply(grant("E1", READER), revoke("E2", READER))
    file_vault.apply(revoke("E1", READER), grant("E1", READER))

    assert file_vault.policy.stat().st_ino == before.st_ino
    assert file_vault.policy.stat().st_mtime_ns == before.st_mtime_ns


def test_f1_a_reading_connection_cannot_write(tmp_path: Path) -> None:
    vault = SqlVault(tmp_path)
    vault.fill(POWERS)
    store = SqlStore(make_url(vault.url), "casbin_rule")

    with pytest.raises(TargetError, match="readonly"), store._connected(writing=False) as connection:
        connection.execute(text("DELETE FROM casbin_rule"))
    assert len(vault.enforcer().get_policy()) == 2


def test_a_database_in_a_folder_with_an_awkward_name(tmp_path: Path) -> None:
    folder = tmp_path / "库 100%?#"
    folder.mkdir()
    vault = SqlVault(folder)
    SqlVault(tmp_path).fill(POWERS)
    (tmp_path / "vault.db").rename(folder / "vault.db")

    assert vault.apply(grant("E1", READER)) == [OutcomeKind.APPLIED]
    assert members(vault.observe(), READER) == {"E1"}


def test_a_locked_database_is_unavailable(tmp_path: Path) -> None:
    vault = SqlVault(tmp_path)
    vault.fill(POWERS)
    engine = create_engine(vault.url)
    with vault.target.writer() as writer, engine.connect() as other:
        other.exec_driver_sql("BEGIN EXCLUSIVE")
        with pytest.raises(TargetUnavailable):
            CasbinTarget(
                TargetContext("vault", tmp_path, Place("reconciler.yaml")),
                {"model": "vault.conf", "policy": {"url": "sqlite:///vault.db?timeout=0"}},
            ).observe(ALL)
        other.exec_driver_sql("ROLLBACK")
        assert [outcome.kind for outcome in writer.apply([grant("E1", READER)])] == [OutcomeKind.APPLIED]
    engine.dispose()
