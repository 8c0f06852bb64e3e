"""The day that an instant is, where a system writes days as instants.

Pure. Promises: a text that is no instant stays as it is. Sources: RFC 3339 and ISO 8601 (2026-12-01T00:00:00+08:00),
RFC 4517 section 3.3.13 (GeneralizedTime, 20261201000000Z).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo

__all__ = ["day_of", "parse_instant"]

_GENERALIZED = re.compile(
    r"(?P<day>[0-9]{8})(?P<hour>[0-9]{2})(?P<minute>[0-9]{2})?(?P<second>[0-9]{2})?(?:[.,][0-9]+)?"
    r"(?P<zone>Z|[+-][0-9]{2}(?:[0-9]{2})?)",
    re.ASCII,
)
_WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}.*", re.ASCII)
_LAST_YEAR = 9999


def day_of(text: str, zone: tzinfo) -> str:
    """The text, or 2026-12-01 where it is an instant.

    Midnight is that day, whatever the offset beside it: so systems write whole days. A time with an offset is the day
    it is there, where it was written. A time in UTC is the day it is in `zone`: nobody lives in UTC, it is a day of
    theirs that a program has moved.
    """
    if len(text) < 11 or (parsed := parse_instant(text)) is None:
        return text
    in_utc = parsed.tzinfo is not None and parsed.utcoffset() == timedelta(0)
    if in_utc and parsed.time() != time.min and parsed.year < _LAST_YEAR:
        parsed = parsed.astimezone(zone)
    return parsed.date().isoformat()


def parse_instant(text: str) -> datetime | None:
    """The instant that the text is, naive where it names no offset; None where it is none."""
    if _WRITTEN.fullmatch(text):
        return _from_iso(text)
    if found := _GENERALIZED.fullmatch(text):
        clock = f"{found['hour']}:{found['minute'] or '00'}:{found['second'] or '00'}"
        return _from_iso(f"{found['day']}T{clock}{found['zone']}")
    return None


def _from_iso(text: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed.replace(tzinfo=UTC) if parsed.utcoffset() == timedelta(0) else parsed
