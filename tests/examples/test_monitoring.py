"""The dashboard and the alert rules: they ask for what there is, and every alert has its page of what to do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.service.conftest import PEOPLE, fresh_office, office  # noqa: F401  # fixtures
from tests.service.office import PATIENCE, Office, exited, until

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "monitoring"
RULES = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text("utf-8"))["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))
FROM_PROMETHEUS = {"up": {"job", "instance"}}
"""What is not ours to expose; and the labels that it puts on everything."""

NAME = re.compile(r"(?<![\w.])[a-zA-Z_:][\w:]*")
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
WORDS = {"and", "or", "unless", "bool", "offset"}


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def names_in(expression: str) -> set[str]:
    """The metrics that an expression asks for."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\[[^\]]*\]", "", GROUPING.sub("", re.sub(r"\{[^}]*\}", "", bare)))
    found = ((each.group(), bare[each.end() :].lstrip()) for each in NAME.finditer(bare))
    return {name for name, rest in found if not rest.startswith("(") and name not in WORDS}


def labels_in(expression: str) -> set[str]:
    """The labels that it tells apart by."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    chosen = {label for _, inside in SELECTOR.findall(bare) for label in NAME.findall(inside)}
    return chosen | {label for _, inside in GROUPING.findall(bare) for label in NAME.findall(inside)}


def test_the_parser_of_expressions_reads_what_prometheus_means() -> None:
    asked = (
        'histogram_quantile(0.95, sum by (le, target) (rate(a_bucket{lane="x(y)"}[1h]))) > 1e3 or abs(time() - b) > 2'
    )

    assert names_in(asked) == {"a_bucket", "b"}
    assert labels_in(asked) == {"le", "target", "lane"}


def test_every_metric_and_label_that_is_asked_for_is_there(office: Office) -> None:  # noqa: F811
    tree = office.folder / "policies" / "policy.yaml"
    tree.write_text(tree.read_text("utf-8").replace("match: {department: rd/ai}", "match: {department: rd/x}"))
    with office.serving() as service:
        service.until_ready()
        service.post(exited("E1"))
        until(lambda: not office.anywhere("E1"), "E1 out")
        service.until_ready()
        text = requests.get(f"{service.url}/metrics", timeout=PATIENCE).text
    exposed: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        exposed.setdefault(family.name, set())
        for sample in family.samples:
            exposed.setdefault(sample.name, set()).update(sample.labels)
        if family.type == "counter":
            exposed.setdefault(f"{family.name}_total", set())
    exposed |= FROM_PROMETHEUS
    declared = {"target", "op", "kind", "direction", "class", *{label for own in exposed.values() for label in own}}

    for where, expression in expressions():
        assert names_in(expression), where
        assert names_in(expression) <= exposed.keys(), where
        assert labels_in(expression) - {"job", "instance"} <= declared, where
    shown = {name for _, expression in expressions() for name in names_in(expression)}
    own = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed if name.startswith("reconciler_")}
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    assert {name for name in own if f"{name}_total" not in own} <= used, "what nobody looks at need not be measured"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_every_alert_says_who_wakes_and_what_to_do(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    sections = re.split(r"^### ", (ROOT / page).read_text("utf-8"), flags=re.MULTILINE)[1:]
    found = {heading.partition("\n")[0]: heading.partition("\n")[2] for heading in sections}
    slug = {re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")): body for heading, body in found.items()}

    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    assert anchor in slug
    for part in ("**Means.**", "**Look.**", "**Do.**"):
        assert part in slug[anchor], (anchor, part)
    assert rule["alert"] in slug[anchor], "the page names the alert, so that a search finds it"


def test_no_alert_is_named_twice_and_the_rules_are_rules() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smhd]", rule.get("for", "1m"))
        assert rule["expr"].count("(") == rule["expr"].count(")")
    scrape = yaml.safe_load((FOLDER / "prometheus.yaml").read_text("utf-8"))
    assert scrape["rule_files"] == ["alerts.yaml"]
    assert {each["job_name"] for each in scrape["scrape_configs"]} == {"reconciler"}


def test_promtool_takes_the_rules() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: the rules are read by our own parser alone")
    done = subprocess.run(["promtool", "check", "rules", str(FOLDER / "alerts.yaml")], capture_output=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_one_that_grafana_can_take() -> None:
    panels = DASHBOARD["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert DASHBOARD["uid"]
    assert {each["name"] for each in DASHBOARD["templating"]["list"]} == {"source", "job"}
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
