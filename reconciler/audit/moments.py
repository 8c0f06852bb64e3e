"""Days and moments as people write them: of which moment a question is asked, and as known when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar
from zoneinfo import ZoneInfo

from reconciler.errors import ReconcilerError
from reconciler.facts.days import day_end, day_start, parse_day
from reconciler.facts.people import Facts
from reconciler.plan.artefact import instant

_ENTRY = re.compile(r"(?:entry|ledger):\s*(?P<named>[0-9]+)|(?P<bare>[0-9]{1,7}|[0-9]{9,18})")
"""``entry:812``, as people say it; ``ledger:812``, as answers cite it; or the number alone. Eight digits are a day."""


_LARGEST = (1 << 63) - 1
"""No store can be asked for an entry beyond that."""

YEARS = range(1900, 9999)
"""Of what lies beyond no calendar of ours says anything."""


class QuestionRefused(ReconcilerError):
    """What is asked cannot be read: a moment that is none, a permission without an action."""

    code = "question"
    exit_status: ClassVar[int] = 64


class UnknownEntry(ReconcilerError):
    """The ledger has no entry of this number."""

    code = "unknown-entry"


@dataclass(frozen=True, slots=True)
class KnownAt:
    """As of which ledger entry (included) a question is asked, and by what that was said.

    `moment` is the one asked for, or that at which the entry was recorded; None where the question is about what is
    known now. `text` says it to a person, "" for now.
    """

    entry: int
    moment: datetime | None = None
    text: str = ""

    def as_json(self) -> dict[str, object]:
        """As data; `moment` is null where what is known now was asked for."""
        return {"moment": instant(self.moment), "ledger_seq": self.entry}


def moment(text: str, zone: ZoneInfo) -> datetime:
    """An instant: a day is its start in the workspace's timezone, a time without offset is local to it. Raises
    `QuestionRefused`.
    """
    try:
        return day_start(parse_day(text), zone)
    except ValueError:
        pass
    try:
        parsed = datetime.fromisoformat(text)
        if parsed.year not in YEARS:
            raise ValueError(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        text_ = f"{text!r} is neither a day nor a moment"
        raise QuestionRefused(text_, remedy="write 2026-12-01, or 2026-12-01T09:30") from None


def known_at(text: str, facts: Facts, now: datetime) -> KnownAt:
    """What was on record: when a day was over, at a moment, or with a ledger entry. Raises `UnknownEntry` for one that
    does not exist, and `QuestionRefused` for a time that is yet to come.
    """
    named = _ENTRY.fullmatch(text.strip())
    if named:
        return _by_entry(int(named["named"] or named["bare"]), facts)
    asked, said = _asked(text, facts.zone, now)
    entry = facts.known_at(asked)
    on_record = f"up to ledger entry {entry}" if entry else "before the first ledger entry"
    return KnownAt(entry, asked, f"{said}, {on_record}")


def _by_entry(entry: int, facts: Facts) -> KnownAt:
    found = facts.recorded([entry]).get(entry) if entry <= _LARGEST else None
    if found is None:
        newest = facts.ledger.head()
        remedy = f"the newest is {newest}" if newest else "nothing is on record yet"
        raise UnknownEntry(f"there is no ledger entry {entry}", remedy=remedy)
    said = f"{found.recorded_at.astimezone(facts.zone):%Y-%m-%d %H:%M}, up to ledger entry {entry}"
    return KnownAt(entry, found.recorded_at, said)


def _asked(text: str, zone: ZoneInfo, now: datetime) -> tuple[datetime, str]:
    """The moment up to which entries count, and how it is told."""
    try:
        day = parse_day(text)
    except ValueError:
        asked = begun = moment(text, zone)
        said = f"{asked.astimezone(zone):%Y-%m-%d %H:%M}"
    else:
        asked, begun, said = day_end(day, zone), day_start(day, zone), f"the end of {day}"
    if begun > now:
        raise QuestionRefused(f"{text!r} is yet to come: what will be known then, nobody can say")
    return asked, said
