"""Going on from the newest change that was seen: from the field that says when a record changed, to the next question.

Pure. Promises: what is asked for begins early enough that nothing is passed over, for clocks that differ (`overlap`)
and for a record that claims to come from the future; a cursor that was made under other settings is none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

__all__ = ["Newest", "asked_since", "fingerprint"]

_MARK = ";"
_MILLISECONDS = 100_000_000_000
"""Numbers above this are milliseconds since 1970: as seconds they would lie in the year 5138."""
_NAIVE = timedelta(hours=14)
"""How far a time without an offset may be ahead of ours, the earth being round."""


class Newest:
    """The newest change among the records of one delivery; `now` is by our own clock."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._newest: datetime | None = None
        self._text = ""

    def see(self, text: str) -> None:
        """One record's time of change; a blank says nothing. Raises `ValueError` for what is no time."""
        if not text:
            return
        moment = _moment(text)
        if self._newest is None or moment > self._newest:
            self._newest, self._text = moment, text

    def cursor(self, mark: str, before: str = "") -> str:
        """Where the next delivery goes on; `before` where nothing was seen."""
        if self._newest is None:
            return before
        naive = _is_naive(self._text)
        limit = self._now + (_NAIVE if naive else timedelta(0))
        text = (
            self._text if self._newest <= limit else _like(self._text, self._now - (_NAIVE if naive else timedelta(0)))
        )
        return f"{text}{_MARK}{mark}"


def asked_since(cursor: str, mark: str, overlap: timedelta) -> str:
    """What is asked with, from an earlier cursor; a blank where it is of no use now, and everything has to be read."""
    text, _, made_under = cursor.rpartition(_MARK)
    if made_under != mark or not text:
        return ""
    try:
        return _like(text, _moment(text) - overlap)
    except (ValueError, OverflowError):
        return ""


def fingerprint(settings: Mapping[str, object], columns: Sequence[str]) -> str:
    """What a delivery depends on, short: under other settings, what was delivered before has to come again."""
    text = json.dumps([settings, sorted(columns)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _moment(text: str) -> datetime:
    """Without an offset it is taken as UTC. Raises `ValueError`."""
    if text.isascii() and text.isdigit() and len(text) != 8:
        seconds = int(text[:18])
        try:
            return datetime.fromtimestamp(seconds / 1000 if seconds > _MILLISECONDS else seconds, UTC)
        except (ValueError, OverflowError, OSError):
            raise ValueError(f"`{text}` is no time") from None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`{text}` is no time: expected 2026-12-01T10:00:00Z, or seconds since 1970") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _is_naive(text: str) -> bool:
    if text.isascii() and text.isdigit():
        return False
    return datetime.fromisoformat(text).tzinfo is None


def _like(pattern: str, moment: datetime) -> str:
    """A moment in the notation of another one."""
    if pattern.isascii() and pattern.isdigit() and len(pattern) != 8:
        seconds = moment.timestamp()
        return str(int(seconds * 1000 if int(pattern) > _MILLISECONDS else seconds))
    if _is_day(pattern):
        return moment.date().isoformat() if "-" in pattern else moment.date().strftime("%Y%m%d")
    zone = datetime.fromisoformat(pattern).tzinfo
    local = moment.astimezone(zone) if zone else moment.astimezone(UTC).replace(tzinfo=None)
    precision = "milliseconds" if "." in pattern else "seconds"
    written = local.isoformat(sep="T" if "T" in pattern else " ", timespec=precision)
    return written.removesuffix("+00:00") + "Z" if pattern.endswith("Z") else written


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
