"""`POST /v1/push`: the policy repository has something new."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from pydantic import BaseModel

from reconciler.logs import log
from reconciler.service.answers import described
from reconciler.service.bodies import read_body
from reconciler.service.signatures import PushSignatures

__all__ = ["push_router"]


class Heard(BaseModel):
    """The repository is asked now; what it has is taken over where nothing speaks against it."""

    heard: bool = True


def push_router(signatures: PushSignatures, fetch: Callable[[], None], limit: int) -> APIRouter:
    """The route. `limit`: bytes of a body."""
    router = APIRouter(prefix="/v1", tags=["policies"])

    @router.post("/push", status_code=202, response_model=Heard, responses=described(400, 401, 413))
    async def heard_of_push(request: Request) -> Heard:
        """Ask the policy repository for news now. Signed after Standard Webhooks, as GitHub signs, or with GitLab's
        token; what else it says is not looked at.
        """
        signatures.check(request.headers, await read_body(request, limit))
        log.info("push-heard")
        fetch()
        return Heard()

    return router
