"""Users, created from a template, unless they are there; looked for and read back all at once.

Source: RFC 7644, 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from adapters.api.trouble import Trouble
from adapters.scim.attributes import USER, attribute, one_text, part
from adapters.scim.provider import Provider
from adapters.scim.replies import lost, outcome_of, reply_of
from adapters.scim.session import Session
from adapters.scim.settings import Layout
from adapters.scim.users import matches, user_of
from adapters.templates import filled
from reconciler.targets import Outcome, OutcomeKind, Step

__all__ = ["Creations"]

_Match: TypeAlias = tuple[str, ...]
"""The values by which an account is somebody's, in small letters."""


@dataclass(slots=True)
class Creations:
    """Creates accounts."""

    session: Session
    provider: Provider
    layout: Layout
    _silence: Outcome | None = None
    """What became of a creation to which nothing was said: then the others are not tried."""
    _made: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Step → the id and the name of the user that it made."""

    def carry_out(self, numbered: Sequence[tuple[int, Step]], outcomes: dict[int, Outcome]) -> None:
        """Enter what became of each. Raises `Trouble` where the users cannot be read and nothing was sent."""
        there = self._there([step.person for _, step in numbered])
        for number, step in numbered:
            asked = self._match(step.person)
            if asked in there:
                outcomes[number] = Outcome(OutcomeKind.ALREADY, f"there is {there[asked]}")
            else:
                outcomes[number] = self._silence or self._created(number, step)
                there[asked] = "one that was asked for before"
        outcomes |= self._read_back()

    def _there(self, people: Sequence[Mapping[str, str]]) -> dict[_Match, str]:
        """Whose account there is, and what it is called."""
        asked = [{name: person[name].strip() for name in self.layout.match} for person in people]
        listing = self.provider.users.having(asked) or self.provider.users.all()
        if listing.shortfall:
            raise Trouble(f"the list of users may not be whole: {listing.shortfall}", "try again", passing=True)
        users = map(user_of, listing.resources.values())
        found = ((user, matches(self.layout, user.resource)) for user in users)
        return {self._match(own): user.name for user, own in found if len(own) == len(self.layout.match)}

    def _match(self, values: Mapping[str, str]) -> _Match:
        return tuple(values[name].strip().casefold() for name in self.layout.match)

    def _created(self, number: int, step: Step) -> Outcome:
        """What was said to it; whether it is there, is seen afterwards."""
        try:
            answer = self.session.send("POST", "/Users", self._new(step.person))
        except Trouble as trouble:
            outcome = lost(trouble, sent=True)
            self._silence = outcome if trouble.passing else None
            return outcome
        if not answer.done:
            return outcome_of(reply_of(answer))
        key = one_text(part(answer.value, "id"))
        self._made[number] = key, one_text(part(answer.value, "userName")) or key
        return Outcome(OutcomeKind.UNAVAILABLE, "it said that it was done, and cannot be read back")

    def _read_back(self) -> dict[int, Outcome]:
        nothing = Outcome(OutcomeKind.REFUSED, "it said that it was done, and there is no such user")
        try:
            listing = self.provider.users.of({key for key, _ in self._made.values()}, bare=True)
        except Trouble as trouble:
            return {number: lost(trouble, sent=True) for number in self._made}
        if listing.shortfall:
            words = f"it said that it was done, and the list of users may not be whole: {listing.shortfall}"
            nothing = Outcome(OutcomeKind.UNAVAILABLE, words)
        done = {number: Outcome(OutcomeKind.APPLIED, f"it is {name}") for number, (_, name) in self._made.items()}
        return {
            number: done[number] if key in listing.resources else nothing for number, (key, _) in self._made.items()
        }

    def _new(self, person: Mapping[str, str]) -> dict[str, object]:
        template = self.layout.accounts.create
        assert template is not None  # noqa: S101  # `ops` has no creation without one
        resource: dict[str, object] = {"active": True}
        schemas = [USER]
        for text, value in template.attributes.items():
            named = attribute(text)
            named.enter(resource, filled(value, person))
            schemas += [named.host] if named.host else []
        return {"schemas": list(dict.fromkeys(schemas)), **resource}
