"""Reading a provider: with few questions, and never a part for the whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from reconciler.targets import Op, Reading, entitlement_key
from reconciler.testing.targets import LabAccount, seen
from tests.adapters.scim.lab import ProxiedLab, ScimLab, told
from tests.servers.hr_api import Reply
from tests.servers.scim_proxy import Asked, error, json_reply

CROWD = [{"userName": f"u{number:02}", "externalId": f"X{number:02}"} for number in range(20)]


def reshaped(change: Callable[[Asked, Any], None], kind: str = "/Users") -> Callable[[Asked, Reply], Reply]:
    """Lists of this kind, changed on their way."""

    def answered(asked: Asked, reply: Reply) -> Reply:
        if asked.method != "GET" or asked.path != kind or reply.status != 200:
            return reply
        value = json.loads(reply.body)
        change(asked, value)
        return replace(reply, body=json.dumps(value).encode())

    return answered


def without_members(asked: Asked, value: Any) -> None:
    for resource in value["Resources"]:
        resource.pop("members", None)


# --- how much is asked ------------------------------------------------------------------------------------------------


def test_a_whole_reading_takes_a_question_for_each_page_and_no_more(lab: ProxiedLab) -> None:
    observation = lab.observe("docs-readers", "核心算法", "empty")

    assert len(observation.accounts.accounts) == 4
    assert [asked.path for asked in lab.proxy.asked] == ["/ServiceProviderConfig", "/Groups", "/Users", "/Me"]
    users = lab.proxy.asked[2]
    assert users.query["attributes"] == "userName,active,externalId"


def test_one_persons_reading_asks_for_that_person_alone(lab: ProxiedLab) -> None:
    observation = lab.observe("docs-readers", "核心算法", accounts=["smith"])

    assert seen(observation, observation.entitlements["group=docs-readers"]) == {"smith"}
    key = lab.lab.key("smith")
    asked = [asked.path for asked in lab.proxy.asked]
    assert asked == ["/ServiceProviderConfig", "/Groups", "/Groups", f"/Users/{key}", "/Me"]
    assert lab.proxy.asked[1].query["filter"] == f'members.value eq "{key}"'
    assert lab.proxy.asked[2].query["attributes"] == "displayName"


@pytest.mark.parametrize("way", ["refused", "finds nothing", "finds everything", "shows no members"])
def test_which_groups_somebody_is_in_is_believed_only_of_who_understands_the_question(
    lab: ProxiedLab, way: str
) -> None:
    def is_asked(asked: Asked) -> bool:
        return "members.value" in asked.query.get("filter", "")

    def otherwise(asked: Asked) -> Asked:
        query = {name: value for name, value in asked.query.items() if name != "filter"}
        return replace(asked, query=query) if is_asked(asked) else asked

    if way == "finds everything":
        lab.proxy.rewritten = otherwise
    elif way == "shows no members":
        lab.proxy.answered = reshaped(without_members, "/Groups")
    else:
        answer = error(400, "invalidFilter") if way == "refused" else json_reply({"totalResults": 0})
        lab.proxy.instead = lambda asked: answer if is_asked(asked) else None

    observation = lab.observe("docs-readers", "核心算法", accounts=["smith", "muller"])

    readers, core = observation.entitlements.values()
    assert (seen(observation, readers), seen(observation, core)) == ({"smith"}, {"muller"})
    assert readers.reading.whole


def test_somebody_who_is_in_no_group_is_in_none(lab: ProxiedLab) -> None:
    observation = lab.observe("docs-readers", "nowhere", accounts=["plain"])

    readers, nowhere = observation.entitlements.values()
    assert (readers.reading, len(readers.members)) == (Reading.COMPLETE, 0)
    assert nowhere.reading is Reading.FAILED


def test_several_peoples_reading_is_one_filter(lab: ProxiedLab) -> None:
    lab.observe(accounts=["smith", "zhang", "plain"])

    [users] = [asked for asked in lab.proxy.asked if asked.path.startswith("/Users")]
    assert users.query["filter"].count(" or ") == 2


def test_whose_account_it_is_is_one_filter(lab: ProxiedLab) -> None:
    assert lab.target.keys_matching({"id": " E1002 "}) == {lab.lab.key("smith")}
    assert [asked.path for asked in lab.proxy.asked] == ["/ServiceProviderConfig", "/Users"]


@pytest.mark.parametrize("path", ["externalId", "userName", 'emails[type eq "work"].value', "name.familyName"])
def test_accounts_are_matched_by_any_attribute(lab: ProxiedLab, path: str) -> None:
    named = {"emails": [{"type": "home", "value": "h@x.test"}, {"type": "work", "value": 'o"b@x.test'}]}
    new = {"userName": "王芳", "externalId": "E9", "name": {"familyName": "王"}, **named}
    [key] = lab.lab.tenant.add_users([new])
    expected = {"externalId": "E9", "userName": "王芳", "name.familyName": "王"}.get(path, 'o"b@x.test')
    target = lab.configured(match={path: "id"})

    accounts = {account.key: account for account in target.observe([]).accounts.accounts}

    assert accounts[key].match == {"id": expected}
    assert target.keys_matching({"id": expected}) == {key}
    assert target.keys_matching({"id": expected + '" or userName pr or userName eq "'}) == set()


def test_an_extensions_attribute_matches_too(lab: ProxiedLab) -> None:
    extension = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    [key] = lab.lab.tenant.add_users([{"userName": "w", extension: {"employeeNumber": "E77"}}])
    target = lab.configured(match={f"{extension}:employeeNumber": "id"})

    assert target.keys_matching({"id": "E77"}) == {key}
    assert {each.key for each in target.observe([]).accounts.accounts if each.match} == {key}


def test_an_account_that_says_several_things_is_nobodys(lab: ProxiedLab) -> None:
    lab.lab.tenant.add_users([{"userName": "two", "emails": [{"value": "a@x.test"}, {"value": "b@x.test"}]}])
    lab.configured(match={"emails.value": "email"})

    observation = lab.observe()

    [finding] = told(observation, "ambiguous-account")
    assert finding.subject == "two"
    assert not any(account.match for account in observation.accounts.accounts)


def test_a_disabled_account_is_seen_as_such(lab: ProxiedLab) -> None:
    lab.lab.tenant.patch(f"/Users/{lab.lab.key('zhang')}", {"op": "replace", "path": "active", "value": False})

    enabled = {account.login: account.enabled for account in lab.observe().accounts.accounts}

    assert enabled == {"zhang": False, "smith": True, "muller": True, "plain": True}


# --- pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 7, 23, 24, 25, 1000])
def test_pages_of_any_size_are_the_same_whole(lab: ProxiedLab, size: int) -> None:
    lab.lab.tenant.add_users(CROWD)
    lab.configured(page_size=size)

    accounts = lab.observe().accounts

    assert accounts.reading is Reading.COMPLETE
    assert len(accounts.accounts) == 24


def test_b2_a_provider_that_gives_less_than_it_is_asked_for_is_read_to_the_end(lab: ProxiedLab) -> None:
    lab.lab.tenant.add_users(CROWD)
    lab.proxy.rewritten = lambda asked: replace(
        asked, query={**asked.query, "count": str(min(5, int(asked.query.get("count", "5"))))}
    )

    accounts = lab.observe().accounts

    assert (accounts.reading, len(accounts.accounts)) == (Reading.COMPLETE, 24)


def ignores_start(asked: Asked) -> Asked:
    return replace(asked, query={**asked.query, "startIndex": "1", "count": "5"})


def ends_early(asked: Asked, value: Any) -> None:
    if asked.query["startIndex"] != "1":
        value["Resources"] = []


def claims_more(asked: Asked, value: Any) -> None:
    value["totalResults"] += 1


def claims_less(asked: Asked, value: Any) -> None:
    value["totalResults"] = 3


def loses_one(asked: Asked, value: Any) -> None:
    if asked.query["startIndex"] != "1":
        value["Resources"] = value["Resources"][1:]


def twice(asked: Asked, value: Any) -> None:
    value["Resources"][-1] = value["Resources"][0]


def nameless(asked: Asked, value: Any) -> None:
    value["Resources"][-1].pop("id")


@pytest.mark.parametrize("fault", [ends_early, claims_more, claims_less, loses_one, twice, nameless])
def test_a1_what_cannot_be_shown_to_be_all_of_it_is_partial(
    lab: ProxiedLab, fault: Callable[[Asked, Any], None]
) -> None:
    lab.lab.tenant.add_users(CROWD)
    lab.configured(page_size=5)
    lab.proxy.answered = reshaped(fault)

    observation = lab.observe("docs-readers")

    assert observation.accounts.reading is Reading.PARTIAL
    assert observation.accounts.detail
    assert lab.proxy.counted() < 60


def test_a_provider_that_gives_the_first_page_again_and_again_comes_to_an_end(lab: ProxiedLab) -> None:
    lab.lab.tenant.add_users(CROWD)
    lab.proxy.rewritten = ignores_start

    accounts = lab.observe().accounts

    assert accounts.reading is Reading.PARTIAL
    assert "position 5 held another one" in accounts.detail
    assert lab.proxy.counted() < 20


def counts_in_pages(asked: Asked) -> Asked:
    """`startIndex` rounded down to the beginning of a page."""
    if "startIndex" not in asked.query:
        return asked
    start, count = int(asked.query["startIndex"]), int(asked.query["count"])
    return replace(asked, query={**asked.query, "startIndex": str((start - 1) // count * count + 1)})


def test_a_provider_that_counts_in_pages_is_read_whole_where_the_settings_say_so(lab: ProxiedLab) -> None:
    lab.lab.tenant.add_users(CROWD)
    lab.proxy.rewritten = counts_in_pages
    lab.configured(page_size=5)
    assert lab.observe().accounts.reading is Reading.PARTIAL

    lab.configured(page_size=5, pages_overlap=False)
    accounts = lab.observe().accounts
    assert (accounts.reading, len(accounts.accounts)) == (Reading.COMPLETE, 24)

    lab.proxy.answered = reshaped(loses_one)
    assert lab.observe().accounts.reading is Reading.PARTIAL


def test_attributes_are_not_named_where_the_settings_say_so(lab: ProxiedLab) -> None:
    lab.configured(without=["attributes"])

    assert seen(lab.observe("docs-readers")) == {"zhang", "smith"}
    assert seen(lab.observe("docs-readers", accounts=["smith"])) == {"smith"}
    assert not any("attributes" in asked.query for asked in lab.proxy.asked if asked.path != "/Me")


def test_a_list_without_end_comes_to_an_end(lab: ProxiedLab) -> None:
    def endless(asked: Asked, value: Any) -> None:
        start = int(asked.query["startIndex"])
        value["totalResults"] = start + 1000
        value["Resources"] = [{"id": f"n{number}"} for number in range(start, start + 5)]

    lab.proxy.answered = reshaped(endless)

    accounts = lab.observe().accounts

    assert accounts.reading is Reading.PARTIAL
    assert lab.proxy.counted() < 20


def test_a_user_who_goes_while_pages_are_read_makes_it_read_again(lab: ProxiedLab) -> None:
    keys = lab.lab.tenant.add_users(CROWD)
    first = min([*keys, *lab.lab.keys.values()])
    lab.configured(page_size=5)

    def gone_then(asked: Asked) -> Reply | None:
        if asked.path == "/Users" and asked.query["startIndex"] == "9" and first in keys:
            keys.remove(first)
            lab.lab.tenant.delete(f"/Users/{first}")
            lab.lab.tenant.add_users([{"userName": "new"}])
        return None

    first = min(keys)
    lab.proxy.instead = gone_then

    accounts = lab.observe().accounts

    assert accounts.reading is Reading.COMPLETE
    assert {account.key for account in accounts.accounts} >= set(keys)
    assert len(accounts.accounts) == 24


def test_a_page_that_is_lost_makes_it_partial_and_what_came_is_there(lab: ProxiedLab) -> None:
    lab.lab.tenant.add_users(CROWD)
    lab.configured(page_size=5, retry={"attempts": 2})
    lab.proxy.instead = lambda asked: (
        error(503, "busy") if asked.path == "/Users" and asked.query["startIndex"] == "9" else None
    )

    observation = lab.observe("docs-readers", "empty")

    assert observation.accounts.reading is Reading.PARTIAL
    assert len(observation.accounts.accounts) == 9
    assert observation.entitlements["group=empty"].reading is Reading.CONFIRMED_EMPTY
    readers = observation.entitlements["group=docs-readers"]
    assert readers.foreign == ()
    assert readers.reading is (Reading.COMPLETE if len(readers.members) == 2 else Reading.PARTIAL)


# --- groups -----------------------------------------------------------------------------------------------------------


def test_members_that_listings_give_as_none_are_read_group_by_group(lab: ProxiedLab) -> None:
    def emptied(asked: Asked, value: Any) -> None:
        for resource in value["Resources"]:
            resource["members"] = []

    lab.proxy.answered = reshaped(emptied, "/Groups")

    observation = lab.observe("docs-readers")

    assert seen(observation) == {"zhang", "smith"}


def test_members_that_listings_leave_out_are_read_group_by_group(lab: ProxiedLab) -> None:
    lab.proxy.answered = reshaped(without_members, "/Groups")

    observation = lab.observe("docs-readers", "核心算法", "empty")

    readers, core, empty = observation.entitlements.values()
    assert (seen(observation, readers), seen(observation, core)) == ({"zhang", "smith"}, {"muller"})
    assert empty.reading is Reading.CONFIRMED_EMPTY
    assert sum(asked.path.startswith("/Groups/") for asked in lab.proxy.asked) == 3


def test_a3_a_group_that_cannot_be_read_is_no_empty_group(lab: ProxiedLab) -> None:
    lab.configured(retry={"attempts": 1})
    lab.proxy.always("GET", "/Groups", error(500, "oops"))

    observation = lab.observe("docs-readers")

    [read] = observation.entitlements.values()
    assert read.reading is Reading.FAILED
    assert "500" in read.detail
    assert observation.accounts.reading is Reading.COMPLETE


def test_two_groups_of_one_name_are_an_error_in_words_and_an_id_tells_them_apart(lab: ProxiedLab) -> None:
    other = lab.lab.tenant.add_group("Docs-Readers", [{"value": lab.lab.key("plain")}])

    read = lab.read("docs-readers")
    assert read.reading is Reading.FAILED
    assert "2 groups called docs-readers" in read.detail
    assert "{id: …}" in read.detail

    observation = lab.target.observe([{"id": other}])
    assert seen(observation) == {"plain"}
    [outcome] = lab.apply(lab.grant("muller", "docs-readers"))
    assert outcome.kind == "refused"
    [outcome] = lab.apply(lab.lab.step(Op.GRANT, "muller", id=other))
    assert outcome.kind == "applied"


def test_a_group_in_a_group_is_foreign_and_told(lab: ProxiedLab) -> None:
    inner = lab.lab.groups["核心算法"]
    member = {"value": inner, "type": "Group", "$ref": f"{lab.lab.tenant.url}/Groups/{inner}"}
    path = f"/Groups/{lab.lab.groups['docs-readers']}"
    lab.lab.tenant.patch(path, {"op": "add", "path": "members", "value": [member]})

    observation = lab.observe("docs-readers")

    assert observation.entitlements["group=docs-readers"].foreign == (inner,)
    [finding] = told(observation, "nested-group")
    assert finding.subject == "docs-readers"
    observation = lab.observe("docs-readers", "核心算法")
    both = observation.entitlements
    assert told(observation, "nested-group") == []
    assert list(both["group=docs-readers"].within) == ["group=核心算法"]
    assert both["group=核心算法"].within == ()


def test_f7_somebody_created_while_it_is_read_is_no_stranger(lab: ProxiedLab) -> None:
    def meanwhile(asked: Asked, reply: Reply) -> Reply:
        if asked.path == "/Groups":
            [key] = lab.lab.tenant.add_users([{"userName": "late"}])
            path = f"/Groups/{lab.lab.groups['docs-readers']}"
            lab.lab.tenant.patch(path, {"op": "add", "path": "members", "value": [{"value": key}]})
        return reply

    lab.proxy.answered = meanwhile

    assert lab.read("docs-readers").foreign == ()


def test_filters_that_are_refused_are_done_without(lab: ProxiedLab) -> None:
    lab.proxy.instead = lambda asked: error(400, "invalidFilter") if "filter" in asked.query else None

    observation = lab.observe("docs-readers", accounts=["smith", "plain"])

    assert {account.login for account in observation.accounts.accounts} == {"smith", "plain"}
    assert seen(observation) == {"smith"}
    assert lab.target.keys_matching({"id": "E1002"}) is None


def test_a_filter_that_finds_nobody_is_not_believed(lab: ProxiedLab) -> None:
    def nobody(asked: Asked) -> Reply | None:
        return json_reply({"totalResults": 0}) if "filter" in asked.query and asked.path == "/Users" else None

    lab.proxy.instead = nobody

    observation = lab.observe(accounts=["smith", "plain"])

    assert {account.login for account in observation.accounts.accounts} == {"smith", "plain"}


def test_a_filter_that_finds_no_group_is_not_believed(lab: ProxiedLab) -> None:
    """Some take capitals for other letters, or know no such filter, and answer with an empty list."""

    def nothing(asked: Asked) -> Reply | None:
        named = asked.query.get("filter", "").startswith(("displayName", "id"))
        return json_reply({"totalResults": 0}) if named and asked.path == "/Groups" else None

    lab.proxy.instead = nothing
    key = lab.lab.groups["docs-readers"]

    by_name, by_key = lab.observe("docs-readers"), lab.target.observe([{"id": key}])

    assert seen(by_name) == seen(by_key) == {"zhang", "smith"}


def test_a_filter_that_finds_nobody_is_not_believed_about_whose_account_it_is(lab: ProxiedLab) -> None:
    assert lab.target.keys_matching({"id": "E4711"}) == set()

    lab.proxy.instead = lambda asked: json_reply({"totalResults": 0}) if "filter" in asked.query else None

    assert lab.target.keys_matching({"id": "E4711"}) is None
    assert lab.target.keys_matching({"id": "E1002"}) is None


def test_a_provider_that_says_nothing_of_itself_is_asked_for_no_more_than_any_has(lab: ProxiedLab) -> None:
    lab.proxy.always("GET", "/ServiceProviderConfig", error(404, "what?"))

    observation = lab.observe("docs-readers", accounts=["smith", "plain"])

    assert seen(observation) == {"smith"}
    assert not any("filter" in asked.query for asked in lab.proxy.asked)


NAMES = [
    "a/b",
    "../..",
    'quo"te',
    "back\\slash",
    "new\nline",
    "核心 算法",
    "שלום",
    "🔐",
    "x' OR 1=1",
    "(a) or [b]",
    "%2e",
    "?a=b&c",
]


def test_hostile_names_simply_work(lab: ProxiedLab) -> None:
    people = [LabAccount(name, f"H{number}", name) for number, name in enumerate(NAMES)]
    hostile = ScimLab(lab.lab.tenant, people, {name: [name] for name in NAMES})

    observation = lab.observe(*NAMES)

    by_login = {account.login: account for account in observation.accounts.accounts}
    for number, name in enumerate(NAMES):
        assert seen(observation, observation.entitlements[entitlement_key({"group": name})]) == {name}
        assert by_login[name].match == {"id": f"H{number}"}
    steps = [hostile.step(Op.REVOKE, name, group=name) for name in NAMES]
    assert {outcome.kind for outcome in lab.apply(*steps)} == {"applied"}
    assert all(hostile.members(name) == set() for name in NAMES)


def test_our_own_account_is_known_where_the_provider_knows_it(lab: ProxiedLab) -> None:
    assert lab.observe().own == frozenset()

    lab.proxy.always("GET", "/Me", json_reply({"id": lab.lab.key("zhang"), "userName": "zhang"}))

    assert lab.observe().own == {lab.lab.key("zhang")}
