"""A directory as a people source, on a real OpenLDAP server: the contract, and what only a directory can do to it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from adapters.ldap.people import LdapPeople
from reconciler.errors import ReconcilerError
from reconciler.sources import Feed, Place, Source, SourceContext, SourceError
from reconciler.testing.sources import MakeSource, Records, SourceContract
from tests.adapters.directory_lab import fresh_branch
from tests.servers.fixtures import slapd  # noqa: F401
from tests.servers.slapd import PASSWORD, Slapd, free_port

COLUMNS: Mapping[str, str] = {
    "id": "employeeNumber",
    "name": "displayName",
    "email": "mail",
    "department": "departmentNumber",
    "projects": "businessCategory",
    "ends_on": "carLicense",
    "status": "employeeType",
}
WANTED = ("id", "name", "department", "projects", "status")
Values = Mapping[str, Sequence[str]]


def line(name: str, value: str) -> str:
    return f"{name}:: {base64.b64encode(value.encode()).decode()}"


def entry(branch: str, login: str, values: Values) -> str:
    """A person in LDIF; attribute → values."""
    own = [line(name, value) for name, all_ in values.items() for value in all_]
    return "\n".join(
        [f"dn: uid={login},{branch}", "objectClass: inetOrgPerson", f"uid: {login}", f"cn: {login}", "sn: x", *own, ""]
    )


def unit(branch: str) -> str:
    return f"dn: {branch}\nobjectClass: organizationalUnit\n"


def branch_of(server: Slapd, people: Mapping[str, Values]) -> str:
    """A new branch that holds these people: login → attribute → values."""
    branch = fresh_branch()
    server.add("\n".join([unit(branch), *(entry(branch, login, values) for login, values in people.items())]))
    return branch


def settings(server: Slapd, branch: str, who: str = "reconciler", **more: object) -> dict[str, object]:
    own: dict[str, object] = {
        "url": server.url,
        "tls": "none",
        "bind": {"dn": server.account(who), "password": PASSWORD},
        "people": {"base": branch},
        "columns": dict(COLUMNS),
    }
    return {**own, **more}


def source(given: Mapping[str, object]) -> LdapPeople:
    return LdapPeople(SourceContext("hr", Path(), Place("reconciler.yaml", 5)), given)


def read(given: Mapping[str, object], columns: Sequence[str] = WANTED) -> Feed:
    return source(given).read(columns, ("id",))


def refusal(given: Mapping[str, object], columns: Sequence[str] = WANTED) -> ReconcilerError:
    """The error that reading ends with; it teaches, and shows no secret."""
    with pytest.raises(ReconcilerError) as caught:
        read(given, columns)
    assert "→" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    return caught.value


def cells(feed: Feed) -> dict[str, Mapping[str, str]]:
    return {row.cells["id"]: row.cells for row in feed.rows}


def person(number: str, **more: str) -> dict[str, list[str]]:
    return {"employeeNumber": [number], "employeeType": ["active"], **{name: [value] for name, value in more.items()}}


@pytest.fixture
def server(slapd: Slapd) -> Slapd:  # noqa: F811
    """Everybody's; each test has a branch of its own."""
    return slapd


@pytest.fixture
def make_source(server: Slapd) -> MakeSource:
    def make(people: Records, more: Mapping[str, object]) -> Source:
        known = {
            f"p{number}": {
                COLUMNS[column]: text.split(";") if column == "projects" else [text] for column, text in said.items()
            }
            for number, said in enumerate(people)
        }
        return source({**settings(server, branch_of(server, known)), **more})

    return make


class TestLdapPeople(SourceContract):
    """All promises."""


def test_values_of_an_attribute_are_a_set_in_an_order_of_their_own(server: Slapd) -> None:
    values = {**person("E1"), "businessCategory": ["凤凰", "falcon", "猎鹰"]}
    feed = read(settings(server, branch_of(server, {"zhang": values})))

    assert cells(feed)["E1"]["projects"] == "falcon;凤凰;猎鹰"


def test_a_value_that_would_be_taken_for_two_is_a_problem_of_its_row(server: Slapd) -> None:
    people = {"odd": {**person("E1"), "businessCategory": ["a;b", "c"]}, "even": {**person("E2"), **projects("d")}}
    feed = read(settings(server, branch_of(server, people)))

    problems = {row.cells["id"]: row.problem for row in feed.rows}
    assert "`a;b` holds a `;`" in problems["E1"]
    assert problems["E2"] == ""


def projects(*values: str) -> dict[str, list[str]]:
    return {"businessCategory": list(values)}


def test_a_manager_is_named_by_their_id_however_the_name_of_their_entry_is_spelled(server: Slapd) -> None:
    branch = branch_of(server, {"chief": person("E1")})
    spelled = f"UID = CHIEF , {branch.upper().replace(',', ' , ')}"
    server.add(entry(branch, "zhang", person("E2", manager=spelled)))
    mapped = {**COLUMNS, "manager": "manager"}
    feed = read(settings(server, branch, columns=mapped, references=["manager"]), (*WANTED, "manager"))

    assert cells(feed)["E2"]["manager"] == "E1"
    assert cells(feed)["E1"]["manager"] == ""


def test_a_manager_has_the_id_that_they_themselves_are_delivered_with(server: Slapd) -> None:
    branch = branch_of(server, {"chief": person("7")})
    server.add(entry(branch, "zhang", person("8", manager=f"uid=chief,{branch}")))
    given = settings(
        server,
        branch,
        columns={**COLUMNS, "manager": "manager"},
        references=["manager"],
        transforms={"id": [{"pad": 4}, {"prefix": "E"}]},
    )
    feed = read(given, (*WANTED, "manager"))

    assert cells(feed)["E0008"]["manager"] == "E0007"


def test_a_reference_to_nobody_here_stays_the_name_of_the_entry(server: Slapd) -> None:
    gone = "uid=gone,dc=example,dc=com"
    branch = branch_of(server, {"zhang": person("E1", manager=gone)})
    given = settings(server, branch, columns={**COLUMNS, "manager": "manager"}, references=["manager"])

    assert cells(read(given, (*WANTED, "manager")))["E1"]["manager"] == gone


def test_where_nobody_asks_about_them_references_are_not_looked_up(server: Slapd) -> None:
    given = settings(server, branch_of(server, {"zhang": person("E1")}), references=["manager"])

    assert set(cells(read(given))) == {"E1"}


def test_the_name_of_the_entry_itself_can_be_a_column(server: Slapd) -> None:
    branch = branch_of(server, {"zhang": person("E1")})
    feed = read(settings(server, branch, columns={**COLUMNS, "department": "dn"}))

    assert cells(feed)["E1"]["department"] == f"uid=zhang,{branch}"


def test_an_entry_without_an_id_is_a_row_without_one(server: Slapd) -> None:
    branch = branch_of(server, {"zhang": person("E1"), "nobody": {"employeeType": ["active"]}})
    [row] = [row for row in read(settings(server, branch)).rows if not row.cells["id"]]

    assert str(row.place) == f"uid=nobody,{branch}"


def test_only_those_that_the_filter_finds_are_people(server: Slapd) -> None:
    branch = branch_of(server, {"zhang": person("E1"), "robot": {**person("E2"), "employeeType": ["机器人"]}})
    given = settings(
        server, branch, people={"base": branch, "filter": "(&(objectClass=person)(!(employeeType=机器人)))"}
    )

    assert set(cells(read(given))) == {"E1"}


def test_a_directory_that_gives_only_a_part_is_refused_whole(server: Slapd) -> None:
    branch = branch_of(server, {f"p{number}": person(f"E{number}") for number in range(501)})
    error = refusal(settings(server, branch, who="limited"))

    assert isinstance(error, SourceError)
    assert "only a part (500 entries)" in error.message
    assert server.account("limited") in str(error)
    assert len(cells(read(settings(server, branch)))) == 501


def test_fewer_than_there_can_be_are_refused(server: Slapd) -> None:
    error = refusal(settings(server, branch_of(server, {"zhang": person("E1")}), expect={"minimum": 40}))

    assert error.exit_status == 3
    assert "at least 40" in error.message


def test_a_base_that_is_not_there(server: Slapd) -> None:
    error = refusal(settings(server, "ou=nowhere,dc=example,dc=com"))

    assert "there is no entry ou=nowhere,dc=example,dc=com" in error.message
    assert "correct the base" in str(error)


def test_a_server_that_is_not_there_is_no_empty_company(server: Slapd) -> None:
    error = refusal(settings(server, "dc=example,dc=com", url=f"ldap://127.0.0.1:{free_port()}"))

    assert isinstance(error, SourceError)
    assert error.exit_status != 3


def test_a_wrong_password(server: Slapd) -> None:
    bind = {"dn": server.account("reconciler"), "password": "wr0ng-w0rd"}
    error = refusal(settings(server, "dc=example,dc=com", bind=bind))

    assert "wr0ng-w0rd" not in str(error)
    assert "source `hr`" in error.message


@pytest.mark.parametrize("wrong", ["objectClass=person)", "(objectClass=person", "(&)(", ""])
def test_a_filter_that_is_none_is_told_before_anything_is_read(server: Slapd, wrong: str) -> None:
    with pytest.raises(ReconcilerError, match="is no search filter"):
        source(settings(server, "dc=example,dc=com", people={"base": "dc=example,dc=com", "filter": wrong}))


def test_an_attribute_that_the_server_does_not_know_is_named_with_the_nearest(server: Slapd) -> None:
    branch = branch_of(server, {"zhang": person("E1")})
    error = refusal(settings(server, branch, columns={**COLUMNS, "department": "departmentNumer"}))

    assert "`departmentNumer` (for `department`)" in error.message
    assert "the nearest is `departmentNumber`" in error.message


def test_an_id_that_nobody_has_is_not_proposed_for_itself(server: Slapd) -> None:
    error = refusal(settings(server, branch_of(server, {"zhang": {"employeeType": ["active"]}})))

    assert "no record has `employeeNumber` (for `id`)" in error.message
    assert "the nearest is `employeeNumber`" not in error.message


def test_an_attribute_that_can_be_read_of_nobody_is_told_whatever_else_is_missing(server: Slapd) -> None:
    values = {**person("E1"), **projects("a;b", "c")}
    error = refusal(settings(server, branch_of(server, {"zhang": values})))

    assert "`businessCategory` (for `projects`) can be read in no record" in error.message


def test_an_attribute_that_nobody_has_yet_is_left_out_of_the_delivery(server: Slapd) -> None:
    """What was known of it stays as it was: a directory does not tell blank from not there."""
    feed = read(settings(server, branch_of(server, {"zhang": person("E1")})))

    assert set(feed.columns) == {"id", "status"}


def test_what_is_no_text_is_a_problem_of_its_row(server: Slapd) -> None:
    branch = branch_of(server, {"zhang": person("E1"), "smith": person("E2", audio="plain")})
    octets = base64.b64encode(b"\xff\xfe").decode()
    server.modify(f"dn: uid=zhang,{branch}\nchangetype: modify\nadd: audio\naudio:: {octets}\n")
    feed = read(settings(server, branch, columns={**COLUMNS, "department": "audio"}))

    assert {row.cells["id"]: row.problem for row in feed.rows} == {"E1": "`audio`: its value is no text", "E2": ""}


def test_reading_twice_delivers_the_same(server: Slapd) -> None:
    made = source(settings(server, branch_of(server, {f"p{n}": person(f"E{n}") for n in range(20)})))

    assert made.read(WANTED, ("id",)).digest == made.read(WANTED, ("id",), since="whatever").digest
