"""Changes of a declared system: few requests, each read back, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from adapters.http.pace import Pace
from reconciler.targets import GIVING, Op, Outcome, OutcomeKind, Step
from reconciler.testing.targets import LabAccount, entitlement, grant, observe, revoke, seen
from tests.adapters.http.lab import ScimLab, target
from tests.adapters.http.test_faults import changed
from tests.servers.hr_api import HrApi, Reply, serving, text_reply
from tests.servers.scim import TOKEN, ScimServer
from tests.servers.scim_proxy import Asked, ScimProxy, error, json_reply

APPLIED, ALREADY, STALE = OutcomeKind.APPLIED, OutcomeKind.ALREADY, OutcomeKind.STALE
REFUSED, UNAVAILABLE = OutcomeKind.REFUSED, OutcomeKind.UNAVAILABLE
ONE_BY_ONE = {"op": "add", "path": "members", "value": [{"value": "{account.key}"}]}


def outcomes(lab: ScimLab, *steps: Step) -> Sequence[Outcome]:
    with lab.target.writer() as writer:
        found = writer.apply(steps)
    assert TOKEN not in repr(found)
    return found


def kinds(lab: ScimLab, *steps: Step) -> list[OutcomeKind]:
    return [outcome.kind for outcome in outcomes(lab, *steps)]


def of_account(lab: ScimLab, op: Op, login: str) -> Step:
    return Step(op, lab.key(login), lab.account_name(login))


def one_by_one(lab: ScimLab, **more: object) -> None:
    """One member per request, as most systems have it."""
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [ONE_BY_ONE]}
    add = {"method": "PATCH", "path": "Groups/{entitlement.id}", "body": body, **more}
    lab.settings = {**lab.settings, "add": add}
    lab.target = target(lab.settings)


def sent(proxy: ScimProxy) -> list[Asked]:
    return [asked for asked in proxy.asked if asked.method != "GET"]


# --- few requests -----------------------------------------------------------------------------------------------------


def test_f11_a_thousand_members_are_two_requests(scim: ScimServer, proxy: ScimProxy) -> None:
    people = [LabAccount(f"u{number}", f"E{number}", f"员工 {number}") for number in range(1000)]
    tenant = scim.tenant()
    proxy.upstream = tenant.url
    lab = ScimLab(tenant, people, {"all": []}, proxy.url)
    steps = [grant(lab, "all", person.login) for person in people]

    assert set(kinds(lab, *steps)) == {APPLIED}
    assert [(asked.method, asked.path.split("/")[1]) for asked in proxy.asked] == [
        ("GET", "Users"),
        ("GET", "Users"),
        ("GET", "Groups"),
        ("PATCH", "Groups"),
        ("PATCH", "Groups"),
        ("GET", "Groups"),
    ]
    assert len(lab.members("all")) == 1000


def test_one_person_is_read_without_reading_everybody(lab: ScimLab, proxy: ScimProxy) -> None:
    assert kinds(lab, grant(lab, "docs-readers", "plain")) == [APPLIED]
    assert all(asked.path != "/Users" for asked in proxy.asked)


def test_a_batch_of_which_one_fails_is_sent_in_halves(lab: ScimLab, proxy: ScimProxy) -> None:
    bad = lab.key("muller")

    def instead(asked: Asked) -> Reply | None:
        return error(400, "no such member") if asked.method == "PATCH" and bad.encode() in asked.body else None

    proxy.instead = instead
    found = outcomes(lab, *(grant(lab, "unmanaged", login) for login in ("smith", "muller", "zhang")))

    assert [outcome.kind for outcome in found] == [APPLIED, REFUSED, ALREADY]
    assert "no such member" in found[1].detail
    assert lab.members("unmanaged") == {"zhang", "plain", "smith"}


def test_what_is_refused_to_everybody_is_not_asked_for_everybody(scim: ScimServer, proxy: ScimProxy) -> None:
    people = [LabAccount(f"u{number}", f"E{number}", f"员工 {number}") for number in range(300)]
    tenant = scim.tenant()
    proxy.upstream = tenant.url
    lab = ScimLab(tenant, people, {"all": []}, proxy.url)
    steps = [grant(lab, "all", person.login) for person in people]

    for reply, kind, least, most in (
        (Reply(400), REFUSED, 20, 61),
        (Reply(403), REFUSED, 1, 1),
        (Reply(404), STALE, 1, 1),
    ):
        proxy.always("PATCH", "/", reply)
        proxy.forget()
        assert set(kinds(lab, *steps)) == {kind}
        assert least <= proxy.counted("PATCH") <= most


def test_steps_may_be_one_per_request(lab: ScimLab, proxy: ScimProxy) -> None:
    one_by_one(lab)

    assert kinds(lab, grant(lab, "docs-readers", "plain"), grant(lab, "docs-readers", "muller")) == [APPLIED, APPLIED]
    assert proxy.counted("PATCH") == 2
    assert lab.members("docs-readers") == {"zhang", "smith", "plain", "muller"}


# --- read back --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [Reply(200), Reply(204, b""), json_reply({"status": "ok"}), text_reply("done")])
def test_a_200_that_did_nothing_is_caught(lab: ScimLab, proxy: ScimProxy, reply: Reply) -> None:
    proxy.always("PATCH", "/", reply)

    found = outcomes(lab, grant(lab, "docs-readers", "plain"), revoke(lab, "docs-readers", "smith"))

    assert [outcome.kind for outcome in found] == [REFUSED, REFUSED]
    assert all("nothing changed" in outcome.detail for outcome in found)


def test_what_was_accepted_and_is_not_so_yet_is_not_done(lab: ScimLab, proxy: ScimProxy) -> None:
    proxy.always("PATCH", "/", Reply(202, b""))

    (outcome,) = outcomes(lab, grant(lab, "docs-readers", "plain"))

    assert outcome.kind is UNAVAILABLE
    assert "not so yet" in outcome.detail


def test_an_answer_that_is_lost_after_it_took_effect(lab: ScimLab, proxy: ScimProxy) -> None:
    proxy.answered = lambda asked, reply: Reply(200, b"{}" * 9, cut=3) if asked.method == "PATCH" else reply

    assert kinds(lab, grant(lab, "docs-readers", "plain")) == [APPLIED]
    assert lab.members("docs-readers") == {"zhang", "smith", "plain"}


def test_what_cannot_be_read_back_is_left_open(lab: ScimLab, proxy: ScimProxy) -> None:
    def instead(asked: Asked) -> Reply | None:
        return Reply(500) if sent(proxy) and asked.method == "GET" else None

    proxy.instead = instead
    (outcome,) = outcomes(lab, grant(lab, "docs-readers", "plain"))

    assert outcome.kind is UNAVAILABLE
    assert "cannot be read" in outcome.detail
    assert lab.members("docs-readers") == {"zhang", "smith", "plain"}


@pytest.mark.parametrize("reply", [Reply(500), Reply(403), text_reply("<html>")])
def test_an_account_that_cannot_be_read_back_is_left_open(lab: ScimLab, proxy: ScimProxy, reply: Reply) -> None:
    proxy.instead = lambda asked: reply if sent(proxy) and asked.method == "GET" else None

    (outcome,) = outcomes(lab, of_account(lab, Op.DISABLE_ACCOUNT, "smith"))

    assert outcome.kind is UNAVAILABLE
    assert "cannot be read" in outcome.detail
    assert not lab.enabled("smith")


def test_without_reading_back_the_answer_counts(lab: ScimLab, proxy: ScimProxy) -> None:
    lab.target = target({**lab.settings, "read_back": False})
    proxy.always("PATCH", "/", Reply(204, b""))

    assert kinds(lab, grant(lab, "docs-readers", "plain")) == [APPLIED]
    assert [asked.method for asked in proxy.asked] == ["GET", "GET", "PATCH"]


def test_without_reading_back_contradicting_steps_are_carried_out_in_their_order(lab: ScimLab) -> None:
    lab.target = target({**lab.settings, "read_back": False})
    steps = [
        make(lab, "docs-readers", login) for login in ("plain", "smith") for make in (grant, revoke, grant, revoke)
    ]

    assert kinds(lab, *steps) == [APPLIED] * 4 + [ALREADY] + [APPLIED] * 3
    assert lab.members("docs-readers") == {"zhang"}


# --- what answers mean ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply(400, b'{"detail": "what?"}'), REFUSED, "answers 400, “what?”"),
        (Reply(401), REFUSED, "answers 401"),
        (error(403, f"not with {TOKEN}"), REFUSED, "not with …"),
        (Reply(404), STALE, "answers 404"),
        (Reply(409), REFUSED, "answers 409"),
        (Reply(410), STALE, "answers 410"),
        (Reply(412), STALE, "answers 412"),
        (Reply(500), UNAVAILABLE, "answers 500"),
        (text_reply("<html><title>Sign in</title></html>"), REFUSED, "page for browsers, titled “Sign in”"),
        (json_reply({"success": False, "message": "quota"}), REFUSED, "“quota”"),
        (Reply(302, headers={"Location": "/elsewhere"}), REFUSED, "redirects (302)"),
        (Reply(307, headers={"Location": "https://elsewhere.example/"}), REFUSED, "redirects (307) to another server"),
    ],
)
def test_an_answer_has_its_meaning(lab: ScimLab, proxy: ScimProxy, reply: Reply, kind: OutcomeKind, words: str) -> None:
    proxy.always("PATCH", "/", reply)
    before = lab.picture()

    (outcome,) = outcomes(lab, grant(lab, "docs-readers", "plain"))

    assert outcome.kind is kind
    assert words in outcome.detail
    assert lab.picture() == before


def test_f10_a_removal_that_answers_404_is_no_success_while_the_member_is_there(lab: ScimLab, proxy: ScimProxy) -> None:
    proxy.always("PATCH", "/", Reply(404))

    assert kinds(lab, revoke(lab, "docs-readers", "smith")) == [STALE]
    assert "smith" in lab.members("docs-readers")


def test_a_meaning_may_be_declared(lab: ScimLab, proxy: ScimProxy) -> None:
    one_by_one(lab, statuses={"stale": [409], "unavailable": [423]})

    for status, kind in ((409, STALE), (423, UNAVAILABLE)):
        proxy.always("PATCH", "/", Reply(status))
        assert kinds(lab, grant(lab, "docs-readers", "plain")) == [kind]


def test_success_may_be_declared_in_the_body(lab: ScimLab, proxy: ScimProxy) -> None:
    lab.target = target({**lab.settings, "success": {"$.schemas[0]": "urn:ok"}})

    with pytest.raises(Exception, match="where success is `urn:ok`"):
        observe(lab, "docs-readers")


def test_an_answer_of_no_use_does_not_unsay_what_is_seen(lab: ScimLab, proxy: ScimProxy) -> None:
    """Somebody else was quicker: the system says 409, and it is so."""

    def instead(asked: Asked) -> Reply | None:
        if asked.method != "PATCH":
            return None
        lab.put("docs-readers", "plain")
        return Reply(409)

    proxy.instead = instead

    assert kinds(lab, grant(lab, "docs-readers", "plain")) == [ALREADY]


@pytest.mark.parametrize("status", [429, 503])
def test_who_is_told_to_come_back_later_sends_nothing_more(lab: ScimLab, proxy: ScimProxy, status: int) -> None:
    one_by_one(lab)
    proxy.always("PATCH", "/", Reply(status, headers={"Retry-After": "30"}))

    found = outcomes(lab, grant(lab, "docs-readers", "plain"), grant(lab, "docs-readers", "muller"))

    assert [(outcome.kind, outcome.retry_after) for outcome in found] == [(UNAVAILABLE, 30)] * 2
    assert proxy.counted("PATCH") == 1
    proxy.instead = lambda asked: None
    assert kinds(lab, grant(lab, "docs-readers", "plain")) == [APPLIED]


def test_credentials_that_are_not_accepted_are_not_tried_again_and_again(lab: ScimLab, proxy: ScimProxy) -> None:
    one_by_one(lab)
    proxy.always("PATCH", "/", Reply(401))

    assert kinds(lab, grant(lab, "docs-readers", "plain"), grant(lab, "docs-readers", "muller")) == [REFUSED] * 2
    assert proxy.counted("PATCH") == 1


def test_a_system_that_is_away_makes_all_steps_unavailable(lab: ScimLab) -> None:
    lab.target = target({**lab.settings, "url": "http://127.0.0.1:9/v2"})

    assert kinds(lab, grant(lab, "docs-readers", "plain"), revoke(lab, "核心算法", "muller")) == [UNAVAILABLE] * 2


def test_the_token_does_not_follow_a_write_to_another_host(lab: ScimLab, proxy: ScimProxy) -> None:
    with serving(HrApi([])) as elsewhere:
        proxy.always("PATCH", "/", Reply(307, headers={"Location": elsewhere.url}))

        assert kinds(lab, grant(lab, "docs-readers", "plain")) == [REFUSED]
        assert elsewhere.asked == []


def test_the_same_key_goes_with_what_is_sent_again_and_with_nothing_else(lab: ScimLab, proxy: ScimProxy) -> None:
    one_by_one(lab, idempotency="Idempotency-Key")
    proxy.once("PATCH", "/", Reply(200, b"{}" * 9, cut=3))

    assert kinds(lab, grant(lab, "docs-readers", "plain"), grant(lab, "docs-readers", "muller")) == [APPLIED, APPLIED]
    first, again, other = (asked.headers["Idempotency-Key"] for asked in sent(proxy))
    assert first == again != other


def test_without_a_key_nothing_is_sent_twice(lab: ScimLab, proxy: ScimProxy) -> None:
    one_by_one(lab)
    proxy.once("PATCH", "/", Reply(500))

    assert kinds(lab, grant(lab, "docs-readers", "plain")) == [UNAVAILABLE]
    assert proxy.counted("PATCH") == 1


# --- accounts ---------------------------------------------------------------------------------------------------------


def test_an_account_is_disabled_enabled_and_deleted(lab: ScimLab) -> None:
    for op, enabled in ((Op.DISABLE_ACCOUNT, False), (Op.ENABLE_ACCOUNT, True)):
        assert kinds(lab, of_account(lab, op, "smith")) == [APPLIED]
        assert lab.enabled("smith") is enabled
        observed = {each.login: each.enabled for each in observe(lab, "docs-readers").accounts.accounts}
        assert observed["smith"] is enabled
        assert kinds(lab, of_account(lab, op, "smith")) == [ALREADY]

    assert kinds(lab, of_account(lab, Op.DELETE_ACCOUNT, "smith")) == [APPLIED]
    assert "smith" not in {user["userName"] for user in lab.tenant.everything("Users")}
    assert kinds(lab, of_account(lab, Op.DELETE_ACCOUNT, "smith")) == [ALREADY]
    assert kinds(lab, of_account(lab, Op.DISABLE_ACCOUNT, "smith")) == [STALE]


def test_giving_comes_last_and_taking_first(lab: ScimLab, proxy: ScimProxy) -> None:
    steps = [
        of_account(lab, Op.ENABLE_ACCOUNT, "plain"),
        grant(lab, "docs-readers", "plain"),
        revoke(lab, "docs-readers", "smith"),
        of_account(lab, Op.DISABLE_ACCOUNT, "smith"),
    ]
    lab.tenant.patch(f"/Users/{lab.key('plain')}", {"op": "replace", "path": "active", "value": False})

    assert kinds(lab, *steps) == [APPLIED] * 4
    said = [json.loads(asked.body)["Operations"][0] for asked in sent(proxy)]
    assert [each.get("value") for each in said] == [False, None, [{"value": lab.key("plain")}], True]
    assert {steps[0].op, steps[1].op} <= GIVING


def test_disabling_that_did_nothing_is_caught(lab: ScimLab, proxy: ScimProxy) -> None:
    proxy.always("PATCH", "/Users", Reply(200))

    (outcome,) = outcomes(lab, of_account(lab, Op.DISABLE_ACCOUNT, "smith"))

    assert outcome.kind is REFUSED
    assert "nothing changed" in outcome.detail


def test_d5_the_reconcilers_own_account_is_left_alone(lab: ScimLab) -> None:
    lab.target = target({**lab.settings, "own": "smith"})

    assert lab.key("smith") in observe(lab, "docs-readers").own
    found = outcomes(lab, revoke(lab, "docs-readers", "smith"), of_account(lab, Op.DISABLE_ACCOUNT, "smith"))
    assert [outcome.kind for outcome in found] == [REFUSED, REFUSED]
    assert all("reconciler itself" in outcome.detail for outcome in found)


# --- names ------------------------------------------------------------------------------------------------------------

HOSTILE = [
    "a/b",
    "..",
    "核心算法",
    'say "hi"',
    "line\nbreak",
    "50% & more; rm -rf",
    "{account.key}",
    "مرحبا",
    "😀",
    "a\\b",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_simply_work(scim: ScimServer, name: str) -> None:
    people = [LabAccount(f"u-{name}", f"E-{name}", name), LabAccount("plain", "E1", "Plain")]
    lab = ScimLab(scim.tenant(), people, {name: [], "other": []})

    assert kinds(lab, grant(lab, name, f"u-{name}")) == [APPLIED]
    observation = observe(lab, name)
    assert seen(observation) == {f"u-{name}"} == lab.members(name)
    assert entitlement(observation).name == name
    assert kinds(lab, revoke(lab, name, f"u-{name}")) == [APPLIED]
    assert lab.members(name) == lab.members("other") == set()


def test_c2_members_that_are_named_by_a_login_in_other_case(scim: ScimServer) -> None:
    lab = ScimLab(scim.tenant(), [LabAccount("Zhang", "E1", "张伟")], {"g": []})
    members = {"items": "$.members", "at": "$.value", "are": "login", "absent": "empty", "ignore_case": True}
    settings = changed(lab.settings, "entitlements", members=members)
    body = json.dumps(settings["add"]).replace("account.key", "account.login")
    remove = json.dumps(settings["remove"]).replace("account.key", "account.login")
    lab.target = target({**settings, "add": json.loads(body), "remove": json.loads(remove)})
    lab.tenant.patch(f"/Groups/{lab.groups['g']}", {"op": "add", "path": "members", "value": [{"value": "ZHANG"}]})

    assert seen(observe(lab, "g")) == {"Zhang"}
    assert kinds(lab, grant(lab, "g", "Zhang")) == [ALREADY]


def test_more_values_of_an_account_and_whoever_lacks_one(lab: ScimLab) -> None:
    settings = changed(lab.settings, "accounts", fields={"nick": "$.nickName"})
    settings = changed(settings, "add", query={"by": "{entitlement.group:url}"})
    member = {"value": "{account.key}", "display": "{account.nick}"}
    settings["add"]["body"]["Operations"][0]["value"] = {"for_each_account": member}  # type: ignore[index]
    lab.target = target(settings)
    lab.tenant.patch(f"/Users/{lab.key('plain')}", {"op": "add", "path": "nickName", "value": '小"白\n'})

    found = outcomes(lab, *(grant(lab, "核心算法", login) for login in ("plain", "smith")))

    assert [outcome.kind for outcome in found] == [APPLIED, REFUSED]
    assert "`{account.nick}` is not known here" in found[1].detail
    members = lab.tenant.get(f"/Groups/{lab.groups['核心算法']}")["members"]
    assert {"value": lab.key("plain"), "display": '小"白\n'} in members


def test_who_does_not_count_as_an_account_is_foreign_and_is_granted_nothing(lab: ScimLab) -> None:
    settings = changed(lab.settings, "accounts", where="@.userName != 'smith'")
    for one in (settings["accounts"]["one"], None):  # type: ignore[index]
        lab.target = target(changed(settings, "accounts", one=one))

        read = entitlement(observe(lab, "docs-readers"))
        assert read.foreign == (lab.key("smith"),)
        assert kinds(lab, grant(lab, "核心算法", "smith")) == [STALE]
    foreign = Step(Op.REVOKE, "", lab.key("smith"), lab.locator("docs-readers"))
    assert kinds(lab, foreign, foreign) == [APPLIED, ALREADY]
    assert lab.members("docs-readers") == {"zhang"}


# --- pace -------------------------------------------------------------------------------------------------------------


def test_not_more_requests_than_agreed() -> None:
    now, turns = [100.0], []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(4, lambda: now[0], sleep)
    for _ in range(5):
        pace.wait()
        turns.append(now[0])
    now[0] += 10
    pace.wait()

    assert turns == [100.0, 100.25, 100.5, 100.75, 101.0]
    assert now[0] == 111.0


def test_a_step_that_names_no_entitlement_of_this_kind_or_nobody_is_refused(lab: ScimLab) -> None:
    more: Mapping[str, Any] = {"group": "docs-readers", "site": "cn"}
    found = outcomes(lab, Step(Op.GRANT, lab.key("plain"), "", more), Step(Op.GRANT, "", "", {"group": "docs-readers"}))

    assert [outcome.kind for outcome in found] == [REFUSED, REFUSED]
