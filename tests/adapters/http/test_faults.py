"""A system in its bad days, read: whatever it does, a part is never told as the whole, and the token stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.api import client
from reconciler.targets import Observation, ProblemsFound, Reading, TargetError, TargetUnavailable
from reconciler.testing.targets import entitlement, observe, seen
from tests.adapters.http.lab import ScimLab, declaration, target
from tests.servers.hr_api import HrApi, Reply, certified, serving, text_reply
from tests.servers.scim import TOKEN
from tests.servers.scim_proxy import Asked, ScimProxy, json_reply, standing_between

HTML = "<!DOCTYPE html><html><head><title>Sign in · 登录</title></head><body>…</body></html>"
SMALL = {"by": "offset", "parameter": "startIndex", "first": 1, "size": {"parameter": "count", "value": 2}}


def changed(settings: Mapping[str, object], place: str, /, **more: object) -> dict[str, object]:
    """The declaration with something else at a dotted place."""
    copy: dict[str, object] = json.loads(json.dumps(settings))
    inner: Any = copy
    for name in place.split("."):
        inner = inner[name]
    inner.update(more)
    return copy


def refusal(lab: ScimLab) -> TargetError:
    """The error that observing ends with; it teaches, and shows no secret."""
    with pytest.raises(TargetError) as caught:
        observe(lab, "docs-readers")
    error = caught.value
    assert error.remedy
    assert error.place is not None
    assert "wiki" in error.message
    assert TOKEN not in f"{error}{error!r}{error.__cause__!r}{error.__context__!r}"
    return error


# --- nothing can be read ----------------------------------------------------------------------------------------------

FINAL = {
    "a page for browsers": (text_reply(HTML), "titled “Sign in · 登录”, not JSON"),
    "no JSON": (text_reply("OK"), "not JSON"),
    "nothing": (text_reply(""), "it is empty"),
    "an error in the clothes of success": (json_reply({"error": {"message": f"no {TOKEN}"}}), "it says “no …”"),
    "another shape": (json_reply({"data": []}), "there is nothing at `items: $.Resources`"),
    "a list that is none": (
        json_reply({"Resources": {}, "totalResults": 0}),
        "`items: $.Resources` should lead to a list",
    ),
    "a total that is none": (
        json_reply({"Resources": [], "totalResults": "some"}),
        "`pages.total: $.totalResults` should",
    ),
    "401": (Reply(401, b'{"detail": "who is that?"}'), "does not accept the credentials; it says “who is that?”"),
    "403": (Reply(403), "may not read this"),
    "404": (Reply(404), "answers 404"),
    "409": (Reply(409), "answers 409"),
    "nested without end": (text_reply("[" * 100_000), "nested without end"),
}
PASSING = {
    "500": Reply(500),
    "502 with a page": text_reply(HTML, 502),
    "429": Reply(429, headers={"Retry-After": "1"}),
    "cut": Reply(body=b'{"Resources": []}' * 9, cut=20),
}


@pytest.mark.parametrize("fault", FINAL)
def test_a7_what_is_no_answer_is_an_error_and_never_an_empty_system(lab: ScimLab, proxy: ScimProxy, fault: str) -> None:
    reply, words = FINAL[fault]
    proxy.always("GET", "/Users", reply)

    error = refusal(lab)

    assert words in error.message
    assert not isinstance(error, TargetUnavailable)


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_is_not_noticed(lab: ScimLab, proxy: ScimProxy, fault: str) -> None:
    proxy.once("GET", "/Users", PASSING[fault], PASSING[fault])

    assert observe(lab, "docs-readers").accounts.reading is Reading.COMPLETE


@pytest.mark.parametrize("fault", PASSING)
def test_a1_a_fault_that_stays_makes_the_target_unavailable(lab: ScimLab, proxy: ScimProxy, fault: str) -> None:
    proxy.always("GET", "/Users", PASSING[fault])

    assert isinstance(refusal(lab), TargetUnavailable)


def test_when_to_come_back_is_said(lab: ScimLab, proxy: ScimProxy) -> None:
    proxy.always("GET", "/Users", Reply(429, headers={"Retry-After": "3600"}))

    error = refusal(lab)

    assert isinstance(error, TargetUnavailable)
    assert error.retry_after == 3600
    assert proxy.counted() == 1


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example.com"])
def test_a_host_that_can_be_none_is_told(host: str, lab: ScimLab) -> None:
    lab.target = target(declaration(f"https://{host}/v2"))

    assert "address cannot be used" in refusal(lab).message


def test_a_file_of_authorities_that_is_none_is_told(lab: ScimLab, proxy: ScimProxy, tmp_path: Path) -> None:
    (tmp_path / "broken.pem").write_text("no certificate", encoding="utf-8")
    lab.target = target(declaration(proxy.url.replace("http:", "https:"), ca="broken.pem"), tmp_path)

    assert "the CA file broken.pem cannot be read" in refusal(lab).message


@pytest.mark.parametrize(
    "more", [{"success": {"$..id": "0"}}, {"pages": {"by": "link", "next": "$..id"}}], ids=["success", "next"]
)
def test_a_query_that_finds_several_is_told(lab: ScimLab, more: dict[str, Any]) -> None:
    settings = {**lab.settings, **({"success": more["success"]} if "success" in more else {})}
    lab.target = target(changed(settings, "accounts.list", pages=more["pages"]) if "pages" in more else settings)

    if "pages" in more:
        assert "should find one" in partial(observe(lab, "docs-readers"))
    else:
        assert "should find one" in refusal(lab).message


def test_a_time_to_come_back_that_is_none_is_passed_over(lab: ScimLab, proxy: ScimProxy) -> None:
    proxy.always("GET", "/Users", Reply(429, headers={"Retry-After": f"Mon, 01 Jan {10**20} 00:00:00 GMT"}))

    error = refusal(lab)

    assert isinstance(error, TargetUnavailable)
    assert error.retry_after is None


def test_a_system_that_is_not_there(lab: ScimLab) -> None:
    lab.target = target(declaration("http://127.0.0.1:9/v2"))

    assert isinstance(refusal(lab), TargetUnavailable)


def test_the_token_does_not_follow_a_redirect_to_another_host(lab: ScimLab, proxy: ScimProxy) -> None:
    with serving(HrApi([])) as elsewhere:
        proxy.always("GET", "/Users", Reply(302, headers={"Location": elsewhere.url}))
        error = refusal(lab)

        assert "redirects (302) to another server" in error.message
        assert elsewhere.asked == []


def test_a_certificate_that_nobody_vouches_for(lab: ScimLab, tmp_path: Path) -> None:
    certificate = certified(tmp_path)
    with standing_between(lab.tenant.url, certificate) as encrypted:
        lab.target = target(declaration(encrypted.url))
        assert "certificate is not to be trusted" in refusal(lab).message
        assert encrypted.asked == []

        lab.target = target(declaration(encrypted.url, ca=certificate.name), tmp_path)
        assert observe(lab, "docs-readers").accounts.reading is Reading.COMPLETE


def test_a_page_larger_than_any_page(lab: ScimLab, proxy: ScimProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_LARGEST", 1 << 20)
    proxy.always("GET", "/Users", text_reply('{"Resources": [' + " " * (2 << 20) + "]}"))

    assert "larger than 1 MiB" in refusal(lab).message


# --- a part can be read -----------------------------------------------------------------------------------------------


def two_to_a_page(lab: ScimLab) -> None:
    pages = {**SMALL, "total": "$.totalResults"}
    lab.settings = changed(lab.settings, "accounts.list", pages=pages)
    lab.settings = changed(lab.settings, "entitlements.list", pages=pages)
    lab.target = target(lab.settings)


def partial(observation: Observation) -> str:
    """What is said of accounts that were read in part."""
    assert observation.accounts.reading is Reading.PARTIAL
    assert observation.accounts.accounts
    assert TOKEN not in observation.accounts.detail
    return observation.accounts.detail


def of_page(number: int, change: Callable[[dict[str, Any]], object]) -> Callable[[Asked, Reply], Reply]:
    """The second page of users (or another), as it is changed."""

    def answered(asked: Asked, reply: Reply) -> Reply:
        if asked.path != "/Users" or asked.query.get("startIndex") != str(number * 2 - 1):
            return reply
        answer = json.loads(reply.body)
        change(answer)
        return json_reply(answer)

    return answered


def test_b3_all_pages_are_read(lab: ScimLab, proxy: ScimProxy) -> None:
    two_to_a_page(lab)

    observation = observe(lab, "docs-readers", "核心算法")

    assert observation.accounts.reading is Reading.COMPLETE
    assert len(observation.accounts.accounts) == 4
    assert proxy.counted("GET") == 4


def test_b3_a_lost_page_makes_it_partial(lab: ScimLab, proxy: ScimProxy) -> None:
    two_to_a_page(lab)
    proxy.instead = lambda asked: (
        Reply(500) if asked.path == "/Users" and asked.query.get("startIndex") == "3" else None
    )

    detail = partial(observe(lab, "docs-readers"))

    assert "page 2" in detail


def test_a_page_that_comes_twice_makes_it_partial(lab: ScimLab, proxy: ScimProxy) -> None:
    two_to_a_page(lab)
    first = lab.tenant.get("/Users", startIndex="1", count="2")
    proxy.answered = of_page(2, lambda answer: answer.update(Resources=first["Resources"]))

    assert "same records as page 1" in partial(observe(lab, "docs-readers"))


def test_an_account_that_comes_twice_makes_it_partial(lab: ScimLab, proxy: ScimProxy) -> None:
    """The total is right all the same: another one slipped from page to page."""
    two_to_a_page(lab)
    first = lab.tenant.get("/Users", startIndex="1", count="1")["Resources"][0]
    proxy.answered = of_page(2, lambda answer: answer["Resources"].__setitem__(0, first))

    assert f"account {first['id']} came twice" in partial(observe(lab, "docs-readers"))


def test_b2_fewer_than_the_total_says_is_partial(lab: ScimLab, proxy: ScimProxy) -> None:
    two_to_a_page(lab)
    proxy.answered = lambda asked, reply: json_reply(
        {**json.loads(reply.body), "totalResults": 9} if asked.path == "/Users" else json.loads(reply.body)
    )

    assert "there should be 9" in partial(observe(lab, "docs-readers"))


def test_a_total_that_changes_meanwhile_is_read_anew(lab: ScimLab, proxy: ScimProxy) -> None:
    two_to_a_page(lab)
    times = iter(range(100))
    moved = of_page(2, lambda answer: answer.update(totalResults=5))
    proxy.answered = lambda asked, reply: moved(asked, reply) if next(times) < 2 else reply

    assert observe(lab, "docs-readers").accounts.reading is Reading.COMPLETE

    proxy.answered = moved
    assert "and now there are 5" in partial(observe(lab, "docs-readers"))


@pytest.mark.parametrize(
    ("following", "words"),
    [
        ("Users?at=2", "leads back"),
        ("https://elsewhere.example/Users", "another server"),
        ({}, "should lead to a text"),
    ],
)
def test_a_next_that_goes_in_circles_or_elsewhere_makes_it_partial(
    lab: ScimLab, proxy: ScimProxy, following: object, words: str
) -> None:
    lab.target = target(changed(lab.settings, "accounts.list", pages={"by": "link", "next": "$.next"}))
    turns = iter(range(100))

    def answered(asked: Asked, reply: Reply) -> Reply:
        answer = json.loads(reply.body)
        if asked.path == "/Users":
            # Another record each time: only the way itself shows that it is a circle.
            answer["Resources"] = [{**answer["Resources"][0], "id": f"u{next(turns)}"}]
            answer["next"] = following
        return json_reply(answer)

    proxy.answered = answered

    assert words in partial(observe(lab, "docs-readers"))


def test_b3_a_next_that_is_nowhere_is_not_the_end(lab: ScimLab) -> None:
    """A mistake in the query would pass for the last page."""
    paged = {"by": "link", "next": "$.nxt"}
    lab.target = target(changed(lab.settings, "accounts.list", pages=paged))
    assert "whether this is the last page cannot be told" in partial(observe(lab, "docs-readers"))

    for more in ({"next_may_be_absent": True}, {"total": "$.totalResults"}):
        lab.target = target(changed(lab.settings, "accounts.list", pages={**paged, **more}))
        assert observe(lab, "docs-readers").accounts.reading is Reading.COMPLETE


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda user: user.pop("id"), "`key: $.id` is missing"),
        (lambda user: user.update(id=None), "`key: $.id` is null"),
        (lambda user: user.update(id={"a": 1}), "`key: $.id` is an object"),
        (lambda user: user.update(id=""), "`key: $.id` is a blank"),
        (lambda user: user.pop("userName"), "`login: $.userName` is missing"),
        (lambda user: user.update(externalId=["E1", "E2"]), "`match: $.externalId` is a list"),
    ],
)
def test_an_account_that_cannot_be_read_is_left_out_and_said(
    lab: ScimLab, proxy: ScimProxy, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    proxy.answered = of_page(1, lambda answer: change(answer["Resources"][0]))

    observation = observe(lab, "docs-readers")

    assert words in partial(observation)
    assert len(observation.accounts.accounts) == 3


def test_a_match_that_is_in_no_account_at_all_is_a_mistake(lab: ScimLab) -> None:
    lab.target = target(changed(lab.settings, "accounts", match={"$.employeeNumber": "id"}))

    detail = partial(observe(lab, "docs-readers"))

    assert "no account has anything at `match: $.employeeNumber`" in detail
    assert "$.externalId" in detail


def test_a_condition_that_holds_of_nothing_is_a_mistake(lab: ScimLab) -> None:
    """Otherwise everybody would be gone."""
    lab.target = target(changed(lab.settings, "accounts", where="@.typ == 'User'"))

    accounts = observe(lab, "docs-readers").accounts

    assert accounts.reading is Reading.PARTIAL
    assert "none of the 4 items is an account, as `accounts.where` says" in accounts.detail


# --- entitlements -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [Reply(403), Reply(500), text_reply(HTML), json_reply({})])
def test_entitlements_that_cannot_be_read_have_failed_and_the_accounts_have_not(
    lab: ScimLab, proxy: ScimProxy, reply: Reply
) -> None:
    proxy.always("GET", "/Groups", reply)

    observation = observe(lab, "docs-readers")

    assert observation.accounts.reading is Reading.COMPLETE
    assert entitlement(observation).reading is Reading.FAILED
    assert entitlement(observation).detail


def test_b1_an_entitlement_that_comes_on_two_pages_makes_no_other_one_gone(lab: ScimLab, proxy: ScimProxy) -> None:
    """The total is right all the same: another one slipped from page to page."""
    two_to_a_page(lab)
    first = lab.tenant.get("/Groups", startIndex="1", count="1")["Resources"][0]

    def answered(asked: Asked, reply: Reply) -> Reply:
        if asked.path != "/Groups" or asked.query.get("startIndex") != "3":
            return reply
        answer = json.loads(reply.body)
        answer["Resources"][0] = first
        return json_reply(answer)

    proxy.answered = answered

    details = [each.detail for each in observe(lab, *lab.groups).entitlements.values()]

    assert not any(detail.startswith("there is no") for detail in details)
    assert any("a record of page 1 came on page 2 too" in detail for detail in details)


def test_what_is_not_in_a_part_of_the_list_is_not_gone(lab: ScimLab, proxy: ScimProxy) -> None:
    two_to_a_page(lab)
    proxy.instead = lambda asked: (
        Reply(500) if asked.path == "/Groups" and asked.query.get("startIndex") == "3" else None
    )

    read = observe(lab, *lab.groups).entitlements.values()

    assert sorted(each.reading for each in read) == [Reading.COMPLETE, Reading.COMPLETE, Reading.FAILED]
    (unknown,) = (each for each in read if each.reading is Reading.FAILED)
    assert "not among the entitlements that could be read" in unknown.detail


def test_two_that_are_called_the_same_are_neither(lab: ScimLab) -> None:
    lab.tenant.add_group("docs-readers")

    read = entitlement(observe(lab, "docs-readers"))

    assert read.reading is Reading.FAILED
    assert "2 entitlements are called docs-readers" in read.detail


def test_members_that_are_not_where_they_should_be_are_not_nobody(lab: ScimLab) -> None:
    lab.target = target(changed(lab.settings, "entitlements", members={"items": "$.memebrs", "at": "$.value"}))

    read = entitlement(observe(lab, "docs-readers"))

    assert read.reading is Reading.FAILED
    assert "nothing at `members.items: $.memebrs`" in read.detail


def test_fewer_members_than_the_item_says_are_partial(lab: ScimLab, proxy: ScimProxy) -> None:
    lab.target = target(changed(lab.settings, "entitlements.members", total="$.size"))

    def answered(asked: Asked, reply: Reply) -> Reply:
        answer = json.loads(reply.body)
        for group in answer["Resources"] if asked.path == "/Groups" else ():
            group["size"] = 2
        return json_reply(answer)

    proxy.answered = answered
    whole, less = observe(lab, "docs-readers", "核心算法").entitlements.values()

    assert (whole.reading, less.reading) == (Reading.COMPLETE, Reading.PARTIAL)
    assert "shows 1 members" in less.detail


def test_an_empty_list_is_believed_where_the_total_says_so(lab: ScimLab) -> None:
    for login in lab.keys:
        lab.remove_account(login)

    accounts = observe(lab, "docs-readers").accounts
    assert (accounts.reading, accounts.accounts) == (Reading.CONFIRMED_EMPTY, ())

    lab.target = target(changed(lab.settings, "accounts.list", pages=SMALL))
    accounts = observe(lab, "docs-readers").accounts
    assert (accounts.reading, accounts.accounts) == (Reading.PARTIAL, ())
    assert "nothing says that it should be" in accounts.detail


def test_a_group_in_a_group_is_told_as_such_and_is_nobody(lab: ScimLab) -> None:
    inner = {"value": lab.groups["核心算法"], "type": "Group"}
    lab.tenant.patch(f"/Groups/{lab.groups['docs-readers']}", {"op": "add", "path": "members", "value": [inner]})
    lab.target = target(changed(lab.settings, "entitlements.members", nested="@.type == 'Group'"))

    both = observe(lab, "docs-readers", "核心算法")
    outer, core = both.entitlements.values()
    assert (outer.within, core.within, outer.foreign, list(both.findings)) == ([core.key], [], (), [])
    assert seen(both, outer) == {"zhang", "smith"}

    alone = observe(lab, "docs-readers")
    assert [finding.kind for finding in alone.findings] == ["nested-group"]
    assert entitlement(alone).foreign == ()
    assert list(observe(lab, "docs-readers", accounts=["zhang"]).findings) == []


# --- lists of other shapes --------------------------------------------------------------------------------------------


def by_name(lab: ScimLab) -> ScimLab:
    """No list of groups, but a search for each one, whose members are a list of its own."""
    listing = {
        "path": "Groups",
        "query": {"filter": "displayName eq {entitlement.group:json}"},
        "items": "$.Resources[0].members",
        "may_be_empty": True,
    }
    whole = {"parts": ["group"], "members": {"list": listing, "at": "$.value"}}
    settings: dict[str, Any] = {**lab.settings, "entitlements": whole}
    lab.target = target({name: value for name, value in settings.items() if name not in ("add", "remove")})
    return lab


def test_members_may_be_a_list_of_their_own_that_is_found_by_the_locator(lab: ScimLab) -> None:
    observation = observe(by_name(lab), "docs-readers", "核心算法", 'no "such\\ group')
    readers, core, missing = observation.entitlements.values()

    assert seen(observation, readers) == {"zhang", "smith"}
    assert seen(observation, core) == {"muller"}
    assert missing.reading is Reading.FAILED


def test_hostile_names_in_a_path_work_or_are_refused_in_words(lab: ScimLab) -> None:
    listing = {"path": "Groups/{entitlement.group}", "items": "$.members"}
    settings: dict[str, Any] = {
        **lab.settings,
        "entitlements": {"parts": ["group"], "members": {"list": listing, "at": "$.value"}},
    }
    lab.target = target({name: value for name, value in settings.items() if name not in ("add", "remove")})
    names = [
        lab.groups["docs-readers"],
        "nowhere 核心\n%2F?#;",
        "a/b",
        "a\\b",
        "..",
        f"../Groups/{lab.groups['docs-readers']}",
    ]

    there, missing, *refused = observe(lab, *names).entitlements.values()

    assert there.reading is Reading.COMPLETE
    assert "there is no such thing" in missing.detail
    assert all(read.reading is Reading.FAILED for read in (missing, *refused))
    assert ["slash" in read.detail or "leads elsewhere" in read.detail for read in refused] == [True] * 4


def test_pages_may_be_linked_in_the_header(lab: ScimLab, proxy: ScimProxy) -> None:
    listing = {**lab.settings["accounts"]["list"], "query": {"count": "3"}}  # type: ignore[index]
    first = f'<{proxy.url}/Users?count=3&startIndex=4>; rel="next"'

    def answered(asked: Asked, reply: Reply) -> Reply:
        more = {"Link": first} if asked.path == "/Users" and "startIndex" not in asked.query else {}
        return Reply(reply.status, reply.body, {**reply.headers, **more})

    proxy.answered = answered
    for pages, reading in (({"by": "link"}, Reading.COMPLETE), ({}, Reading.PARTIAL)):
        paged = {**listing, "pages": {**pages, "total": "$.totalResults"}}
        lab.target = target(changed(lab.settings, "accounts", list=paged))
        accounts = observe(lab, "docs-readers").accounts
        assert accounts.reading is reading
        assert len(accounts.accounts) == (4 if pages else 3)


def test_a_search_by_post_is_read_where_it_is_said_to_be_safe(lab: ScimLab, proxy: ScimProxy) -> None:
    searched = {
        "method": "POST",
        "path": "Users/.search",
        "safe": True,
        "body": {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "count": 500},
        "items": "$.Resources",
        "pages": {"total": "$.totalResults"},
    }
    lab.target = target(changed(lab.settings, "accounts", list=searched))

    assert len(observe(lab, "docs-readers").accounts.accounts) == 4
    assert [(asked.method, asked.path) for asked in proxy.asked] == [("POST", "/Users/.search"), ("GET", "/Groups")]


# --- one person -------------------------------------------------------------------------------------------------------


def test_whose_account_it_is_takes_one_question(lab: ScimLab, proxy: ScimProxy) -> None:
    assert lab.target.keys_matching({"id": "E1002"}) == {lab.key("smith")}
    assert lab.target.keys_matching({"id": "e1002"}) in (set(), {lab.key("smith")})
    assert lab.target.keys_matching({"id": 'E1002" or userName pr or userName eq "'}) == frozenset()
    assert [asked.path for asked in proxy.asked] == ["/Users"] * 3


def test_a_system_that_finds_more_than_was_meant_is_not_believed(lab: ScimLab, proxy: ScimProxy) -> None:
    """It knows no such filter, and shows everybody."""
    everybody = lab.tenant.get("/Users")
    proxy.always("GET", "/Users", json_reply(everybody))

    assert lab.target.keys_matching({"id": "E1002"}) == {lab.key("smith")}


@pytest.mark.parametrize(
    "answer", [{"Resources": [], "totalResults": 3}, {"Resources": [{"id": "u1"}], "totalResults": 1}]
)
def test_what_is_told_in_part_is_no_answer(lab: ScimLab, proxy: ScimProxy, answer: object) -> None:
    proxy.always("GET", "/Users", json_reply(answer))

    assert lab.target.keys_matching({"id": "E1002"}) is None


def test_without_a_question_for_one_person_all_accounts_are_read(lab: ScimLab, proxy: ScimProxy) -> None:
    settings = json.loads(json.dumps(lab.settings))
    del settings["accounts"]["find"]

    assert target(settings).keys_matching({"id": "E1002"}) is None
    assert proxy.asked == []


@pytest.mark.parametrize("query", [{}, {"q": "E1002"}])
def test_a_question_that_asks_for_nobody_is_a_mistake(lab: ScimLab, query: Mapping[str, str]) -> None:
    with pytest.raises(ProblemsFound, match="names nothing of a person"):
        target(changed(lab.settings, "accounts.find", query=query))
