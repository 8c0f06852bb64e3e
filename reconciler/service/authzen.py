"""The OpenID AuthZEN Authorization API 1.0: a document system asks at the moment of access.

Source: the specification, which is final: HTTPS binding with JSON, policy decision point metadata. Where it leaves the
choice: no token is a 401, somebody of whom its owner may not read is a 403, and what is not known is a no.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import BaseModel

from reconciler.service.answers import refusals
from reconciler.service.at_the_door import AtTheDoor
from reconciler.service.authzen_shapes import (
    ActionSearch,
    ActionsFound,
    Decision,
    Decisions,
    Evaluation,
    Evaluations,
    Metadata,
    ResourceSearch,
    ResourcesFound,
    SubjectSearch,
    SubjectsFound,
)
from reconciler.service.bodies import json_body, read_json, said_in
from reconciler.service.callers import BEARER
from reconciler.service.turns import Turns

__all__ = ["authzen_router", "metadata_router"]

WELL_KNOWN = "/.well-known/authzen-configuration"
LARGEST = 1 << 20
"""Bytes of a thousand questions, at the most."""

LASTS = 3600
"""Seconds for which the metadata may be kept."""

_HOST = re.compile(r"[A-Za-z0-9._\[\]:-]{1,300}")
_Given = Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
_PATHS = {
    "access_evaluation_endpoint": "/access/v1/evaluation",
    "access_evaluations_endpoint": "/access/v1/evaluations",
    "search_subject_endpoint": "/access/v1/search/subject",
    "search_resource_endpoint": "/access/v1/search/resource",
    "search_action_endpoint": "/access/v1/search/action",
}


def authzen_router(door: AtTheDoor, turns: Turns, limit: int) -> APIRouter:
    """The routes. `limit`: bytes of a body."""
    router = APIRouter(prefix="/access/v1", tags=["AuthZEN"])
    refused, most = refusals(400, 401, 403, 413, 503), min(limit, LARGEST)

    def taking(kind: type[BaseModel]) -> dict[str, Any]:
        return {"responses": refused, "openapi_extra": json_body(kind)}

    @router.post("/evaluation", response_model=Decision, **taking(Evaluation))
    async def evaluation(request: Request, given: _Given) -> Response:
        """Whether a subject may do that with a resource, now. What is not known is a no."""
        body = await read_json(request, most)
        return _told(await run_in_threadpool(door.one, given, lambda: said_in(body, Evaluation)))

    @router.post("/evaluations", response_model=Decision | Decisions, **taking(Evaluations))
    async def evaluations(request: Request, given: _Given) -> Response:
        """The same several times, by one look at the record; all of them, or as many as settle it."""
        body = await read_json(request, most)
        return _told(await run_in_threadpool(door.several, given, lambda: said_in(body, Evaluations)))

    @router.post("/search/subject", response_model=SubjectsFound, **taking(SubjectSearch))
    async def search_subject(request: Request, given: _Given) -> JSONResponse:
        """Who may do that. It is about everybody, so that it takes the act `read` on `*`."""
        body = await read_json(request, most)
        return JSONResponse(await turns.take(lambda: door.subjects(given, lambda: said_in(body, SubjectSearch))))

    @router.post("/search/resource", response_model=ResourcesFound, **taking(ResourceSearch))
    async def search_resource(request: Request, given: _Given) -> JSONResponse:
        """With what a subject may do that."""
        body = await read_json(request, most)
        return JSONResponse(await run_in_threadpool(door.resources, given, lambda: said_in(body, ResourceSearch)))

    @router.post("/search/action", response_model=ActionsFound, **taking(ActionSearch))
    async def search_action(request: Request, given: _Given) -> JSONResponse:
        """What a subject may do with it."""
        body = await read_json(request, most)
        return JSONResponse(await run_in_threadpool(door.actions, given, lambda: said_in(body, ActionSearch)))

    return router


def metadata_router(own: str, *, encrypted: bool) -> APIRouter:
    """Where what is, for whoever wants to know. `own`: the address that the service listens on; `encrypted`: whether
    TLS is spoken to it, or to what stands in front of it.
    """
    router = APIRouter(tags=["AuthZEN"])

    @router.get(WELL_KNOWN, response_model=Metadata)
    async def authzen_configuration(request: Request) -> JSONResponse:
        """The policy decision point's metadata; it is the host that was asked."""
        host = request.headers.get("host", "")
        base = f"{'https' if encrypted else 'http'}://{host if _HOST.fullmatch(host) else own}"
        told = {"policy_decision_point": base, **{name: base + path for name, path in _PATHS.items()}}
        return JSONResponse(told, headers={"Cache-Control": f"max-age={LASTS}"})

    return router


def _told(decided: Decision | Decisions) -> Response:
    return Response(decided.model_dump_json(exclude_none=True), media_type="application/json")
