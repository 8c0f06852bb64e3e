"""The page about declared systems is run on two that are not ours: a SCIM server and Mayan EDMS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from adapters.http import HttpTarget
from reconciler.targets import Op, OutcomeKind, Place, Step, TargetContext
from tests.docs.test_docs import Command, Reader, blocks, commands
from tests.servers.fixtures import mayan, mayan_server_of_all, scim  # noqa: F401
from tests.servers.mayan import RECONCILER, Mayan
from tests.servers.scim import TOKEN, ScimServer, Tenant

PAGE = "docs/http.md"
WIKI, POLICY, CHANGES, ARCHIVE = blocks(PAGE, "yaml")


@pytest.fixture
def wiki(scim: ScimServer) -> Tenant:  # noqa: F811
    tenant = scim.tenant()
    chen, wang = tenant.add_users(
        [{"userName": "chen", "externalId": "E1001"}, {"userName": "wang", "externalId": "E1002"}]
    )
    tenant.add_group("wiki-readers", [{"value": wang}])
    assert chen
    return tenant


def until(typed: Iterator[Command], last: str) -> Iterator[Command]:
    for command in typed:
        yield command
        if command.text.startswith(last):
            return


def test_the_steps_lead_to_a_target_that_works(wiki: Tenant, tmp_path: Path) -> None:
    (people,) = blocks(PAGE, "csv")
    reader = Reader(tmp_path)
    reader.folder = tmp_path / "shop"
    (reader.folder / "policies").mkdir(parents=True)
    here = WIKI.replace("https://wiki.example.com/v2", wiki.url)
    assert here.count(wiki.url) == 1
    workspace = reader.folder / "reconciler.yaml"
    workspace.write_text(here, encoding="utf-8")
    (reader.folder / "policies" / "wiki.yaml").write_text(POLICY, encoding="utf-8")
    (reader.folder / "people.csv").write_text(people, encoding="utf-8")
    reader.environment["WIKI_TOKEN"] = TOKEN
    typed = iter(commands(PAGE, "shell"))

    for command in until(typed, "grep understood"):
        reader.type(command)
    workspace.write_text(here + CHANGES, encoding="utf-8")
    for command in until(typed, 'grep \'"sent"'):
        reader.type(command)
    (group,) = wiki.everything("Groups")
    assert len(group["members"]) == 1
    assert TOKEN not in (reader.folder / "conversation.jsonl").read_text(encoding="utf-8")
    for command in typed:
        reader.type(command)

    (group,) = wiki.everything("Groups")
    users = {user["id"]: user["userName"] for user in wiki.everything("Users")}
    assert {users[member["value"]] for member in group["members"]} == {"chen", "wang"}


def test_the_document_system_is_declared_as_the_page_says(mayan: Mayan) -> None:  # noqa: F811
    chen = mayan.user("chen", "chen@example.com")
    wang = mayan.user("wang", "wang@example.com")
    readers = mayan.group("readers", wang)
    plans = mayan.document(mayan.document_type("plans"), "Plan")
    mayan.role("readers", readers, permissions=["documents.document_view"])
    text = ARCHIVE.replace("https://archive.example.com/api/v4", mayan.api).replace("${env:ARCHIVE_TOKEN}", RECONCILER)
    declared = yaml.safe_load(text)["targets"]["archive"]
    settings = {name: value for name, value in declared.items() if name != "type"}
    target = HttpTarget(TargetContext("archive", Path(), Place("reconciler.yaml")), settings)
    locator = {"group": "readers"}
    steps = [Step(Op.GRANT, str(chen), "chen", locator), Step(Op.REVOKE, str(wang), "wang", locator)]
    assert (mayan.opens(chen, plans), mayan.opens(wang, plans)) == (False, True)

    with target.writer() as writer:
        outcomes = writer.apply(steps)

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.APPLIED] * 2
    assert (mayan.opens(chen, plans), mayan.opens(wang, plans)) == (True, False)
    seen = target.observe([locator])
    (read,) = seen.entitlements.values()
    assert [seen.accounts.accounts[position].name for position in read.members] == ["chen"]
    assert {account.key for account in seen.accounts.accounts if account.name == "reconciler"} < seen.own
    assert Op.DISABLE_ACCOUNT not in target.describe().ops


def test_what_the_page_says_of_disabling_is_so(mayan: Mayan) -> None:  # noqa: F811
    chen = mayan.user("chen", "chen@example.com")

    mayan.call("PATCH", f"users/{chen}/", {"is_active": False}, token=RECONCILER)

    assert mayan.call("GET", f"users/{chen}/")["is_active"] is True
