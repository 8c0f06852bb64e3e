"""The translation as a test uses it, and what the product makes of the translated tree: rights of everybody."""

from __future__ import annotations

import csv
import importlib.util
import io
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType

from reconciler.access.evaluate import evaluate
from reconciler.facts.model import Assignment, Person, Population, Span
from reconciler.policy import load_policy
from reconciler.policy.model import Permission, Policy
from tests.published.second_reading import Right

FOLDER = Path(__file__).parent.parent.parent / "examples" / "published"
SCRIPT = FOLDER / "translate.py"
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
UNTIL = date(2026, 12, 31)


def load_script() -> ModuleType:
    """The script as a module; its dataclasses want to find it among the modules."""
    spec = importlib.util.spec_from_file_location("examples_published_translate", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


translate = load_script()


def translated(text: str) -> Mapping[str, str]:
    """The files that the script makes of a published one."""
    files: dict[str, str] = translate.files(translate.read(text), UNTIL)
    return files


def policy_of(files: Mapping[str, str]) -> Policy:
    """The policy tree, loaded as the product does."""
    tree = {name: text.encode() for name, text in files.items() if name.startswith("policies/")}
    return load_policy(tree, revision="test")


def population_of(files: Mapping[str, str]) -> Population:
    """The people as the translated table has them."""
    return population_of_rows(csv.DictReader(io.StringIO(files["people.csv"])))


def population_of_rows(rows: Iterable[Mapping[str, str]]) -> Population:
    """One person for each row."""
    return Population(
        people=[
            Person(
                number=number,
                id=row["id"],
                name=row["name"],
                email="",
                assignments=(Assignment("main", attributes(row), Span(None, None, entry=1)),),
            )
            for number, row in enumerate(rows)
        ],
        evidence={},
        ledger_seq=1,
    )


def attributes(row: Mapping[str, str]) -> dict[str, str]:
    """What the policies may ask about; blanks are absent."""
    return {name: row[name] for name in ("membership", "teams") if row[name]}


def rights_of(policy: Policy, population: Population) -> set[Right]:
    """Who may do what, by the product's rule."""
    ids = {person.number: person.id for person in population.people}
    desired = evaluate(policy, population, AT)
    return {
        (ids[number], permission.resource, permission.action)
        for permission, people in desired.allowed.items()
        for number in people
    }


def rights_by_translation(text: str) -> set[Right]:
    """From a published file to rights, through the translation and the product."""
    files = translated(text)
    return rights_of(policy_of(files), population_of(files))


def permission(right: Right) -> Permission:
    """What a right is about."""
    return Permission(right[1], right[2])
