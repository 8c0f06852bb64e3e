"""A list, read page by page to its end, and what may have been missed (RFC 7644, 3.4.2.4). Pure.

`startIndex` counts positions, and a list that changes while it is read moves below them: what slid from a page not yet
read to one that was is never seen. So every page begins with the last resource of the one before; where it is another,
or the number of all changed, the list is read again. What cannot be shown to be all of it is never said to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.api.trouble import Trouble
from adapters.scim.attributes import Resource, one_text, part

__all__ = ["AskPage", "Listing", "NoList", "read_list"]

AskPage = Callable[[Mapping[str, str]], object]
"""Asks for one page with these parameters. Raises where none comes."""

_ATTEMPTS = 3
_MOST_PAGES = 20_000


class NoList(ValueError):
    """Why an answer is no page of a list, in words."""


@dataclass(slots=True)
class Listing:
    """What was read. `shortfall` says why it may not be all; blank where it is."""

    resources: dict[str, Resource] = field(default_factory=dict)
    shortfall: str = ""


class _Moved(Exception):
    """The list changed while it was read."""


def read_list(ask: AskPage, size: int, *, overlaps: bool = True) -> Listing:
    """Read a list in pages of at most `size`; `overlaps`: each begins with the last one of the page before. Raises
    `NoList`, or what `ask` raises, where not even one page comes.
    """
    listing = Listing()
    for _ in range(_ATTEMPTS):
        listing = Listing()
        try:
            _read(ask, size, listing, overlaps=overlaps)
        except _Moved as moved:
            listing.shortfall = f"{moved}; it was read {_ATTEMPTS} times"
        else:
            return listing
    return listing


def _read(ask: AskPage, size: int, listing: Listing, *, overlaps: bool) -> None:
    total, page = _page(ask({"startIndex": "1", "count": str(size)}))
    last = ""
    for _ in range(_MOST_PAGES):
        if said := _taken(listing, page):
            listing.shortfall = said
            return
        if len(listing.resources) >= total:
            if len(listing.resources) > total:
                listing.shortfall = f"it says that there are {total}, and gave {len(listing.resources)}"
            return
        if not page:
            listing.shortfall = f"it ends after {len(listing.resources)} of {total}"
            return
        last = one_text(part(page[-1], "id"))
        try:
            total, page = _following(ask, size, len(listing.resources), total, last if overlaps else "")
        except (Trouble, NoList) as error:
            listing.shortfall = f"after {len(listing.resources)} of {total}: {error}"
            return
    listing.shortfall = f"it has no end after {_MOST_PAGES} pages"


def _following(ask: AskPage, size: int, known: int, total: int, last: str) -> tuple[int, Sequence[Resource]]:
    """The page after the first `known` resources, which begins with the last of them, where that is given."""
    start = known if last else known + 1
    now, page = _page(ask({"startIndex": str(start), "count": str(max(size, 2))}))
    if now != total:
        raise _Moved(f"there were {total} when the reading began, and then {now}")
    if not page or not last:
        return now, page
    if one_text(part(page[0], "id")) != last:
        raise _Moved(f"position {known} held another one when it was asked for again")
    return now, page[1:]


def _taken(listing: Listing, page: Sequence[Resource]) -> str:
    """Take over what a page holds; why that is all that can be taken, or a blank."""
    for resource in page:
        key = one_text(part(resource, "id"))
        if not key:
            return "something in it has no `id`"
        if key in listing.resources:
            return f"it gives {key} twice: the pages repeat themselves"
        listing.resources[key] = resource
    return ""


def _page(answer: object) -> tuple[int, Sequence[Resource]]:
    total = one_text(part(answer, "totalResults"))
    if not (total.isascii() and total.isdigit()):
        raise NoList("it has no `totalResults`, which every list has")
    resources = part(answer, "Resources")
    if resources is None:
        resources = []
    if not isinstance(resources, list) or not all(isinstance(each, Mapping) for each in resources):
        raise NoList("its `Resources` are no list of resources")
    return int(total), resources
