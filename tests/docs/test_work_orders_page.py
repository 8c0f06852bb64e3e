"""The page about systems without an interface is run: its files, its commands, what its people do."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from adapters.work_order import WorkOrderTarget
from reconciler.targets import Place, TargetContext
from tests.docs.test_docs import Reader, blocks, commands

PAGE = "docs/work-orders.md"


def test_the_worked_example_works(tmp_path: Path) -> None:
    workspace, policy, _ = blocks(PAGE, "yaml")
    (people,), (inventory,) = blocks(PAGE, "csv"), blocks(PAGE, "text")
    reader = Reader(tmp_path)
    reader.folder = tmp_path / "doors"
    files = {"reconciler.yaml": workspace, "policies/doors.yaml": policy, "people.csv": people, "doors.csv": inventory}
    for name, text in files.items():
        path = reader.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    for command in commands(PAGE, "shell"):
        reader.type(command)

    assert list((reader.folder / "orders" / "open").glob("*.txt")) == []


def test_the_way_of_telling_people_that_is_shown_can_be_configured(tmp_path: Path) -> None:
    *_, telling = blocks(PAGE, "yaml")
    secret = "whsec_" + base64.b64encode(bytes(24)).decode()
    settings = yaml.safe_load(telling.replace("${env:ORDERS_HOOK_SECRET}", secret))["targets"]["doors"]
    del settings["type"]

    target = WorkOrderTarget(TargetContext("doors", tmp_path, Place(PAGE)), settings)

    assert target.check_locator({"entitlement": "实验室"}) is None
