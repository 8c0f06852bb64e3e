"""The contract of people sources, on an HR system's API that pages by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from adapters.rest import RestSource
from reconciler.sources import Place, Source, SourceContext
from reconciler.testing.sources import MakeSource, Records, SourceContract
from tests.servers.hr_api import TOKEN, HrApi, serving

COLUMNS = {"id": "employee_no", "department": "org.path", "ends_on": "employment.end_date"}


def record(person: Mapping[str, str]) -> dict[str, object]:
    """A person as this HR system says it: nested, with null where there is nothing."""
    projects = person.get("projects", "")
    return {
        "employee_no": person["id"],
        "name": person.get("name"),
        "email": person.get("email"),
        "status": person.get("status"),
        "org": {"path": person.get("department")},
        "employment": {"end_date": person.get("ends_on")},
        "projects": projects.split(";") if projects else [],
    }


@pytest.fixture
def make_source(tmp_path: Path) -> Iterator[MakeSource]:
    with ExitStack() as stack:

        def make(people: Records, settings: Mapping[str, object]) -> Source:
            api = stack.enter_context(serving(HrApi([record(person) for person in people], largest_page=2)))
            own: dict[str, object] = {
                "url": api.url,
                "records": "data.items",
                "auth": {"bearer": TOKEN},
                "pages": {"by": "page", "total": "meta.total"},
                "columns": COLUMNS,
            }
            return RestSource(SourceContext("hr", tmp_path, Place("reconciler.yaml", 5)), {**own, **settings})

        yield make


class TestRest(SourceContract):
    """All promises."""
