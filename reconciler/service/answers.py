"""What the service refuses, by which HTTP status, and the one form in which it says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from reconciler.errors import ReconcilerError
from reconciler.facts.store import StoreError
from reconciler.logs import log
from reconciler.passes.operators import NotAllowed
from reconciler.passes.tokens import TokenRefused

__all__ = ["HUNG_UP", "BodyRefused", "BodyTooLarge", "Failure", "SignatureRefused", "described", "tell_errors"]

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
