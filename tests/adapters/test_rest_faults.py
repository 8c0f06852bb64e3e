"""An HR system's API in its bad days. Whatever happens: all of it, or an error that teaches; never a part."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping, Sequence

import pytest
import stamina
import stamina.instrumentation
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adapters.api.client import seconds_to_wait
from reconciler.sources import FeedEmpty
from tests.adapters.hr_lab import ids, people, person, read, refusal
from tests.servers.hr_api import TOKEN, HrApi, Reply, serving, text_reply

HTML = "<!DOCTYPE html><html><head><title>Sign in · 登录</title></head><body>…</body></html>"


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Retries come at once, as often as configured."""
    with stamina.set_testing(True, attempts=20, cap=True):
        yield


@pytest.fixture
def api() -> Iterator[HrApi]:
    with serving(HrApi(people(23), largest_page=10)) as server:
        yield server


# --- it comes through after all ---------------------------------------------------------------------------------------

PASSING = {
    "500": Reply(500),
    "502 with a page": text_reply(HTML, 502),
    "503": Reply(503, headers={"Retry-After": "1"}),
    "429": Reply(429, headers={"Retry-After": "1"}),
    "cut": Reply(body=b'{"data": {"items": []}}' * 9, cut=20),
    "cut in the middle of a chunk": Reply(body=b'{"data": {"items": []}}' * 9, cut=20, chunked=True),
    "cut before it begins": Reply(body=b"{}", cut=0),
}


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("page", [0, 1, 3])
def test_a_fault_that_passes_is_not_noticed(api: HrApi, fault: str, page: int) -> None:
    api.replies = [*[None] * page, PASSING[fault], PASSING[fault]]

    assert len(ids(read(api))) == 23
    assert len(api.asked) == 6


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_stays_is_told_and_nothing_is_taken(api: HrApi, fault: str) -> None:
    api.replies = [None, *[PASSING[fault]] * 3]
    error = refusal(api)

    assert "page 2" in error.message
    assert "asked 3 times" in error.message
    assert str(error.place) == api.url


def test_retry_after_is_obeyed_within_bounds(api: HrApi) -> None:
    api.replies = [Reply(429, headers={"Retry-After": "3600"})]
    error = refusal(api)

    assert "3600 s" in error.message
    assert "retry.within" in error.message
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1" * 30, 111_111_111.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert seconds_to_wait(header, 100.0) == seconds


def test_what_is_said_of_a_retry_holds_no_secret(api: HrApi) -> None:
    told: list[str] = []
    usual = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([lambda details: told.append(repr(details))])
    try:
        api.replies = [Reply(503, json.dumps({"message": f"no {TOKEN}"}).encode())]
        read(api, parameters={"api_key": "k3y-of-the-hr-system"})
    finally:
        stamina.instrumentation.set_on_retry_hooks(usual)

    assert len(told) == 1
    assert TOKEN not in told[0]
    assert "k3y" not in told[0]


def test_a_retry_prints_nothing(api: HrApi, capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output is for results."""
    api.replies = [Reply(503)]
    read(api)

    assert api.replies == []
    assert capfd.readouterr() == ("", "")


def test_a_server_that_is_not_there(api: HrApi) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/employees"
        error = refusal(api, url=url, parameters={"key": "k3y-of-the-hr-system"})

    assert "Connection refused" in error.message
    assert str(error.place) == url
    assert "k3y" not in str(error)


def test_a_server_that_never_answers(api: HrApi) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/employees"

        assert "does not answer within 1 s" in refusal(api, url=url, timeout=1, retry={"attempts": 1}).message


def test_a_server_that_does_not_speak_tls(api: HrApi) -> None:
    assert "encrypted" in refusal(api, url=api.url.replace("http:", "https:")).message


def test_a_server_that_does_not_speak_http(api: HrApi) -> None:
    assert "page 1" in refusal(api, url="http://127.0.0.1:1/employees").message


# --- it answers, and it is an error -----------------------------------------------------------------------------------

ANSWERS: Mapping[str, tuple[Reply, Sequence[str]]] = {
    "400": (text_reply('{"message": "unknown field 部门"}', 400), ["400", "unknown field 部门", "`parameters`"]),
    "401": (text_reply(f'{{"message": "bad token {TOKEN}"}}', 401), ["401", "bad token …", "expired"]),
    "403": (text_reply('{"errors": [{"detail": "not yours"}]}', 403), ["403", "not yours", "right to read"]),
    "404": (text_reply(HTML, 404), ["404", "Sign in · 登录", "`pages.total`"]),
    "418": (Reply(418), ["418", "`url`"]),
    "204": (Reply(204, b""), ["204", "200"]),
    "206": (text_reply('{"data": {"items": []}}', 206), ["206"]),
    "a redirect elsewhere": (
        Reply(302, headers={"Location": "https://sso.example.com/login?state=s3cret-state"}),
        ["302", "sso.example.com/login", "not taken there"],
    ),
    "a redirect to nowhere": (Reply(302), ["redirects"]),
    "a redirect to another port": (Reply(307, headers={"Location": "http://127.0.0.1:1/x"}), ["another server"]),
    "a page for browsers": (text_reply(HTML), ["a page for browsers", "Sign in · 登录", "`auth`"]),
    "nothing": (Reply(body=b""), ["empty"]),
    "a text": (text_reply("out of order"), ["not JSON"]),
    "half of it": (text_reply('{"data": {"items": ['), ["not JSON"]),
    "NaN": (text_reply('{"data": {"items": [{"id": NaN}]}}'), ["`NaN` is no JSON"]),
    "nested without end": (text_reply("[" * 100_000), ["page 2"]),
    "GBK": (Reply(body='{"data": {"items": [{"name": "员工"}]}}'.encode("gb18030")), ["not UTF-8"]),
    "another shape": (
        text_reply('{"data": {"item": []}, "meta": {}}'),
        ["no `records: data.items`", "data.item", "meta"],
    ),
    "no list": (text_reply('{"data": {"items": {"E1": {}}}}'), ["`records: data.items`", "an object"]),
    "null": (text_reply('{"data": {"items": null}}'), ["null"]),
    "a bare list": (text_reply("[]"), ["the answer is a list", "leave `records` out"]),
    "a bare number": (text_reply("12"), ["a number"]),
    "lists in the list": (text_reply('{"data": {"items": [[{}]]}}'), ["record 1 is a list"]),
    "an error object": (text_reply('{"error": {"message": "database gone"}}'), ["`error`", "database gone"]),
    "an error beside people": (
        text_reply('{"errcode": 40014, "errmsg": "令牌无效", "data": {"items": []}}'),
        ["`errcode`", "令牌无效"],
    ),
    "no success": (
        text_reply('{"success": false, "msg": "busy", "data": {"items": []}}'),
        ["`success` is false", "busy"],
    ),
    "unpackable": (Reply(body=b"no gzip at all", headers={"Content-Encoding": "gzip"}), ["unpacked"]),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_none_is_explained(api: HrApi, name: str) -> None:
    reply, words = ANSWERS[name]
    api.replies = [None, *[reply] * 3]
    error = refusal(api)

    assert "page 2" in error.message
    assert "source `hr`" in error.message
    for word in words:
        assert word in str(error), str(error)
    assert "s3cret" not in str(error)
    assert error.message.isprintable()


def test_a_null_list_is_believed_where_a_total_stands_beside_it(api: HrApi) -> None:
    api.replies = [text_reply('{"data": {"items": null}, "meta": {"total": 0}}')] * 2

    assert isinstance(refusal(api, pages={"by": "page", "total": "meta.total"}), FeedEmpty)


def test_success_can_be_spelled_out(api: HrApi) -> None:
    api.reshape = lambda answer, query: {**answer, "code": 0 if query["page"] != "3" else 1301, "msg": "too fast"}

    assert "`code` is `1301`, where success is `0`; it says “too fast”" in refusal(api, success={"code": 0}).message
    api.reshape = lambda answer, query: {**answer, "code": 0}
    assert len(ids(read(api, success={"code": 0}))) == 23
    assert "`status` is missing" in refusal(api, success={"status": "ok"}).message


# --- the walk does not arrive -----------------------------------------------------------------------------------------


def test_pages_that_go_round_in_circles(api: HrApi) -> None:
    """The server does not know our parameter and gives its first page for ever."""
    error = refusal(api, pages={"by": "page", "parameter": "pageNumber"})

    assert "page 2" in error.message
    assert "same records as page 1" in error.message
    assert len(api.asked) == 2


@pytest.mark.parametrize("paging", ["cursor", "body-link"])
def test_a_cursor_or_link_that_leads_back(api: HrApi, paging: str) -> None:
    api.paging = paging
    back = {"next_cursor": "20", "next": f"{api.url}?at=20"}
    api.reshape = lambda answer, query: {**answer, "data": {"items": []}, "meta": back, "links": back}
    pages = {"by": "cursor", "next": "meta.next_cursor"} if paging == "cursor" else {"by": "link", "next": "links.next"}

    assert "leads back" in refusal(api, pages=pages).message
    assert len(api.asked) == 2


def test_b3_pages_without_end_are_an_error_and_not_an_end(api: HrApi) -> None:
    def endless(answer: dict[str, object], query: Mapping[str, str]) -> object:
        return {"data": {"items": [person(int(query["page"]))]}}

    api.reshape = endless
    error = refusal(api, pages={"by": "page", "max": 12})

    assert "page 12" in error.message
    assert "still no end, after 12 records" in error.message
    assert "`pages.max`" in error.remedy


def test_b3_more_pages_than_one_and_no_paging_configured(api: HrApi) -> None:
    api.paging = "link"

    assert "there are more pages" in refusal(api, pages={"by": "none"}).message


@pytest.mark.parametrize("elsewhere", ["http://127.0.0.1:1/x", "//evil.example.com/x", "https://u:p@127.0.0.1/x"])
def test_a_next_page_on_another_server_is_not_fetched(api: HrApi, elsewhere: str) -> None:
    api.reshape = lambda answer, query: {**answer, "links": {"next": elsewhere}}
    error = refusal(api, pages={"by": "link", "next": "links.next"})

    assert "another server" in error.message
    assert len(api.asked) == 1


@pytest.mark.parametrize("path", ["paging.next", "elsewhere.next", "meta"])
def test_a_next_that_cannot_be_told_is_no_end(api: HrApi, path: str) -> None:
    api.paging = "cursor"
    api.reshape = lambda answer, query: {**answer, "paging": "x"}

    assert "cannot be told" in refusal(api, pages={"by": "cursor", "next": path}).remedy


def test_fewer_records_than_the_api_itself_counts(api: HrApi) -> None:
    def shy(answer: dict[str, object], query: Mapping[str, str]) -> object:
        return {**answer, "data": {"items": []}} if query["page"] == "3" else answer

    api.reshape = shy
    error = refusal(api, pages={"by": "page", "total": "meta.total"})

    assert "end after 20 records, and there should be 23" in error.message


@pytest.mark.parametrize("total", ["meta.totals", "meta", "data.items"])
def test_a_total_that_is_none(api: HrApi, total: str) -> None:
    error = refusal(api, pages={"by": "page", "total": total})

    assert f"`pages.total: {total}`" in error.message


def test_a_list_that_changes_while_it_is_read_is_read_again(api: HrApi) -> None:
    calls: list[str] = []

    def leaving(answer: dict[str, object], query: Mapping[str, str]) -> object:
        calls.append(query["page"])
        if len(calls) == 2:
            del api.people[0]
        return answer

    api.reshape = leaving

    assert len(ids(read(api, pages={"by": "page", "total": "meta.total"}))) == 22
    assert calls == ["1", "2", "3", "1", "2", "3"]


def test_a_list_that_never_rests_is_told(api: HrApi) -> None:
    def growing(answer: dict[str, object], query: Mapping[str, str]) -> object:
        api.people.append(person(len(api.people)))
        return answer

    api.reshape = growing

    assert "now there are" in refusal(api, pages={"by": "page", "total": "meta.total"}).message


# --- what is delivered is not what it should be -----------------------------------------------------------------------


def test_a8_nobody_at_all(api: HrApi) -> None:
    api.people.clear()
    error = refusal(api)

    assert isinstance(error, FeedEmpty)
    assert "no records" in error.message


def test_fewer_than_expected(api: HrApi) -> None:
    error = refusal(api, expect={"minimum": 50})

    assert isinstance(error, FeedEmpty)
    assert "23 records; at least 50 are expected" in error.message


def test_a_mapped_field_that_no_record_has(api: HrApi) -> None:
    api.people[:] = [{**person(number), "org": {"pfad": "rd"}} for number in range(3)]
    error = refusal(api)

    assert "no record has `org.path` (for `department`); the nearest is `org.pfad`" in error.message
    assert "columns: {department: org.pfad}" in error.remedy


def test_a_mapped_field_that_can_be_read_in_no_record(api: HrApi) -> None:
    error = refusal(api, columns={"id": "employee_no", "name": "name.full", "department": "org"})

    assert "`org` (for `department`) can be read in no record: it is an object (path)" in error.message
    assert str(error.place) == f"{api.url}, page 1, record 1"


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(data=st.data())
def test_an_answer_cut_anywhere_is_never_a_part_of_the_people(api: HrApi, data: st.DataObject) -> None:
    """Whichever page is cut at whichever octet, announced or not: everybody, or an error."""
    page = data.draw(st.integers(0, 3), label="page")
    whole = json.dumps({"data": {"items": api.people[page * 10 : page * 10 + 10]}}).encode()
    cut = data.draw(st.integers(0, len(whole) - 1), label="cut")
    announced = data.draw(st.booleans(), label="announced")
    reply = Reply(body=whole, cut=cut) if announced else Reply(body=whole[:cut])
    api.replies = [*[None] * page, *[reply] * 3]

    assert "page" in refusal(api).message
