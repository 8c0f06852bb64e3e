"""Findings about people that come of policy and facts alone: what nobody declared, listed, or should combine."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.plan.model import Finding
from reconciler.plan.situation import Situation


def remarks(situation: Situation) -> Iterator[Finding]:
    """All of them, in no particular order."""
    yield from _undeclared_values(situation)
    yield from _unlisted_values(situation)
    yield from _conflicts(situation)


def _undeclared_values(situation: Situation) -> Iterator[Finding]:
    for value in situation.desired.undeclared:
        text = f"{value.person}: the policy does not declare {value.attribute} {value.value!r}; it compares as unknown"
        yield Finding("undeclared-value", "", value.person, text)


def _unlisted_values(situation: Situation) -> Iterator[Finding]:
    for value in situation.desired.unlisted:
        text = f"{value.person}: {value.family} does not list {value.attribute} {value.value!r}; it gives nothing there"
        yield Finding("unlisted-value", "", value.person, text)


def _conflicts(situation: Situation) -> Iterator[Finding]:
    id_of = {person.number: person.id for person in situation.population} if situation.desired.conflicts else {}
    for conflict in situation.desired.conflicts:
        rule = conflict.separation
        compared = f"the roles {', '.join(rule.roles)}" if rule.roles else f"{len(rule.between)} lists of permissions"
        outcome = "is withheld" if rule.withhold else "is reported only"
        for number in conflict.people:
            text = (
                f"{id_of[number]} comes under more than one of {compared}, which {rule.name} ({rule.place}) "
                f"separates: what they give {outcome}"
            )
            yield Finding("separation", "", id_of[number], text)
