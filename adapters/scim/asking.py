"""Questions to a provider: what it offers, a list, what has one of some values, one resource by itself.

Sources: RFC 7643, section 5; RFC 7644, sections 3.4 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from adapters.api.trouble import Trouble
from adapters.scim.attributes import Resource, any_of, is_true, one_text, part
from adapters.scim.paging import Listing, NoList, read_list
from adapters.scim.session import Session, address
from adapters.scim.settings import Feature, Layout

__all__ = ["NOT_OFFERED", "Features", "Questions", "version_of"]

NOT_OFFERED = frozenset({400, 403, 404, 405, 501})
"""How a provider refuses a question that it does not understand."""
_WORTH_HAVING: Sequence[Feature] = ("filter", "etag", "bulk")
_VERSION = "\0version"
"""Where the version of a resource is noted that was read alone: no attribute has such a name."""


@dataclass(frozen=True, slots=True)
class Features:
    """What the provider offers and the settings do not exclude. `bulk`: the most operations at once, 0 for none."""

    patch: bool
    filter: bool
    etag: bool
    bulk: int
    bulk_octets: int
    most: int
    """The most resources of one page; 0 where it does not say."""
    lacking: Sequence[Feature]
    """What it does not offer, and the settings do not say so."""


class Questions:
    """Asks one provider. Everything raises `Trouble`."""

    def __init__(self, session: Session, layout: Layout) -> None:
        self._session = session
        self._layout = layout
        self._refused: set[tuple[str, str]] = set()
        """The lists and attributes that it takes no filter of."""

    @cached_property
    def features(self) -> Features:
        """What it says of itself; the least that any provider has where it says nothing."""
        try:
            said = self._session.get("/ServiceProviderConfig").value
        except Trouble as trouble:
            if trouble.status not in NOT_OFFERED:
                raise
            said = None
        without = self._layout.without
        bulk = part(said, "bulk")
        return Features(
            patch="patch" not in without and (said is None or _supported(said, "patch")),
            filter="filter" not in without and _supported(said, "filter"),
            etag="etag" not in without and _supported(said, "etag"),
            bulk=_number(bulk, "maxOperations") if "bulk" not in without and _supported(said, "bulk") else 0,
            bulk_octets=_number(bulk, "maxPayloadSize"),
            most=_number(part(said, "filter"), "maxResults"),
            lacking=[each for each in _WORTH_HAVING if each not in without and not _supported(said, each)],
        )

    def count(self, path: str) -> int:
        """How many there are in a list."""
        answer = self._session.get(path, {**self._only("id"), "startIndex": "1", "count": "1"})
        total = one_text(part(answer.value, "totalResults"))
        if not (total.isascii() and total.isdigit()):
            raise Trouble(f"{path} answers with something else than a list", "check `url`")
        return int(total)

    def some(self, path: str, attributes: str) -> Sequence[Resource]:
        """A few resources of a list."""
        answer = self._session.get(path, {**self._only(attributes), "startIndex": "1", "count": "10"})
        found = part(answer.value, "Resources")
        return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []

    def can_filter(self, path: str, attribute: str) -> bool:
        """Whether it may be asked for what has some value in this attribute."""
        return self.features.filter and (path, attribute) not in self._refused

    @property
    def page_size(self) -> int:
        """How many resources are asked for at once."""
        return min(self._layout.page_size, self.features.most or self._layout.page_size)

    def list(self, path: str, attributes: str, filter_: str = "") -> Listing:
        """A list, to its end, of resources with these attributes."""

        def ask(page: Mapping[str, str]) -> object:
            asked = {**self._only(attributes), **({"filter": filter_} if filter_ else {}), **page}
            return self._session.get(path, asked).value

        try:
            return read_list(ask, max(self.page_size, 2), overlaps=self._layout.pages_overlap)
        except NoList as error:
            raise Trouble(f"{path} answers with something else than a list: {error}", "check `url`") from None

    def matching(self, path: str, attribute: str, filter_: str, attributes: str) -> Listing | None:
        """What a filter of this attribute finds; None where the provider does not take it."""
        try:
            return self.list(path, attributes, filter_)
        except Trouble as trouble:
            if trouble.status not in NOT_OFFERED:
                raise
            self._refused.add((path, attribute))
            return None

    def having(self, path: str, attribute: str, values: Sequence[str], attributes: str) -> Listing | None:
        """Whatever has one of these values; None where the provider does not take such a filter."""
        listing = Listing()
        for filter_ in any_of(attribute, values):
            asked = self.can_filter(path, attribute)
            found = self.matching(path, attribute, filter_, attributes) if asked else None
            if found is None:
                return None
            listing.resources |= found.resources
            listing.shortfall = listing.shortfall or found.shortfall
        return listing

    def one(self, kind: str, key: str, attributes: str) -> Resource | None:
        """A resource by itself, e.g. of the kind `Users`; None where there is none of this key."""
        path = address(kind, key)
        if not path:
            return None
        try:
            answer = self._session.get(path, self._only(attributes))
        except Trouble as trouble:
            if trouble.status == 404:
                return None
            raise
        value = answer.value
        if not isinstance(value, Mapping) or one_text(part(value, "id")) != key:
            raise Trouble(f"{path} answers with something else than what has this id", "check `url`")
        return {**value, _VERSION: answer.version} if answer.version else value

    def _only(self, attributes: str) -> Mapping[str, str]:
        """The parameter by which nothing else is asked for."""
        return {} if "attributes" in self._layout.without else {"attributes": attributes}


def version_of(resource: Resource) -> str:
    """The version that a resource had when it was read; a blank where it has none."""
    return one_text(part(resource, _VERSION)) or one_text(part(part(resource, "meta"), "version"))


def _supported(said: object, name: str) -> bool:
    return is_true(part(part(said, name), "supported"))


def _number(said: object, name: str) -> int:
    text = one_text(part(said, name))
    return int(text) if text.isascii() and text.isdigit() else 0
