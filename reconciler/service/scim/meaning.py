"""What a SCIM resource says about a person, and which events follow from what it says otherwise than before. Pure.

The rules: only what differs from what SCIM said last is news, so that a client that repeats itself undoes nothing;
whoever is not active is out from now, and so is whoever is deleted; who was out by SCIM's word alone comes back by it;
an exit that another source has told is never reversed here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from scim2_models import (
    ConflictException,
    InvalidValueException,
    Resource,
    UniquenessException,
)

from reconciler.facts.days import day_end, day_start, parse_day
from reconciler.facts.decision import is_out, open_span
from reconciler.facts.events import MAIN, EventType
from reconciler.facts.known_person import MOVES
from reconciler.facts.model import Assignment, Person
from reconciler.facts.scim_state import ScimState, ScimUser
from reconciler.service.scim.schemas import OWN, Language
from reconciler.workspace.service import ScimSettings

__all__ = ["Moment", "Outcome", "Said", "cells_of", "changed", "created", "deleted", "identity_of"]

LONGEST_ID = 100
_SOON = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Said:
    """An event that follows. `when`: a moment, or a day."""

    kind: EventType
    when: date | datetime
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows of a request: the events, in this order, and how the resource stands then."""

    events: Sequence[Said]
    state: ScimState


@dataclass(frozen=True, slots=True)
class Moment:
    """Under which circumstances a request is judged. `left_by_others`: another source has told of the exit, too, so
    that it is not SCIM's to end.
    """

    now: datetime
    zone: tzinfo
    settings: ScimSettings
    left_by_others: bool = False


# --- what a resource says ---------------------------------------------------------------------------------------------


def identity_of(resource: Resource[Any], language: Language) -> str:
    """The person's id. Raises `InvalidValueException` where there is none, or it cannot be one."""
    text = _text(language.path(language.identity).get(resource, strict=False))
    if not text:
        raise InvalidValueException(detail=f"`{language.identity}` carries the person's id here, and it is missing")
    odd = text != text.strip() or "/" in text or text.startswith(".") or not text.isprintable()
    if odd or len(text) > LONGEST_ID:
        detail = f"`{language.identity}` carries the person's id here: up to {LONGEST_ID} characters, no / among them"
        raise InvalidValueException(detail=detail)
    return text


def cells_of(resource: Resource[Any], language: Language, at: Moment) -> dict[str, str]:
    """What counts as facts, under the names that it has on record; nothing blank. Raises `InvalidValueException`."""
    said = {"name": _name(resource, language), "email": _email(resource, language)}
    for column, name in (("starts_on", "startsOn"), ("ends_on", "endsOn")):
        said[column] = _day(_text(language.path(f"{OWN}:{name}").get(resource, strict=False)), name, at.zone)
    if said["starts_on"] and said["ends_on"] and said["ends_on"] < said["starts_on"]:
        raise InvalidValueException(detail="`endsOn` lies before `startsOn`")
    for name, where in language.reads.items():
        found = language.path(where).get(resource, strict=False)
        told = at.settings.values.get(name, {})
        values = [told.get(text, text) for text in _texts(found)]
        said[name] = ";".join(sorted(set(values))) if name in language.sets else next(iter(values), "")
    return {name: text for name, text in said.items() if text}


def _name(resource: Resource[Any], language: Language) -> str:
    def part(path: str) -> str:
        return _text(language.path(path).get(resource, strict=False))

    if whole := part("displayName") or part("name.formatted"):
        return whole
    family, given = part("name.familyName"), part("name.givenName")
    written = f"{family}{given}"
    if written and all(unicodedata.name(sign, "").startswith("CJK") for sign in written):
        return written
    return f"{given} {family}".strip()


def _email(resource: Resource[Any], language: Language) -> str:
    emails = language.path("emails").get(resource, strict=False) or []
    ranked = sorted(emails, key=lambda each: (not each.primary, str(each.type or "") != "work"))
    return next((_text(each.value) for each in ranked if each.value), "")


def _texts(value: object) -> Iterator[str]:
    for each in value if isinstance(value, list) else [value]:
        if text := _text(each):
            yield text


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip()


def _day(text: str, name: str, zone: tzinfo) -> str:
    if not text:
        return ""
    try:
        if "T" in text:
            moment = datetime.fromisoformat(text)
            text = (moment.astimezone(zone) if moment.tzinfo else moment).date().isoformat()
        return parse_day(text).isoformat()
    except (ValueError, OverflowError):
        raise InvalidValueException(detail=f"`{name}` is a day such as 2026-12-01") from None


# --- what follows -----------------------------------------------------------------------------------------------------


def created(
    before: ScimUser | None, person: Person | None, cells: Mapping[str, str], active: bool, at: Moment
) -> Outcome:
    """What follows when a resource is made. `before`: one of theirs that was deleted. Raises `UniquenessException` for
    somebody whom another source has made known, unless they may be taken over, and `ConflictException` for one who has
    left.
    """
    if person is None:
        events = [Said(EventType.HIRED, _begun(cells, at), cells), *_leaving(None, active, at)]
        return Outcome(events, _state(active, at))
    if before is None and not at.settings.take_over:
        detail = f"`{person.id}` is known from another source, which answers for them; see `take_over`"
        raise UniquenessException(detail=detail)
    if not is_out(person):
        events = [*_changes(_differing(person, cells, at), cells, person, at), *_leaving(person, active, at)]
        return Outcome(events, _state(active, at))
    if before is None:
        detail = f"`{person.id}` has left, by the word of another source: record `rehired` first"
        raise ConflictException(detail=detail)
    if not active:
        return Outcome([], ScimState.EXIT)
    return Outcome([_return(person, cells, at)], ScimState.ACTIVE)


def changed(before: ScimUser, person: Person, cells: Mapping[str, str], active: bool, at: Moment) -> Outcome:
    """What follows when a resource is changed. Raises `ConflictException` and `InvalidValueException` for what cannot
    be.
    """
    news = {
        name: cells.get(name, "")
        for name in sorted({*before.cells, *cells})
        if cells.get(name, "") != before.cells.get(name, "")
    }
    if before.state is ScimState.ACTIVE:
        events = [*_changes(news, cells, person, at), *_leaving(person, active, at)]
        return Outcome(events, _state(active, at))
    if before.state is ScimState.LEAVE:
        ended = [Said(EventType.LEAVE_ENDED, at.now)] if active and open_span(person.leave) else []
        return Outcome([*ended, *_changes(news, cells, person, at)], ScimState.ACTIVE if active else ScimState.LEAVE)
    if not active:
        return Outcome([], ScimState.EXIT)
    if is_out(person):
        return Outcome([_return(person, cells, at)], ScimState.ACTIVE)
    return Outcome(_changes(_differing(person, cells, at), cells, person, at), ScimState.ACTIVE)


def deleted(person: Person, at: Moment) -> Outcome:
    """What follows when a resource is deleted: they are out from now, unless they are already."""
    return Outcome([] if _out_now(person, at) else [Said(EventType.EXITED, at.now)], ScimState.GONE)


def _state(active: bool, at: Moment) -> ScimState:
    return ScimState.ACTIVE if active else ScimState(at.settings.inactive)


def _leaving(person: Person | None, active: bool, at: Moment) -> Sequence[Said]:
    """An exit that is yet to come is no reason to wait for it."""
    if active or (person is not None and _out_now(person, at)):
        return ()
    if at.settings.inactive == "exit":
        return [Said(EventType.EXITED, at.now)]
    on_leave = person is not None and open_span(person.leave) is not None
    return () if on_leave else [Said(EventType.LEAVE_STARTED, at.now)]


def _out_now(person: Person, at: Moment) -> bool:
    return any(span.covers(at.now) for span in person.exited)


def _begun(cells: Mapping[str, str], at: Moment) -> date | datetime:
    """From when it is true that somebody was hired: of one who is yet to start, from now."""
    day = _given(cells, "starts_on")
    return day if day is not None and day_start(day, at.zone) <= at.now else at.now


def _return(person: Person, cells: Mapping[str, str], at: Moment) -> Said:
    """A first day that is not later than the exit is that of the time before."""
    if at.left_by_others:
        detail = f"`{person.id}` has left by the word of another source, too: record `rehired` first"
        raise ConflictException(detail=detail)
    out, day = open_span(person.exited), _given(cells, "starts_on")
    later = day is not None and (out is None or out.start is None or day_start(day, at.zone) >= out.start)
    kept = {name: text for name, text in cells.items() if name != "starts_on" or later}
    return Said(EventType.REHIRED, at.now, kept)


def _differing(person: Person, cells: Mapping[str, str], at: Moment) -> dict[str, str]:
    """What is said otherwise than it stands on record."""
    post = _running(person, at)
    known = {**(post.attributes if post else {}), "name": person.name, "email": person.email}
    dated = ("starts_on", "ends_on")
    return {name: text for name, text in cells.items() if name not in dated and text != known.get(name, "")}


def _changes(news: Mapping[str, str], cells: Mapping[str, str], person: Person, at: Moment) -> Sequence[Said]:
    dated = {"starts_on", "ends_on"} & news.keys()
    if not news:
        return ()
    if is_out(person) and dated:
        detail = (
            f"`{person.id}` has left or is to leave, which a day does not change: send `active` false and then true"
        )
        raise ConflictException(detail=detail)
    if _out_now(person, at):
        return ()
    post, rest = _running(person, at), dict(news)
    if post is not None:
        _check_start(post, rest, at)
    elif dated:
        rest = {**cells, **rest}
    exit_ = _exit_by_end(post, person, rest, at)
    events = []
    if rest:
        kind = EventType.TRANSFERRED if MOVES & rest.keys() and post else EventType.ATTRIBUTES_CHANGED
        events.append(Said(kind, at.now, rest))
    return [*events, *exit_]


def _running(person: Person, at: Moment) -> Assignment | None:
    """The assignment that SCIM speaks of: the one that runs, or is to come."""
    lasting = (post for post in person.assignments if post.name == MAIN)
    return next((post for post in lasting if post.span.end is None or post.span.end > at.now), None)


def _check_start(post: Assignment, news: Mapping[str, str], at: Moment) -> None:
    """To begin later what has begun would be to take everything away, and no guard would count it."""
    day = _given(news, "starts_on")
    begun = post.span.start is None or post.span.start <= at.now
    if begun and day is not None and day_start(day, at.zone) > at.now:
        raise InvalidValueException(detail="`startsOn` is yet to come, and the assignment has begun")


def _exit_by_end(post: Assignment | None, person: Person, news: dict[str, str], at: Moment) -> Sequence[Said]:
    """What ends somebody's last assignment within a day is an exit by another name, and is counted as one."""
    day = _given(news, "ends_on")
    if post is None or day is None or day_end(day, at.zone) > at.now + _SOON:
        return ()
    others = (each for each in person.assignments if each.name != MAIN)
    if any(each.span.end is None or each.span.end > at.now + _SOON for each in others):
        return ()
    del news["ends_on"]
    return [Said(EventType.EXITED, day)]


def _given(cells: Mapping[str, str], name: str) -> date | None:
    text = cells.get(name)
    return date.fromisoformat(text) if text else None
