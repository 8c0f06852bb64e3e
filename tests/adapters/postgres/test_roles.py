"""Membership in roles, and roles themselves: renamed, mighty, our own, disabled, matched by comment or name."""

from __future__ import annotations

import psycopg
import pytest

from adapters.postgres import PostgresTarget
from reconciler.targets import Op, OutcomeKind, Reading, Step
from tests.adapters.postgres.conftest import MakePostgresLab
from tests.adapters.postgres.lab import (
    ACCOUNTS,
    OWN,
    PostgresLab,
    context,
    is_modern,
    outcomes,
    told,
)
from tests.contract.suite import (
    ALREADY,
    APPLIED,
    PEOPLE,
    STALE,
    LabAccount,
    apply,
    entitlement,
    grant,
    observe,
    revoke,
    seen,
)

REFUSED, UNAVAILABLE = OutcomeKind.REFUSED, OutcomeKind.UNAVAILABLE
HOSTILE = "a\"b; DROP ROLE zhang; --\n'\\ %s {} 表. "


def test_a_role_in_a_role_is_foreign_and_its_people_are_told(lab: PostgresLab) -> None:
    lab.run('CREATE ROLE outer_; CREATE ROLE inner_; GRANT outer_ TO inner_; GRANT "docs-readers" TO outer_')
    lab.run("GRANT inner_ TO muller")

    observation = observe(lab, "docs-readers")

    assert entitlement(observation).foreign == ("outer_",)
    assert seen(observation) == {"zhang", "smith"}
    [finding] = told(observation, "indirect-access")
    assert (finding.subject, "muller" in finding.text, "outer_" in finding.text) == ("docs-readers", True, True)


def test_managed_roles_that_hold_an_entitlement_lie_around_it_however_they_come_to_it(lab: PostgresLab) -> None:
    lab.run('CREATE ROLE between; GRANT "docs-readers" TO between; GRANT between TO "核心算法"')
    lab.run('CREATE TABLE orders (id int); GRANT SELECT ON orders TO "docs-readers"')
    locators = [lab.locator("docs-readers"), lab.locator("核心算法"), {"table": "public.orders", "privilege": "select"}]

    observation = lab.target.observe(locators)

    readers, core, orders = observation.entitlements.values()
    assert (readers.within, core.within, orders.within) == ([core.key], [], [readers.key])
    assert readers.foreign == ("between",)
    assert told(observation, "indirect-access") == []  # who is in them is told by themselves
    assert lab.target.observe(locators, [lab.key("muller")]).entitlements[readers.key].within == ()


def test_a_circle_that_was_told_ends(lab: PostgresLab) -> None:
    lab.run('GRANT zhang TO plain; GRANT "docs-readers" TO plain')

    [finding] = told(observe(lab, "docs-readers"), "indirect-access")
    assert "zhang" in finding.text


def test_a_membership_with_the_right_to_let_others_in_is_gone_whole(lab: PostgresLab) -> None:
    lab.put("docs-readers", "plain")

    assert "plain" in told(observe(lab, "docs-readers"), "can-pass-on")[0].text
    assert apply(lab, revoke(lab, "docs-readers", "plain")) == [APPLIED]
    assert lab.members("docs-readers") == {"zhang", "smith"}


def test_a_group_without_the_right_to_it_is_refused_and_the_rest_goes_on(lab: PostgresLab) -> None:
    lab.run(f'REVOKE "核心算法" FROM {OWN} CASCADE; GRANT "核心算法" TO muller')

    assert [finding.subject for finding in told(observe(lab, "核心算法"), "missing-right")] == ["核心算法"]
    first, second, third = outcomes(
        lab, grant(lab, "核心算法", "zhang"), grant(lab, "核心算法", "plain"), grant(lab, "docs-readers", "plain")
    )

    assert (first.kind, second.kind, third.kind) == (REFUSED, REFUSED, APPLIED)
    assert f'GRANT "核心算法" TO "{OWN}" WITH ADMIN OPTION' in first.detail
    assert lab.members("核心算法") == {"muller"}


def test_one_refusal_in_a_batch_leaves_the_others(lab: PostgresLab) -> None:
    lab.run("CREATE ROLE circle LOGIN; GRANT circle TO \"docs-readers\"; COMMENT ON ROLE circle IS 'id=E9'")
    logins = ["circle", "plain", "muller"]

    results = outcomes(lab, *(grant(lab, "docs-readers", login) for login in logins))

    assert [outcome.kind for outcome in results] == [REFUSED, APPLIED, APPLIED]
    assert lab.members("docs-readers") == {"zhang", "smith", "plain", "muller"}


def test_c3_a_renamed_role_is_the_same_account_and_a_name_used_again_is_another(lab: PostgresLab) -> None:
    steps = [revoke(lab, "docs-readers", "smith"), grant(lab, "核心算法", "smith")]
    key = lab.key("smith")
    lab.run("ALTER ROLE smith RENAME TO married")
    lab.run('CREATE ROLE smith LOGIN; GRANT "docs-readers" TO smith')

    assert apply(lab, *steps) == [APPLIED, APPLIED]
    assert lab.members("docs-readers") == {"zhang", "smith"}
    assert lab.members("核心算法") == {"muller", "married"}
    renamed = next(account for account in observe(lab, "docs-readers").accounts.accounts if account.key == key)
    assert (renamed.login, renamed.match) == ("married", {"id": "E1002"})
    lab.run("DROP ROLE married")
    assert apply(lab, *steps) == [STALE, STALE]
    assert lab.members("docs-readers") == {"zhang", "smith"}


def test_superusers_are_told_and_never_changed(make: MakePostgresLab) -> None:
    lab = make(accounts=PEOPLE)
    lab.target = PostgresTarget(context(), lab.settings | {"accounts": ACCOUNTS})
    lab.run("ALTER ROLE zhang SUPERUSER; ALTER ROLE smith REPLICATION")

    observation = observe(lab, "docs-readers")
    assert {finding.subject for finding in told(observation, "protected-account")} == {"zhang", "smith"}
    before = lab.picture()
    steps = [
        *(
            Step(op, lab.key(login), login)
            for login in ("zhang", "smith")
            for op in (Op.DISABLE_ACCOUNT, Op.END_SESSIONS)
        ),
        revoke(lab, "docs-readers", "zhang"),
        revoke(lab, "docs-readers", "smith"),
    ]
    assert apply(lab, *steps) == [REFUSED] * 6
    assert lab.picture() == before


def test_membership_in_a_superuser_is_nothing_to_manage(lab: PostgresLab) -> None:
    lab.run("CREATE ROLE gods SUPERUSER")

    read = entitlement(observe(lab, "gods"))
    assert (read.reading, "superuser" in read.detail) == (Reading.FAILED, True)
    assert apply(lab, grant(lab, "gods", "zhang")) == [REFUSED]
    assert "own roles" in str(lab.target.check_locator({"role": "pg_write_server_files"}))
    assert apply(lab, grant(lab, "pg_write_server_files", "zhang")) == [REFUSED]


def test_roles_that_are_named_as_protected_are_no_accounts_and_stay(make: MakePostgresLab) -> None:
    lab = make(protected=["admin", "reconciler", OWN, "plain"], groups={"docs-readers": ["zhang", "plain"]})

    observation = observe(lab, "docs-readers")
    assert "plain" not in {account.login for account in observation.accounts.accounts}
    assert entitlement(observation).foreign == ("plain",)
    assert apply(lab, Step(Op.REVOKE, "", "plain", lab.locator("docs-readers"))) == [REFUSED]
    assert apply(lab, revoke(lab, "docs-readers", "plain")) == [REFUSED]


def test_d5_we_are_known_and_never_harmed(make: MakePostgresLab) -> None:
    lab = make(protected=[], accounts=PEOPLE)
    lab.target = PostgresTarget(context(), lab.settings | {"accounts": ACCOUNTS})

    observation = observe(lab, "docs-readers")

    assert observation.own == {lab.key(OWN), OWN}
    assert OWN not in seen(observation), "we are in it to manage it"
    assert OWN not in {account.login for account in observation.accounts.accounts}, "and nobody's account"
    own = [Step(op, lab.key(OWN), OWN) for op in (Op.DISABLE_ACCOUNT, Op.END_SESSIONS, Op.ENABLE_ACCOUNT)]
    assert apply(lab, *own, revoke(lab, "docs-readers", OWN)) == [REFUSED] * 4
    assert apply(lab, revoke(lab, "docs-readers", "zhang")) == [APPLIED]

    lab.run(f"GRANT reconciler TO {OWN}")
    assert entitlement(observe(lab, "reconciler")).foreign == (OWN,), "spelled as `own` has it"
    lab.run(f"REVOKE reconciler FROM {OWN}; COMMENT ON ROLE {OWN} IS 'id=E1009'")
    assert lab.key(OWN) in {account.key for account in observe(lab, "docs-readers").accounts.accounts}


def test_a_membership_that_a_superuser_gave_is_gone_or_told_as_refused(lab: PostgresLab) -> None:
    lab.run('GRANT "docs-readers" TO plain; GRANT "docs-readers" TO smith')  # smith has it from two where that can be

    observation = observe(lab, "docs-readers")
    results = outcomes(lab, *(revoke(lab, "docs-readers", login) for login in ("plain", "smith", "zhang")))

    if not is_modern(lab):
        assert [outcome.kind for outcome in results] == [APPLIED] * 3
        assert lab.members("docs-readers") == set()
        return
    assert "only admin can take docs-readers from" in told(observation, "missing-right")[0].text
    assert [outcome.kind for outcome in results] == [REFUSED, REFUSED, APPLIED]
    assert 'as admin, REVOKE "docs-readers" FROM "plain"' in results[0].detail
    assert 'GRANT "admin"' not in results[0].detail, "which would make us a superuser"
    assert lab.members("docs-readers") == {"plain", "smith"}


def test_an_account_is_disabled_its_sessions_end_and_it_is_enabled_again(make: MakePostgresLab) -> None:
    lab = make(accounts=PEOPLE)
    lab.run(f"ALTER ROLE {OWN} CREATEROLE INHERIT; GRANT pg_signal_backend TO {OWN}")
    if is_modern(lab):
        lab.run(f"GRANT smith TO {OWN} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
    lab.target = PostgresTarget(context(), lab.settings | {"accounts": ACCOUNTS})
    session = lab.sign_in("smith")
    disable, end = (Step(op, lab.key("smith"), "smith") for op in (Op.DISABLE_ACCOUNT, Op.END_SESSIONS))

    assert apply(lab, disable, end) == [APPLIED, APPLIED]
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    session.close()
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        lab.sign_in("smith")
    observation = observe(lab, "docs-readers")
    [smith] = [account for account in observation.accounts.accounts if account.login == "smith"]
    assert not smith.enabled
    assert seen(observation) == {"zhang", "smith"}, "a disabled account is no stranger"
    assert apply(lab, disable, end) == [ALREADY, ALREADY]

    enable = Step(Op.ENABLE_ACCOUNT, lab.key("smith"), "smith")
    assert apply(lab, enable, enable) == [APPLIED, ALREADY]
    lab.sign_in("smith").close()


def test_rights_that_are_missing_for_accounts_are_told_with_what_to_do(make: MakePostgresLab) -> None:
    lab = make(accounts=PEOPLE)
    lab.target = PostgresTarget(context(), lab.settings | {"accounts": ACCOUNTS})

    with lab.sign_in("smith"):
        disable, end, after = outcomes(
            lab,
            Step(Op.DISABLE_ACCOUNT, lab.key("smith"), "smith"),
            Step(Op.END_SESSIONS, lab.key("smith"), "smith"),
            revoke(lab, "docs-readers", "smith"),
        )
    assert (disable.kind, end.kind, after.kind) == (REFUSED, REFUSED, APPLIED)
    assert "CREATEROLE" in disable.detail
    assert "pg_signal_backend" in end.detail
    assert {finding.kind for finding in lab.target.probe()} == {"missing-right"}
    lab.run(f"ALTER ROLE {OWN} CREATEROLE INHERIT; GRANT pg_signal_backend TO {OWN}")
    assert lab.target.probe() == []
    lab.run(f"ALTER ROLE {OWN} SUPERUSER")
    assert [finding.kind for finding in lab.target.probe()] == ["superuser"]


def test_an_account_that_is_gone_or_another_is_stale(make: MakePostgresLab) -> None:
    lab = make(accounts=PEOPLE)
    lab.target = PostgresTarget(context(), lab.settings | {"accounts": ACCOUNTS})
    steps = [Step(op, lab.key("plain"), "plain") for op in (Op.DISABLE_ACCOUNT, Op.END_SESSIONS, Op.ENABLE_ACCOUNT)]
    lab.run("REVOKE unmanaged FROM plain; DROP ROLE plain; CREATE ROLE plain LOGIN")

    assert apply(lab, *steps, Step(Op.DISABLE_ACCOUNT, "no oid", "plain")) == [STALE] * 4


def test_accounts_are_matched_by_name_through_a_template(make: MakePostgresLab) -> None:
    people = [LabAccount("emp_e1001", "E1001", "x"), LabAccount("batch", "E1002", "y")]
    lab = make(people, {"docs-readers": ["emp_e1001", "batch"]}, match={"name": "id"}, role_name="emp_{id}")
    lab.run("ALTER ROLE emp_e1001 NOLOGIN")

    observation = observe(lab, "docs-readers")

    found = {account.login: (account.match, account.enabled) for account in observation.accounts.accounts}
    assert found == {"emp_e1001": ({"id": "e1001"}, False), "batch": ({}, True)}
    assert lab.target.keys_matching({"id": "E1001"}) == {lab.key("emp_e1001")}


def test_a_comment_that_contradicts_itself_is_nobodys(lab: PostgresLab) -> None:
    lab.run("COMMENT ON ROLE zhang IS 'id=E1001; id=E1002'; COMMENT ON ROLE smith IS 'valid=E1002 guid=E1002'")

    observation = observe(lab, "docs-readers")

    assert [finding.subject for finding in told(observation, "ambiguous-account")] == ["zhang"]
    assert {account.login for account in observation.accounts.accounts if account.match} == {"muller", "plain"}
