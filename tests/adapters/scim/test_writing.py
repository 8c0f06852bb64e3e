"""Changing what a provider has: in few requests, in the words it understands, and believed only when read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from reconciler.targets import Op, OutcomeKind, Step
from tests.adapters.scim.lab import ProxiedLab
from tests.servers.hr_api import Reply
from tests.servers.scim_proxy import Asked, error, json_reply

APPLIED, ALREADY, STALE = OutcomeKind.APPLIED, OutcomeKind.ALREADY, OutcomeKind.STALE
REFUSED, UNAVAILABLE = OutcomeKind.REFUSED, OutcomeKind.UNAVAILABLE


def crowd(lab: ProxiedLab, count: int) -> list[str]:
    return lab.lab.tenant.add_users([{"userName": f"c{number}"} for number in range(count)])


def grants(keys: list[str], group: str, op: Op = Op.GRANT) -> list[Step]:
    return [Step(op, key, key, {"group": group}) for key in keys]


def patches(lab: ProxiedLab) -> list[list[Mapping[str, object]]]:
    """The operations of each PATCH."""
    return [asked.value["Operations"] for asked in lab.proxy.asked if asked.method == "PATCH"]


# --- how much is sent -------------------------------------------------------------------------------------------------


def test_f11_a_thousand_members_come_to_one_group_in_a_handful_of_requests(lab: ProxiedLab) -> None:
    keys = crowd(lab, 1000)

    assert {outcome.kind for outcome in lab.apply(*grants(keys, "docs-readers"))} == {APPLIED}

    assert len(lab.members("docs-readers")) == 1002
    assert lab.proxy.counted("PATCH") == 1
    assert lab.proxy.counted() <= 8


def test_f11_a_hundred_members_leave_a_group_in_a_handful_of_requests(lab: ProxiedLab) -> None:
    keys = crowd(lab, 100)
    lab.apply(*grants(keys, "empty"))
    lab.proxy.forget()

    assert {outcome.kind for outcome in lab.apply(*grants(keys, "empty", Op.REVOKE))} == {APPLIED}

    assert lab.members("empty") == set()
    assert lab.proxy.counted("PATCH") == 1
    assert lab.proxy.counted() <= 5


def test_what_goes_and_what_comes_is_one_request(lab: ProxiedLab) -> None:
    outcomes = lab.apply(lab.revoke("smith", "docs-readers"), lab.grant("plain", "docs-readers"))

    assert [outcome.kind for outcome in outcomes] == [APPLIED, APPLIED]
    [[gone, came]] = patches(lab)
    assert (gone["op"], came["op"]) == ("remove", "add")


def test_a_large_change_is_split_where_the_settings_say_so(lab: ProxiedLab) -> None:
    keys = crowd(lab, 25)
    lab.configured(members_per_request=10)

    assert {outcome.kind for outcome in lab.apply(*grants(keys, "docs-readers"))} == {APPLIED}

    assert [len(operations[0]["value"]) for operations in patches(lab)] == [10, 10, 5]  # type: ignore[arg-type]
    versions = [asked.headers["If-Match"] for asked in lab.proxy.asked if asked.method == "PATCH"]
    assert len(set(versions)) == 3


def test_many_groups_with_few_members_each_are_one_bulk_request(lab: ProxiedLab) -> None:
    tenant = lab.lab.tenant
    lab.lab.groups |= {name: tenant.add_group(name) for name in (f"g{number}" for number in range(30))}

    steps = [lab.grant("plain", f"g{number}") for number in range(30)]

    outcomes = lab.apply(*steps, lab.grant("plain", "docs-readers"))

    assert {outcome.kind for outcome in outcomes} == {APPLIED}
    assert all(lab.members(f"g{number}") == {"plain"} for number in range(30))
    assert lab.proxy.counted("PATCH") == 0
    assert lab.proxy.counted("POST") == 1
    assert lab.proxy.counted() <= 7
    [bulk] = [asked.value for asked in lab.proxy.asked if asked.method == "POST"]
    assert all(operation["version"].startswith("W/") for operation in bulk["Operations"])


@pytest.mark.parametrize(("operations", "octets"), [(7, 1 << 20), (1000, 3000), (1000, 600)])
def test_a_bulk_request_is_no_larger_than_the_provider_takes(lab: ProxiedLab, operations: int, octets: int) -> None:
    tenant = lab.lab.tenant
    lab.lab.groups |= {name: tenant.add_group(name) for name in (f"g{number}" for number in range(20))}
    limits = {"supported": True, "maxOperations": operations, "maxPayloadSize": octets}
    features = {name: {"supported": True} for name in ("patch", "filter", "etag")}
    lab.proxy.always("GET", "/ServiceProviderConfig", json_reply({**features, "bulk": limits}))

    outcomes = lab.apply(*(lab.grant("plain", f"g{number}") for number in range(20)))

    assert {outcome.kind for outcome in outcomes} == {APPLIED}
    sent = [asked for asked in lab.proxy.asked if asked.method == "POST"]
    assert all(len(asked.value["Operations"]) <= operations and len(asked.body) <= octets for asked in sent)
    assert sum(len(asked.value["Operations"]) for asked in sent) + lab.proxy.counted("PATCH") == 20
    assert (lab.proxy.counted("PATCH") == 0) is (octets > 600)


@pytest.mark.parametrize("status", [404, 413, 501])
def test_where_bulk_is_not_taken_after_all_it_goes_one_by_one(lab: ProxiedLab, status: int) -> None:
    lab.proxy.always("POST", "/Bulk", error(status, "no"))

    outcomes = lab.apply(lab.grant("plain", "docs-readers"), lab.grant("plain", "核心算法"))

    assert [outcome.kind for outcome in outcomes] == [APPLIED, APPLIED]
    assert lab.proxy.counted("PATCH") == 2


def test_what_goes_wrong_in_a_bulk_request_concerns_itself_alone(lab: ProxiedLab) -> None:
    def one_fails(asked: Asked, reply: Reply) -> Reply:
        if asked.path != "/Bulk":
            return reply
        value = json.loads(reply.body)
        value["Operations"][0] |= {"status": "403", "response": {"detail": "not this one", "status": "403"}}
        return replace(reply, body=json.dumps(value).encode())

    def not_the_first(asked: Asked) -> Asked:
        if asked.path != "/Bulk":
            return asked
        value = asked.value
        value["Operations"][0]["data"]["Operations"] = [{"op": "replace", "path": "externalId", "value": "x"}]
        return replace(asked, body=json.dumps(value).encode())

    lab.proxy.answered, lab.proxy.rewritten = one_fails, not_the_first

    outcomes = lab.apply(lab.grant("plain", "docs-readers"), lab.grant("plain", "核心算法"))

    assert sorted(outcome.kind for outcome in outcomes) == [APPLIED, REFUSED]
    assert "not this one" in next(outcome.detail for outcome in outcomes if outcome.kind is REFUSED)


def test_nothing_is_sent_where_all_is_so_already(lab: ProxiedLab) -> None:
    outcomes = lab.apply(lab.grant("zhang", "docs-readers"), lab.revoke("plain", "docs-readers"))

    assert [outcome.kind for outcome in outcomes] == [ALREADY, ALREADY]
    assert lab.proxy.counted("PATCH", "PUT", "POST", "DELETE") == 0


# --- in which words ---------------------------------------------------------------------------------------------------


def test_the_standard_dialect(lab: ProxiedLab) -> None:
    lab.configured(accounts={"disable": "active"})

    lab.apply(lab.revoke("smith", "docs-readers"), lab.revoke("zhang", "docs-readers"))
    lab.apply(lab.lab.step(Op.DISABLE_ACCOUNT, "smith"))

    members, active = patches(lab)
    clauses = [f'value eq "{lab.lab.key(login)}"' for login in ("smith", "zhang")]
    assert members == [{"op": "remove", "path": f"members[{' or '.join(clauses)}]"}]
    assert active == [{"op": "replace", "path": "active", "value": False}]


def test_the_dialect_of_those_who_grew_up_with_okta(lab: ProxiedLab) -> None:
    lab.configured(dialect="okta", accounts={"disable": "active"})

    outcomes = lab.apply(
        lab.revoke("smith", "docs-readers"),
        lab.revoke("zhang", "docs-readers"),
        lab.grant("plain", "docs-readers"),
        lab.lab.step(Op.DISABLE_ACCOUNT, "smith"),
    )

    assert {outcome.kind for outcome in outcomes} == {APPLIED}
    active, members = patches(lab)
    assert active == [{"op": "replace", "value": {"active": False}}]
    assert members == [
        {"op": "remove", "path": f'members[value eq "{lab.lab.key("smith")}"]'},
        {"op": "remove", "path": f'members[value eq "{lab.lab.key("zhang")}"]'},
        {"op": "add", "path": "members", "value": [{"value": lab.lab.key("plain")}]},
    ]


def understands_entra(asked: Asked) -> Asked:
    """What a provider of that upbringing makes of a removal by values."""
    if asked.method != "PATCH":
        return asked
    value = asked.value
    for operation in value["Operations"]:
        if operation["op"] == "Remove":
            clauses = " or ".join(f'value eq "{member["value"]}"' for member in operation.pop("value"))
            operation["path"] = f"members[{clauses}]"
    return replace(asked, body=json.dumps(value).encode())


def test_the_dialect_of_those_who_grew_up_with_entra(lab: ProxiedLab) -> None:
    lab.configured(dialect="entra", accounts={"disable": "active"})
    lab.proxy.rewritten = understands_entra

    outcomes = lab.apply(
        lab.revoke("smith", "docs-readers"),
        lab.grant("plain", "docs-readers"),
        lab.lab.step(Op.DISABLE_ACCOUNT, "smith"),
    )

    assert {outcome.kind for outcome in outcomes} == {APPLIED}
    active, members = patches(lab)
    assert active == [{"op": "Replace", "path": "active", "value": "False"}]
    assert members == [
        {"op": "Remove", "path": "members", "value": [{"value": lab.lab.key("smith")}]},
        {"op": "Add", "path": "members", "value": [{"value": lab.lab.key("plain")}]},
    ]
    assert lab.lab.user("smith")["active"] is False


def test_the_wrong_dialect_is_refused_and_the_message_says_what_to_set(lab: ProxiedLab) -> None:
    lab.configured(dialect="entra")

    [outcome] = lab.apply(lab.revoke("smith", "docs-readers"))

    assert outcome.kind is REFUSED
    assert "400" in outcome.detail
    assert "carries no value" in outcome.detail
    assert "dialect" in outcome.detail


def test_put_is_used_where_there_is_no_patch_and_keeps_all_else(lab: ProxiedLab) -> None:
    lab.configured(without=["patch"], accounts={"disable": "active"})
    path = f"/Groups/{lab.lab.groups['docs-readers']}"
    lab.lab.tenant.patch(path, {"op": "replace", "path": "externalId", "value": "keep me"})

    outcomes = lab.apply(
        lab.revoke("smith", "docs-readers"),
        lab.grant("plain", "docs-readers"),
        lab.lab.step(Op.DISABLE_ACCOUNT, "muller"),
    )

    assert {outcome.kind for outcome in outcomes} == {APPLIED}
    assert lab.members("docs-readers") == {"zhang", "plain"}
    assert lab.lab.tenant.get(path)["externalId"] == "keep me"
    assert lab.lab.user("muller")["active"] is False
    assert lab.lab.user("muller")["externalId"] == "E1003"
    assert lab.proxy.counted("PUT") == 2
    assert all("If-Match" in asked.headers for asked in lab.proxy.asked if asked.method == "PUT")


def test_a_put_takes_nobody_away_whom_the_provider_shows_only_to_who_asks(lab: ProxiedLab) -> None:
    lab.configured(without=["patch"])

    def without_members(asked: Asked, reply: Reply) -> Reply:
        if asked.method != "GET" or not asked.path.startswith("/Groups/") or "attributes" in asked.query:
            return reply
        value = {name: each for name, each in json.loads(reply.body).items() if name != "members"}
        return replace(reply, body=json.dumps(value).encode())

    lab.proxy.answered = without_members

    [outcome] = lab.apply(lab.grant("plain", "docs-readers"))

    assert outcome.kind is REFUSED
    assert "only to who asks" in outcome.detail
    assert lab.members("docs-readers") == {"zhang", "smith"}


def test_f8_without_patch_and_without_versions_nothing_is_replaced(lab: ProxiedLab) -> None:
    lab.configured(without=["patch", "etag"])

    [outcome] = lab.apply(lab.grant("plain", "docs-readers"))

    assert outcome.kind is REFUSED
    assert "neither PATCH nor versions" in outcome.detail
    assert lab.proxy.counted("PUT", "PATCH") == 0
    assert [finding.kind for finding in lab.target.probe()] == ["missing-feature"]


# --- what happens in between ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("without", [[], ["patch"]])
def test_f8_what_somebody_else_changes_in_between_stays(lab: ProxiedLab, without: list[str]) -> None:
    lab.configured(without=without)
    path = f"/Groups/{lab.lab.groups['docs-readers']}"
    added = [{"value": lab.lab.key("muller")}]

    def meanwhile(asked: Asked) -> Reply | None:
        if asked.method in ("PATCH", "PUT") and lab.proxy.counted("PATCH", "PUT") == 1:
            lab.lab.tenant.patch(path, {"op": "add", "path": "members", "value": added})
        return None

    lab.proxy.instead = meanwhile

    [outcome] = lab.apply(lab.grant("plain", "docs-readers"))

    assert outcome.kind is APPLIED
    assert lab.members("docs-readers") == {"zhang", "smith", "muller", "plain"}
    assert lab.proxy.counted("PATCH", "PUT") == 2


def test_what_is_changed_all_the_time_is_left_for_later(lab: ProxiedLab) -> None:
    lab.proxy.always("PATCH", "/Groups", error(412, "changed"))

    [outcome] = lab.apply(lab.grant("plain", "docs-readers"))

    assert outcome.kind is UNAVAILABLE
    assert "without: [etag]" in outcome.detail
    assert lab.proxy.counted("PATCH") < 10


def test_a_group_that_was_renamed_in_between_is_another(lab: ProxiedLab) -> None:
    path = f"/Groups/{lab.lab.groups['docs-readers']}"

    def renamed(asked: Asked) -> Reply | None:
        if asked.path == path:
            lab.lab.tenant.patch(path, {"op": "replace", "path": "displayName", "value": "something else"})
        return None

    lab.proxy.instead = renamed

    [outcome] = lab.apply(lab.grant("plain", "docs-readers"))

    assert outcome.kind is STALE
    assert lab.members("docs-readers") == {"zhang", "smith"}


def test_f4_done_that_did_nothing_is_no_success(lab: ProxiedLab) -> None:
    lab.configured(accounts={"disable": "active", "delete": True})
    lab.proxy.instead = lambda asked: Reply(200, b"{}") if asked.method in ("PATCH", "DELETE") else None

    outcomes = lab.apply(
        lab.grant("plain", "docs-readers"),
        lab.lab.step(Op.DISABLE_ACCOUNT, "smith"),
        lab.lab.step(Op.DELETE_ACCOUNT, "zhang"),
    )

    assert [outcome.kind for outcome in outcomes] == [REFUSED] * 3
    assert all("nothing has changed" in outcome.detail for outcome in outcomes)


def test_a_lost_answer_is_looked_for_and_not_sent_twice(lab: ProxiedLab) -> None:
    lab.configured(accounts={"disable": "active"})
    lab.proxy.answered = lambda asked, reply: (
        Reply(200, b"lost" * 9, cut=3, headers={}) if asked.method == "PATCH" else reply
    )

    outcomes = lab.apply(lab.grant("plain", "docs-readers"), lab.lab.step(Op.DISABLE_ACCOUNT, "smith"))

    assert [outcome.kind for outcome in outcomes] == [APPLIED, APPLIED]
    assert lab.proxy.counted("PATCH") == 2


def test_what_cannot_be_read_back_is_left_open_and_not_called_refused(lab: ProxiedLab) -> None:
    lab.configured(accounts={"disable": "active"})

    def then_closed(asked: Asked) -> Reply | None:
        return error(403, "closed") if asked.method == "GET" and lab.proxy.counted("PATCH") else None

    lab.proxy.instead = then_closed
    outcomes = lab.apply(lab.grant("plain", "docs-readers"))
    lab.proxy.forget()
    outcomes = [*outcomes, *lab.apply(lab.lab.step(Op.DISABLE_ACCOUNT, "smith"))]

    assert [outcome.kind for outcome in outcomes] == [UNAVAILABLE, UNAVAILABLE]
    assert lab.members("docs-readers") == {"zhang", "smith", "plain"}
    assert lab.lab.user("smith")["active"] is False


def test_f5_users_that_cannot_be_read_keep_nobody_in_a_group(lab: ProxiedLab) -> None:
    lab.configured(accounts={"disable": "active"}, retry={"attempts": 1})
    lab.proxy.always("GET", "/Users", error(500, "oops"))

    outcomes = lab.apply(lab.lab.step(Op.DISABLE_ACCOUNT, "smith"), lab.revoke("smith", "docs-readers"))

    assert [outcome.kind for outcome in outcomes] == [UNAVAILABLE, APPLIED]
    assert lab.members("docs-readers") == {"zhang"}


def test_a_lost_request_may_be_tried_again(lab: ProxiedLab) -> None:
    lab.proxy.instead = lambda asked: Reply(200, b"lost" * 9, cut=3) if asked.method == "PATCH" else None

    [outcome] = lab.apply(lab.grant("plain", "docs-readers"))

    assert outcome.kind is UNAVAILABLE
    assert lab.members("docs-readers") == {"zhang", "smith"}


def test_one_refused_member_does_not_keep_the_others_out(lab: ProxiedLab) -> None:
    keys = crowd(lab, 20)
    bad = keys[13]
    lab.proxy.instead = lambda asked: (
        error(400, f"no such user {bad}") if asked.method == "PATCH" and bad.encode() in asked.body else None
    )

    outcomes = lab.apply(*grants(keys, "docs-readers"), lab.revoke("smith", "docs-readers"))

    assert [number for number, outcome in enumerate(outcomes) if outcome.kind is not APPLIED] == [13]
    assert bad in outcomes[13].detail
    assert lab.proxy.counted("PATCH") < 14


def test_a_provider_that_takes_few_members_at_once_gets_few_at_once(lab: ProxiedLab) -> None:
    keys = crowd(lab, 60)
    lab.proxy.instead = lambda asked: (
        error(400, "at most 10 members") if asked.method == "PATCH" and len(members_in(asked)) > 10 else None
    )

    assert {outcome.kind for outcome in lab.apply(*grants(keys, "docs-readers"))} == {APPLIED}

    assert len(lab.members("docs-readers")) == 62
    assert lab.proxy.counted("PATCH") <= 15


def members_in(asked: Asked) -> list[object]:
    """Who is to come, by a PATCH."""
    return [member for operation in asked.value["Operations"] for member in operation["value"]]


def test_what_is_not_about_the_members_is_not_asked_of_each_of_them(lab: ProxiedLab) -> None:
    keys = crowd(lab, 200)
    lab.configured(without=["bulk"])
    lab.proxy.always("PATCH", "/Groups", error(400, "invalidPath"))

    outcomes = lab.apply(*grants(keys, "docs-readers"), *grants(keys, "empty"))

    assert {outcome.kind for outcome in outcomes} == {REFUSED}
    assert lab.proxy.counted("PATCH") < 25


def test_a_provider_that_does_not_answer_is_not_asked_for_every_group(lab: ProxiedLab) -> None:
    lab.configured(without=["bulk"])
    lab.proxy.always("PATCH", "/Groups", error(503, "down", Retry_After="5"))

    outcomes = lab.apply(*(lab.grant("plain", group) for group in ("docs-readers", "核心算法", "empty")))

    assert [(outcome.kind, outcome.retry_after) for outcome in outcomes] == [(UNAVAILABLE, 5.0)] * 3
    assert lab.proxy.counted("PATCH") == 1


def test_429_is_told_with_the_time_to_wait_and_not_pressed(lab: ProxiedLab) -> None:
    lab.proxy.always("PATCH", "/Groups", error(429, "slowly", Retry_After="17"))

    [outcome] = lab.apply(lab.grant("plain", "docs-readers"))

    assert (outcome.kind, outcome.retry_after) == (UNAVAILABLE, 17.0)
    assert lab.proxy.counted("PATCH") == 1


@pytest.mark.parametrize(
    ("status", "words"), [(403, "provision users"), (409, "contradicts"), (401, "token"), (405, "`without`")]
)
def test_what_is_refused_says_why(lab: ProxiedLab, status: int, words: str) -> None:
    lab.proxy.always("PATCH", "/Groups", error(status, "我不愿意"))

    [outcome] = lab.apply(lab.grant("plain", "docs-readers"))

    assert outcome.kind is REFUSED
    assert f"it answers {status}" in outcome.detail
    assert words in outcome.detail
    assert "我不愿意" in outcome.detail


def test_a_provider_that_is_gone_leaves_all_steps_open(lab: ProxiedLab) -> None:
    lab.configured(retry={"attempts": 1})
    lab.proxy.instead = lambda asked: error(503, "down")

    outcomes = lab.apply(lab.grant("plain", "docs-readers"), lab.revoke("smith", "docs-readers"))

    assert [outcome.kind for outcome in outcomes] == [UNAVAILABLE, UNAVAILABLE]


def test_a_stranger_who_is_an_account_by_now_is_none(lab: ProxiedLab) -> None:
    [outcome] = lab.apply(Step(Op.REVOKE, "", lab.lab.key("smith"), {"group": "docs-readers"}))

    assert outcome.kind is STALE
    assert lab.members("docs-readers") == {"zhang", "smith"}
