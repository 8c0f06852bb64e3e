"""The page about Mayan EDMS is run on a real one: its workspace, its policy, its commands, its list of permissions."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.test_docs import Reader, blocks, commands, read
from tests.servers.fixtures import mayan, mayan_server_of_all  # noqa: F401
from tests.servers.mayan import NEEDED, PASSWORD, READ, Mayan

PAGE = "docs/mayan.md"


def test_the_worked_example_works(mayan: Mayan, tmp_path: Path) -> None:  # noqa: F811
    chen, wang = mayan.user("E1001"), mayan.user("E1002")
    drawings = mayan.document_type("Drawings")
    readers = mayan.role("Drawings readers", mayan.group("Drawings readers", wang))
    mayan.allow("documents/documenttype", drawings, readers, *READ)
    document = mayan.document(drawings, "龙芯 v2")
    assert (mayan.opens(chen, document), mayan.opens(wang, document)) == (False, True)
    workspace, policy = blocks(PAGE, "yaml")
    (people,) = blocks(PAGE, "csv")
    reader = Reader(tmp_path)
    reader.folder = tmp_path / "archive"
    (reader.folder / "policies").mkdir(parents=True)
    here = workspace.replace("https://mayan.example.com", mayan.url)
    (reader.folder / "reconciler.yaml").write_text(here, encoding="utf-8")
    (reader.folder / "policies" / "drawings.yaml").write_text(policy, encoding="utf-8")
    (reader.folder / "people.csv").write_text(people, encoding="utf-8")
    credentials = {"username": "reconciler", "password": PASSWORD}
    reader.environment["MAYAN_TOKEN"] = mayan.call("POST", "auth/token/obtain/", credentials)["token"]

    opened: list[tuple[bool, bool]] = []
    for command in commands(PAGE, "shell"):
        reader.type(command)
        if "apply" in command.text:
            opened.append((mayan.opens(chen, document), mayan.opens(wang, document)))

    assert opened == [(True, False), (False, False)]


def test_the_permissions_on_the_page_are_those_that_the_tests_run_with() -> None:
    text = read(PAGE)
    section = text.partition("## Rights that it needs")[2].partition("It needs no permission")[0]

    assert set(re.findall(r"`([a-z_]+\.[a-z_]+)`", section)) == set(NEEDED)
    assert [each for each in READ if f"`{each}`" not in text] == []
