"""The users of a provider: all of them, some of them, and whoever has some values.

Where a filter narrows the question, what does not come back by it is not believed to be absent, but looked for by
itself. Source: RFC 7643, section 4.1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.scim.asking import Questions, version_of
from adapters.scim.attributes import Resource, any_of, is_true, joined, one_text, part
from adapters.scim.paging import Listing
from adapters.scim.session import address
from adapters.scim.settings import Layout

__all__ = ["User", "Users", "matches", "user_of"]


@dataclass(frozen=True, slots=True)
class User:
    """A user. `version`: blank where there is none."""

    key: str
    name: str
    active: bool
    version: str
    resource: Resource = field(repr=False)


def user_of(resource: Resource) -> User:
    """A user as it was read."""
    key, active = one_text(part(resource, "id")), part(resource, "active")
    name = one_text(part(resource, "userName")) or key
    return User(key, name, active is None or is_true(active), version_of(resource), resource)


def matches(layout: Layout, resource: Resource) -> Mapping[str, str]:
    """Attribute of a person → what a user has there; what it has several times and differently is left out."""
    said = {person: attribute.values(resource) for person, attribute in layout.match.items()}
    return {person: values[0] for person, values in said.items() if len(values) == 1}


class Users:
    """Reads the users of one provider. Everything raises `Trouble`."""

    def __init__(self, questions: Questions, layout: Layout) -> None:
        self._questions = questions
        self._layout = layout
        self._understood: bool | None = None

    def all(self) -> Listing:
        """All of them, without versions."""
        return self._questions.list("/Users", self._of_users)

    def of(self, keys: Collection[str], *, bare: bool = False) -> Listing:
        """Those of these keys that there are, with their versions, in about as few questions as possible; `bare`: with
        nothing but their keys.
        """
        attributes = "id" if bare else f"{self._of_users},meta"
        wanted = {key for key in keys if address("Users", key)}
        if len(wanted) <= 1:
            return Listing({key: found for key in wanted if (found := self._questions.one("Users", key, attributes))})
        listing = (
            self._questions.having("/Users", "id", sorted(wanted), attributes) if self._is_narrow(wanted) else None
        )
        missing = wanted - set(listing.resources) if listing else wanted
        if listing is None or len(missing) > 1:
            listing = self._questions.list("/Users", attributes)
        elif missing:
            listing.resources |= self.of(missing, bare=bare).resources
        return Listing({key: each for key, each in listing.resources.items() if key in wanted}, listing.shortfall)

    def having(self, asked: Sequence[Mapping[str, str]]) -> Listing | None:
        """Those who have all the values of one of these (attribute of a person → value); None where that cannot be
        asked, or is not shown to be understood.
        """
        if not self._questions.can_filter("/Users", "match"):
            return None
        found = self._matching(asked)
        if found is not None and not found.resources and not self._is_understood():
            return None
        return found

    def _matching(self, asked: Sequence[Mapping[str, str]]) -> Listing | None:
        listing = Listing()
        for filter_ in joined(map(self._clause, asked)):
            found = self._questions.matching("/Users", "match", filter_, self._of_users)
            if found is None:
                return None
            listing.resources |= found.resources
            listing.shortfall = listing.shortfall or found.shortfall
        return listing

    def _clause(self, asked: Mapping[str, str]) -> str:
        clauses = [self._layout.match[person].equals(value) for person, value in asked.items()]
        return clauses[0] if len(clauses) == 1 else f"({' and '.join(clauses)})"

    def _is_understood(self) -> bool:
        """Whether the provider finds, by a filter of this kind, somebody who is there."""
        if self._understood is None:
            sample = self._questions.some("/Users", self._of_users)
            known = ((one_text(part(each, "id")), matches(self._layout, each)) for each in sample)
            key, values = next(((key, own) for key, own in known if len(own) == len(self._layout.match)), ("", {}))
            found = self._matching([values]) if values else None
            self._understood = found is not None and key in found.resources
        return self._understood

    @property
    def _of_users(self) -> str:
        layout = self._layout
        named = [*layout.match.values(), *layout.managed.values()]
        return ",".join(dict.fromkeys(["userName", "active", *(each.asked for each in named)]))

    def _is_narrow(self, wanted: Collection[str]) -> bool:
        """Whether asking for these is less work than reading everybody."""
        if not self._questions.can_filter("/Users", "id"):
            return False
        questions = len(list(any_of("id", wanted)))
        if questions == 1:
            return True
        return questions <= self._questions.count("/Users") / self._questions.page_size
