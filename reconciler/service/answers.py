"""What the service refuses, by which HTTP status, and the one form in which it says so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from reconciler.access import UnknownPermission, UnknownPerson
from reconciler.audit.moments import QuestionRefused, UnknownEntry
from reconciler.audit.runs import RunUnknown
from reconciler.errors import ProblemsFound, ReconcilerError
from reconciler.facts.events import EventError
from reconciler.facts.ledger import chunks
from reconciler.facts.people import PersonUnknown
from reconciler.facts.store import StoreError
from reconciler.logs import log
from reconciler.passes.decide import ApprovalRefused
from reconciler.passes.emergency import RevokeRefused
from reconciler.passes.look import NothingKnown, UnknownTarget
from reconciler.passes.operators import NotAllowed
from reconciler.passes.tokens import TokenRefused

__all__ = [
    "HUNG_UP",
    "BodyRefused",
    "BodyTooLarge",
    "Failure",
    "SignatureRefused",
    "described",
    "refusals",
    "streamed",
    "tell_errors",
]

PIECE = 500
"""So many elements of a list are put into text at a time."""

RETRY_SECONDS = 5
"""When somebody who was told 503 may ask again."""


HUNG_UP = 499
"""As what a request counts whose sender did not wait for the answer; nobody is sent it."""


class SignatureRefused(ReconcilerError):
    """The request is not signed, not by anybody we know, or was signed too long ago."""

    code = "signature"


class BodyTooLarge(ReconcilerError):
    """The request is larger than the service takes."""

    code = "body-too-large"


class BodyRefused(ReconcilerError):
    """The request's body is none that can be read: no JSON, too deep, or no events."""

    code = "body"


class Error(BaseModel):
    """`code` is stable and stands in docs/errors.md."""

    code: str
    message: str
    remedy: str = ""


class Failure(BaseModel):
    """What a refused request is answered with."""

    error: Error


_STATUS: Mapping[type[ReconcilerError], int] = {
    SignatureRefused: 401,
    TokenRefused: 401,
    NotAllowed: 403,
    BodyTooLarge: 413,
    BodyRefused: 400,
    QuestionRefused: 400,
    UnknownEntry: 400,
    UnknownTarget: 400,
    RevokeRefused: 400,
    EventError: 400,
    UnknownPerson: 404,
    PersonUnknown: 404,
    UnknownPermission: 404,
    RunUnknown: 404,
    ApprovalRefused: 409,
    NothingKnown: 409,
    ProblemsFound: 409,
}


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These answers, for the OpenAPI document."""
    words = {
        400: "The body is no JSON, is too deep, or holds no events. Nothing was recorded.",
        401: "The signature is missing, wrong or too old. Nothing was recorded.",
        403: "The token is not good for this, or its owner may not do it here. Nothing was recorded.",
        413: "The body is larger than `max_body_bytes`; it was not read. Nothing was recorded.",
        503: "The record is out of reach. Nothing was recorded: send it again.",
    }
    return {status: {"model": Failure, "description": words[status]} for status in statuses}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These answers to somebody who calls with a token, for the OpenAPI document."""
    words = {
        400: "What is asked cannot be read: a moment that is none, a body that is no JSON.",
        401: "No token, or one that has ended, was taken back or was never ours.",
        403: "The token is not good for this, or its owner may not do it here.",
        404: "There is no such person, permission or run.",
        409: "Not as things stand: nothing was shown under this digest, somebody else has to approve, nobody is known "
        "yet, or the policies do not pass.",
        413: "The body is larger than `max_body_bytes`; it was not read.",
        422: "A parameter has a value that cannot stand there.",
        503: "The record is out of reach, or too many ask about everybody: ask again, after `Retry-After` seconds.",
    }
    return {status: {"model": Failure, "description": words[status]} for status in statuses}


def streamed(data: Mapping[str, Any]) -> Iterator[bytes]:
    """A large answer as JSON, part by part: as one text a large plan takes a gigabyte."""
    yield b"{"
    for place, (name, value) in enumerate(data.items()):
        yield f"{', ' if place else ''}{_json(name)}: ".encode()
        if isinstance(value, list):
            yield b"["
            for number, some in enumerate(chunks(value, PIECE)):
                yield ((", " if number else "") + _json(some)[1:-1]).encode()
            yield b"]"
        else:
            yield _json(value).encode()
    yield b"}"


_json = json.JSONEncoder(ensure_ascii=False).encode


def tell_errors(app: FastAPI) -> None:
    """Answer with `Failure`, whatever goes wrong."""

    @app.exception_handler(ReconcilerError)
    async def _refused(_request: Request, error: ReconcilerError) -> JSONResponse:
        status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 503)
        if status == 503:
            log.warning("request-not-served", code=error.code)
        # Where the store is, and what it says, is nobody's business who only sends events.
        message = "the record is out of reach" if isinstance(error, StoreError) else error.message
        remedy = "send it again" if isinstance(error, StoreError) else error.remedy
        return _answer(status, error.code, message, remedy)

    @app.exception_handler(RequestValidationError)
    async def _unfit(_request: Request, error: RequestValidationError) -> JSONResponse:
        flaws = [f"{each['loc'][-1]}: {each['msg']}" for each in error.errors()[:3]]
        return _answer(422, "parameter", "; ".join(flaws)[:500], "/docs says what stands there")

    @app.exception_handler(404)
    async def _no_route(_request: Request, _error: Exception) -> JSONResponse:
        return _answer(404, "route", "there is nothing at this address", "/docs lists what there is")

    @app.exception_handler(405)
    async def _no_method(_request: Request, error: Exception) -> JSONResponse:
        answer = _answer(405, "route", "this address does not take this method", "/docs lists what there is")
        answer.headers.update(getattr(error, "headers", None) or {})  # which it takes
        return answer

    @app.exception_handler(ClientDisconnect)
    async def _hung_up(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=HUNG_UP)

    @app.exception_handler(Exception)
    async def _defect(_request: Request, error: Exception) -> JSONResponse:
        log.error("defect", where="request", exc_info=error)
        return _answer(500, "defect", "this is a defect of the reconciler; its log says more")


def _answer(status: int, code: str, message: str, remedy: str = "") -> JSONResponse:
    headers = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}
    if status == 413:
        headers["Connection"] = "close"  # what is left of the body is not read
    if code == TokenRefused.code:
        headers["WWW-Authenticate"] = "Bearer"
    failure = Failure(error=Error(code=code, message=message, remedy=remedy))
    return JSONResponse(failure.model_dump(), status, headers)
