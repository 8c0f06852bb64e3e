"""What inbound SCIM refuses, in the form of RFC 7644, section 3.12."""

from __future__ import annotations

import json
from http import HTTPStatus

from fastapi import Response
from pydantic import ValidationError
from scim2_models import (
    Error,
    ForbiddenException,
    InvalidSyntaxException,
    PayloadTooLargeException,
    SCIMException,
    UnauthorizedException,
)
from scim2_server.responses import SCIM_MEDIA_TYPE, ScimResponse

from reconciler.errors import ReconcilerError
from reconciler.logs import log
from reconciler.passes.operators import NotAllowed
from reconciler.passes.tokens import TokenRefused
from reconciler.service.answers import RETRY_SECONDS, BodyRefused, BodyTooLarge
from reconciler.service.scim.storage import TooManyLeave

__all__ = ["as_response", "refusal"]

LONGEST = 500
"""Characters of a message, whatever somebody wrote into a request."""

LATER = 3600
"""Seconds after which somebody may ask again whose exits were too many. They are counted over 24 hours."""

_KINDS: tuple[tuple[type[ReconcilerError], type[SCIMException]], ...] = (
    (TokenRefused, UnauthorizedException),
    (NotAllowed, ForbiddenException),
    (BodyTooLarge, PayloadTooLargeException),
    (BodyRefused, InvalidSyntaxException),
)


def refusal(error: Exception) -> Response:
    """The answer to a request that failed so."""
    if isinstance(error, SCIMException):
        return _refused(error)
    if isinstance(error, ReconcilerError):
        kind = next((scim for own, scim in _KINDS if isinstance(error, own)), None)
        if kind is not None:
            return _refused(kind(detail=f"{error.message}: {error.remedy}" if error.remedy else error.message))
        log.warning("request-not-served", code=error.code)
        text = Error(status=503, detail="the record is out of reach, and nothing was recorded: send it again")
        return as_response(ScimResponse(HTTPStatus.SERVICE_UNAVAILABLE, text.model_dump()), RETRY_SECONDS)
    log.error("defect", where="scim", exc_info=error)
    text = Error(status=500, detail="this is a defect of the reconciler; its log says more")
    return as_response(ScimResponse(HTTPStatus.INTERNAL_SERVER_ERROR, text.model_dump()))


def as_response(answer: ScimResponse, retry: int = 0) -> Response:
    """An answer as it is sent. `retry`: the seconds after which to ask again; 0 says nothing about that."""
    body = b"" if answer.body is None else json.dumps(answer.body, ensure_ascii=False).encode()
    headers = {**answer.headers, "Cache-Control": "no-store"}
    if retry:
        headers["Retry-After"] = str(retry)
    if answer.body is None:
        headers.pop("Content-Type", None)
    return Response(body, answer.status.value, headers, media_type=SCIM_MEDIA_TYPE if body else None)


def _refused(error: SCIMException) -> Response:
    told = error.to_error()
    if isinstance(error.__cause__, ValidationError):  # the library hands on all that the validator says to programmers
        told.detail = Error.from_validation_errors(error.__cause__)[0].detail
    detail = (told.detail or "").encode("utf-8", "replace").decode()
    short = detail if len(detail) <= LONGEST else detail[: LONGEST - 1] + "…"
    body = Error(status=told.status, scim_type=told.scim_type, detail=short).model_dump()
    answer = ScimResponse(HTTPStatus(told.status or 500), body)
    if isinstance(error, UnauthorizedException):
        answer.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, PayloadTooLargeException):
        answer.headers["Connection"] = "close"  # what is left of the body is not read
    allowed = getattr(error, "allowed", None)
    if allowed:
        answer.headers["Allow"] = ", ".join(allowed)
    return as_response(answer, LATER if isinstance(error, TooManyLeave) else 0)
