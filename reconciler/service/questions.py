"""The questions of the command line over HTTP: who may what, why, why not, then and now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse

from reconciler.audit.questions import When
from reconciler.passes.operators import Actor
from reconciler.passes.tokens import Act
from reconciler.service.answers import refusals
from reconciler.service.asking import Asking
from reconciler.service.callers import Callers
from reconciler.service.paging import LONGEST, PAGE
from reconciler.service.parameters import known_only
from reconciler.service.shapes import AccessAnswer, CanAnswer, WhoAnswer, WhyAnswer
from reconciler.service.turns import Turns

__all__ = ["At", "Limit", "PageToken", "questions_router"]

At = Annotated[
    str | None,
    Query(
        description="As of another day (its start) or moment: 2026-12-01, 2026-12-01T09:30+08:00; otherwise now.",
        max_length=100,
    ),
]
_AsKnownAt = Annotated[
    str | None,
    Query(
        description="As the record stood when a day was over, at a moment, or with a ledger entry (entry:812).",
        max_length=100,
    ),
]
Limit = Annotated[int, Query(ge=1, le=LONGEST, description="How many are on a page.")]
PageToken = Annotated[str, Query(max_length=1000, description="What the page before named as `next`.")]
_Person = Annotated[str, Path(min_length=1, description="A person's stable id, or a service account's name.")]
_Permission = Annotated[
    str, Path(min_length=1, description="RESOURCE:ACTION; a slash in it may stand as it is, or as %2F.")
]


def _when(at: At = None, as_known_at: _AsKnownAt = None) -> When:
    return When(at, as_known_at)


@dataclass(frozen=True, slots=True)
class _Pair:
    person: str
    permission: str


def _pair(request: Request, person: _Person, permission: _Permission) -> _Pair:
    """Both, from the path as it was sent: a slash that belongs to an id comes encoded, and what is decoded already
    cannot tell it from one that parts the two.
    """
    sent: bytes = request.scope.get("raw_path") or b""
    parts = sent.decode("latin-1").split("/", 4)
    if len(parts) != 5:
        return _Pair(person, permission)
    return _Pair(unquote(parts[3]), unquote(parts[4]))


_When = Annotated[When, Depends(_when)]
_Asked = Annotated[_Pair, Depends(_pair)]


def questions_router(callers: Callers, asking: Asking, turns: Turns) -> APIRouter:
    """The routes."""
    calling = Depends(callers.actor)
    router = APIRouter(prefix="/v1", tags=["questions"], dependencies=[calling, Depends(known_only)])
    refused = refusals(400, 401, 403, 404, 422, 503)

    @router.get("/access/{person:path}", response_model=AccessAnswer, responses=refused)
    def access(person: _Person, when: _When, actor: Actor = calling) -> JSONResponse:
        """Everything that a person may do, highest class first; and what is withheld from them, with why."""
        callers.check(actor, Act.READ, person)
        return JSONResponse(asking.access(person, when))

    @router.get("/why/{person}/{permission:path}", response_model=WhyAnswer, responses=refused)
    def why(asked: _Asked, when: _When, actor: Actor = calling) -> JSONResponse:
        """Why a person may do that, or why not, and what would change it."""
        callers.check(actor, Act.READ, asked.person)
        return JSONResponse(asking.why(asked.person, asked.permission, when))

    @router.get("/can/{person}/{permission:path}", response_model=CanAnswer, responses=refused)
    def can(asked: _Asked, when: _When, actor: Actor = calling) -> JSONResponse:
        """Whether a person may do that. Document systems ask at `/access/v1/evaluation`."""
        callers.check(actor, Act.READ, asked.person)
        return JSONResponse(asking.can(asked.person, asked.permission, when))

    @router.get("/who/{permission:path}", response_model=WhoAnswer, responses=refused)
    async def who(
        permission: _Permission, when: _When, limit: Limit = PAGE, page: PageToken = "", actor: Actor = calling
    ) -> JSONResponse:
        """Who may do that, by which role or exception, and until when; and from whom it is withheld. It is about
        everybody, so that it takes the act `read` on `*`. Such questions are answered one at a time.
        """

        def answer() -> JSONResponse:
            callers.check(actor, Act.READ)
            return JSONResponse(asking.who(permission, when, page, limit))

        return await turns.take(answer)

    return router
