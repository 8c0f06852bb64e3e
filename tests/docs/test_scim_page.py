"""The page about SCIM is run on a real server: its users and groups, its workspace, its policy, its commands."""

from __future__ import annotations

import json
from pathlib import Path

from adapters.scim.dialects import DIALECTS
from adapters.scim.settings import ScimSettings
from tests.docs.test_docs import Reader, blocks, commands, read
from tests.servers.fixtures import scim  # noqa: F401
from tests.servers.scim import TOKEN, ScimServer

PAGE = "docs/scim.md"


def test_the_worked_example_works(scim: ScimServer, tmp_path: Path) -> None:  # noqa: F811
    tenant = scim.tenant()
    (made,) = blocks(PAGE, "json")
    tenant.ask("POST", "/Bulk", json=json.loads(made))
    workspace, policy = blocks(PAGE, "yaml")
    (people,) = blocks(PAGE, "csv")
    reader = Reader(tmp_path)
    reader.folder = tmp_path / "wiki"
    (reader.folder / "policies").mkdir(parents=True)
    assert workspace.count("https://wiki.example.com/scim/v2") == 1
    here = workspace.replace("https://wiki.example.com/scim/v2", tenant.url)
    (reader.folder / "reconciler.yaml").write_text(here, encoding="utf-8")
    (reader.folder / "policies" / "wiki.yaml").write_text(policy, encoding="utf-8")
    (reader.folder / "people.csv").write_text(people, encoding="utf-8")
    reader.environment["WIKI_SCIM_TOKEN"] = TOKEN

    for command in commands(PAGE, "shell"):
        reader.type(command)

    names = {user["id"]: user["userName"] for user in tenant.everything("Users")}
    [group] = tenant.everything("Groups")
    assert {names[member["value"]] for member in group["members"]} == {"chen", "e1003"}


def test_every_setting_and_dialect_is_on_the_page() -> None:
    text = read(PAGE)

    assert all(f"`{name}`" in text for name in ScimSettings.model_fields)
    assert all(f"`{name}`" in text for name in DIALECTS)
