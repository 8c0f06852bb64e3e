"""Rights on databases, schemas and tables: they come from several sides and grantors, and are gone or told."""

from __future__ import annotations

import pytest

from reconciler.targets import Locator, Op, OutcomeKind, Reading, Step
from reconciler.testing.targets import (
    ALREADY,
    APPLIED,
    PEOPLE,
    STALE,
    LabAccount,
    apply,
    entitlement,
    grant,
    observe,
    seen,
)
from tests.adapters.postgres.conftest import MakePostgresLab
from tests.adapters.postgres.lab import (
    OWN,
    SELECT,
    Objects,
    PostgresLab,
    outcomes,
    told,
)

REFUSED, UNAVAILABLE = OutcomeKind.REFUSED, OutcomeKind.UNAVAILABLE
HOSTILE = "a\"b; DROP ROLE zhang; --\n'\\ %s {} 表. "


@pytest.mark.parametrize(
    "locator",
    [
        *({"table": "s.t", "privilege": privilege} for privilege in ("select", "insert", "update", "DELETE")),
        *({"schema": "s", "privilege": privilege} for privilege in ("usage", "create")),
        {"database": "lab", "privilege": "create"},
        {"database": "lab", "privilege": "connect"},
    ],
)
def test_a_right_on_an_object_is_given_taken_and_seen(objects: Objects, locator: Locator) -> None:
    locator = {**locator, "database": objects.name} if "database" in locator else locator
    grants = [objects.step(Op.GRANT, login, **locator) for login in ("zhang", "smith")]

    assert apply(objects.lab, *grants, *grants) == [APPLIED, APPLIED, ALREADY, ALREADY]
    observation = objects.target.observe([locator])
    assert seen(observation) == {"zhang", "smith"}
    assert apply(objects.lab, objects.step(Op.REVOKE, "zhang", **locator)) == [APPLIED]
    assert seen(objects.target.observe([locator])) == {"smith"}


def test_one_privilege_is_not_another(objects: Objects) -> None:
    apply(objects.lab, objects.step(Op.GRANT, "zhang", **SELECT))

    assert objects.may("zhang", "SELECT")
    assert not objects.may("zhang", "INSERT")
    select, insert = objects.target.observe([SELECT, {**SELECT, "privilege": "insert"}]).entitlements.values()
    assert (select.reading, insert.reading) == (Reading.COMPLETE, Reading.CONFIRMED_EMPTY)


def test_a_right_with_the_right_to_pass_it_on_is_told_and_gone_with_it(objects: Objects) -> None:
    objects.run(f"GRANT SELECT ON {objects.table} TO zhang WITH GRANT OPTION")

    [finding] = told(objects.target.observe([SELECT]), "can-pass-on")
    assert "zhang" in finding.text
    assert apply(objects.lab, objects.step(Op.REVOKE, "zhang", **SELECT)) == [APPLIED]
    assert not objects.may("zhang", "SELECT")


def test_what_was_passed_on_is_refused_and_nobody_else_loses_it(objects: Objects) -> None:
    objects.run(
        f"GRANT USAGE ON SCHEMA {objects.schema} TO zhang",
        f"GRANT SELECT ON {objects.table} TO zhang WITH GRANT OPTION",
        f"GRANT SELECT ON {objects.table} TO plain",
        f"SET ROLE zhang; GRANT SELECT ON {objects.table} TO smith; RESET ROLE",
    )
    steps = [objects.step(Op.REVOKE, login, **SELECT) for login in ("zhang", "plain")]

    first, second = outcomes(objects.lab, *steps)

    assert first.kind is REFUSED
    assert "passed on to others" in first.detail
    assert second.kind is APPLIED
    assert objects.may("smith", "SELECT")
    assert seen(objects.target.observe([SELECT])) == {"zhang", "smith"}


def test_what_another_grantor_gave_is_told_as_refused_until_we_may_act_as_they(objects: Objects) -> None:
    objects.run(
        f"GRANT USAGE ON SCHEMA {objects.schema} TO zhang",
        f"GRANT SELECT ON {objects.table} TO zhang WITH GRANT OPTION",
        f"SET ROLE zhang; GRANT SELECT ON {objects.table} TO smith; RESET ROLE",
    )
    step = objects.step(Op.REVOKE, "smith", **SELECT)

    [outcome] = outcomes(objects.lab, step)
    assert outcome.kind is REFUSED
    assert 'as zhang, REVOKE SELECT ON TABLE "s"."t" FROM "smith"' in outcome.detail
    assert f'GRANT "zhang" TO "{OWN}"' in outcome.detail
    assert objects.may("smith", "SELECT")

    [finding] = told(objects.target.observe([SELECT]), "missing-right")
    assert "only zhang can take select on table s.t from smith" in finding.text

    objects.run(f"GRANT zhang TO {OWN}")
    assert told(objects.target.observe([SELECT]), "missing-right") == []
    assert apply(objects.lab, step) == [APPLIED]
    assert not objects.may("smith", "SELECT")


def test_a_right_from_two_grantors_is_gone_from_both(objects: Objects) -> None:
    objects.run(
        f"GRANT USAGE ON SCHEMA {objects.schema} TO zhang",
        f"GRANT zhang TO {OWN}",
        f"GRANT SELECT ON {objects.table} TO zhang WITH GRANT OPTION",
        f"GRANT SELECT ON {objects.table} TO smith",
        f"SET ROLE zhang; GRANT SELECT ON {objects.table} TO smith; RESET ROLE",
    )

    assert apply(objects.lab, objects.step(Op.REVOKE, "smith", **SELECT)) == [APPLIED]
    assert not objects.may("smith", "SELECT")


def test_what_the_server_lets_pass_with_a_warning_is_no_success(objects: Objects) -> None:
    objects.run(
        f"REVOKE owners FROM {OWN}",
        f"GRANT USAGE ON SCHEMA {objects.schema} TO {OWN}",
        f"GRANT INSERT ON {objects.table} TO {OWN}",
    )

    [outcome] = outcomes(objects.lab, objects.step(Op.GRANT, "zhang", **SELECT | {"privilege": "insert"}))

    assert outcome.kind is REFUSED
    assert "gave nothing, and only warned" in outcome.detail
    assert "WITH GRANT OPTION" in outcome.detail
    assert not objects.may("zhang", "INSERT")


def test_a_right_that_we_lack_is_told_in_the_plan_already(objects: Objects) -> None:
    assert told(objects.target.observe([SELECT]), "missing-right") == []
    objects.run(f"REVOKE owners FROM {OWN}")

    [finding] = told(objects.target.observe([SELECT]), "missing-right")
    assert f'GRANT SELECT ON TABLE "s"."t" TO "{OWN}" WITH GRANT OPTION' in finding.text


def test_public_grants_are_a_finding_and_are_not_changed(objects: Objects) -> None:
    objects.run(f"GRANT SELECT ON {objects.table} TO PUBLIC")

    observation = objects.target.observe([SELECT])
    assert [finding.subject for finding in told(observation, "public-grant")] == ["select on table s.t"]
    assert entitlement(observation).foreign == ()
    assert apply(objects.lab, Step(Op.REVOKE, "", "public", SELECT)) == [STALE]
    assert objects.may("plain", "SELECT")
    database = {"database": objects.name, "privilege": "connect"}
    assert told(objects.target.observe([database]), "public-grant"), "as every new database has it"


def test_the_owner_is_told_and_never_robbed(objects: Objects) -> None:
    objects.run(f"ALTER TABLE {objects.table} OWNER TO zhang")

    observation = objects.target.observe([SELECT])
    assert [finding.kind for finding in observation.findings] == ["missing-right", "owner-access"]
    assert seen(observation) == {"zhang"}
    [outcome] = outcomes(objects.lab, objects.step(Op.REVOKE, "zhang", **SELECT))
    assert outcome.kind is REFUSED
    assert "owns table s.t" in outcome.detail
    assert objects.may("zhang", "SELECT")


def test_members_of_the_owner_and_rights_on_columns_are_told(objects: Objects) -> None:
    objects.run("GRANT owners TO smith", f"GRANT SELECT (a) ON {objects.table} TO muller")

    observation = objects.target.observe([SELECT])

    [indirect] = told(observation, "indirect-access")
    assert "owners" in indirect.text
    assert "smith" in indirect.text
    [columns] = told(observation, "column-grant")
    assert "muller" in columns.text
    assert seen(observation) == set()


def test_hostile_names_are_names(make: MakePostgresLab) -> None:
    lab = make([LabAccount(HOSTILE, "E1", "x"), *PEOPLE], {HOSTILE + "g": []})
    objects = Objects(lab, table=HOSTILE, schema="schema." + HOSTILE)
    doubled = HOSTILE.replace('"', '""')
    locators: list[Locator] = [
        {"role": HOSTILE + "g"},
        {"table": f'"schema.{doubled}"."{doubled}"', "privilege": "select"},
        {"schema": "schema." + HOSTILE, "privilege": "usage"},
    ]

    for locator in locators:
        steps = [objects.step(op, HOSTILE, **locator) for op in (Op.GRANT, Op.REVOKE, Op.GRANT)]
        assert apply(lab, *steps) == [APPLIED] * 3
        assert seen(objects.target.observe([locator])) == {HOSTILE}
    assert lab.key("zhang")
    objects.admin.close()


def test_a_name_longer_than_the_server_keeps_is_not_cut_to_another(lab: PostgresLab) -> None:
    long = "r" * 63
    lab.run(f"CREATE ROLE {long}")
    lab.run(f"GRANT {long} TO {OWN} WITH ADMIN OPTION")

    assert apply(lab, grant(lab, long + "x", "zhang")) == [STALE]
    assert entitlement(observe(lab, long + "x")).reading is Reading.FAILED
    assert lab.members(long) == set()
