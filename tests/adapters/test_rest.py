"""An HR system's API in its good days: every way of paging, of signing in, of writing a value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from reconciler.sources import ProblemsFound
from tests.adapters.hr_lab import COLUMNS, ids, people, person, read, refusal, source
from tests.servers.hr_api import CLIENT_SECRET, TOKEN, HrApi, Reply, certified, serving

PAGINGS: Mapping[str, Mapping[str, object]] = {
    "page": {"by": "page"},
    "page-with-total": {"by": "page", "total": "meta.total"},
    "page-of-our-size": {"by": "page", "size": {"parameter": "per_page", "value": 7}},
    "offset": {"by": "offset", "total": "meta.total"},
    "offset-without-total": {"by": "offset", "size": {"parameter": "per_page", "value": 50}},
    "cursor": {"by": "cursor", "next": "meta.next_cursor"},
    "link": {"by": "link"},
    "body-link": {"by": "link", "next": "links.next", "total": "meta.total"},
    "none": {"by": "none", "total": "meta.total"},
}


@pytest.fixture
def api() -> Iterator[HrApi]:
    with serving(HrApi(people(23), largest_page=10)) as server:
        yield server


@pytest.mark.parametrize("name", PAGINGS)
@pytest.mark.parametrize("count", [1, 10, 11, 40])
def test_every_way_of_paging_delivers_everybody_once(api: HrApi, name: str, count: int) -> None:
    pages = PAGINGS[name]
    api.people[:] = people(count)
    api.paging = "body-link" if name == "body-link" else str(pages["by"])

    assert ids(read(api, pages=pages)) == [f"E{number:04}" for number in range(count)]


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(count=st.integers(1, 40), size=st.integers(1, 12), name=st.sampled_from(sorted(PAGINGS)))
def test_pages_of_any_size_say_the_same(api: HrApi, count: int, size: int, name: str) -> None:
    api.people[:] = people(count)
    api.paging = "body-link" if name == "body-link" else str(PAGINGS[name]["by"])
    api.largest_page = size
    cut = read(api, pages=PAGINGS[name])
    api.largest_page = 1000

    assert cut.digest == read(api, pages=PAGINGS[name]).digest


def test_b3_a_server_that_gives_fewer_than_asked_for_is_not_at_its_end(api: HrApi) -> None:
    pages = {"by": "page", "size": {"parameter": "per_page", "value": 200}}

    assert len(ids(read(api, pages=pages))) == 23


def test_parameters_and_headers_go_with_every_request(api: HrApi) -> None:
    read(api, parameters={"status": "all", "active": True, "depth": 2}, headers={"X-Tenant": "acme"})

    assert len(api.asked) > 2
    for asked in api.asked:
        assert asked.query.items() >= {"status": "all", "active": "true", "depth": "2"}.items()
        assert asked.headers["X-Tenant"] == "acme"
        assert asked.headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_link_to_the_next_page_is_followed_as_it_is(api: HrApi) -> None:
    api.paging = "link"
    read(api, pages={"by": "link"}, parameters={"status": "all"})

    assert [asked.query.get("at") for asked in api.asked] == [None, "10", "20"]


def test_basic_credentials_may_be_chinese(api: HrApi) -> None:
    api.wants = "basic"

    assert len(ids(read(api, auth={"basic": {"user": "读者", "password": TOKEN}}))) == 23


def test_a_token_of_another_scheme(api: HrApi) -> None:
    assert "401" in refusal(api, auth={"bearer": TOKEN, "scheme": "Token"}).message
    assert api.asked[0].headers["Authorization"] == f"Token {TOKEN}"


@pytest.mark.parametrize("client", ["header", "body"])
def test_oauth2_fetches_a_token_and_another_one_when_it_has_ended(api: HrApi, client: str) -> None:
    api.replies = [None, Reply(401)]
    oauth2 = {
        "token_url": api.token_url,
        "client_id": "reader",
        "client_secret": CLIENT_SECRET,
        "scope": "people.read",
        "client": client,
    }

    assert len(ids(read(api, auth={"oauth2": oauth2}))) == 23
    assert api.tokens_given == 2
    assert "scope=people.read" in api.asked[0].body


def test_oauth2_without_a_token_says_what_the_server_said_and_no_secret(api: HrApi) -> None:
    oauth2 = {"token_url": api.token_url, "client_id": "reader", "client_secret": "wr0ng-s3cret"}
    error = refusal(api, auth={"oauth2": oauth2})

    assert "who is that?" in error.message
    assert "client_secret" in error.remedy
    assert "wr0ng" not in str(error)
    assert not api.pages_asked


def test_credentials_are_not_taken_from_the_users_netrc(
    api: HrApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login nobody password hidden\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    api.wants = "nothing"

    assert len(ids(read(api, auth=None))) == 23


def test_a_proxy_is_not_used_to_this_machine(api: HrApi, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert len(ids(read(api))) == 23


def test_a_certificate_is_verified_and_a_ca_of_ones_own_can_be_named(tmp_path: Path) -> None:
    with serving(HrApi(people(3)), certified(tmp_path)) as api:
        assert "certificate" in refusal(api).message
        assert not api.asked
        assert len(ids(read(api, folder=tmp_path, ca="hr-api.pem"))) == 3
        assert "nowhere.pem" in refusal(api, folder=tmp_path, ca="nowhere.pem").message


def test_a_record_is_named_by_its_page_and_its_number_there(api: HrApi) -> None:
    places = [str(row.place) for row in read(api).rows]

    assert places[12] == f"{api.url}, page 2, record 3"


@pytest.mark.parametrize(
    ("written", "cell"),
    [
        (None, ""),
        ("  rd ", "rd"),
        (12345678901234567890123, "12345678901234567890123"),
        (0, "0"),
        (True, "true"),
        (False, "false"),
        ([], ""),
        (["b", "", None, "a"], "b;a"),
        ([["a"], ["b"]], "a;b"),
        ("2026-12-01", "2026-12-01"),
        ("2026-12-01T00:00:00+08:00", "2026-12-01"),
        ("2026-12-01T00:00:00Z", "2026-12-01"),
        ("2026-12-01T00:00:00.000", "2026-12-01"),
        ("2026-11-30T16:00:00.000Z", "2026-12-01"),
        ("2026-12-01T23:30:00-05:00", "2026-12-01"),
        ("9999-12-31T23:59:59Z", "9999-12-31"),
        ("2026-13-01T00:00:00Z", "2026-13-01T00:00:00Z"),
    ],
)
def test_values_become_cells(api: HrApi, written: object, cell: str) -> None:
    api.people[:] = [person(1, org={"path": written}), person(2)]

    [row, _] = read(api).rows
    assert (row.cells["department"], row.problem) == (cell, "")


def test_a_number_keeps_every_digit_it_was_written_with(api: HrApi) -> None:
    api.replies = [Reply(body=b'[{"employee_no": 1, "grade": 3.10}, {"employee_no": 10000000000000000000001}]')]
    feed = source(api, records="", pages={"by": "none"}, columns={"id": "employee_no"}).read(("id", "grade"), ("id",))

    assert [(row.cells["id"], row.cells["grade"]) for row in feed.rows] == [("1", "3.10"), ("1" + "0" * 21 + "1", "")]


def test_paths_lead_through_objects_lists_and_keys_with_dots(api: HrApi) -> None:
    api.people[:] = [
        person(1, posts=[{"unit": "rd"}, {"unit": "sales"}], **{"a.b": "dotted"}),
        person(2, posts=None, **{"a.b": None}),
    ]
    columns = {"id": "employee_no", "projects": "posts.unit", "department": "posts.1.unit", "name": "a.b"}
    feed = source(api, columns=columns).read(("id", "projects", "department", "name"), ("id",))

    assert [dict(row.cells) for row in feed.rows] == [
        {"id": "E0001", "projects": "rd;sales", "department": "sales", "name": "dotted"},
        {"id": "E0002", "projects": "", "department": "", "name": ""},
    ]


def test_what_nothing_uses_is_named_once(api: HrApi) -> None:
    assert list(read(api).ignored_columns) == ["updated_at"]


def test_a_field_that_some_records_lack_is_blank_there(api: HrApi) -> None:
    api.people[:] = [person(1, employment={"end_date": "2026-12-31"}), person(2, employment={})]

    assert [row.cells["ends_on"] for row in read(api).rows] == ["2026-12-31", ""]


def test_a_value_that_cannot_be_a_cell_spoils_its_row_alone(api: HrApi) -> None:
    api.people[:] = [person(1, org={"path": {"id": 7, "name": "rd"}}), person(2, projects=["a;b"]), person(3)]
    first, second, third = read(api).rows

    assert "`org.path`" in first.problem
    assert "id, name" in first.problem
    assert first.cells["id"] == "E0001"
    assert "a;b" in second.problem
    assert third.problem == ""


def test_a_record_that_slips_to_the_next_page_counts_once(api: HrApi) -> None:
    api.people[:] = [*people(10), person(9), person(10)]

    assert ids(read(api)) == [f"E{number:04}" for number in range(11)]


def test_two_records_that_differ_both_stand(api: HrApi) -> None:
    """Which of them is right is not for a source to say."""
    api.people[:] = [*people(10), person(9, status="exited"), person(9), person(9, status="exited")]

    assert ids(read(api))[-2:] == ["E0009", "E0009"]
    assert len(ids(read(api))) == 11


def test_a_source_shows_no_secret_of_its_own(api: HrApi) -> None:
    made = source(api, headers={"X-Api-Key": "k3y-of-the-hr-system"})

    assert TOKEN not in repr(vars(made))
    assert "k3y" not in repr(vars(made))


def test_making_a_source_reaches_nothing(api: HrApi) -> None:
    source(api)

    assert not api.asked


WRONG: list[tuple[Mapping[str, object], str]] = [
    ({"url": "hr.example.com/api"}, "https://HOST"),
    ({"url": "http://hr.example.com/api"}, "`tls: none` in so many words"),
    ({"url": "https://me:pw@hr.example.com/api"}, "`auth`"),
    ({"url": "https://hr.example.com/api?key=1"}, "`parameters`"),
    ({"auth": {}}, "one of `bearer`, `basic` and `oauth2`"),
    ({"auth": {"bearer": "a", "basic": {"user": "a", "password": "b"}}}, "one of"),
    ({"auth": {"bearer": "a\nb"}}, "header"),
    ({"auth": {"beerer": "a"}}, "did you mean `bearer`?"),
    ({"headers": {"Authorization": "x"}}, "use `auth`"),
    ({"headers": {"X Y": "x"}}, "name of a header"),
    ({"pages": {"by": "cursor"}}, "next"),
    ({"pages": {"by": "page", "next": "meta.next"}}, "means nothing with `by: page`"),
    ({"pages": {"by": "pages"}}, "page"),
    ({"timeout": "soon"}, "30s"),
    ({"timeout": 0}, "timeout"),
    ({"expect": {"minimum": 0}}, "minimum"),
    ({"changes": {"parameter": "since"}}, "`changes.field` is missing"),
    ({"auth": {"oauth2": {"token_url": "http://sso.example.com", "client_id": "a", "client_secret": "b"}}}, "sso"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG)
def test_a_wrong_setting_is_explained(api: HrApi, wrong: Mapping[str, object], said: str) -> None:
    with pytest.raises(ProblemsFound) as caught:
        source(api, **wrong)  # type: ignore[arg-type]

    assert said in str(caught.value)
    assert all(problem.code == "source-settings" for problem in caught.value.problems)
    assert TOKEN not in str(caught.value)


def test_a_wrong_secret_does_not_show_in_the_error(api: HrApi) -> None:
    with pytest.raises(ProblemsFound) as caught:
        source(api, auth={"bearer": ["s3cret"], "basic": "s3cret"}, headers={"X": 5})

    assert "s3cret" not in str(caught.value)


def test_unencrypted_is_possible_in_so_many_words(api: HrApi) -> None:
    source(api, url="http://hr.example.com/api", tls="none")


@pytest.mark.parametrize("text", ["30s", "2m", "1h", 45])
def test_lengths_of_time(api: HrApi, text: object) -> None:
    source(api, timeout=text, retry={"within": text})


def test_the_answer_itself_may_be_the_list(api: HrApi) -> None:
    api.replies = [Reply(body=json.dumps(people(2)).encode("utf-8-sig"))]

    assert len(ids(read(api, records="", pages={"by": "none"}))) == 2


def test_a_redirect_within_the_server_is_followed(api: HrApi) -> None:
    api.replies = [Reply(301, headers={"Location": "/api/v2/employees?page=1&per_page=10"})]

    assert len(ids(read(api))) == 23


def test_columns_are_those_that_the_records_have(api: HrApi) -> None:
    feed = source(api).read((*COLUMNS, "grade"), ("id",))

    assert "grade" not in feed.columns
    assert "starts_on" not in feed.columns
    assert {"id", "projects", "status"} <= set(feed.columns)
