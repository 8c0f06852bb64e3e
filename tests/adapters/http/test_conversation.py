"""The record of a conversation, and a target that only rehearses: everything to be seen, nothing to be stolen."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from adapters.http import HttpTarget
from adapters.http.settings import http_settings
from reconciler.targets import Op, OutcomeKind, Place, Step, TargetContext, TargetError
from reconciler.testing.targets import grant, observe, revoke
from tests.adapters.http.lab import ScimLab, declaration, target
from tests.adapters.http.test_faults import changed
from tests.servers.hr_api import CLIENT_SECRET, HrApi, serving
from tests.servers.scim import TOKEN
from tests.servers.scim_proxy import ScimProxy, error, json_reply

FILE = "conversation.jsonl"


def recorded(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / FILE).read_text(encoding="utf-8").splitlines()]


def test_what_is_asked_answered_and_understood_is_recorded(lab: ScimLab, tmp_path: Path) -> None:
    lab.target = target({**lab.settings, "conversation": FILE}, tmp_path)

    observe(lab, "docs-readers", "nowhere")

    users, groups, accounts, readers, nowhere = recorded(tmp_path)
    assert users["sent"] is True
    assert users["request"]["method"] == "GET"
    assert users["request"]["url"].endswith("/Users?count=500&startIndex=1")
    assert users["request"]["headers"]["Authorization"] == "…"
    assert users["answer"]["status"] == 200
    assert len(users["answer"]["body"]["Resources"]) == 4
    assert users["answer"]["body"]["Resources"][3] == "… 1 more"
    assert groups["request"]["url"].endswith("/Groups?count=500&startIndex=1")
    assert (accounts["understood"], accounts["count"], accounts["reading"]) == ("accounts", 4, "complete")
    assert accounts["first"][0].keys() == {"key", "name", "login", "match", "enabled"}
    assert (readers["entitlement"], readers["count"]) == ("group=docs-readers", 2)
    assert (nowhere["reading"], nowhere["detail"]) == ("failed", "there is no nowhere")
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_a_dry_target_sends_nothing_and_shows_what_it_would(lab: ScimLab, proxy: ScimProxy, tmp_path: Path) -> None:
    lab.target = target({**lab.settings, "conversation": FILE, "dry": True}, tmp_path)
    before = lab.picture()
    steps = [
        grant(lab, "docs-readers", "plain"),
        revoke(lab, "docs-readers", "smith"),
        grant(lab, "docs-readers", "zhang"),
        Step(Op.DISABLE_ACCOUNT, lab.key("smith"), "smith"),
    ]

    with lab.target.writer() as writer:
        found = writer.apply(steps)

    assert [outcome.kind for outcome in found] == [
        OutcomeKind.REFUSED,
        OutcomeKind.REFUSED,
        OutcomeKind.ALREADY,
        OutcomeKind.REFUSED,
    ]
    assert "`dry: true`" in found[0].detail
    assert lab.picture() == before
    assert {asked.method for asked in proxy.asked} == {"GET"}
    rendered = [each["request"] for each in recorded(tmp_path) if each.get("sent") is False]
    assert [each["body"]["Operations"][0]["op"] for each in rendered] == ["replace", "remove", "add"]
    assert rendered[1]["body"]["Operations"][0]["path"] == f'members[value eq "{lab.key("smith")}"]'
    assert rendered[2]["url"].endswith(f"/Groups/{lab.groups['docs-readers']}")
    assert rendered[2]["body"]["Operations"][0]["value"] == [{"value": lab.key("plain")}]


def test_a_change_that_is_sent_is_recorded_too(lab: ScimLab, proxy: ScimProxy, tmp_path: Path) -> None:
    lab.target = target({**lab.settings, "conversation": FILE}, tmp_path)
    proxy.once("PATCH", "/", error(403, f"not with Bearer {TOKEN}"))

    with lab.target.writer() as writer:
        writer.apply([grant(lab, "docs-readers", "plain")])

    (change,) = (each for each in recorded(tmp_path) if each["request"]["method"] == "PATCH")
    assert (change["sent"], change["answer"]["status"]) == (True, 403)
    assert change["answer"]["body"]["detail"] == "not with Bearer …"


def test_no_secret_is_recorded_in_whatever_spelling_it_comes_back(proxy: ScimProxy, tmp_path: Path) -> None:
    secret = "p@ss/wörd:1%"
    basic = base64.b64encode(f"读者:{secret}".encode()).decode()
    echo = {
        "Resources": [
            {"said": f"{secret} {quote(secret, safe='')} Basic {basic}", "password": "hunter2", "apiKey": "k-123"},
            {"accessToken": "t-456", "nested": {"client_secret": "s-789", "count": 3}},
            {"api_keys": ["k-012"], "credentials": {"value": "c-345"}, "password": None},
        ]
    }
    proxy.instead = lambda asked: json_reply(echo, Link=f"<{proxy.url}/Users?token={quote(secret, safe='')}>; rel=prev")
    settings = declaration(proxy.url, auth={"basic": {"user": "读者", "password": secret}}, conversation=FILE)
    own = target(settings | {"headers": {"X-Api-Key": "header-key-1"}}, tmp_path)

    with pytest.raises(TargetError):
        own.observe([])

    text = (tmp_path / FILE).read_text(encoding="utf-8")
    for hidden in (
        secret,
        quote(secret, safe=""),
        basic,
        "hunter2",
        "k-123",
        "t-456",
        "s-789",
        "k-012",
        "c-345",
        "header-key-1",
    ):
        assert hidden not in text
        assert json.dumps(hidden)[1:-1] not in text
    assert '"count": 3' in text


def test_what_a_request_carries_under_the_name_of_a_secret_is_one(
    lab: ScimLab, proxy: ScimProxy, tmp_path: Path
) -> None:
    settings = changed(lab.settings, "accounts.list", query={"api_key": "k3y-of-the-wiki", "attributes": "userName"})
    settings = changed(settings, "disable.body", context={"session_token": "t0ken-in-a-body"})
    lab.target = target({**settings, "conversation": FILE}, tmp_path)
    proxy.always("GET", "/Users", error(403, "not with k3y-of-the-wiki, nor t0ken-in-a-body"))

    with pytest.raises(TargetError, match="not with …, nor …"):
        observe(lab, "docs-readers")

    assert "k3y-of-the-wiki" not in repr(http_settings(settings, TargetContext("wiki", tmp_path, Place("x"))))
    assert "t0ken-in-a-body" not in repr(http_settings(settings, TargetContext("wiki", tmp_path, Place("x"))))
    (asked,) = recorded(tmp_path)
    assert "api_key=…&attributes=userName" in asked["request"]["url"]
    assert asked["answer"]["body"]["detail"] == "not with …, nor …"


def test_signing_in_is_recorded_without_what_it_takes_and_gives(tmp_path: Path) -> None:
    with serving(HrApi([])) as server:
        auth = {"oauth2": {"token_url": server.token_url, "client_id": "reader", "client_secret": CLIENT_SECRET}}
        for client in ("header", "body"):
            settings = declaration(server.base, auth={"oauth2": auth["oauth2"] | {"client": client}}, conversation=FILE)
            with pytest.raises(TargetError):
                target(settings, tmp_path).observe([])

        assert server.tokens_given == 2
        assert server.asked[1].headers["Authorization"].startswith("Bearer ")
    text = (tmp_path / FILE).read_text(encoding="utf-8")
    assert "/token" in text
    assert CLIENT_SECRET not in text
    assert server.token not in text
    assert base64.b64encode(f"reader:{CLIENT_SECRET}".encode()).decode() not in text


def test_a_record_that_cannot_be_written_is_told_at_once(lab: ScimLab, proxy: ScimProxy, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.jsonl").write_text("mine", encoding="utf-8")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    for file in ("no/such/folder.jsonl", "link.jsonl"):
        lab.target = target({**lab.settings, "conversation": file}, tmp_path)
        with pytest.raises(TargetError, match="the conversation cannot be written") as caught:
            observe(lab, "docs-readers")
        assert caught.value.remedy

    assert proxy.asked == []
    assert (tmp_path / "elsewhere.jsonl").read_text(encoding="utf-8") == "mine"


# --- doctor -----------------------------------------------------------------------------------------------------------


def found_by_doctor(settings: dict[str, object], folder: Path) -> dict[str, str]:
    own = HttpTarget(TargetContext("wiki", folder, Place("reconciler.yaml")), settings)
    said = [*own.probe(), *own.observe([]).findings]
    return {finding.kind: finding.text for finding in said}


def test_doctor_finds_nothing_where_there_is_nothing(lab: ScimLab, tmp_path: Path) -> None:
    assert found_by_doctor(dict(lab.settings), tmp_path) == {}


def test_doctor_says_what_is_only_for_trying(lab: ScimLab, tmp_path: Path) -> None:
    found = found_by_doctor({**lab.settings, "conversation": FILE, "dry": True}, tmp_path)

    assert set(found) == {"dry-target", "conversation-recorded"}
    assert [each["understood"] for each in recorded(tmp_path) if "understood" in each] == [
        "accounts",
        "entitlements",
        "accounts",
    ]


def test_doctor_says_what_is_read_in_part(lab: ScimLab, proxy: ScimProxy, tmp_path: Path) -> None:
    proxy.answered = lambda asked, reply: json_reply({**json.loads(reply.body), "totalResults": 99})

    found = found_by_doctor(dict(lab.settings), tmp_path)

    assert set(found) == {"accounts-partial", "entitlements-partial"}
    assert all("there should be 99" in text for text in found.values())


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        ("accounts", {"one": {"path": "Usres/{account.key}"}}, "`accounts.one` does not give account"),
        ("accounts", {"one": {"path": "Users/{account.key}", "item": "$.user"}}, "nothing at `item: $.user`"),
        (
            "accounts.find",
            {"query": {"filter": "userName eq {person.id:json}"}},
            "`accounts.find` does not find account",
        ),
        ("entitlements", {"one": {"path": "Gruops/{entitlement.id}"}}, "`entitlements.one` does not give"),
        ("entitlements", {"locator": {"group": "$.name"}}, "`locator.group: $.name` is missing"),
    ],
)
def test_doctor_says_which_question_leads_nowhere(
    lab: ScimLab, tmp_path: Path, where: str, value: dict[str, object], words: str
) -> None:
    found = found_by_doctor(changed(lab.settings, where, **value), tmp_path)

    assert set(found) == {"questions-disagree"}
    assert words in found["questions-disagree"]
