"""What SCIM's requests do to the record: each operation, the order of things, and who answers for whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from reconciler.facts.erasure import erase
from reconciler.facts.scim_state import SCIM_TOLD, read_user
from reconciler.workspace import WorkspaceError
from tests.servers.fixtures import database, postgresql
from tests.servers.postgresql import Database
from tests.service.scim import CORE, ENTERPRISE, ERROR, OWN, SEARCH, Desk, desk_of, own, paper_office, user

__all__ = ["database", "postgresql"]

NOON = datetime(2026, 6, 1, 4, tzinfo=UTC)
"""In Shanghai."""
ATTRIBUTES = ", post: {kind: one_of, values: [lead, clerk]}, projects: {kind: set}, manager: {kind: person}"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return desk_at(tmp_path)


def desk_at(folder: Path, settings: str = "{}") -> Desk:
    office = paper_office(folder / "office", ATTRIBUTES, settings)
    office.write_policy("lifecycle: {", "lifecycle: {leave: {ceiling: public}, ")
    office.clock = lambda: NOON
    office.hire([f"N{n}" for n in range(40)], "2026-01-01")
    return desk_of(office)


def later(desk: Desk, **time: float) -> None:
    now = desk.office.clock() + timedelta(**time)
    desk.office.clock = lambda: now


def replaced(path: str, value: object) -> dict[str, object]:
    return {"op": "replace", "path": path, "value": value}


def test_who_is_made_is_hired_and_read_back_as_they_were_sent(desk: Desk) -> None:
    sent = user("E7", externalId="x-7", **own(post="lead", projects=["凤凰", "falcon"], startsOn="2026-05-01"))
    sent["schemas"] = [CORE, ENTERPRISE, OWN]

    made = desk.send("POST", "/Users", sent)

    assert made.status_code == 201, made.text
    assert made.headers["location"] == "http://here/scim/v2/Users/E7"
    read = desk.get("E7")
    assert {name: read[name] for name in sent} == sent
    assert (read["id"], read["meta"]["resourceType"]) == ("E7", "User")
    person = desk.person("E7")
    (post,) = person.assignments
    assert (person.name, person.email) == ("王E7", "e7@example.com")
    assert post.attributes == {"department": "rd/ai", "post": "lead", "projects": "falcon;凤凰"}
    assert post.span.start == datetime(2026, 4, 30, 16, tzinfo=UTC), "the first day begins at midnight in Shanghai"
    assert desk.news, "passes begin at once"


def test_another_department_is_a_transfer_from_now_and_another_name_is_none(desk: Desk) -> None:
    desk.make("E7")
    later(desk, hours=2)

    assert desk.patch("E7", replaced(f"{ENTERPRISE}:department", "sales")).status_code == 204
    assert desk.patch("E7", replaced("displayName", "欧阳")).status_code == 204

    assert desk.events("E7") == ["hired", "transferred", "attributes-changed"]
    first, second = desk.person("E7").assignments
    assert (first.attributes["department"], first.span.end) == ("rd/ai", NOON + timedelta(hours=2))
    assert second.attributes["department"] == "sales"
    assert desk.person("E7").name == "欧阳"


def test_not_active_is_out_now_and_active_again_is_a_return(desk: Desk) -> None:
    desk.make("E7")
    later(desk, hours=1)
    assert desk.patch("E7", replaced("active", "False")).status_code == 204
    assert [span.start for span in desk.person("E7").exited] == [NOON + timedelta(hours=1)]
    assert desk.get("E7")["active"] is False
    later(desk, hours=1)

    assert desk.patch("E7", replaced("active", "True")).status_code == 204

    assert desk.events("E7") == ["hired", "exited", "rehired"]
    assert desk.person("E7").exited[0].end == NOON + timedelta(hours=2)
    assert desk.person("E7").assignments[-1].attributes["department"] == "rd/ai", "as SCIM said last"


def test_what_came_with_a_return_counts_and_an_old_first_day_does_not_undo_the_exit(desk: Desk) -> None:
    desk.make("E7", **own(startsOn="2020-01-01"))
    later(desk, hours=1)
    desk.patch("E7", replaced("active", False))
    desk.patch("E7", replaced(f"{ENTERPRISE}:department", "sales"))
    later(desk, hours=1)

    desk.patch("E7", replaced("active", True))

    person = desk.person("E7")
    assert person.employed_since == NOON + timedelta(hours=2)
    assert person.assignments[-1].attributes["department"] == "sales"
    assert person.exited[0].start == NOON + timedelta(hours=1)


def test_deleted_is_out_and_the_record_is_kept_and_made_again_is_a_return(desk: Desk) -> None:
    desk.make("E7")
    later(desk, hours=1)

    assert desk.send("DELETE", "/Users/E7").status_code == 204

    assert desk.events("E7") == ["hired", "exited"]
    assert desk.send("GET", "/Users/E7").status_code == 404
    assert desk.send("DELETE", "/Users/E7").status_code == 404
    assert desk.patch("E7", replaced("title", "x")).status_code == 404
    assert desk.send("GET", "/Users").json()["totalResults"] == 0
    later(desk, hours=1)
    assert desk.make("E7").status_code == 201
    assert desk.events("E7") == ["hired", "exited", "rehired"]


def test_with_leave_for_inactive_a_person_is_away_and_not_out(tmp_path: Path) -> None:
    desk = desk_at(tmp_path, "{inactive: leave}")
    desk.make("E7")
    later(desk, hours=1)
    desk.patch("E7", replaced("active", False))
    later(desk, hours=1)
    desk.patch("E7", replaced(f"{ENTERPRISE}:department", "sales"))
    later(desk, hours=1)
    desk.patch("E7", replaced("active", True))
    desk.send("DELETE", "/Users/E7")

    assert desk.events("E7") == ["hired", "leave-started", "transferred", "leave-ended", "exited"]


def test_who_starts_later_is_known_and_has_not_begun(desk: Desk) -> None:
    assert desk.make("E7", **own(startsOn="2026-07-01")).status_code == 201
    (post,) = desk.person("E7").assignments
    assert post.span.start == datetime(2026, 6, 30, 16, tzinfo=UTC)

    assert desk.patch("E7", replaced(f"{OWN}:startsOn", "2026-08-01T00:30:00+08:00")).status_code == 204
    (post,) = desk.person("E7").assignments
    assert post.span.start == datetime(2026, 7, 31, 16, tzinfo=UTC)


def test_a_day_that_takes_everything_away_is_an_exit_and_counted_as_one(desk: Desk) -> None:
    desk.make("E7")
    later(desk, hours=1)
    assert desk.patch("E7", replaced(f"{OWN}:endsOn", "2026-12-31")).status_code == 204
    assert desk.patch("E7", replaced(f"{OWN}:endsOn", "2026-06-01")).status_code == 204
    assert desk.events("E7") == ["hired", "attributes-changed", "exited"]
    assert desk.person("E7").exited[0].start == datetime(2026, 6, 1, 16, tzinfo=UTC), "at that day's end"

    again = desk.patch("E7", replaced(f"{OWN}:endsOn", "2026-12-31"))
    assert again.status_code == 409, "a day does not bring anybody back"
    desk.make("E8")
    refused = desk.patch("E8", replaced(f"{OWN}:startsOn", "2026-12-31"))
    assert (refused.status_code, refused.json()["scimType"]) == (400, "invalidValue")
    assert desk.events("E8") == ["hired"]


def test_an_exit_that_is_yet_to_come_does_not_keep_anybody_in(desk: Desk) -> None:
    desk.make("E7")
    desk.office.tell({"id": "x", "type": "exited", "person": "E7", "effective_at": "2026-08-01", "confirmed": True})
    later(desk, hours=1)

    desk.patch("E7", replaced("active", False))

    assert desk.person("E7").exited[0].start == NOON + timedelta(hours=1)


def test_beyond_the_guard_an_exit_is_refused_and_nothing_is_recorded(desk: Desk) -> None:
    desk.office.write_policy(
        "guards: {exits: {percent: 100, people: 1000}}", "guards: {exits: {percent: 5, people: 50}}"
    )
    for n in range(4):
        assert desk.make(f"E{n}").status_code == 201
    later(desk, hours=1)
    for n in range(2):
        assert desk.patch(f"E{n}", replaced("active", False)).status_code == 204
    before = desk.head()

    answers = [desk.send("DELETE", "/Users/E2"), desk.patch("E3", replaced("active", False))]

    for answer in answers:
        assert (answer.status_code, answer.json()["status"], answer.json()["schemas"]) == (429, "429", [ERROR])
        assert int(answer.headers["retry-after"]) > 0
        assert "guards.exits" in answer.json()["detail"]
        assert "reconciler people event exited E" in answer.json()["detail"], "which a client has no word for"
    assert desk.head() == before
    assert desk.get("E3")["active"] is True
    now = desk.office.clock().isoformat()
    desk.office.tell({"id": "c", "type": "exited", "person": "E3", "effective_at": now, "confirmed": True})
    assert desk.patch("E3", replaced("active", False)).status_code == 204, "somebody has confirmed it"
    assert desk.events("E3") == ["hired", "exited"]


def test_a_client_that_repeats_itself_undoes_nothing_that_another_channel_told(desk: Desk) -> None:
    desk.make("E7")
    said = desk.get("E7")
    later(desk, hours=1)
    now = desk.office.clock().isoformat()
    moved = {"department": "sales"}
    desk.office.tell({"id": "m", "type": "transferred", "person": "E7", "effective_at": now, "data": moved})
    desk.office.tell({"id": "x", "type": "exited", "person": "E7", "effective_at": now, "confirmed": True})
    before = desk.head()

    assert desk.send("PUT", "/Users/E7", said).status_code == 200
    assert desk.patch("E7", replaced("active", True)).status_code == 204
    assert desk.head() == before
    later(desk, hours=1)
    assert desk.patch("E7", replaced("title", "Captain")).status_code == 204
    assert desk.events("E7") == ["hired", "transferred", "exited"]
    assert desk.person("E7").exited[0].end is None


@pytest.mark.parametrize("ours_first", [True, False])
def test_an_exit_that_another_source_told_too_is_not_ended_by_switching_on_again(desk: Desk, ours_first: bool) -> None:
    off = [replaced("active", False)]
    for person in ("E7", "E8"):
        desk.make(person)
        later(desk, hours=1)
        exit_ = {"id": f"x{person}", "type": "exited", "person": person, "confirmed": True}
        if ours_first:
            desk.patch(person, *off)
        desk.office.tell({**exit_, "effective_at": desk.office.clock().isoformat()})
        later(desk, hours=1)
        desk.patch(person, *off)
    desk.send("DELETE", "/Users/E8")
    before = desk.head()

    assert desk.patch("E7", replaced("active", True)).status_code == 409
    assert desk.make("E8").status_code == 409
    assert desk.head() == before
    back = {"id": "r", "type": "rehired", "person": "E7", "effective_at": desk.office.clock().isoformat()}
    desk.office.tell({**back, "data": {"department": "rd"}})
    later(desk, hours=1)
    assert desk.patch("E7", replaced("active", True)).status_code == 204
    assert desk.person("E7").assignments[-1].attributes["department"] == "rd/ai", "as SCIM says, and it speaks again"


def test_somebody_whom_another_source_answers_for_is_not_taken_silently(desk: Desk) -> None:
    refused = desk.make("N1")
    assert (refused.status_code, refused.json()["scimType"]) == (409, "uniqueness")
    assert "take_over" in refused.json()["detail"]
    assert desk.send("GET", "/Users/N1").status_code == 404
    assert (
        desk.send("GET", f"/Users?filter={quote(chr(34).join(('userName eq ', 'n1@example.com', '')))}").json()[
            "totalResults"
        ]
        == 0
    )


def test_with_take_over_a_person_of_another_source_becomes_scims_and_a_leaver_does_not(tmp_path: Path) -> None:
    desk = desk_at(tmp_path, "{take_over: true}")
    assert desk.make("N1", "sales").status_code == 201
    assert desk.make("N2", "rd/ai", active=False).status_code == 201
    desk.office.tell({"id": "x", "type": "exited", "person": "N3", "effective_at": NOON.isoformat(), "confirmed": True})
    later(desk, hours=1)

    assert desk.make("N3").status_code == 409, "a client that has not heard of an exit does not end it"
    assert [kind for kind in desk.events("N1") if "evidence" not in kind] == ["hired", "transferred"]
    assert [kind for kind in desk.events("N2") if "evidence" not in kind] == ["hired", "attributes-changed", "exited"]


def test_the_same_person_and_the_same_name_are_there_once(desk: Desk) -> None:
    assert desk.make("E7").status_code == 201
    for again in (desk.make("E7"), desk.make("e7"), desk.make("E8", userName="E7@EXAMPLE.com")):
        assert (again.status_code, again.json()["scimType"]) == (409, "uniqueness")
    desk.make("E9")
    assert desk.patch("E9", replaced("userName", "e7@example.com")).status_code == 409
    assert desk.patch("E9", replaced("userName", "new@example.com")).status_code == 204
    assert desk.events("E8") == []


def test_the_id_never_changes_and_is_one_that_can_be_asked_for(desk: Desk) -> None:
    desk.make("E7")
    changed = desk.patch("E7", replaced(f"{ENTERPRISE}:employeeNumber", "E8"))
    assert (changed.status_code, changed.json()["scimType"]) == (400, "mutability")
    for name in ("a/b", "..", ".search", "x" * 101, "", "a\tb", "a\x00b"):
        refused = desk.make(name)
        assert (refused.status_code, refused.json()["scimType"]) == (400, "invalidValue"), name
    without = desk.send("POST", "/Users", {"schemas": user("E7")["schemas"], "userName": "x"})
    assert (without.status_code, without.json()["scimType"]) == (400, "invalidValue")
    odd = "王芳 #7%"
    made = desk.make(odd)
    assert made.headers["location"] == f"http://here/scim/v2/Users/{quote(odd, safe='')}"
    assert desk.get(odd)["id"] == odd


@pytest.mark.parametrize("carrier", ["externalId", "userName"])
def test_another_attribute_may_carry_the_id(tmp_path: Path, carrier: str) -> None:
    desk = desk_at(tmp_path, f"{{id: {carrier}}}")
    assert desk.make("x", **{carrier: "E7"}).status_code == 201
    assert desk.events("E7") == ["hired"]
    found = desk.send("GET", f"/Users?filter={quote(f'{carrier} eq {chr(34)}E7{chr(34)}')}").json()
    assert [each["id"] for each in found["Resources"]] == ["E7"]
    assert desk.patch("E7", replaced(carrier, "E8")).json()["scimType"] == "mutability"


def test_what_is_called_otherwise_there_is_mapped(tmp_path: Path) -> None:
    mapped = """{attributes: {post: title, projects: 'addresses[type eq "work"].locality'},
      values: {department: {研发中心/视觉组: rd/ai}, post: {Team Lead: lead}}}"""
    desk = desk_at(tmp_path, mapped)
    places = [{"type": "work", "locality": "上海"}, {"type": "home", "locality": "x"}]
    assert desk.make("E7", "研发中心/视觉组", title="Team Lead", addresses=places).status_code == 201
    (post,) = desk.person("E7").assignments
    assert post.attributes == {"department": "rd/ai", "post": "lead", "projects": "上海"}
    assert desk.get("E7")[ENTERPRISE]["department"] == "研发中心/视觉组", "read back as it was sent"


def test_a_family_name_stands_first_where_it_is_written_so(desk: Desk) -> None:
    for person, given_name, family, told in (("E1", "芳", "王", "王芳"), ("E2", "Ada", "Byron", "Ada Byron")):
        sent = user(person, name={"givenName": given_name, "familyName": family})
        del sent["displayName"]
        assert desk.send("POST", "/Users", sent).status_code == 201
        assert desk.person(person).name == told


def test_what_is_said_later_counts_also_where_the_clock_was_set_back(desk: Desk) -> None:
    desk.make("E7")
    later(desk, hours=1)
    desk.patch("E7", replaced(f"{ENTERPRISE}:department", "sales"))
    later(desk, hours=-5)

    desk.patch("E7", replaced(f"{ENTERPRISE}:department", "hr"))

    assert desk.person("E7").assignments[-1].attributes["department"] == "hr"


def test_erased_nothing_is_left_and_the_id_is_never_used_again(desk: Desk) -> None:
    desk.make("E7", displayName="独一无二")
    later(desk, hours=1)
    desk.send("DELETE", "/Users/E7")
    later(desk, hours=1)
    facts = desk.office.workspace().facts()
    files = [file for file in (desk.office.folder / "state").iterdir() if file.is_file()]
    assert any("独一无二".encode() in file.read_bytes() for file in files)

    erase(facts, "E7", "retention", now=desk.office.clock(), actor="boss")
    facts.store.scrub()

    facts.ledger.verify()
    assert not any("独一无二".encode() in file.read_bytes() for file in files if file.exists())
    told = list(facts.ledger.entries(kinds={SCIM_TOLD}, subject="E7"))
    assert told
    assert all(entry.erased for entry in told)
    with facts.store.reading() as connection:
        assert read_user(connection, "E7") is None
    again = desk.make("E7")
    assert (again.status_code, again.json()["scimType"]) == (409, "uniqueness")
    with facts.store.writing() as connection:
        facts.ledger.rebuild(connection)
        assert read_user(connection, "E7") is None


def test_the_record_makes_all_of_it_again(desk: Desk) -> None:
    for n in range(3):
        desk.make(f"E{n}", **own(projects=["凤凰"]))
    later(desk, hours=1)
    desk.patch("E0", replaced("title", "头"))
    desk.patch("E1", replaced("active", False))
    desk.send("DELETE", "/Users/E2")
    facts = desk.office.workspace().facts()
    with facts.store.reading() as connection:
        before = [read_user(connection, f"E{n}") for n in range(3)]

    with facts.store.writing() as connection:
        facts.ledger.rebuild(connection)
        assert [read_user(connection, f"E{n}") for n in range(3)] == before
    assert None not in before


def test_tags_say_whether_anything_is_new(desk: Desk) -> None:
    made = desk.make("E7")
    tag = made.headers["etag"]
    assert desk.send("GET", "/Users/E7", if_none_match=tag).status_code == 304
    stale = 'W/"1"'
    for refused in (
        desk.send("PUT", "/Users/E7", user("E7"), if_match=stale),
        desk.patch("E7", replaced("title", "x"), if_match=stale),
        desk.send("DELETE", "/Users/E7", if_match=stale),
    ):
        assert (refused.status_code, refused.json()["status"]) == (412, "412")
    assert desk.patch("E7", replaced("title", "x"), if_match=tag).status_code == 204
    now = desk.send("GET", "/Users/E7", if_none_match=tag)
    assert now.status_code == 200
    tag = now.headers["etag"]
    desk.office.tell({"id": "l", "type": "leave-started", "person": "E7", "effective_at": "2026-06-01"})
    assert desk.send("DELETE", "/Users/E7", if_match=tag).status_code == 412, "somebody else has told something"


def test_a_policy_that_comes_to_ask_for_more_is_answered_with_the_next_change(desk: Desk) -> None:
    desk.make("E7", title="lead")
    desk.office.write_policy("projects: {kind: set}", "projects: {kind: set}, division: {kind: tree}")
    desk.patch("E7", replaced(f"{ENTERPRISE}:division", "east"))
    assert desk.person("E7").assignments[-1].attributes["division"] == "east"


def test_what_scim_cannot_name_and_nobody_maps_is_said_in_the_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.office.write_policy("projects: {kind: set}", "projects: {kind: set}, 部门: {kind: tree}, 职级: {kind: tree}")

    desk.make("E7")

    told = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    (said,) = [each for each in told if each["event"] == "scim-attributes-unmapped"]
    assert list(said["attributes"]) == ["职级", "部门"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{attributes: {depratment: title}}", "`depratment`, which no policy declares"),
        ("{values: {grade: {x: y}}}", "`grade`, which no policy declares"),
        ("{attributes: {post: titel}}", "`titel`, which is no attribute"),
        ("{attributes: {post: 'emails[type eq'}}", "is no attribute"),
        ("{inactive: leave}", "changes nothing"),
    ],
)
def test_settings_that_do_not_fit_the_policy_are_refused_at_their_place(
    tmp_path: Path, settings: str, words: str
) -> None:
    with pytest.raises(WorkspaceError) as refused:
        desk_of(paper_office(tmp_path / "office", ATTRIBUTES, settings))

    assert words in refused.value.message
    assert str(refused.value.place).endswith("reconciler.yaml:19:3")


def test_a_policy_that_the_settings_no_longer_fit_keeps_nobody_in(tmp_path: Path) -> None:
    desk = desk_at(tmp_path, "{attributes: {post: title}}")
    desk.make("E7", title="lead")
    desk.office.write_policy("post: {kind: one_of, values: [lead, clerk]}, ", "")
    later(desk, hours=1)

    assert desk.patch("E7", replaced("title", "clerk"), replaced("active", False)).status_code == 204

    assert desk.events("E7") == ["hired", "exited"]


def test_it_is_the_same_on_postgresql(tmp_path: Path, database: Database) -> None:
    office = paper_office(tmp_path / "office", ATTRIBUTES)
    (office.folder / "url").write_text(database.url, "utf-8")
    (office.folder / "url").chmod(0o600)
    file = office.folder / "reconciler.yaml"
    file.write_text('store: "${file:url}"\n' + file.read_text("utf-8"), "utf-8")
    office.clock = lambda: NOON
    desk = desk_of(office)
    assert "postgresql" in office.workspace().facts().store.name
    for n in range(5):
        assert desk.make(f"E{n}", displayName="王芳").status_code == 201
    later(desk, hours=1)
    assert desk.patch("E1", replaced(f"{ENTERPRISE}:department", "sales")).status_code == 204
    assert desk.send("DELETE", "/Users/E2").status_code == 204
    found = [each["id"] for each in desk.send("GET", "/Users?startIndex=2&count=2").json()["Resources"]]
    assert found == ["E1", "E3"]
    for nothing in ("\\u0000", "\\ud800", "no@example.com"):
        asked = {"filter": f'userName eq "{nothing}"', "startIndex": 10**30}
        answer = desk.send("POST", "/Users/.search", {"schemas": [SEARCH], **asked})
        assert (answer.status_code, answer.json()["totalResults"]) == (200, 0)
    assert desk.send("GET", "/Users?startIndex=" + "9" * 30).json()["Resources"] == []
    assert desk.send("GET", "/Users/a\x00b").status_code == 404
    assert desk.make("E3").status_code == 409
    assert desk.events("E1") == ["hired", "transferred"]
    desk.patch("E4", replaced("displayName", "独一无二"))
    facts = office.workspace().facts()
    noted = "SELECT * FROM pg_stats WHERE tablename = 'scim_users'"
    with facts.store.writing() as connection:
        connection.execute(text("ANALYZE"))
    assert "独一无二" in str(database.ask(noted))
    desk.send("DELETE", "/Users/E4")
    later(desk, hours=1)
    erase(facts, "E4", "retention", now=office.clock(), actor="boss")
    facts.store.scrub()
    assert "独一无二" not in str(database.ask(noted))
    facts.ledger.verify()


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).map(str.strip).filter(bool)
RESOURCES = st.fixed_dictionaries(
    {},
    optional={
        "title": TEXTS,
        "displayName": TEXTS,
        "active": st.booleans(),
        "name": st.fixed_dictionaries({"familyName": TEXTS}, optional={"givenName": TEXTS}),
        "externalId": TEXTS,
        OWN: st.fixed_dictionaries(
            {"projects": st.lists(TEXTS, min_size=1, max_size=4)}, optional={"post": st.sampled_from(["lead", "clerk"])}
        ),
    },
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=RESOURCES, second=RESOURCES)
def test_put_of_what_was_got_records_nothing_and_a_patch_twice_is_one(
    desk: Desk, first: dict[str, Any], second: dict[str, Any]
) -> None:
    number = f"P{desk.head()}"
    assert desk.make(number, **first).status_code == 201
    before = desk.head()
    assert desk.send("PUT", f"/Users/{number}", desk.get(number)).status_code == 200
    assert desk.head() == before

    operations = [replaced(path, value) for path, value in second.items()]
    if not operations:
        return
    assert desk.patch(number, *operations).status_code == 204
    after, tag = desk.head(), desk.get(number)["meta"]["version"]
    assert desk.patch(number, *operations).status_code == 204
    assert (desk.head(), desk.get(number)["meta"]["version"]) == (after, tag)
    assert desk.send("PUT", f"/Users/{number}", desk.get(number)).status_code == 200
    assert desk.head() == after


STEPS = st.lists(st.sampled_from(["make", "off", "on", "move", "delete", "repeat", "back", "forth"]), max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_was_sent_who_is_not_active_is_out_and_who_is_is_in(desk: Desk, steps: list[str]) -> None:
    person, active = f"S{desk.head()}", None
    for step in ["make", *steps]:
        later(desk, minutes=-30 if step == "back" else 30 if step == "forth" else 1)
        if step == "make":
            made = desk.make(person)
            assert made.status_code == (201 if active is None else 409)
            active = True if active is None else active
        elif step == "delete":
            assert desk.send("DELETE", f"/Users/{person}").status_code == (404 if active is None else 204)
            active = None
        elif step in ("off", "on"):
            answer = desk.patch(person, replaced("active", step == "on"))
            assert answer.status_code == (404 if active is None else 204)
            active = None if active is None else step == "on"
        elif step in ("move", "repeat"):
            department = "sales" if step == "move" else "rd/ai"
            desk.patch(person, replaced(f"{ENTERPRISE}:department", department))
    known = desk.person(person)
    at = max(desk.office.clock(), *(span.start for span in known.exited if span.start), NOON) + timedelta(days=1)
    out = any(span.covers(at) for span in known.exited)
    assert out == (active is not True)
    assert out == (not any(post.span.covers(at) for post in known.assignments))
