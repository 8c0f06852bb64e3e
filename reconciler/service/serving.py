"""Standing there day and night: the socket, the one service of a store, and the end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from fastapi import APIRouter, FastAPI

from reconciler.errors import ReconcilerError
from reconciler.facts.store import Store
from reconciler.passes.operators import Actor
from reconciler.service.app import create_app
from reconciler.service.callers import Callers
from reconciler.service.events import events_router
from reconciler.service.health import Health, health_router
from reconciler.service.inbox import Inbox
from reconciler.service.loop import Loop
from reconciler.service.premises import Premises
from reconciler.service.signatures import Signatures
from reconciler.workspace import Workspace
from reconciler.workspace.service import ScimSettings

__all__ = ["ServiceRefused", "application", "serve"]

MOST_AT_ONCE = 100
"""So many requests and idle connections, each with a body in memory at the most; further ones are told 503."""

FINISH = 15
"""Seconds that requests under way have at a stop."""


SWITCH = 0.0005
"""Seconds that a thread computes before another has its turn: a whole pass computes for long, and a leaver's pass,
which mostly waits for answers, is to go on as soon as one has come.
"""


class ServiceRefused(ReconcilerError):
    """The service cannot start: somebody else serves this store, or it cannot listen there."""

    code = "service"


def serve(workspace: Workspace, actor: Actor, listening: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `listening` is told the URL once requests are taken.

    Raises `ServiceRefused`, and whatever is wrong with the workspace, before anything has begun.
    """
    facts = workspace.facts()
    premises = Premises(workspace, facts, actor)
    workspace.targets(premises.standing().policy)
    signatures = Signatures.of(workspace)
    sys.setswitchinterval(SWITCH)
    with _alone(facts.store), _socket(workspace) as listener:
        server = _Server(_config(workspace, application(premises, signatures)), workspace, listening)
        with _stopped_by_signals(server):
            server.run([listener])


def application(premises: Premises, signatures: Signatures) -> FastAPI:
    """The whole service, wired together, with what the last one left taken up. Raises `StoreError`."""
    loop = Loop(premises)
    loop.take_up()
    inbox = Inbox(premises, loop.news)
    settings = premises.workspace.spec.service
    routers = [events_router(signatures, inbox, settings.max_body_bytes), health_router(Health(premises, loop))]
    if settings.scim is not None:
        routers.append(_scim(premises, settings.scim, settings.max_body_bytes, loop))
    return create_app(routers, loop)


def _scim(premises: Premises, settings: ScimSettings, largest: int, loop: Loop) -> APIRouter:
    from reconciler.service.scim import LARGEST_BODY, Scim, scim_router  # only whoever takes people so pays for loading

    limit = min(largest, LARGEST_BODY)
    return scim_router(Scim(premises, Callers(premises), settings, limit, loop.news), limit)


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config, workspace: Workspace, listening: Callable[[str], None]) -> None:
        super().__init__(config)
        self._workspace = workspace
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            settings = self._workspace.spec.service
            self._listening(f"{'https' if settings.tls else 'http'}://{settings.listen}")


def _config(workspace: Workspace, app: FastAPI) -> uvicorn.Config:
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())
    logging.getLogger("uvicorn").propagate = False  # what a request came to is told by the service's own events
    tls = workspace.spec.service.tls
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        limit_concurrency=MOST_AT_ONCE,
        timeout_graceful_shutdown=FINISH,
        ssl_certfile=workspace.folder / tls.certificate if tls else None,
        ssl_keyfile=str(workspace.folder / tls.key) if tls else None,
    )
    try:
        config.load()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        text = f"the certificate or its key cannot be used: {error}"
        place = workspace.place("service", "tls")
        raise ServiceRefused(text, place=place, remedy="both are PEM files; the key is the certificate's") from None
    return config


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """One service for one store: each would pass for the same people, and neither would know how far all is."""
    with store.lease("service") as ours:
        if not ours:
            text = f"another service is at work on {store.name}"
            raise ServiceRefused(text, remedy="there is one for a store: stop that one first, or leave it to it")
        yield


@contextmanager
def _socket(workspace: Workspace) -> Iterator[socket.socket]:
    settings = workspace.spec.service
    address = settings.address
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        listener = socket.create_server((address.host, address.port), family=family, backlog=512)
    except OSError as error:
        text = f"cannot listen on {settings.listen}: {os.strerror(error.errno or 0)}"
        remedy = "give `service: {listen: …}` an address of this machine and a port that is free"
        raise ServiceRefused(text, place=workspace.place("service", "listen"), remedy=remedy) from None
    with listener:
        yield listener


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """A signal stops the server, also one that comes before it listens to signals itself. It raises each once more when
    it has ended, which would end the process by that signal and not with 0.
    """

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    kinds = (signal.SIGTERM, signal.SIGINT)
    before = {kind: signal.signal(kind, stop) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
