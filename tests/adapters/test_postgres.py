"""What is particular to PostgreSQL: rights that come from several sides, grantors, roles that nobody may touch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
import pytest

from adapters.postgres import PostgresTarget
from adapters.postgres.session import reading
from adapters.postgres.settings import endpoint_of, layout_of, postgres_settings
from adapters.postgres.writing import PostgresWriter
from reconciler.targets import Locator, Observation, Op, Outcome, OutcomeKind, Reading, Step, TargetFinding
from tests.adapters.postgres_lab import OWN, PASSWORD, PostgresLab, context, settings_for
from tests.contract.suite import (
    ALREADY,
    APPLIED,
    GROUPS,
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
from tests.servers.fixtures import postgresql  # noqa: F401
from tests.servers.postgresql import Postgresql

REFUSED, UNAVAILABLE = OutcomeKind.REFUSED, OutcomeKind.UNAVAILABLE
ACCOUNTS = {"disable": "nologin", "end_sessions": True}
HOSTILE = "a\"b; DROP ROLE zhang; --\n'\\ %s {} 表. "
MakePostgresLab = Callable[..., PostgresLab]
_numbers = count(1)


@pytest.fixture
def make(postgresql: Postgresql) -> Iterator[MakePostgresLab]:  # noqa: F811
    made: list[PostgresLab] = []

    def new(
        accounts: Sequence[LabAccount] = PEOPLE, groups: Mapping[str, Sequence[str]] = GROUPS, **more: object
    ) -> PostgresLab:
        made.append(PostgresLab(postgresql, accounts, groups, **more))
        return made[-1]

    yield new
    for lab in reversed(made):
        lab.close()


@pytest.fixture
def lab(make: MakePostgresLab) -> PostgresLab:
    return make()


class Objects:
    """A database with a schema and a table, whose owner the adapter's role is a member of, and a target there."""

    def __init__(self, lab: PostgresLab, table: str = "t", schema: str = "s") -> None:
        self.lab, self.name = lab, f"lab{next(_numbers)}"
        lab.run(f"CREATE DATABASE {self.name}")
        self.admin = lab.server.connect(self.name)
        quoted = [part.replace('"', '""') for part in (schema, table)]
        self.schema, self.table = f'"{quoted[0]}"', f'"{quoted[0]}"."{quoted[1]}"'
        self.run(
            "CREATE ROLE owners",
            f"ALTER DATABASE {self.name} OWNER TO owners",
            f"ALTER ROLE {OWN} INHERIT",
            f"GRANT owners TO {OWN}",
            f"CREATE SCHEMA {self.schema} AUTHORIZATION owners",
            f"CREATE TABLE {self.table} (a int, b int)",
            f"ALTER TABLE {self.table} OWNER TO owners",
        )
        self.target = PostgresTarget(context(), settings_for(lab.server) | {"url": self.url})
        lab.target = self.target

    @property
    def url(self) -> str:
        return f"postgresql://{OWN}@127.0.0.1:{self.lab.server.port}/{self.name}"

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.admin.execute(statement)

    def may(self, login: str, privilege: str) -> bool:
        [(answer,)] = self.admin.execute("SELECT has_table_privilege(%s, %s, %s)", [login, self.table, privilege])
        return bool(answer)

    def step(self, op: Op, login: str, **locator: str) -> Step:
        return Step(op, self.lab.key(login), login, locator)


@pytest.fixture
def objects(lab: PostgresLab) -> Iterator[Objects]:
    made = Objects(lab)
    yield made
    made.admin.close()


def outcomes(lab: PostgresLab, *steps: Step) -> Sequence[Outcome]:
    with lab.target.writer() as writer:
        return writer.apply(steps)


def is_modern(lab: PostgresLab) -> bool:
    """Version 16 or newer: a membership may be held from several grantors, and CREATEROLE reaches less far."""
    return lab.admin.info.server_version >= 160000


def told(observation: Observation, kind: str) -> Sequence[TargetFinding]:
    return [finding for finding in observation.findings if finding.kind == kind]


SELECT = {"table": "s.t", "privilege": "select"}


# --- rights on objects ------------------------------------------------------------------------------------------------


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
    objects.run(f"REVOKE owners FROM {OWN}", f"GRANT INSERT ON {objects.table} TO {OWN}")

    [outcome] = outcomes(objects.lab, objects.step(Op.GRANT, "zhang", **SELECT | {"privilege": "insert"}))

    assert outcome.kind is REFUSED
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


# --- roles ------------------------------------------------------------------------------------------------------------


def test_a_role_in_a_role_is_foreign_and_its_people_are_told(lab: PostgresLab) -> None:
    lab.run('CREATE ROLE outer_; CREATE ROLE inner_; GRANT outer_ TO inner_; GRANT "docs-readers" TO outer_')
    lab.run("GRANT inner_ TO muller")

    observation = observe(lab, "docs-readers")

    assert entitlement(observation).foreign == ("outer_",)
    assert seen(observation) == {"zhang", "smith"}
    [finding] = told(observation, "indirect-access")
    assert (finding.subject, "muller" in finding.text, "outer_" in finding.text) == ("docs-readers", True, True)


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


# --- accounts ---------------------------------------------------------------------------------------------------------


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


# --- how it is done ---------------------------------------------------------------------------------------------------


def test_f1_observing_happens_on_a_connection_that_cannot_write(lab: PostgresLab) -> None:
    endpoint = endpoint_of(postgres_settings(lab.settings, context()), context().folder)

    with reading(endpoint) as connection:
        [(mode,)] = connection.execute("SHOW transaction_read_only").fetchall()
        assert mode == "on"
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute('GRANT "docs-readers" TO plain')
        connection.rollback()
    assert lab.members("docs-readers") == {"zhang", "smith"}


def statements(lab: PostgresLab, act: Callable[[], object]) -> int:
    """How many statements the server logs of our role while this happens."""
    log = lab.server.folder / "log"
    before = log.stat().st_size
    lab.run(f"ALTER ROLE {OWN} SET log_statement = 'all'")
    act()
    return log.read_bytes()[before:].count(b" execute ") + log.read_bytes()[before:].count(b" statement: ")


def test_f11_the_number_of_questions_does_not_depend_on_the_number_of_people(make: MakePostgresLab) -> None:
    counted = []
    for number in (3, 300):
        people = [LabAccount(f"u{each}", f"E{each}", "x") for each in range(number)]
        lab = make(people, {"all": [person.login for person in people]})
        objects = Objects(lab)
        locators: list[Locator] = [{"role": "all"}, SELECT, {"schema": "s", "privilege": "usage"}]
        steps = [revoke(lab, "all", person.login) for person in people]
        seen_ = statements(lab, lambda: objects.target.observe(locators))  # noqa: B023
        done = statements(lab, lambda: apply(lab, *steps))  # noqa: B023
        counted.append((seen_, done))
        assert lab.members("all") == set()
        objects.admin.close()

    assert counted[0] == counted[1]
    assert min(counted[0]) > 3


class Meddling(psycopg.Connection[tuple[Any, ...]]):
    """A connection that lets something happen before one of its statements."""

    before: str
    happens: Callable[[], object]
    countdown: int

    def execute(self, query: Any, *args: Any, **named: Any) -> Any:
        text = query if isinstance(query, str) else query.as_string(None)
        if text.lstrip().startswith(self.before):
            self.countdown -= 1
            if self.countdown == 0:
                self.happens()
        return super().execute(query, *args, **named)


@contextmanager
def meddled(lab: PostgresLab, before: str, happens: Callable[[], object], time: int = 1) -> Iterator[PostgresWriter]:
    """A writer, where this happens before its statement that begins so, the first or a later time."""
    named = {"host": "127.0.0.1", "port": lab.server.port, "user": OWN, "password": PASSWORD, "dbname": "postgres"}
    connection = Meddling.connect(autocommit=True, **named)  # type: ignore[arg-type]
    connection.before, connection.happens, connection.countdown = before, happens, time
    with connection:
        yield PostgresWriter(connection, layout_of(postgres_settings(lab.settings, context())))


def test_c3_a_name_that_goes_to_somebody_else_in_the_last_moment_undoes_what_was_said_of_it(lab: PostgresLab) -> None:
    def exchange() -> None:
        lab.run('ALTER ROLE smith RENAME TO married; CREATE ROLE smith LOGIN; GRANT "核心算法" TO smith')
        lab.run(f'GRANT "docs-readers" TO smith GRANTED BY {OWN}')

    steps = [grant(lab, "核心算法", "smith"), revoke(lab, "docs-readers", "smith"), grant(lab, "核心算法", "plain")]
    with meddled(lab, "REVOKE", exchange) as writer:
        results = writer.apply(steps[1:2])
    assert [outcome.kind for outcome in results] == [STALE]
    assert lab.members("docs-readers") == {"zhang", "smith", "married"}

    with meddled(lab, "GRANT", lambda: lab.run("ALTER ROLE plain RENAME TO simple")) as writer:
        results = writer.apply([steps[2]])
    assert [outcome.kind for outcome in results] == [REFUSED], "there is no role of that name to grant it to"
    assert apply(lab, *steps) == [APPLIED, APPLIED, APPLIED]
    assert lab.members("核心算法") == {"muller", "smith", "married", "simple"}


def test_a_role_dropped_and_made_again_under_its_name_in_the_last_moment_loses_nothing(lab: PostgresLab) -> None:
    def replace() -> None:
        lab.run("REVOKE ALL ON DATABASE postgres FROM smith; DROP ROLE smith; CREATE ROLE smith LOGIN")
        lab.run(f'GRANT "docs-readers" TO smith GRANTED BY {OWN}')

    with meddled(lab, "REVOKE", replace) as writer:
        results = writer.apply([revoke(lab, "docs-readers", "smith")])

    assert [outcome.kind for outcome in results] == [STALE]
    assert lab.members("docs-readers") == {"zhang", "smith"}


@pytest.mark.parametrize(("before", "time"), [("GRANT", 1), ("SELECT m.roleid", 2)])
def test_a_connection_that_breaks_half_way_is_no_success(lab: PostgresLab, before: str, time: int) -> None:
    """Before the statement, and when it is read back: not committed, so neither done nor said to be."""
    ended = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = %s"

    with meddled(lab, before, lambda: lab.admin.execute(ended, [OWN]), time) as writer:
        results = writer.apply([grant(lab, "docs-readers", "plain"), grant(lab, "核心算法", "plain")])

    assert [outcome.kind for outcome in results] == [UNAVAILABLE] * 2
    assert lab.members("docs-readers") == {"zhang", "smith"}


def test_a_connection_that_is_lost_leaves_the_rest_open_and_is_no_success(lab: PostgresLab) -> None:
    with lab.target.writer() as writer:
        ended = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = %s"
        assert lab.admin.execute(ended, [OWN]).fetchall() == [(True,)]
        results = writer.apply([grant(lab, "docs-readers", "plain"), grant(lab, "核心算法", "plain")])

    assert [outcome.kind for outcome in results] == [UNAVAILABLE] * 2
    assert lab.members("docs-readers") == {"zhang", "smith"}
