"""`/healthz` and `/readyz`: whether the process is alive, and whether it does its work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from reconciler.errors import ReconcilerError
from reconciler.facts.store import StoreError
from reconciler.service.errands import Errands
from reconciler.service.hands import Hands
from reconciler.service.loop import LoopState, PassMaker
from reconciler.service.premises import Premises

__all__ = ["Health", "health_router"]

HUNG = 60.0
"""A watch that has not looked for so many seconds hangs."""


class Reason(BaseModel):
    """Why the service is not ready."""

    code: str
    text: str


class Readiness(BaseModel):
    """`due`: people whose passes are not done yet. `attention`: what somebody has to see to although the service does
    its work: an import that is held, policies that cannot be fetched.
    """

    ready: bool
    reasons: list[Reason]
    due: int
    attention: list[Reason] = []


class Alive(BaseModel):
    """The process answers."""

    alive: bool = True


class Health:
    """Says how the service is."""

    def __init__(self, premises: Premises, loop: PassMaker, errands: Errands, hands: Hands) -> None:
        self._premises = premises
        self._loop = loop
        self._errands = errands
        self._hands = hands

    def readiness(self) -> Readiness:
        """All the reasons at once."""
        state = self._loop.state()
        reasons, attention = list(self._reasons(state)), list(self._attention(state))
        return Readiness(ready=not reasons, reasons=reasons, due=state.due, attention=attention)

    def _attention(self, state: LoopState) -> Iterator[Reason]:
        with suppress(ReconcilerError):  # there are no policies at all, or no record: no pass ends well, which is said
            if (problems := self._premises.standing().problems) is not None:
                text = (
                    f"{problems.message}; until they are mended leavers go out by the last ones that did, and no more"
                )
                yield Reason(code=problems.code, text=text)
        if state.failed:
            text = f"the last pass of {state.failed} people did not end well somewhere; each is tried again"
            yield Reason(code="passes-failed", text=text)
        for chore in self._errands.attention.values():
            yield Reason(code=chore.code, text=chore.text)

    def _reasons(self, state: LoopState) -> Iterator[Reason]:
        try:
            self._premises.facts.store.check_migrated()
        except ReconcilerError as error:
            yield Reason(code=error.code, text="the record cannot be reached, or is not of this version")
        else:
            if self._premises.facts.store.unwritable:
                text = "the record could not be written when that was last tried (the log says why): nothing is taken"
                yield Reason(code=StoreError.code, text=text)
        if state.workers == 0:
            yield Reason(code="no-worker", text="no worker is alive, on whatever machine: nobody does the passes")
        beside = [("errands", self._errands.alive), ("hands", self._hands.alive)]
        dead = [*state.dead, *(name for name, alive in beside if not alive)]
        if dead or state.looked_ago > HUNG:
            what = f"ended: {', '.join(dead)}" if dead else f"silent for {state.looked_ago:.0f} s"
            yield Reason(code="loop", text=f"the loop does not run ({what})")
        limit = timedelta(minutes=self._premises.workspace.spec.service.stale_after_minutes)
        if state.last_pass is None:
            yield Reason(code="no-pass", text=f"no whole pass has ended well yet; {state.trouble}".rstrip("; "))
        elif (age := self._premises.clock() - state.last_pass) > limit:
            minutes = int(age.total_seconds() // 60)
            text = f"the last whole pass that ended well is {minutes} minutes old; {state.trouble}".rstrip("; ")
            yield Reason(code="stale-pass", text=text)


def health_router(health: Health) -> APIRouter:
    """The routes. Those who only look at the status may ask with `HEAD`."""
    router = APIRouter(tags=["health"])

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz", response_model=Alive)
    async def healthz() -> Alive:
        """Whether the process is alive."""
        return Alive()

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
    def readyz() -> JSONResponse:
        """Whether the record is there, the loop runs, and the last whole pass is not too old; 503 with the reasons."""
        found = health.readiness()
        return JSONResponse(found.model_dump(mode="json"), 200 if found.ready else 503)

    return router
