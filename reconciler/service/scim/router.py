"""`/scim/v2`: SCIM 2.0 for whoever pushes people. The protocol is `scim2_server`'s; here is what is around it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials
from fastapi.security.utils import get_authorization_scheme_param
from scim2_models import ResourceType
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.routing import Operation
from scim2_server.service import ScimService

from reconciler.logs import log
from reconciler.passes.operators import Actor
from reconciler.passes.tokens import Act
from reconciler.policy.model import Policy
from reconciler.service.bodies import read_body
from reconciler.service.callers import Callers
from reconciler.service.premises import Premises
from reconciler.service.scim.answers import as_response, refusal
from reconciler.service.scim.described import DESCRIBED
from reconciler.service.scim.meaning import Moment
from reconciler.service.scim.schemas import Language, language_of
from reconciler.service.scim.storage import Directory
from reconciler.service.scim.tolerance import check_expressions, patch_read, resource_read, search_read
from reconciler.workspace import WorkspaceError
from reconciler.workspace.service import ScimSettings

__all__ = ["LARGEST_BODY", "Scim", "scim_router"]

PREFIX = "/scim/v2"
LARGEST_BODY = 256 << 10
"""Bytes of a request: one person's resource has few thousand."""

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]
_WRITES = frozenset({Operation.create, Operation.replace, Operation.patch, Operation.delete})
_PEOPLE = _WRITES | {Operation.query, Operation.search, Operation.search_with_body}


class _Service(ScimService):
    """Ids stand in URLs as URLs have it."""

    def resource_location(self, base_url: str, resource_type: ResourceType, resource_id: str) -> str:
        return super().resource_location(base_url, resource_type, quote(resource_id, safe=""))


class Scim:
    """Answers SCIM's requests; called from several threads. `told` is called when something new is on record."""

    def __init__(
        self, premises: Premises, callers: Callers, settings: ScimSettings, limit: int, told: Callable[[], None]
    ) -> None:
        """Raises `WorkspaceError` where the settings do not fit the policy. `limit`: bytes of a body."""
        self._premises = premises
        self._callers = callers
        self._settings = settings
        self._limit = limit
        self._told = told
        self._turn = Lock()
        self._of: Policy | None = None
        self._spoken: Language | None = None
        self._language(premises.standing().policy)

    def answer(self, request: ScimRequest, given: HTTPAuthorizationCredentials | None) -> Response:
        """The answer, whatever happens."""
        try:
            return self._answered(request, given)
        except Exception as error:
            return refusal(error)

    def _answered(self, request: ScimRequest, given: HTTPAuthorizationCredentials | None) -> Response:
        policy = self._premises.standing().policy
        language = self._language(policy)
        service = _Service(language.provider)
        operation = service.match(request).operation
        # RFC 7643, section 5: how to authenticate can be asked by whoever has not yet. It tells of no person.
        if operation is not Operation.service_provider_config:
            request.subject = self._admitted(given, operation)
        self._read(request, operation, language)
        at = Moment(self._premises.clock(), self._premises.facts.zone, self._settings)
        storage = Directory(
            self._premises.facts,
            policy,
            language,
            self._callers,
            request.subject,
            at,
            writes=operation in _WRITES,
        )
        done = ScimHandler(service, storage).handle(request)
        if storage.told:
            self._told()
            log.info("scim-taken", operation=operation.value)
        return as_response(done)

    def _admitted(self, given: HTTPAuthorizationCredentials | None, operation: Operation) -> Actor:
        """Who calls. Whoever may record nobody is told so before anything else; whom they may is for the storage to
        say, which knows who is meant.
        """
        actor = self._callers.actor(given)
        if operation in _PEOPLE and actor.acts is not None and Act.RECORD not in actor.acts:
            self._callers.check(actor, Act.RECORD)
        return actor

    def _read(self, request: ScimRequest, operation: Operation, language: Language) -> None:
        """Put the request as it is meant."""
        check_expressions(filter=request.query.get("filter"), sortBy=request.query.get("sortBy"))
        if operation in (Operation.create, Operation.replace):
            request.body = resource_read(request.body, language)
        elif operation is Operation.patch:
            request.body = patch_read(request.body, language)
        elif operation is Operation.search_with_body:
            request.body = search_read(request.body)

    def _language(self, policy: Policy) -> Language:
        """The language of this policy; made anew only where it is another one than before. Where the settings do not
        fit it, the one before: leavers are not to wait for that.
        """
        with self._turn:
            if self._spoken is None or self._of is not policy:
                place = self._premises.workspace.place("service", "scim")
                try:
                    self._spoken = language_of(policy, self._settings, self._limit, place)
                    if self._spoken.unread:
                        log.warning("scim-attributes-unmapped", attributes=self._spoken.unread)
                except WorkspaceError as error:
                    if self._spoken is None:
                        raise
                    log.warning("scim-does-not-fit", why=error.message)
                self._of = policy
            return self._spoken

    def base(self, request: Request) -> str:
        """Where the client reaches SCIM: as the workspace says, or else by the address that it connected to."""
        if self._settings.url:
            return self._settings.url
        scheme = "https" if self._premises.workspace.spec.service.behind_proxy else request.url.scheme
        return f"{scheme}://{request.url.netloc}{PREFIX}"


def scim_router(scim: Scim, limit: int) -> APIRouter:
    """The routes. `limit`: bytes of a body. Those that are described are in the OpenAPI document; whatever else is sent
    here is answered by SCIM, too.
    """
    router = APIRouter(prefix=PREFIX, tags=["SCIM"])

    async def take(request: Request) -> Response:
        try:
            body = await read_body(request, limit)
        except Exception as error:
            return refusal(error)
        asked = ScimRequest(
            method=request.method,
            base_url=scim.base(request),
            path=request.scope["path"].removeprefix(PREFIX).removeprefix("/"),
            query=dict(request.query_params),
            headers=list(request.headers.items()),
            body=body,
        )
        return await run_in_threadpool(scim.answer, asked, _bearer(request))

    for each in DESCRIBED:
        router.add_api_route(
            each.path,
            take,
            methods=[each.method],
            summary=each.summary,
            description="",
            status_code=next(iter(each.answers)),
            response_class=Response,
            responses=each.responses,
            openapi_extra=each.extra,
            operation_id=f"scim_{each.method}_{each.path}".lower(),
        )
    for path in ("", "/{path:path}"):
        router.add_api_route(path, take, methods=_METHODS, include_in_schema=False)
    return router


def _bearer(request: Request) -> HTTPAuthorizationCredentials | None:
    scheme, credentials = get_authorization_scheme_param(request.headers.get("authorization"))
    if scheme.casefold() != "bearer" or not credentials:
        return None
    return HTTPAuthorizationCredentials(scheme=scheme, credentials=credentials)
