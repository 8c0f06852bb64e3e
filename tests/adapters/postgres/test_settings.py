"""Settings of a PostgreSQL target: what cannot work or could not be safe is told all at once, and without a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.postgres import PostgresTarget
from adapters.postgres.settings import endpoint_of, postgres_settings
from reconciler.targets import GIVING, Locator, Op, ProblemsFound, entitlement_key
from tests.adapters.postgres.lab import context

GOOD: dict[str, object] = {
    "url": "postgresql://reconciler@db.example.com/app",
    "password": "hush-hush",
    "match": {"comment": "id"},
}


def problems(**settings: object) -> str:
    with pytest.raises(ProblemsFound) as raised:
        PostgresTarget(context(), GOOD | settings)
    assert "hush" not in str(raised.value)
    return str(raised.value)


def test_every_mistake_is_told_at_once_and_no_secret() -> None:
    said = problems(
        url="postgresql://reconciler:hush@db/app", mtach={}, timeout=0, tls="prefer", accounts={"disble": 1}
    )

    assert "`url`: is not of the form" in said
    assert "a password has a setting of its own" in said
    assert "`mtach` is not a setting" in said
    assert "did you mean `match`?" in said
    assert "did you mean `disable`?" in said
    assert "`timeout`" in said
    assert "`tls`" in said


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/app",
        "postgresql://r@db/app?sslmode=disable",
        "postgresql://r@db1,db2/app",
        "postgresql://r@db",
        "mysql://r@db/app",
        "host=db user=r",
    ],
)
def test_a_url_names_role_host_and_database_and_nothing_else(url: str) -> None:
    assert "is not of the form postgresql://ROLE@HOST[:PORT]/DATABASE" in problems(url=url)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"match": {}}, "names either `comment` or `name`"),
        ({"match": {"comment": "id", "name": "id"}}, "names either `comment` or `name`"),
        ({"match": {"comment": "phone"}}, "`match.comment`"),
        ({"match": {"comment": "id"}, "role_name": "emp_{id}"}, "no effect without"),
        ({"match": {"name": "id"}, "role_name": "emp_"}, "has {id} once"),
        ({"match": {"name": "id"}, "role_name": "{id}_{id}"}, "has {id} once"),
        ({"match": {"name": "id"}, "accounts": {"disable": "nologin"}}, "nothing would tell which"),
        (
            {"match": {"name": "id"}, "role_name": "{id}", "accounts": {"disable": "nologin"}},
            "nothing would tell which",
        ),
        ({"tls": "none", "ca": "ca.pem"}, "`ca` has no effect"),
        ({"password": ""}, "`password`"),
        ({"protected": [""]}, "`protected.0`"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, object], words: str) -> None:
    assert words in problems(**settings)


@pytest.mark.parametrize(
    ("url", "more", "tls"),
    [
        ("postgresql://r@db.example.com/app", {}, "verify-full"),
        ("postgresql://r@db.example.com/app", {"tls": "none"}, "none"),
        ("postgresql://r@10.0.0.1:5433/app", {"ca": "ca.pem"}, "verify-full"),
        ("postgresql://r@127.0.0.1/app", {}, None),
        ("postgresql://r@[::1]/app", {}, None),
        ("postgresql://r@localhost/app", {"tls": "verify-full"}, "verify-full"),
        ("postgresql://r@%2Fvar%2Frun%2Fpostgresql/app", {}, None),
    ],
)
def test_beyond_this_machine_the_server_is_verified_unless_said_otherwise(
    url: str, more: dict[str, object], tls: str | None
) -> None:
    endpoint = endpoint_of(postgres_settings(GOOD | {"url": url} | more, context()), Path("/folder"))

    assert endpoint.tls == tls
    assert endpoint.local is (tls is None or "localhost" in url)
    assert "hush" not in repr(endpoint)
    if "ca" in more:
        assert endpoint.ca == Path("/folder/ca.pem")
    if "%2F" in url:
        assert endpoint.host == "/var/run/postgresql"


def test_what_it_can_do_is_what_was_configured() -> None:
    plain = PostgresTarget(context(), GOOD)
    whole = PostgresTarget(context(), GOOD | {"accounts": {"disable": "nologin", "end_sessions": True}})

    assert plain.describe().ops == {Op.GRANT, Op.REVOKE}
    assert whole.describe().ops == {*plain.describe().ops, Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT, Op.END_SESSIONS}
    assert not plain.describe().implicit_accounts
    assert Op.CREATE_ACCOUNT in GIVING
    assert plain.match_attributes() == ("id",)


@pytest.mark.parametrize(
    "locator",
    [
        {"role": "docs readers"},
        {"role": "核心\n算法"},
        {"schema": "s", "privilege": "USAGE"},
        {"table": "s.t", "privilege": "select"},
        {"table": '"a.b"."c""d"', "privilege": "update"},
        {"database": "app", "privilege": "connect"},
    ],
)
def test_these_can_be_named(locator: Locator) -> None:
    assert PostgresTarget(context(), GOOD).check_locator(locator) is None
    assert entitlement_key(locator)


@pytest.mark.parametrize(
    ("locator", "words"),
    [
        ({}, "an entitlement here is {role: …}"),
        ({"group": "g"}, "given: group"),
        ({"role": "r", "privilege": "select"}, "an entitlement here is"),
        ({"table": "s.t"}, "an entitlement here is"),
        ({"schema": "s", "table": "s.t", "privilege": "select"}, "an entitlement here is"),
        ({"table": "t", "privilege": "select"}, "`table` is schema.table"),
        ({"table": "a.b.c", "privilege": "select"}, "`table` is schema.table"),
        ({"table": "s.t", "privilege": "truncate"}, "select, insert, update, delete"),
        ({"table": "s.t", "privilege": "select, delete"}, "select, insert, update, delete"),
        ({"schema": "s", "privilege": "select"}, "usage, create"),
        ({"role": ""}, "is empty"),
        ({"role": "a\0b"}, "a character that no name can have"),
        ({"role": "a\udc80b"}, "a character that no name can have"),
        ({"role": "pg_read_all_data"}, "one of the server's own roles"),
    ],
)
def test_what_cannot_be_named_is_said_in_words(locator: Locator, words: str) -> None:
    assert words in str(PostgresTarget(context(), GOOD).check_locator(locator))
