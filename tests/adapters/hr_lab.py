"""An HR system's API with people in it, and the source that reads it, as a test wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapters.rest import RestSource
from reconciler.sources import Feed, Place, SourceContext, SourceError
from tests.servers.hr_api import TOKEN, HrApi

NOW = datetime(2026, 12, 1, 10, 0, tzinfo=UTC)
COLUMNS = ("id", "name", "department", "projects", "starts_on", "ends_on", "status")
MAPPED: Mapping[str, str] = {
    "id": "employee_no",
    "name": "name.full",
    "department": "org.path",
    "ends_on": "employment.end_date",
}


def person(number: int, **more: object) -> dict[str, object]:
    """A record of the HR system."""
    own: dict[str, object] = {
        "employee_no": f"E{number:04}",
        "name": {"full": f"员工 {number}"},
        "org": {"path": "rd/ai"},
        "employment": {"end_date": None},
        "projects": ["falcon"],
        "status": "active",
        "updated_at": f"2026-11-01T00:{number % 60:02}:00Z",
    }
    return {**own, **more}


def people(count: int) -> list[Mapping[str, object]]:
    return [person(number) for number in range(count)]


def settings(api: HrApi, **more: object) -> dict[str, object]:
    own: dict[str, object] = {
        "url": api.url,
        "records": "data.items",
        "auth": {"bearer": TOKEN},
        "pages": {"by": "page", "size": {"parameter": "per_page", "value": 10}},
        "columns": MAPPED,
        "retry": {"attempts": 3},
    }
    return {**own, **more}


def source(api: HrApi, folder: Path = Path(), now: datetime = NOW, **more: object) -> RestSource:
    context = SourceContext("hr", folder, Place("reconciler.yaml", 5), ZoneInfo("Asia/Shanghai"))
    return RestSource(context, settings(api, **more), lambda: now)


def read(api: HrApi, **more: object) -> Feed:
    return source(api, **more).read(COLUMNS, ("id",))  # type: ignore[arg-type]


def refusal(api: HrApi, asked: Sequence[str] = COLUMNS, **more: object) -> SourceError:
    """The error that reading ends with; it teaches, and shows no secret."""
    with pytest.raises(SourceError) as caught:
        source(api, **more).read(asked, ("id",))  # type: ignore[arg-type]
    assert caught.value.remedy
    assert caught.value.place is not None
    assert TOKEN not in str(caught.value)
    assert TOKEN not in repr(caught.value)
    return caught.value


def ids(feed: Feed) -> list[str]:
    return [row.cells["id"] for row in feed.rows]
