"""What may be configured of a SCIM provider. No provider needed."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.scim import ScimTarget
from reconciler.errors import ReconcilerError
from reconciler.targets import Op
from tests.adapters.scim.lab import context, settings_for
from tests.servers.scim import TOKEN

URL = "https://wiki.example.com/scim/v2"
CREATE: dict[str, object] = {"attributes": {"userName": "{id}", "externalId": "{id}"}}


def mistakes(**settings: Any) -> str:
    with pytest.raises(ReconcilerError) as caught:
        ScimTarget(context(), settings_for(URL) | settings)
    assert TOKEN not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "ftp://wiki.example.com"}, "is not of the form https://"),
        ({"url": "http://wiki.example.com/scim"}, "would carry credentials and personal data in the clear"),
        ({"url": "https://u:p@wiki.example.com"}, "names credentials"),
        ({"auth": None}, "auth"),
        ({"auth": {}}, "give one of `bearer`"),
        ({"match": {}}, "match"),
        ({"match": {"externalId": "id", "userName": "id"}}, "names an attribute of a person twice"),
        ({"match": {"emails[": "email"}}, "is no path to an attribute"),
        ({"match": {'emails[value co "x"].value': "email"}}, "only `eq` and `and`"),
        ({"match": {"": "id"}}, "names no attribute"),
        ({"match": {"externalId": "idd"}}, "`match.externalId`: Input should be 'id', 'email' or 'name'"),
        ({"dialect": "azure"}, "dialect"),
        ({"accounts": []}, "`accounts` should be a mapping"),
        ({"without": "patch"}, "`without` should be a list"),
        ({"url": 1}, "`url` should be a text"),
        ({"without": ["patches"]}, "without"),
        ({"page_size": 1}, "page_size"),
        ({"members_per_request": 0}, "members_per_request"),
        ({"accounts": {"attributes": ["userName"]}}, "makes the account what it is"),
        ({"accounts": {"attributes": ["name.familyName"]}}, "own attributes of many values"),
        ({"match": {"title": "id"}, "accounts": {"attributes": ["Title"]}}, "by which accounts are matched"),
        ({"accounts": {"create": {"attributes": {"externalId": "{id}"}}}}, "has no `userName`"),
        ({"accounts": {"create": {"attributes": {"userName": "{id}"}}}}, 'has no `externalId: "{id}"`'),
        ({"accounts": {"create": {"attributes": {"userName": "{id", "externalId": "{id}"}}}}, "brace"),
        ({"accounts": {"create": {"attributes": {"userName": "{id|title}"}}}}, "there is no filter `title`"),
        ({"accounts": {"disable": True}}, "disable"),
        ({"ca": "x.pem", "url": "http://127.0.0.1/scim"}, "no effect without https"),
    ],
)
def test_a_setting_that_cannot_work_is_told(settings: dict[str, Any], said: str) -> None:
    assert said in mistakes(**settings)


def test_all_mistakes_are_told_at_once_with_what_was_meant() -> None:
    said = mistakes(matsch={}, dialekt="okta", accounts={"delte": True})

    assert "did you mean `match`?" in said
    assert "did you mean `dialect`?" in said
    assert "did you mean `delete`?" in said


def test_what_can_be_done_is_what_the_settings_say() -> None:
    everything = {"disable": "active", "delete": True, "create": CREATE}
    assert ScimTarget(context(), settings_for(URL)).describe().ops == {Op.GRANT, Op.REVOKE}
    assert ScimTarget(context(), settings_for(URL, accounts=everything)).describe().ops == set(Op) - {Op.END_SESSIONS}


@pytest.mark.parametrize(
    ("locator", "said"),
    [
        ({"group": "docs"}, None),
        ({"id": "2819c223"}, None),
        ({"attribute": "Roles", "value": "auditor"}, None),
        ({"group": " "}, "blank"),
        ({"attribute": "roles", "value": ""}, "blank"),
        ({"attribute": "title", "value": "x"}, "not in `accounts.attributes` (there: roles)"),
        ({"group": "docs", "id": "1"}, "should be"),
        ({"grp": "docs"}, "should be"),
        ({}, "should be"),
    ],
)
def test_what_a_binding_can_mean(locator: dict[str, str], said: str | None) -> None:
    found = ScimTarget(context(), settings_for(URL, accounts={"attributes": ["roles"]})).check_locator(locator)

    assert found is None if said is None else said in str(found)
