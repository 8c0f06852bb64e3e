"""Plans, runs and decisions over HTTP: what would change, what is held, what was done; approve, revoke.

By the same guards, approvals and authorship as on the command line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from reconciler.access import UnknownPerson
from reconciler.audit.moments import moment
from reconciler.audit.runs import effects_json, run_json, runs_json
from reconciler.errors import ReconcilerError
from reconciler.logs import log
from reconciler.passes import Look, approve, look
from reconciler.passes.applied import held_json
from reconciler.passes.decide import approval_json
from reconciler.passes.emergency import ShutOut, shut_out, shut_out_json
from reconciler.passes.operators import Actor
from reconciler.passes.tokens import Act
from reconciler.plan.artefact import instant, plan_json
from reconciler.service.answers import refusals, streamed
from reconciler.service.asking import check_id
from reconciler.service.bodies import json_body, read_json, said_in
from reconciler.service.callers import Callers
from reconciler.service.paging import PAGE, is_plain, read_token, token_of
from reconciler.service.parameters import known_only
from reconciler.service.premises import Premises
from reconciler.service.questions import At, Limit, PageToken
from reconciler.service.shapes import (
    ApprovalAnswer,
    HeldAnswer,
    PlanAnswer,
    RevocationAnswer,
    RunAnswer,
    RunsAnswer,
)
from reconciler.service.turns import Turns
from reconciler.workspace import StandingPolicy

__all__ = ["Deciding", "decisions_router"]

Data = dict[str, object]


LARGEST = 1 << 16
"""Bytes of a decision, at the most."""

_Targets = Annotated[list[str] | None, Query(max_length=100, description="Only these targets.")]
_Person = Annotated[str | None, Query(min_length=1, max_length=500, description="Only what concerns this person.")]
_Run = Annotated[str, Path(min_length=1, description="The name that `apply` printed.")]
_GOES_ON: dict[str, Any] = {
    "model": RevocationAnswer,
    "description": "The lockout is on record, and the person is not out of everything yet: a target could not be read, "
    "a change failed or is held, or the pass did not come to its end. The service goes on with it.",
}


class ApprovalRequest(BaseModel):
    """`digest` is that of a plan or of a held slice, or twelve of its digits at least."""

    model_config = ConfigDict(extra="forbid", strict=True)

    digest: str = Field(pattern="^(sha256:)?[0-9a-f]{1,64}$")
    reason: str = Field(min_length=1, max_length=2000)


class RevocationRequest(BaseModel):
    """Whom to shut out of everything, and why."""

    model_config = ConfigDict(extra="forbid", strict=True)

    person: str = Field(min_length=1, max_length=500)
    reason: str = Field(min_length=1, max_length=2000)


class Deciding:
    """What the routes do. `told` is called when something new is on record."""

    def __init__(self, premises: Premises, callers: Callers, told: Callable[[], None]) -> None:
        self._premises = premises
        self._callers = callers
        self._told = told

    def looked(self, actor: Actor, targets: list[str], person: str | None = None, at: str | None = None) -> Look:
        """A fresh plan, for reading. Raises as `reconciler plan` does."""
        premises = self._premises
        self._callers.check(actor, Act.PLAN, *(targets or premises.workspace.spec.targets))
        when = moment(at, premises.workspace.zone) if at else None
        wiring = premises.wired(self._passing(), actor)
        if person is not None:
            self._check_known(person)
        return look(wiring, at=when, targets=targets, person=person)

    def approved(self, actor: Actor, asked: ApprovalRequest) -> Data:
        """Raises as `reconciler approve` does."""

        def allowed(thing: str) -> None:
            self._callers.check(actor, Act.APPROVE, thing)

        done = approve(self._premises.wired(self._passing(), actor, ()), asked.digest, asked.reason, allowed)
        self._told()
        return approval_json(done)

    def revoked(self, actor: Actor, asked: RevocationRequest) -> ShutOut:
        """The lockout is on record before anything else happens; whatever goes wrong then, the service goes on with it.
        Raises as `reconciler revoke` does as long as nothing is on record.
        """
        self._callers.check(actor, Act.REVOKE, asked.person)
        self._check_known(asked.person)
        wiring = self._premises.wired(self._premises.standing(), actor)

        def broken(error: Exception) -> None:
            if isinstance(error, ReconcilerError):
                log.warning("revocation-goes-on", person=asked.person, code=error.code)
            else:
                log.error("defect", where="revocation", person=asked.person, exc_info=error)

        try:
            return shut_out(wiring, asked.person, asked.reason, broken=broken)
        finally:
            self._told()

    def runs(self, actor: Actor, limit: int, page: str) -> Data:
        """Raises `QuestionRefused`."""
        self._callers.check(actor, Act.READ)
        (before,) = read_token(page, int) if page else (None,)
        with self._premises.facts.store.reading() as connection:
            found = runs_json(connection, limit + 1, None if before is None else int(before))
        shown, more = found[:limit], found[limit:]
        return {"runs": shown, "page": {"next": _token(shown[-1], "ledger_seq") if more else None}}

    def run(self, actor: Actor, run: str, limit: int, page: str) -> Data:
        """Raises `RunUnknown` and `QuestionRefused`."""
        self._callers.check(actor, Act.READ)
        entry, change = read_token(page, int, str) if page else (0, "")
        with self._premises.facts.store.reading() as connection:
            told = run_json(connection, run if is_plain(run) else "")
            found = effects_json(connection, run, limit + 1, (int(entry), str(change)))
        shown, more = found[:limit], found[limit:]
        return {**told, "effects": shown, "page": {"next": _token(shown[-1], "ledger_seq", "change") if more else None}}

    def _check_known(self, person: str) -> None:
        """Raises `UnknownPerson`; whom it might have meant is not looked for, among all."""
        check_id(person)
        if self._premises.facts.person(person) is None:
            raise UnknownPerson(f"nobody is known by the id {person!r}", remedy="ask by the stable id, as HR spells it")

    def _passing(self) -> StandingPolicy:
        """The policy, where the tree passes. Raises `ProblemsFound`."""
        standing = self._premises.standing()
        if standing.problems is not None:
            raise standing.problems
        return standing


def _token(last: Data, *names: str) -> str:
    parts = [last[name] for name in names]
    return token_of(*(part for part in parts if isinstance(part, str | int)))


def decisions_router(callers: Callers, deciding: Deciding, turns: Turns, limit: int) -> APIRouter:
    """The routes. `limit`: bytes of a body."""
    calling = Depends(callers.actor)
    router = APIRouter(prefix="/v1", dependencies=[calling, Depends(known_only)])
    one = refusals(400, 401, 403, 404, 422, 503)
    looking = refusals(400, 401, 403, 404, 409, 422, 503)

    @router.get("/plan", response_model=PlanAnswer, responses=looking, tags=["plans"])
    async def plan(
        target: _Targets = None, person: _Person = None, at: At = None, actor: Actor = calling
    ) -> StreamingResponse:
        """What would change, and why, as the targets are now: it reads them, over connections that cannot write, and
        changes nothing. Its digest, and those of what is held, can be approved. Made one at a time.
        """
        seen = await turns.take(lambda: deciding.looked(actor, target or [], person, at))
        return StreamingResponse(streamed(plan_json(seen.plan)), media_type="application/json")

    @router.get("/held", response_model=HeldAnswer, responses=looking, tags=["plans"])
    async def held(target: _Targets = None, actor: Actor = calling) -> JSONResponse:
        """What waits for somebody's approval now, slice by slice, by a fresh plan."""

        def answer() -> JSONResponse:
            found = deciding.looked(actor, target or []).plan
            unread = sorted(name for name, seen in found.targets.items() if seen.error)
            told = {"digest": found.digest, "made_at": instant(found.made_at), "slices": held_json(found)}
            return JSONResponse({**told, "unread": unread})

        return await turns.take(answer)

    @router.get("/runs", response_model=RunsAnswer, responses=refusals(400, 401, 403, 422, 503), tags=["runs"])
    def runs(limit: Limit = PAGE, page: PageToken = "", actor: Actor = calling) -> JSONResponse:
        """The runs there were, the newest first: who made them, and how they came out."""
        return JSONResponse(deciding.runs(actor, limit, page))

    @router.get("/runs/{run}", response_model=RunAnswer, responses=one, tags=["runs"])
    def one_run(run: _Run, limit: Limit = PAGE, page: PageToken = "", actor: Actor = calling) -> JSONResponse:
        """One run, with what became of each of its changes."""
        return JSONResponse(deciding.run(actor, run, limit, page))

    @router.post(
        "/approvals",
        status_code=201,
        response_model=ApprovalAnswer,
        responses=refusals(400, 401, 403, 409, 413, 503),
        openapi_extra=json_body(ApprovalRequest),
        tags=["decisions"],
    )
    async def approve_what_was_shown(request: Request, actor: Actor = calling) -> JSONResponse:
        """Release a plan, or one held slice of it, by its digest. A pass that carries it out begins at once."""
        body = await read_json(request, min(limit, LARGEST))
        return JSONResponse(await run_in_threadpool(deciding.approved, actor, said_in(body, ApprovalRequest)), 201)

    @router.post(
        "/revocations",
        status_code=201,
        response_model=RevocationAnswer,
        responses={202: _GOES_ON, **refusals(400, 401, 403, 404, 413, 503)},
        openapi_extra=json_body(RevocationRequest),
        tags=["decisions"],
    )
    async def revoke_everything(request: Request, actor: Actor = calling) -> JSONResponse:
        """Shut a person out of everything, on every target, ahead of everything else; answered once that is done. The
        lockout lasts until somebody who may approve records that it is over.
        """
        body = await read_json(request, min(limit, LARGEST))
        done = await run_in_threadpool(deciding.revoked, actor, said_in(body, RevocationRequest))
        return JSONResponse(shut_out_json(done), 201 if done.everywhere else 202)

    return router
