"""Declarations that cannot work: told before anything is asked, all at once, with what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.api.client import Client, Request
from adapters.api.settings import secrets_of
from adapters.api.words import Words
from adapters.http.guard import reading_only, writing_too
from adapters.http.settings import http_settings
from reconciler.targets import Op, Place, ProblemsFound, TargetContext
from tests.adapters.http.lab import declaration, target
from tests.servers.hr_api import HrApi, serving
from tests.servers.scim import TOKEN

URL = "https://wiki.example.com/api"
CONTEXT = TargetContext("wiki", Path(), Place("reconciler.yaml", 7, 5))


def with_(where: str, value: object) -> dict[str, object]:
    """The declaration with this at a dotted place; None takes it away."""
    settings: dict[str, Any] = json.loads(json.dumps(declaration(URL)))
    *above, name = where.split(".")
    inner = settings
    for each in above:
        inner = inner[each]
    if value is None:
        del inner[name]
    else:
        inner[name] = value
    return settings


def problems(settings: Mapping[str, object]) -> list[str]:
    with pytest.raises(ProblemsFound) as caught:
        target(settings)
    found = caught.value.problems
    assert all(str(problem.place) == "reconciler.yaml:7" for problem in found)
    assert TOKEN not in str(caught.value)
    return [f"{problem.message} {problem.remedy}" for problem in found]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    settings = with_("accounts.kye", "$.id")
    settings["accounts"]["name"] = "displayName"  # type: ignore[index]
    settings["entitlements"]["members"]["at"] = "$.["  # type: ignore[index]
    settings["add"]["metod"] = "PUT"  # type: ignore[index]
    settings["remove"]["path"] = "https://elsewhere.example/x"  # type: ignore[index]

    found = "\n".join(problems(settings))

    for words in (
        "`accounts.kye` is not a setting did you mean `key`?",
        "`accounts.name`: is no JSONPath",
        "`entitlements.members.at`: is no JSONPath",
        "`add.metod` is not a setting did you mean `method`?",
        "`remove.path`: is no path below `url`",
    ):
        assert words in found


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        ("url", "http://wiki.example.com/api", "would carry credentials and personal data in the clear"),
        ("url", "https://me:pw@wiki.example.com/", "credentials"),
        ("accounts", None, "`accounts` is missing"),
        ("accounts.match", {}, "accounts.match"),
        ("accounts.match", {"$.a": "id", "$.b": "id"}, "names an attribute of people twice"),
        ("accounts.match", {"$.a": "shoe_size"}, "accounts.match"),
        ("accounts.fields", {"key": "$.id"}, "cannot be called key"),
        ("accounts.list.path", "Users?active=true", "ends before a `?`"),
        ("accounts.list.path", "../admin", "is no path below `url`"),
        ("accounts.list.path", "Users/{account.key}", "`{account.key}` is not known here; possible: none"),
        ("accounts.list.method", "POST", "say `safe: true` if this one only searches"),
        ("accounts.list.method", "DELETE", "accounts.list.method"),
        ("accounts.list.safe", True, "mean nothing with GET"),
        ("accounts.list.pages.by", "link", "means nothing with `by: link`"),
        ("accounts.list.pages.size.value", 0, "greater than or equal to 1"),
        ("accounts.one.path", "Users/{account.name}", "possible: {account.key}"),
        ("accounts.enabled", None, "`disable` and `enable` need `accounts.enabled`"),
        ("entitlements.locator", {"id": "$.id"}, "cannot be called id"),
        ("entitlements.locator", {}, "says where each part stands"),
        ("entitlements.locator", {"group": "name"}, "`entitlements.locator.group`: is no JSONPath"),
        ("entitlements.parts", ["group"], "says where each part stands"),
        ("entitlements.list", None, "without `list` there are `parts`"),
        ("accounts.list.items", "$.Resources[*]", "leads to the list itself, not into it: write $.Resources"),
        ("entitlements.members.items", "$.members[*]", "write $.members"),
        ("entitlements.members.items", None, "give `list`, for a list of its own, or `items`"),
        ("entitlements.id", None, "`{entitlement.id}` is not known here; possible: {entitlement.group}"),
        ("add.path", "Groups/fixed", "`add` names no entitlement: it would do the same to every one"),
        ("add.method", "GET", "add.method"),
        ("add.many", None, "`for_each_account` needs `many`"),
        ("add.body", {"user": "{account.key}"}, "`many` needs `for_each_account` in the body"),
        ("add.path", "Groups/{entitlement.id}/{account.key}", "accounts are named within `for_each_account` only"),
        ("disable.path", "Users/everybody", "`disable` names no account"),
        ("disable.path", "Users/{account.kee}", "`{account.kee}` is not known here"),
        ("add.statuses", {"applied": [200], "stale": [200]}, "names a status twice"),
        ("add.statuses", {"fine": [200]}, "add.statuses"),
        ("dry", True, "`dry` needs `conversation`"),
        ("requests_per_second", 0, "greater than 0"),
        ("auth", {"bearer": TOKEN, "basic": {"user": "u", "password": "p"}}, "give one of `bearer`"),
        ("headers", {"Authorization": "x"}, "use `auth`"),
        ("headers", {"X-HTTP-Method-Override": "DELETE"}, "a request is what its method says"),
        ("add.idempotency", "Authorization", "use `auth`"),
        ("tls", "off", "`tls`"),
    ],
)
def test_what_cannot_work_is_said(where: str, value: object, words: str) -> None:
    assert words in "\n".join(problems(with_(where, value)))


def test_a_change_cannot_pass_for_a_search() -> None:
    """What is declared as safe and as a change is the same request: it changes something."""
    settings = with_("accounts.list.method", "POST")
    settings["accounts"]["list"] |= {"safe": True, "path": "Groups/{{x"}  # type: ignore[index]
    settings["accounts"]["list"]["path"] = "rpc"  # type: ignore[index]
    settings["add"] |= {"method": "POST", "path": "rpc"}  # type: ignore[operator]
    settings["add"]["body"]["group"] = "{entitlement.id}"  # type: ignore[index]

    assert "cannot be the same request" in "\n".join(problems(settings))


def test_what_is_declared_is_what_can_be_done() -> None:
    settings = declaration(URL)
    everything = {Op.GRANT, Op.REVOKE, Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT, Op.DELETE_ACCOUNT}
    assert target(settings).describe().ops == everything

    del settings["delete"], settings["disable"]
    assert target(settings).describe().ops == everything - {Op.DELETE_ACCOUNT, Op.DISABLE_ACCOUNT}


def test_a_binding_is_checked() -> None:
    own = target(declaration(URL))

    assert own.check_locator({"group": "readers"}) is None
    assert "did you mean `group`?" in str(own.check_locator({"grup": "readers"}))
    assert "possible here: group" in str(own.check_locator({"x": "readers"}))
    assert "is missing" in str(own.check_locator({}))
    assert "is blank" in str(own.check_locator({"group": ""}))
    assert own.match_attributes() == ("id",)


# --- F1: what observes cannot write -----------------------------------------------------------------------------------


def test_f1_what_may_be_sent_while_reading_and_while_writing() -> None:
    settings = http_settings(declaration(URL), CONTEXT)
    reading, writing = reading_only(settings), writing_too(settings)
    group, user = f"{URL}/Groups/a%2Fb", f"{URL}/Users/7"

    assert reading("GET", f"{URL}/Users")
    assert not any(reading(method, where) for method in ("POST", "PATCH", "PUT", "DELETE") for where in (group, user))
    assert writing("PATCH", group)
    assert writing("DELETE", user)
    assert not writing("DELETE", group)
    assert not writing("PATCH", f"{group}/members")
    assert not writing("PATCH", f"{URL}/Groups/")


def test_f1_a_reading_client_sends_nothing_else_even_if_it_is_told_to() -> None:
    with serving(HrApi([])) as server:
        settings = http_settings(declaration(server.base), CONTEXT)
        client = Client(settings, Path(), Words(secrets_of(settings)), allows=reading_only(settings))
        for method in ("POST", "PATCH", "DELETE"):
            with pytest.raises(RuntimeError, match="may not send"):
                client.send(Request(method, f"{server.base}/Groups/7", body={}))
        with pytest.raises(RuntimeError, match="may not send"):
            client.send(Request("GET", "http://127.0.0.1:9/Users"))
        client.close()

        assert server.asked == []


@pytest.mark.parametrize(
    ("url", "encrypted"),
    [("https://wiki.example.com", True), ("http://127.0.0.1:80", True), ("http://wiki.example.com", False)],
)
def test_whether_anything_leaves_this_machine_in_the_clear(url: str, *, encrypted: bool) -> None:
    assert http_settings(declaration(url, tls="none"), CONTEXT).encrypted is encrypted


def test_each_request_takes_its_turn() -> None:
    turns = []
    with serving(HrApi([])) as server:
        settings = http_settings(declaration(server.base), CONTEXT)
        client = Client(settings, Path(), Words(()), turn=lambda: turns.append(len(server.asked)))
        for _ in range(3):
            client.send(Request("GET", f"{server.base}/Users"))
        client.close()

    assert turns == [0, 1, 2]
