"""The single values of a policy file: names, ids, days, periods, and how each says what is wrong with it.

A value's own check raises `PydanticCustomError` with our code and, in its context, the remedy.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, PlainValidator, WithJsonSchema
from pydantic import Field as Constraint
from pydantic_core import PydanticCustomError

from reconciler.errors import Place
from reconciler.policy.model import Period
from reconciler.policy.periods import PERIOD_PATTERN, BadPeriod, parse_period
from reconciler.policy.report import Report
from reconciler.policy.spelling import has_braces, name_flaw, template_flaw, value_flaw

MATCH_TITLE = "Match"
"""The schema of a match refers to itself, so it is written by hand, in `schema`; this title marks the places."""
RANKS_SCHEMA = {
    "type": "array",
    "minItems": 1,
    "items": {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]},
}


def mistake(code: str, message: str, remedy: str = "") -> PydanticCustomError:
    """A mistake found by a field's own check."""
    return PydanticCustomError(code, "{message}", {"message": message, "remedy": remedy})


def tell(refusal: PydanticCustomError, place: Place, report: Report, subject: str = "") -> None:
    """Report a refusal that was made outside of a model; `subject` begins the message."""
    remedy = str((refusal.context or {}).get("remedy", ""))
    report.error(refusal.type, f"{subject}: {refusal.message()}" if subject else refusal.message(), place, remedy)


def _word(text: str) -> str:
    if flaw := name_flaw(text):
        raise mistake("text", f"{text!r} {flaw}", "write it without")
    return text


def _name(text: str) -> str:
    if has_braces(text):
        message = f"`{text}` holds a brace, and only resources and compartments have a variable in their names"
        raise mistake("template", message, "write it without")
    return _plain_name(text)


def _plain_name(text: str) -> str:
    if any(mark in text for mark in ":*"):
        raise mistake(
            "text", f"`{text}` holds a `:` or a `*`, which have a meaning of their own", "choose another name"
        )
    return _word(text)


def _template(text: str) -> str:
    if has_braces(text) and (flaw := template_flaw(text)):
        raise mistake("template", f"`{text}` {flaw}", "write one variable, such as `{project}`")
    return _word(text)


def _variable(text: str) -> str:
    if has_braces(text):
        raise mistake("template", f"`{text}`: a variable is declared without braces", "write its name alone")
    return _name(text)


def _value(text: str) -> str:
    if flaw := value_flaw(text):
        raise mistake("text", f"{text!r} {flaw}", "write it without")
    return text


def name_refusal(name: str, *, templates: bool = False) -> PydanticCustomError | None:
    """Why a text cannot be the name of a clause, or None. With `templates` it may hold one variable, once."""
    try:
        if templates and has_braces(name):
            _template_name(name)
        else:
            _name(name)
    except PydanticCustomError as refusal:
        return refusal
    return None


def _template_name(name: str) -> None:
    _plain_name(_template(name))
    if name.count("{") > 1:
        raise mistake("template", f"`{name}` holds its variable more than once", "write it once")


def _locator_part(text: str) -> str:
    if any(mark in text for mark in "=,\\"):
        raise mistake(
            "text", f"`{text}` holds one of `=`, `,` and `\\`", "a part of a binding has a plain name, such as `group`"
        )
    return _name(text)


def _locator_value(text: str) -> str:
    if has_braces(text):
        raise mistake("template", f"`{text}` holds a brace, and no variable can stand here", "write the value itself")
    return _word(text)


def _prose(text: str) -> str:
    if not text.strip():
        raise mistake("empty", "this is blank", "say it in a few words: it is what an auditor will read")
    return text


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def _day(value: object) -> object:
    if isinstance(value, date) or not isinstance(value, str):
        return value
    if not _DAY.fullmatch(value):
        raise mistake("date", f"`{value}` is not a day", "write year, month and day, such as 2027-06-30")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise mistake(
            "date", f"{value} is a day that does not exist", "no calendar has it; write the last day meant"
        ) from None


def _period(value: object) -> Period:
    if not isinstance(value, str):
        raise mistake("period", "a period has a unit", "write years, months or days, such as `1y`, `6mo` or `14d`")
    try:
        return parse_period(value)
    except BadPeriod as error:
        raise mistake(error.code, error.message, error.remedy) from None


def _some_time(period: Period) -> Period:
    if period == Period():
        raise mistake("period", "what holds for no time never holds", "leave the field out where it holds for good")
    return period


def _ranks(value: object) -> object:
    return [item if isinstance(item, list) else [item] for item in value] if isinstance(value, list) else value


Word = Annotated[str, AfterValidator(_word)]
Name = Annotated[str, AfterValidator(_name)]
LocatorPart = Annotated[str, AfterValidator(_locator_part)]
LocatorValue = Annotated[str, AfterValidator(_locator_value)]
TemplateText = Annotated[str, AfterValidator(_template)]
Variable = Annotated[str, AfterValidator(_variable)]
Value = Annotated[str, AfterValidator(_value)]
Prose = Annotated[str, AfterValidator(_prose)]
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
PeriodText = Annotated[Period, PlainValidator(_period), WithJsonSchema({"type": "string", "pattern": PERIOD_PATTERN})]
SomeTime = Annotated[PeriodText, AfterValidator(_some_time)]
MatchText = Annotated[dict[str, object], WithJsonSchema({"type": "object", "title": MATCH_TITLE})]
Percent = Annotated[float, Constraint(ge=0, le=100, allow_inf_nan=False)]
Count = Annotated[int, Constraint(ge=0, le=1_000_000_000)]

T = TypeVar("T")
ListOf = Annotated[list[T], Constraint(min_length=1)]
Grants = Annotated[dict[Name, ListOf[Word]], Constraint(min_length=1)]
Ranks = Annotated[ListOf[ListOf[Word]], BeforeValidator(_ranks), WithJsonSchema(RANKS_SCHEMA)]
OwnerText = Annotated[dict[Word, Word], Constraint(min_length=1, max_length=1)]
