"""What a provider is told of accounts themselves: disabled, deleted, created; and values of their attributes."""

from __future__ import annotations

import json

import pytest

from reconciler.targets import Op, OutcomeKind, Step
from tests.adapters.scim.lab import ProxiedLab
from tests.servers.hr_api import Reply
from tests.servers.scim_proxy import Asked, error, json_reply

APPLIED, ALREADY, STALE = OutcomeKind.APPLIED, OutcomeKind.ALREADY, OutcomeKind.STALE
REFUSED, UNAVAILABLE = OutcomeKind.REFUSED, OutcomeKind.UNAVAILABLE


def crowd(lab: ProxiedLab, count: int) -> list[str]:
    return lab.lab.tenant.add_users([{"userName": f"c{number}"} for number in range(count)])


# --- accounts ---------------------------------------------------------------------------------------------------------

CREATE = {
    "attributes": {
        "userName": "{id|lower}",
        "externalId": "{id}",
        "name.familyName": "{name}",
        'emails[type eq "work"].value': "{id|lower}@example.com",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber": "{id}",
    }
}


def test_accounts_are_disabled_and_enabled_and_deleted_once(lab: ProxiedLab) -> None:
    lab.configured(accounts={"disable": "active", "delete": True})
    ops = (Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT, Op.DELETE_ACCOUNT)
    assert lab.target.describe().ops == {Op.GRANT, Op.REVOKE, *ops}

    for op in ops:
        step = lab.lab.step(op, "smith")
        assert [outcome.kind for outcome in lab.apply(step)] == [APPLIED]
        assert [outcome.kind for outcome in lab.apply(step)] == [ALREADY]
        if op is not Op.DELETE_ACCOUNT:
            assert lab.lab.user("smith")["active"] is (op is Op.ENABLE_ACCOUNT)
    assert {account.login for account in lab.observe().accounts.accounts} == {"zhang", "muller", "plain"}
    assert [outcome.kind for outcome in lab.apply(lab.lab.step(Op.DISABLE_ACCOUNT, "smith"))] == [STALE]


def test_nothing_is_done_with_accounts_unless_the_settings_say_so(lab: ProxiedLab) -> None:
    steps = [lab.lab.step(op, "smith") for op in (Op.DISABLE_ACCOUNT, Op.DELETE_ACCOUNT, Op.CREATE_ACCOUNT)]

    assert [outcome.kind for outcome in lab.apply(*steps)] == [REFUSED] * 3
    assert lab.proxy.counted("PATCH", "DELETE", "POST") == 0


def test_many_leavers_are_disabled_in_one_request(lab: ProxiedLab) -> None:
    keys = crowd(lab, 50)
    lab.configured(accounts={"disable": "active"})

    outcomes = lab.apply(*(Step(Op.DISABLE_ACCOUNT, key, key) for key in keys))

    assert {outcome.kind for outcome in outcomes} == {APPLIED}
    assert lab.proxy.counted("POST") == 1
    assert lab.proxy.counted() <= 12


def test_d5_our_own_account_is_left_alone(lab: ProxiedLab) -> None:
    lab.configured(accounts={"disable": "active", "delete": True})
    lab.proxy.instead = lambda asked: (
        Reply(200, json.dumps({"id": lab.lab.key("zhang")}).encode()) if asked.path == "/Me" else None
    )

    outcomes = lab.apply(lab.lab.step(Op.DISABLE_ACCOUNT, "zhang"), lab.lab.step(Op.DISABLE_ACCOUNT, "smith"))

    assert [outcome.kind for outcome in outcomes] == [REFUSED, APPLIED]


def test_a6_whom_to_leave_alone_is_not_forgotten_in_a_bad_minute(lab: ProxiedLab) -> None:
    lab.configured(accounts={"disable": "active"}, retry={"attempts": 1})
    lab.proxy.always("GET", "/Me", error(503, "busy"))

    [outcome] = lab.apply(lab.lab.step(Op.DISABLE_ACCOUNT, "zhang"))

    assert outcome.kind is UNAVAILABLE
    assert lab.lab.user("zhang")["active"] is True
    lab.configured(accounts={"disable": "active"}, without=["me"])
    assert [outcome.kind for outcome in lab.apply(lab.lab.step(Op.DISABLE_ACCOUNT, "zhang"))] == [APPLIED]


@pytest.mark.parametrize("without", [[], ["filter"]])
def test_an_account_is_created_from_the_template_once(lab: ProxiedLab, without: list[str]) -> None:
    lab.configured(accounts={"create": CREATE}, without=without)
    assert lab.target.creation_attributes() == ["id", "name"]
    step = Step(Op.CREATE_ACCOUNT, "", "", {}, {"id": "E2001", "name": '王 "芳"'})

    [first] = lab.apply(step)
    [second] = lab.apply(step)

    assert (first.kind, second.kind) == (APPLIED, ALREADY)
    [account] = [account for account in lab.observe().accounts.accounts if account.match.get("id") == "E2001"]
    made = lab.lab.tenant.get(f"/Users/{account.key}")
    assert (made["userName"], made["name"]["familyName"], made["active"]) == ("e2001", '王 "芳"', True)
    assert made["emails"] == [{"type": "work", "value": "e2001@example.com"}]
    assert made["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"] == {"employeeNumber": "E2001"}


@pytest.mark.parametrize("without", [[], ["filter"]])
def test_many_newcomers_are_looked_for_and_read_back_all_at_once(lab: ProxiedLab, without: list[str]) -> None:
    lab.configured(accounts={"create": CREATE}, without=without)
    people = [{"id": f"E3{number:03}", "name": "x"} for number in (*range(30), 7)]

    outcomes = lab.apply(*(Step(Op.CREATE_ACCOUNT, "", "", {}, person) for person in people))

    assert [outcome.kind for outcome in outcomes] == [APPLIED] * 30 + [ALREADY]
    assert lab.proxy.counted("POST") == 30
    assert lab.proxy.counted("GET") <= 5


def test_newcomers_who_are_not_in_a_part_of_the_list_may_be_there(lab: ProxiedLab) -> None:
    lab.configured(accounts={"create": CREATE}, without=["filter"])

    def cut(asked: Asked, reply: Reply) -> Reply:
        if asked.path != "/Users" or lab.proxy.counted("POST") < 2 or asked.method != "GET":
            return reply
        return json_reply({"totalResults": 99, "Resources": []})

    lab.proxy.answered = cut

    people = ({"id": f"E3{number}", "name": "x"} for number in range(2))
    outcomes = lab.apply(*(Step(Op.CREATE_ACCOUNT, "", "", {}, person) for person in people))

    assert [outcome.kind for outcome in outcomes] == [UNAVAILABLE] * 2
    assert "may not be whole" in outcomes[0].detail


def test_two_matches_are_asked_for_together(lab: ProxiedLab) -> None:
    lab.configured(match={"externalId": "id", "userName": "email"})

    assert lab.target.keys_matching({"id": "E1002", "email": "smith"}) == {lab.lab.key("smith")}
    assert lab.target.keys_matching({"id": "E1002", "email": "zhang"}) == set()


def test_a_name_that_is_somebody_elses_is_refused(lab: ProxiedLab) -> None:
    lab.lab.tenant.add_users([{"userName": "E2001"}])
    lab.configured(accounts={"create": CREATE})

    [outcome] = lab.apply(Step(Op.CREATE_ACCOUNT, "", "", {}, {"id": "E2001", "name": "x"}))

    assert outcome.kind is REFUSED
    assert "409" in outcome.detail


# --- values of attributes ---------------------------------------------------------------------------------------------


def test_values_of_an_attribute_are_entitlements(lab: ProxiedLab) -> None:
    lab.configured(accounts={"attributes": ["roles"]})
    lab.lab.tenant.patch(
        f"/Users/{lab.lab.key('smith')}",
        {"op": "add", "path": "roles", "value": [{"value": "Auditor"}, {"value": "other"}]},
    )
    locator = {"attribute": "roles", "value": "auditor"}

    observation = lab.target.observe([locator])
    [read] = observation.entitlements.values()
    assert {observation.accounts.accounts[each].login for each in read.members} == {"smith"}

    steps = [lab.lab.step(Op.REVOKE, "smith", **locator), lab.lab.step(Op.GRANT, "plain", **locator)]
    assert [outcome.kind for outcome in lab.apply(*steps)] == [APPLIED, APPLIED]
    assert [outcome.kind for outcome in lab.apply(*steps)] == [ALREADY, ALREADY]
    assert lab.lab.user("smith")["roles"] == [{"value": "other"}]
    assert lab.lab.user("plain")["roles"] == [{"value": "auditor"}]
    assert lab.proxy.counted("POST") == 1


def test_creations_that_nobody_answers_are_not_tried_one_after_the_other(lab: ProxiedLab) -> None:
    lab.configured(accounts={"create": CREATE}, retry={"attempts": 1})
    lab.proxy.always("POST", "/Users", error(503, "busy"))

    people = ({"id": f"E3{number}", "name": "x"} for number in range(5))
    outcomes = lab.apply(*(Step(Op.CREATE_ACCOUNT, "", "", {}, person) for person in people))

    assert {outcome.kind for outcome in outcomes} == {UNAVAILABLE}
    assert lab.proxy.counted("POST") == 1
