"""Days and instants: how HR writes them, how the record spells them, what a whole day means in a timezone.

Pure. A day is a `date`; an instant is an aware `datetime` in UTC. Whole days are those of the workspace's timezone.
Source of the spelling: ISO 8601 / RFC 3339, always UTC, always microseconds, always ``Z``.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

UNLIMITED_YEAR = 9999
"""HR systems write 9999-12-31 for "no end"."""

_YEAR_FIRST = re.compile(
    r"(?P<y>[0-9]{4})(?:(?P<sep>[-/.])(?P<m>[0-9]{1,2})(?P=sep)(?P<d>[0-9]{1,2})"
    r"|(?P<m2>[0-9]{2})(?P<d2>[0-9]{2})"
    r"|年(?P<m3>[0-9]{1,2})月(?P<d3>[0-9]{1,2})日?)"
    r"(?:[ T]0?0:00(?::00(?:\.0+)?)?)?"
)
_MOMENT = re.compile(
    r"(?P<day>.+?)[ T](?P<clock>[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?) ?(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_YEAR_LAST = re.compile(r"[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2,4}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")

_REMEMBERED = 1 << 14
"""How many answers are kept: a hundred thousand people have begun on a few thousand days."""


@lru_cache(_REMEMBERED)
def parse_day(text: str) -> date:
    """A day in one of the usual year-first notations. Raises `ValueError` with words fit for a person."""
    plain = unicodedata.normalize("NFKC", text).strip()
    found = _YEAR_FIRST.fullmatch(plain)
    if found is None:
        if _YEAR_LAST.fullmatch(plain):
            raise ValueError(f"`{text}` is ambiguous (day or month first?): write the year first, as in 2026-12-01")
        raise ValueError(f"`{text}` is not a date: write it as 2026-12-01, 2026/12/1, 20261201 or 2026年12月1日")
    parts = found.groupdict()
    month, day = (
        next(int(parts[key]) for key in keys if parts[key]) for keys in (("m", "m2", "m3"), ("d", "d2", "d3"))
    )
    try:
        parsed = date(int(parts["y"]), month, day)
    except ValueError:
        raise ValueError(f"`{text}` is not a day of the calendar") from None
    if not 1900 <= parsed.year <= UNLIMITED_YEAR:
        raise ValueError(f"`{text}` lies outside the years 1900 to {UNLIMITED_YEAR}")
    return parsed


@lru_cache(_REMEMBERED)
def parse_end(text: str) -> date | datetime:
    """The last day of something, as `parse_day` takes days; or the moment at which it ends: a day with a clock time,
    which is local where no offset follows.

    Midnight without an offset is the day: so spreadsheets and databases write days. Raises `ValueError` likewise.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    found = _MOMENT.fullmatch(plain)
    if found is None or _YEAR_FIRST.fullmatch(plain):
        return parse_day(text)
    day = parse_day(found["day"])
    clock = found["clock"] if found["clock"][1] != ":" else "0" + found["clock"]
    try:
        return datetime.fromisoformat(f"{day}T{clock}{found['offset'] or ''}")
    except ValueError:
        raise ValueError(f"`{text}` has a time that no clock shows: write it as 2026-12-01T10:00:00+08:00") from None


@lru_cache(_REMEMBERED)
def day_start(day: date, zone: tzinfo) -> datetime:
    """The instant at which the day begins."""
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def day_end(day: date, zone: tzinfo) -> datetime:
    """The instant at which the day is over (excluded): the start of the next one."""
    if day >= date(UNLIMITED_YEAR, 12, 31):
        return datetime.max.replace(tzinfo=UTC)
    return day_start(day + timedelta(days=1), zone)


def end_instant(end: date | datetime, zone: tzinfo) -> datetime:
    """When something is over (excluded): a day at its end, a moment then; without an offset it is local."""
    if isinstance(end, datetime):
        return (end if end.tzinfo else end.replace(tzinfo=zone)).astimezone(UTC)
    return day_end(end, zone)


def last_day(end: datetime, zone: tzinfo) -> date:
    """The last whole or begun day before an excluded end."""
    return (end - timedelta(microseconds=1)).astimezone(zone).date()


def instant_text(at: datetime) -> str:
    """The one spelling of an instant in the record: UTC, microseconds, ``Z``. Raises `ValueError` for a naive time."""
    if at.tzinfo is UTC:  # the quick way to the same text
        return at.isoformat(timespec="microseconds")[:26] + "Z"
    if at.tzinfo is None:
        raise ValueError("an instant needs its timezone")
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


@lru_cache(_REMEMBERED)
def parse_instant(text: str) -> datetime:
    """An instant from the record. Raises `ValueError` for any other spelling."""
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"`{text}` is not an instant as the record spells them")
    return datetime.fromisoformat(text)
