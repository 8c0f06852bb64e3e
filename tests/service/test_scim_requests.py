"""Inbound SCIM's requests: as well-known providers send them, hostile ones, and who may send any."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from reconciler.facts.scim_state import SCIM_TOLD
from reconciler.passes.tokens import Act
from reconciler.service.scim.storage import LOOKED_THROUGH
from tests.service.office import PATIENCE, Office, until
from tests.service.scim import (
    CORE,
    ENTERPRISE,
    ERROR,
    OWN,
    SEARCH,
    Desk,
    Provider,
    desk_of,
    paper_office,
    scim_service,
    token_of,
    user,
)

LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """One for many requests; each test has people of its own."""
    office = paper_office(
        tmp_path_factory.mktemp("scim") / "office", ", projects: {kind: set}, manager: {kind: person}"
    )
    office.clock = lambda: datetime(2026, 6, 1, 4, tzinfo=UTC)
    made = desk_of(office)
    assert made.make("H1").status_code == 201
    return made


def found(desk: Desk, filtered: str, query: str = "") -> list[str]:
    answer = desk.send("GET", f"/Users?filter={quote(filtered)}{query}")
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["Resources"]]


# --- as providers send them -------------------------------------------------------------------------------------------


def test_as_entra_sends_it(desk: Desk) -> None:
    """After the examples in Microsoft's description of its provisioning service."""
    assert found(desk, 'userName eq "non-existent@example.com"') == [], "how it tests the connection"
    made = desk.send(
        "POST",
        "/Users",
        {
            "schemas": [CORE, ENTERPRISE],
            "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
            "userName": "Entra.One@example.com",
            "active": True,
            "addresses": [{"primary": False, "type": "work", "country": "CN"}],
            "emails": [{"primary": True, "type": "work", "value": "one@example.com"}],
            "meta": {"resourceType": "User"},
            "name": {"formatted": "王 一", "familyName": "王", "givenName": "一"},
            "roles": [],
            ENTERPRISE: {"employeeNumber": "EN1", "department": "rd", "manager": "H1"},
        },
        content_type="application/scim+json; charset=utf-8",
    )
    assert made.status_code == 201, made.text
    assert "addresses" not in made.json(), "what is not needed is not kept"
    assert found(desk, 'userName eq "entra.one@EXAMPLE.com"', "&startIndex=1&count=1") == ["EN1"]
    assert found(desk, 'externalId eq "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"') == ["EN1"]
    assert found(desk, 'emails[type eq "work"].value eq "one@example.com" and active eq true') == ["EN1"]

    for operations in (
        [{"op": "Replace", "path": "displayName", "value": "王一"}],
        [{"op": "Add", "path": 'emails[type eq "home"].value', "value": "home@example.com"}],
        [{"op": "Replace", "path": 'emails[type eq "work"].value', "value": "new@example.com"}],
        [{"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "1"}],
        [{"op": "Replace", "path": 'addresses[type eq "work"].locality', "value": "上海"}],
        [{"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "H1"}],
        [{"op": "Add", "path": f"{ENTERPRISE}:manager", "value": [{"$ref": "http://x/Users/H1", "value": "H1"}]}],
        [{"op": "Replace", "value": {f"{ENTERPRISE}:department": "rd/ai", "name.givenName": "二", "active": "True"}}],
    ):
        answer = desk.patch("EN1", *operations)
        assert answer.status_code == 204, (operations, answer.text)
    read = desk.get("EN1")
    assert (read["displayName"], read["name"]["givenName"]) == ("王一", "二")
    assert read[ENTERPRISE] == {"employeeNumber": "EN1", "department": "rd/ai", "manager": {"value": "H1"}}
    (post,) = [post for post in desk.person("EN1").assignments if post.span.end is None]
    assert post.attributes == {"department": "rd/ai", "manager": "H1"}
    assert desk.person("EN1").email == "new@example.com"

    assert desk.patch("EN1", {"op": "Remove", "path": f"{ENTERPRISE}:manager"}).status_code == 204
    assert desk.patch("EN1", {"op": "Replace", "path": "active", "value": "False"}).status_code == 204
    assert desk.events("EN1")[-2:] == ["attributes-changed", "exited"]
    assert desk.get("EN1")["active"] is False


def test_as_okta_sends_it(desk: Desk) -> None:
    """After the examples in Okta's SCIM 2.0 protocol reference."""
    assert found(desk, 'userName eq "okta.one@example.com"', "&startIndex=1&count=100") == []
    sent = {
        "schemas": [CORE, ENTERPRISE],
        "userName": "okta.one@example.com",
        "name": {"givenName": "One", "familyName": "Okta"},
        "emails": [{"primary": True, "value": "okta.one@example.com", "type": "work"}],
        "displayName": "Okta One",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": True,
        ENTERPRISE: {"employeeNumber": "OK1", "department": "rd"},
    }
    made = desk.send("POST", "/Users", sent)
    assert made.status_code == 201, made.text
    ledger = desk.office.workspace().facts().ledger
    assert "1mz050nq" not in "".join(str(entry.payload) for entry in ledger.entries(subject="OK1"))

    again = {**sent, **made.json(), "name": {"givenName": "Another", "familyName": "Okta"}, "groups": []}
    assert desk.send("PUT", "/Users/OK1", again).status_code == 200
    assert desk.get("OK1")["name"]["givenName"] == "Another"
    assert desk.patch("OK1", {"op": "replace", "value": {"active": False}}).status_code == 204
    assert desk.events("OK1") == ["hired", "exited"]
    assert desk.patch("OK1", {"op": "replace", "value": {"active": True}}).status_code == 204
    assert desk.events("OK1") == ["hired", "exited", "rehired"]


def test_put_that_does_not_say_whether_somebody_is_active_opens_nothing(desk: Desk) -> None:
    desk.make("PA1", active=False)
    sent = user("PA1", title="x")
    del sent["active"]
    assert desk.send("PUT", "/Users/PA1", sent).status_code == 200
    assert desk.patch("PA1", {"op": "remove", "path": "active"}).status_code == 204
    assert desk.events("PA1") == ["hired", "exited"]


def test_a_search_by_post_and_only_the_attributes_that_are_asked_for(desk: Desk) -> None:
    desk.make("SE1")
    asked = {"schemas": [SEARCH], "filter": 'id eq "SE1"', "attributes": ["userName"], "count": 5}
    answer = desk.send("POST", "/Users/.search", asked).json()
    assert (answer["schemas"], answer["totalResults"], answer["itemsPerPage"]) == ([LIST], 1, 1)
    (only,) = answer["Resources"]
    assert only.keys() == {"schemas", "id", "userName"}
    less = desk.send("GET", "/Users/SE1?excludedAttributes=emails,meta").json()
    assert not {"emails", "meta"} & less.keys()
    assert desk.send("GET", "/Users?count=0").json()["itemsPerPage"] == 0


# --- pages ------------------------------------------------------------------------------------------------------------


def test_pages_are_stable_and_ask_nothing_for_each_person(tmp_path: Path) -> None:
    office = paper_office(tmp_path / "office")
    desk = desk_of(office)
    for n in range(1200):
        assert desk.make(f"E{n}", displayName=f"王{n}").status_code == 201
    asked: list[str] = []
    engine = desk.scim._premises.facts.store._engine
    event.listen(engine, "before_cursor_execute", lambda *of: asked.append(of[2]))

    def page(query: str) -> tuple[list[str], int]:
        asked.clear()
        answer = desk.send("GET", f"/Users?{query}").json()
        return [each["id"] for each in answer["Resources"]], len(asked)

    page("count=1")  # from here on it is known whose token that is
    pages = [page(f"startIndex={start}&count=100") for start in range(1, 1301, 100)]
    assert [person for some, _ in pages for person in some] == [f"E{n}" for n in range(1200)]
    assert {count for _, count in pages[:12]} == {page("count=1")[1]}, "as many questions for one as for a hundred"
    assert len(page("")[0]) == 100, "nobody who asks for nothing gets everybody"
    assert desk.send("GET", "/Users?count=5000").json()["itemsPerPage"] == 1000
    assert page(f"startIndex={10**30}&count={10**30}")[0] == []
    assert page("startIndex=-5&count=1")[0] == ["E0"]
    assert page("sortBy=displayName&sortOrder=descending&count=2")[0] == ["E999", "E998"]
    looked_up = 'userName eq "e7@example.com" and displayName co "王"'
    assert page(f"filter={quote(looked_up)}") == (["E7"], page("count=1")[1] - 1)
    desk.patch("E3", {"op": "replace", "path": "title", "value": "x"})
    assert page("startIndex=3&count=2")[0] == ["E2", "E3"], "a change moves nobody to another page"


def test_who_looks_through_too_many_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desk_of(paper_office(tmp_path / "office"))
    for n in range(3):
        desk.make(f"E{n}")
    monkeypatch.setattr("reconciler.service.scim.storage.LOOKED_THROUGH", 2)
    assert LOOKED_THROUGH > 1000
    refused = desk.send("GET", "/Users?filter=title pr")
    assert (refused.status_code, refused.json()["scimType"]) == (400, "tooMany")
    assert found(desk, 'id eq "E1"') == ["E1"]


# --- hostile ones -----------------------------------------------------------------------------------------------------

REFUSED = {"invalidFilter", "invalidPath", "invalidSyntax", "invalidValue", "noTarget", "mutability", "uniqueness"}
NAMES = "userName emails active id meta schemas password groups name members title manager value type $ref __proto__"
SYNTAX = "eq ne co pr gt and or not ( ) [ ] . : , true null 1e999 urn: urn:x:y * .* (a+)+$ {x} %00 ../.. 😀 王 \\"
ODD = ["'; DROP TABLE people; --", '"', "\x00", "\ud800", " ", "9" * 50, CORE, ENTERPRISE, OWN]
WORDS = st.sampled_from([*NAMES.split(), *SYNTAX.split(), *ODD])
EXPRESSIONS = st.lists(WORDS, max_size=12).flatmap(
    lambda words: st.sampled_from(["", " ", '"']).map(lambda between: between.join(words))
) | st.text(max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


def check_answer(desk: Desk, answer: Any, *fine: int) -> None:
    assert answer.status_code in (*fine, 400, 404, 409, 501), answer.text
    if answer.status_code >= 400:
        said = answer.json()
        assert (said["schemas"], said["status"]) == ([ERROR], str(answer.status_code))
        assert len(said["detail"]) <= 500
    if answer.status_code == 400:
        assert said["scimType"] in REFUSED, answer.text


@settings(max_examples=300, deadline=None)
@given(expression=EXPRESSIONS, order=EXPRESSIONS | st.none())
@example(expression="(" * 400 + "userName pr" + ")" * 400, order=None)
@example(expression="not(" * 100 + "userName pr" + ")" * 100, order=None)
@example(expression='userName eq "\\ud800"', order=None)
@example(expression='userName eq "\\u0000"', order=None)
@example(expression='userName eq "' + "a" * 100_000 + '"', order=None)
@example(expression="nothing eq 1", order=None)
def test_no_filter_brings_it_down(desk: Desk, expression: str, order: str | None) -> None:
    asked = {"schemas": [SEARCH], "filter": expression} | ({"sortBy": order} if order is not None else {})
    before = desk.head()
    check_answer(desk, desk.send("POST", "/Users/.search", asked), 200)
    check_answer(desk, desk.send("GET", f"/Users?filter={quote(expression, errors='replace')}"), 200)
    assert desk.head() == before


@settings(max_examples=300, deadline=None)
@given(op=st.sampled_from(["add", "Replace", "REMOVE", "test", "", 7]), path=EXPRESSIONS | st.none(), value=JSON)
@example(op="add", path="nothing", value=1)
@example(op="add", path=None, value={"nothing": 1})
@example(op="add", path=None, value={ENTERPRISE: {"nothing": 1}})
@example(op="add", path="emails[" * 50 + 'type eq "x"' + "]" * 50, value=1)
@example(op="replace", path="emails[value co " + '"' + "a" * 5000 + '"' + "]", value=1)
@example(op="add", path="emails", value=[{"value": "x"}] * 500)
@example(op="replace", path="schemas", value=[])
@example(op="remove", path=f"{ENTERPRISE}", value=None)
@example(op="replace", path=f"{ENTERPRISE}:manager", value={"value": {"a": 1}})
def test_no_patch_brings_it_down(desk: Desk, op: object, path: str | None, value: object) -> None:
    operation = {"op": op, "value": value} | ({"path": path} if path is not None else {})
    check_answer(desk, desk.patch("H1", operation), 204)
    assert desk.get("H1")["id"] == "H1"


@settings(max_examples=150, deadline=None)
@given(body=JSON | st.binary(max_size=40), method=st.sampled_from(["POST", "PUT", "PATCH"]))
@example(body=b"[" * 200_000, method="POST")
@example(body=b'{"a":' * 20 + b"1" + b"}" * 20, method="PUT")
@example(body=b'{"schemas": [], "userName": NaN}', method="POST")
@example(body={"schemas": [CORE], "nothing": 1}, method="POST")
def test_no_body_brings_it_down(desk: Desk, body: object, method: str) -> None:
    path = "/Users" if method == "POST" else "/Users/H1"
    answer = desk.send(method, path, body)
    check_answer(desk, answer, 200, 201, 204)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ({"op": "add", "path": "nothing", "value": 1}, "invalidPath"),
        ({"op": "add", "value": {"nothing": 1}}, "invalidPath"),
        ({"op": "add", "path": "emails[type eq", "value": 1}, "invalidPath"),
        ({"op": "add", "path": "a" * 5000, "value": 1}, "invalidPath"),
        ({"op": "move", "path": "title", "value": 1}, "invalidValue"),
        ({"op": "replace", "path": "active", "value": "perhaps"}, "invalidValue"),
        ({"op": "remove"}, "noTarget"),
        ({"op": "replace", "path": "id", "value": "x"}, "mutability"),
        ({"op": "remove", "path": "userName"}, "mutability"),
        ({"op": "replace", "path": "displayName", "value": {"a": 1}}, "invalidValue"),
        ({"op": "replace", "path": f"{OWN}:startsOn", "value": "soon"}, "invalidValue"),
        ({"op": "replace", "path": f"{OWN}:startsOn", "value": "1600-01-01T00:00:00"}, "invalidValue"),
    ],
)
def test_a_patch_that_cannot_be_is_told_why(desk: Desk, operation: dict[str, object], kind: str) -> None:
    before = desk.head()
    refused = desk.patch("H1", operation)
    assert (refused.status_code, refused.json()["scimType"]) == (400, kind), refused.text
    assert "pydantic" not in refused.text, "which says it to programmers"
    assert desk.head() == before


def test_a_patch_is_taken_whole_or_not_at_all(desk: Desk) -> None:
    before = desk.get("H1")
    fine = {"op": "replace", "path": "title", "value": "another"}
    assert desk.patch("H1", fine, {"op": "replace", "path": "active", "value": "perhaps"}).status_code == 400
    assert desk.get("H1") == before
    assert desk.patch("H1", *[fine] * 201).status_code == 400


# --- on a real socket -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, Provider]]:
    """A process that takes SCIM. Its directory is away, which is none of SCIM's business."""
    office = paper_office(tmp_path_factory.mktemp("served") / "office")
    token = token_of(office)
    with office.serving() as service:
        yield office, Provider(service.url, token)


def test_nobody_calls_without_a_token_that_is_good_for_it(served: tuple[Office, Provider]) -> None:
    office, provider = served
    reading = token_of(office, Act.READ)
    for token, status in (("", 401), ("rec_0123456789_" + "A" * 43, 401), (reading, 403)):
        for method, path in (("GET", "/Users"), ("POST", "/Users"), ("DELETE", "/Users/E1"), ("PATCH", "/Users/E1")):
            body = user("E1") if method != "GET" else None
            answer = Provider(provider.url, token).send(method, path, body)
            assert answer.status_code == status, (method, path, answer.text)
            assert (answer.json()["schemas"], answer.json()["status"]) == ([ERROR], str(status))
            assert answer.headers["content-type"] == "application/scim+json"
            assert ("www-authenticate" in answer.headers) == (status == 401)
            assert token[15:] not in answer.text or not token
    url = f"{provider.url}/scim/v2/ServiceProviderConfig"
    assert requests.get(url, timeout=PATIENCE).status_code == 200, "how to authenticate can be asked by anybody"
    for path in ("/Schemas", "/ResourceTypes"):
        assert Provider(provider.url, "").send("GET", path).status_code == 401


def test_over_the_wire_it_is_scim(served: tuple[Office, Provider]) -> None:
    _, provider = served
    number = "王 #1?%"
    made = provider.make(number, "rd")
    assert made.status_code == 201, made.text
    assert made.headers["content-type"] == "application/scim+json"
    assert made.headers["location"] == f"{provider.url}/scim/v2/Users/{quote(number, safe='')}"
    assert (
        requests.get(
            made.headers["location"], headers={"authorization": f"bearer {provider.token}"}, timeout=PATIENCE
        ).json()["id"]
        == "王 #1?%"
    )
    unchanged = provider.send("GET", f"/Users/{quote(number, safe='')}", if_none_match=made.headers["etag"])
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    wrong = provider.send("POST", "/Users", user("E9"), content_type="text/xml")
    assert wrong.status_code == 415
    missing = provider.send("GET", "/Groups")
    assert (missing.status_code, missing.json()["schemas"]) == (404, [ERROR])
    assert provider.send("PUT", "/Users", user("E9")).headers["allow"] == "GET, POST"
    for odd in ("/Users/%00", "/Users/%ff", "/Users/a%2Fb", "/Users//", "/Users/..%2f", "/%2e%2e/v1"):
        assert provider.send("GET", odd).status_code in (200, 404), odd


def test_a_body_beyond_the_limit_is_not_read(served: tuple[Office, Provider]) -> None:
    _, provider = served
    host, port = provider.url.removeprefix("http://").split(":")
    with closing(socket.create_connection((host, int(port)), PATIENCE)) as line:
        head = f"POST /scim/v2/Users HTTP/1.1\r\nhost: {host}\r\ncontent-length: 100000000\r\n\r\n"
        line.sendall(head.encode())
        assert line.recv(4096).startswith(b"HTTP/1.1 413 ")
    assert provider.send("POST", "/Users", b" " * 300_000).json()["status"] == "413"


def test_whoever_may_record_some_people_only_records_those(tmp_path: Path) -> None:
    office = paper_office(tmp_path / "office")
    (office.folder / "operators.csv").write_text("p, entra, record, E1*\np, root, *, *\n", "utf-8")
    file = office.folder / "reconciler.yaml"
    file.write_text("operators: operators.csv\n" + file.read_text("utf-8"), "utf-8")
    desk = desk_of(office)
    assert desk.make("E11").status_code == 201
    for refused in (desk.make("E2"), desk.send("GET", "/Users/E2"), desk.send("GET", "/Users")):
        assert refused.status_code == 403
    assert desk.send("GET", "/Users/E11").status_code == 200
    assert list(office.workspace().facts().ledger.entries(kinds={SCIM_TOLD}, subject="E2")) == []


def test_nothing_is_acknowledged_while_the_record_is_out_of_reach(tmp_path: Path) -> None:
    office = paper_office(tmp_path / "office")
    token = token_of(office)
    store = office.folder / "state" / "reconciler.db"
    with office.serving() as service:
        provider = Provider(service.url, token)
        assert provider.make("E1").status_code == 201
        with closing(sqlite3.connect(store, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            away = provider.make("E2")
            assert (away.status_code, away.json()["status"], away.json()["schemas"]) == (503, "503", [ERROR])
            assert int(away.headers["retry-after"]) > 0
            assert str(store) not in away.text
            other.execute("ROLLBACK")
        assert provider.make("E2").status_code == 201


def test_without_the_setting_there_is_no_scim(office_serving: tuple[Office, str]) -> None:
    _, url = office_serving
    assert requests.get(f"{url}/scim/v2/ServiceProviderConfig", timeout=PATIENCE).status_code == 404


def test_who_is_deactivated_is_out_of_the_directory_at_once(office: Office) -> None:
    with scim_service(office, "{take_over: true}") as (service, provider):
        service.until_ready()
        assert provider.make("E1").status_code == 201
        assert office.anywhere("E1")
        assert provider.patch("E1", {"op": "Replace", "path": "active", "value": "False"}).status_code == 204
        until(lambda: not office.anywhere("E1"), "E1 out of every group")
        assert office.members("docs") == {"E2", "E3", "E4", "E5", "E6"}
