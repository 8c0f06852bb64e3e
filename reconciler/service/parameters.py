"""What stands behind the `?` of a question: a parameter that the route does not have is refused, and so is one given
twice. A mistyped `at` would otherwise be answered as of now, and nobody would notice.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from reconciler.audit.moments import QuestionRefused

__all__ = ["known_only"]


def known_only(request: Request) -> None:
    """A dependency of routes. Raises `QuestionRefused`."""
    route = request.scope["route"]
    if not isinstance(route, APIRoute):
        return
    lists = dict(_parameters(route.dependant))
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in lists:
            known = ", ".join(sorted(lists)) or "none"
            raise QuestionRefused(f"there is no parameter {name[:100]!r} here", remedy=f"there are: {known}")
        if given.count(name) > 1 and not lists[name]:
            raise QuestionRefused(f"the parameter `{name}` is given more than once", remedy="give it once")


def _parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """The names, each with whether it is a list."""
    for field in dependant.query_params:
        yield field.alias, field.field_info.annotation == list[str] | None
    for each in dependant.dependencies:
        yield from _parameters(each)
