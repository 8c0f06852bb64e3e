"""The vocabulary of events: what may be said about a person, and when it takes effect. Pure.

An event says one thing about one person: who, what, from when, with what data. `EVENT_SHAPES` is the whole
vocabulary: a key that no shape has is an attribute where the shape takes attributes, and an error otherwise.
Recording events (and telling the same one twice from a conflict) is `reconciler.facts.recording`; what they add up to
is `reconciler.facts.fold`.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from reconciler.errors import Place, ReconcilerError
from reconciler.facts.days import UNLIMITED_YEAR, day_start, end_instant, parse_day, parse_end
from reconciler.facts.ledger import Json

MAIN = "main"
"""The assignment that is meant where none is named."""


class EventError(ReconcilerError):
    """An event that cannot be taken as it is."""

    code = "event"


class EventConflict(EventError):
    """An event whose id is known, with other content."""

    code = "event-conflict"


class EventType(StrEnum):
    """What can be said about a person."""

    HIRED = "hired"
    TRANSFERRED = "transferred"
    ASSIGNMENT_ADDED = "assignment-added"
    ASSIGNMENT_ENDED = "assignment-ended"
    LEAVE_STARTED = "leave-started"
    LEAVE_ENDED = "leave-ended"
    RESIGNATION_SUBMITTED = "resignation-submitted"
    RESIGNATION_WITHDRAWN = "resignation-withdrawn"
    EXITED = "exited"
    REHIRED = "rehired"
    ATTRIBUTES_CHANGED = "attributes-changed"
    LOCKED_OUT = "locked-out"
    UNLOCKED = "unlocked"
    EVIDENCE_RECORDED = "evidence-recorded"
    EVIDENCE_REVOKED = "evidence-revoked"


EVIDENCE_KINDS = frozenset({EventType.EVIDENCE_RECORDED.value, EventType.EVIDENCE_REVOKED.value})
PERSON_KINDS = frozenset(kind.value for kind in EventType) - EVIDENCE_KINDS
EVENT_KINDS = PERSON_KINDS | EVIDENCE_KINDS

Value = str | int


@dataclass(frozen=True, slots=True)
class Shape:
    """What an event's `data` may and must hold; `attributes`: whether further keys name attributes."""

    keys: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    attributes: bool = False


_POST = Shape(frozenset({"assignment", "starts_on", "ends_on", "name", "email"}), attributes=True)
_EVIDENCE = frozenset(
    {"kind", "scope", "version", "valid_from", "valid_until", "result", "reference"}
    | {"signer", "document", "course", "score"}
)

EVENT_SHAPES: Mapping[EventType, Shape] = {
    EventType.HIRED: _POST,
    EventType.REHIRED: _POST,
    EventType.ASSIGNMENT_ADDED: _POST,
    EventType.TRANSFERRED: _POST,
    EventType.ATTRIBUTES_CHANGED: _POST,
    EventType.ASSIGNMENT_ENDED: Shape(frozenset({"assignment"})),
    EventType.LEAVE_STARTED: Shape(),
    EventType.LEAVE_ENDED: Shape(),
    EventType.RESIGNATION_SUBMITTED: Shape(),
    EventType.RESIGNATION_WITHDRAWN: Shape(),
    EventType.EXITED: Shape(),
    EventType.LOCKED_OUT: Shape(frozenset({"ref", "reason"}), frozenset({"ref"})),
    EventType.UNLOCKED: Shape(frozenset({"ref", "reason"})),
    EventType.EVIDENCE_RECORDED: Shape(_EVIDENCE, frozenset({"kind", "valid_from"})),
    EventType.EVIDENCE_REVOKED: Shape(frozenset({"evidence", "reason"}), frozenset({"evidence"})),
}

_DAYS = ("starts_on", "ends_on", "valid_from")
_YEARS = range(1900, UNLIMITED_YEAR + 1)
RESULTS = ("passed", "failed")
_DOCUMENT = re.compile(r"sha256:[0-9a-f]{64}")
"""A document is named by its digest: the record holds results, not reports."""

Word = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
]


class Event(BaseModel):
    """One event as it stands in JSON. A date, or a time without offset, is local to the workspace's timezone."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Word
    type: EventType = Field(strict=False)
    person: Word
    effective_at: date | datetime
    data: Mapping[str, Value] = Field(default_factory=dict)
    source: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00]*$")] = ""
    confirmed: bool = False

    @field_validator("effective_at", mode="before")
    @classmethod
    def _when(cls, value: object) -> object:
        return _parse_when(value) if isinstance(value, str) else value

    @field_validator("data", mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        return {key: _text(key, item) for key, item in value.items()} if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _shaped(self) -> Event:
        _check_shape(self.type, self.data)
        _check_values(self.data)
        return self

    def content(self) -> dict[str, Json]:
        """What makes two events of one id the same event; also how it stands in the ledger."""
        return {
            "id": self.id,
            "type": self.type.value,
            "person": self.person,
            "effective_at": when_text(self.effective_at),
            "data": dict(self.data),
        }


def parse_event(raw: str | bytes | Mapping[str, Any], place: Place | None = None) -> Event:
    """One event from JSON text or a decoded object. Raises `EventError` saying everything that is wrong with it."""
    try:
        document = json.loads(raw) if isinstance(raw, str | bytes) else raw
    except ValueError as error:
        raise EventError(f"not JSON: {error}", place=place, remedy="write one JSON object for each event") from None
    try:
        return Event.model_validate(document)
    except ValidationError as error:
        name = document.get("id", "without id") if isinstance(document, Mapping) else "without id"
        text = f"event {name}: {'; '.join(map(_in_words, error.errors()))}"
        raise EventError(text, place=place, remedy="correct it where it is made, and send it again") from None


def effective_instant(kind: str, when: date | datetime, zone: tzinfo) -> datetime:
    """The instant from which an event is true: an exit of a day at its end, everything else of a day at its start."""
    if isinstance(when, datetime) or kind == EventType.EXITED:
        return end_instant(when, zone)
    return day_start(when, zone)


def when_text(when: date | datetime) -> str:
    """How an event's time stands in the ledger's payload: as it was given, in ISO 8601."""
    return when.isoformat()


def check_attributes(event: Event, known: Collection[str]) -> str | None:
    """What is wrong with the attributes that the event names, in words, or None."""
    shape = EVENT_SHAPES[event.type]
    if not shape.attributes:
        return None
    unknown = sorted(set(event.data) - shape.keys - set(known))
    return f"no policy declares the attribute {_names(unknown, known)}" if unknown else None


def _parse_when(text: str) -> date | datetime:
    plain = text.strip()
    try:
        if len(plain) == 10:
            when, years = date.fromisoformat(plain), _YEARS
        elif len(plain) >= 16 and "W" not in plain:
            when, years = datetime.fromisoformat(plain), _YEARS[:-1]  # somewhere its last hours are those of 10000
        else:
            raise ValueError(text)
    except ValueError:
        said = f"`{text}` is neither a date like 2026-12-01 nor a time like 2026-12-01T17:30:00+08:00"
        raise ValueError(said) from None
    if when.year not in years:
        raise ValueError(f"`{text}` lies outside the years {years[0]} to {years[-1]}")
    return when


def _text(key: object, value: object) -> object:
    """Data is text: a list is a set of texts, null is blank, a number is only a version."""
    if value is None:
        return ""
    if "\x00" in "".join(map(str, value if isinstance(value, list) else [value])):
        raise ValueError(f"`{key}` holds a NUL character, which no text has")
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ";".join(sorted({item.strip() for item in value if item.strip()}))
    if isinstance(value, str):
        return value.strip()
    if key == "version" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if key == "score" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"`{key}` must be text: write it in quotes")


def _check_shape(kind: EventType, data: Mapping[str, Value]) -> None:
    shape = EVENT_SHAPES[kind]
    if not shape.attributes and (unknown := sorted(set(data) - shape.keys)):
        takes = ", ".join(sorted(shape.keys)) or "no data"
        raise ValueError(f"`{kind}` does not take {_names(unknown, shape.keys)} (it takes: {takes})")
    if missing := sorted(name for name in shape.required if not data.get(name)):
        raise ValueError(f"`{kind}` needs {', '.join(missing)} in its data")


def _check_values(data: Mapping[str, Value]) -> None:
    days: dict[str, date] = {key: _day(key, str(data[key])) for key in _DAYS if data.get(key)}
    if data.get("valid_until"):
        days["valid_until"] = _end("valid_until", str(data["valid_until"]))
    for first, last in (("starts_on", "ends_on"), ("valid_from", "valid_until")):
        if first in days and last in days and _lies_before(days[last], days[first]):
            raise ValueError(f"`{last}` ({data[last]}) lies before `{first}` ({data[first]})")
    version = data.get("version", 1)
    if not isinstance(version, int) or not 1 <= version <= 1_000_000:
        raise ValueError("`version` must be a whole number, 1 or more, without quotes")
    if data.get("result", "passed") not in RESULTS:
        raise ValueError(f"`result` must be passed or failed, not `{data['result']}`")
    if data.get("document") and not _DOCUMENT.fullmatch(str(data["document"])):
        raise ValueError("`document` must be the digest of a file, sha256: and 64 hexadecimal digits; never the file")


def _day(key: str, text: str) -> date:
    try:
        date.fromisoformat(text)
        return parse_day(text)  # which is how it is read ever after
    except ValueError:
        raise ValueError(f"`{key}` must be a date like 2026-12-01, not `{text}`") from None


def _end(key: str, text: str) -> date | datetime:
    try:
        given = date.fromisoformat(text) if len(text) <= len("2026-12-01") else datetime.fromisoformat(text)
        end = parse_end(text)  # which is how it is read ever after
        if type(given) is type(end):  # midnight without an offset may mean the day, or its first moment
            return end
    except ValueError:
        pass
    moment = "2026-12-01T10:00:00+08:00"
    raise ValueError(f"`{key}` must be a date like 2026-12-01 or a time like {moment}, not `{text}`")


def _lies_before(last: date | datetime, first: date) -> bool:
    """Whether it does in every timezone."""
    if not isinstance(last, datetime):
        return last < first
    return last.date() < (first if last.tzinfo is None else first - timedelta(days=1))


def _names(unknown: Collection[str], known: Collection[str]) -> str:
    def one(name: str) -> str:
        near = difflib.get_close_matches(name, sorted(known), n=1)
        return f"`{name}` (did you mean `{near[0]}`?)" if near else f"`{name}`"

    return ", ".join(map(one, unknown))


def _in_words(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"] if part not in ("date", "datetime", "str", "int"))
    if error["type"] == "enum":
        near = difflib.get_close_matches(str(error["input"]), [kind.value for kind in EventType], n=1)
        hint = f"did you mean `{near[0]}`?" if near else "known are: " + ", ".join(EventType)
        return f"there is no event type `{error['input']}` ({hint})"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"`{where}`: {message}" if where else message


def parse_data_day(text: Json) -> date | None:
    """A day that stands in an event's data, or None where it is blank."""
    return parse_day(str(text)) if text else None


def parse_data_end(text: Json) -> date | datetime | None:
    """The end that stands in an event's data, a day or a moment, or None where it is blank."""
    return parse_end(str(text)) if text else None
