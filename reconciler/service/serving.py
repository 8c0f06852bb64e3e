"""Standing there day and night: the socket, the one service of a store, and the end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from types import FrameType

import uvicorn
from fastapi import APIRouter, FastAPI

from reconciler.errors import ReconcilerError
from reconciler.facts.store import Store
from reconciler.passes.operators import Actor
from reconciler.service.app import Work, create_app
from reconciler.service.aside import Aside
from reconciler.service.asking import Asking
from reconciler.service.at_the_door import AtTheDoor
from reconciler.service.authzen import authzen_router, metadata_router
from reconciler.service.callers import Callers
from reconciler.service.connections import Impatient
from reconciler.service.decisions import Deciding, decisions_router
from reconciler.service.errands import Errands, check_allowed
from reconciler.service.events import events_router
from reconciler.service.hands import Hands
from reconciler.service.health import Health, health_router
from reconciler.service.inbox import Became, Inbox
from reconciler.service.loop import Loop, PassMaker
from reconciler.service.metrics import Exposition, metrics_router
from reconciler.service.notifying import READY, STOPPING, tell_systemd
from reconciler.service.premises import Premises
from reconciler.service.push import push_router
from reconciler.service.questions import questions_router
from reconciler.service.signatures import PushSignatures, Signatures
from reconciler.service.turns import Turns
from reconciler.workspace import Workspace
from reconciler.workspace.service import ScimSettings

__all__ = ["ServiceRefused", "application", "serve", "work"]

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
    check_allowed(workspace, actor)
    facts = workspace.facts()
    premises = Premises(workspace, facts, actor)
    workspace.targets(premises.standing().policy)
    signatures = Signatures.of(workspace)
    sys.setswitchinterval(SWITCH)
    with _alone(facts.store), _socket(workspace) as listener:
        server = _Server(_config(workspace, application(premises, signatures)), workspace, listening)
        with _stopped_by_signals(server.stop):
            server.run([listener])


def work(workspace: Workspace, actor: Actor, working: Callable[[str], None]) -> None:
    """Be one more worker for the services of this store, until SIGTERM or SIGINT. `working` is told the store's name
    when it has begun.

    Raises `ServiceRefused`, and whatever is wrong with the workspace, before anything has begun.
    """
    facts = workspace.facts()
    if not facts.store.shared:
        text = f"a worker needs a store that machines can share, and {facts.store.name} is a file of this one"
        remedy = "`reconciler serve` does all the work itself; or go over to PostgreSQL: reconciler store copy URL"
        raise ServiceRefused(text, place=workspace.place("store"), remedy=remedy)
    from reconciler.service.crew import Crew

    check_allowed(workspace, actor)
    premises, stopped = Premises(workspace, facts, actor), Event()
    workspace.targets(premises.standing().policy)
    sys.setswitchinterval(SWITCH)
    crew = Crew(premises, max(1, workspace.spec.service.workers), Aside(premises))
    crew.take_up()
    works: list[Work] = [crew, _errands(premises, crew), _hands(premises, crew)]
    with _stopped_by_signals(stopped.set):
        for each in works:
            each.start()
        working(facts.store.name)
        stopped.wait()
        with ThreadPoolExecutor(len(works)) as stopping:
            list(stopping.map(lambda each: each.stop(), works))


def application(premises: Premises, signatures: Signatures) -> FastAPI:
    """The whole service, wired together, with what the last one left taken up. Raises `StoreError`, and
    `WorkspaceError` for secrets that are none.
    """
    loop = _pass_maker(premises)
    loop.take_up()
    spec = premises.workspace.spec
    premises.measures.expects(spec.targets, spec.service.webhooks, Became)
    inbox = Inbox(premises, loop.news)
    settings = spec.service
    errands, hands = _errands(premises, loop), _hands(premises, loop)
    pushes, limit = PushSignatures.of(premises.workspace), settings.max_body_bytes
    callers, asking, turns = Callers(premises), Asking(premises), Turns()
    deciding = Deciding(premises, callers, loop.news)
    routers = [
        events_router(signatures, inbox, limit),
        push_router(pushes, errands.fetch, limit),
        questions_router(callers, asking, turns),
        decisions_router(callers, deciding, turns, limit),
        authzen_router(AtTheDoor(premises, callers, asking), turns, limit),
        metadata_router(settings.listen, encrypted=settings.tls is not None or settings.behind_proxy),
        health_router(Health(premises, loop, errands, hands)),
        metrics_router(Exposition(premises, loop), callers, guarded=settings.metrics_guarded),
    ]
    if settings.scim is not None:
        routers.append(_scim(premises, callers, settings.scim, limit, loop))
    return create_app(routers, [loop, errands, hands], premises.measures)


def _errands(premises: Premises, passes: PassMaker) -> Errands:
    return Errands(premises, Aside(premises), passes.news, passes.want_whole)


def _hands(premises: Premises, passes: PassMaker) -> Hands:
    every = premises.workspace.spec.service.look_every_seconds
    return Hands(premises, every, passes.want_whole, lambda: passes.state().whole_took, lambda: passes.watches)


def _pass_maker(premises: Premises) -> PassMaker:
    workspace, store = premises.workspace, premises.facts.store
    workers = workspace.spec.service.workers
    if store.shared:
        from reconciler.service.crew import Crew  # only whoever has several machines pays for loading the engine

        return Crew(premises, workers, Aside(premises))
    if not workers:
        text = f"`workers: 0` leaves all work to others, and nobody can share the store {store.name}, which is a file"
        place = workspace.place("service", "workers")
        raise ServiceRefused(text, place=place, remedy="leave `workers` out; or go over to PostgreSQL (docs/store.md)")
    return Loop(premises, Aside(premises))


def _scim(premises: Premises, callers: Callers, settings: ScimSettings, largest: int, passes: PassMaker) -> APIRouter:
    from reconciler.service.scim import LARGEST_BODY, Scim, scim_router  # only whoever takes people so pays for loading

    limit = min(largest, LARGEST_BODY)
    return scim_router(Scim(premises, callers, settings, limit, passes.news), limit)


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config, workspace: Workspace, listening: Callable[[str], None]) -> None:
        super().__init__(config)
        self._workspace = workspace
        self._listening = listening

    def stop(self) -> None:
        """Take no more requests, and end."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            settings = self._workspace.spec.service
            self._listening(f"{'https' if settings.tls else 'http'}://{settings.listen}")
            tell_systemd(READY)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        tell_systemd(STOPPING)
        await super().shutdown(sockets)


def _config(workspace: Workspace, app: FastAPI) -> uvicorn.Config:
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())
    logging.getLogger("uvicorn").propagate = False  # what a request came to is told by the service's own events
    tls = workspace.spec.service.tls
    config = uvicorn.Config(
        app,
        http=Impatient,
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
    """One service for a store that is a file: each would pass for the same people, and neither would know how far all
    is. Those who share a server keep that in the store.
    """
    if store.shared:
        yield
        return
    with store.lease("service") as ours:
        if not ours:
            text = f"another service is at work on {store.name}"
            remedy = "a store that is a file has one: stop that one first, or leave it to it"
            raise ServiceRefused(text, remedy=remedy)
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
        # Passed on to every connection. Without it the second part of an answer waits for the sender's delayed word
        # that the first has come: 40 ms, on each.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


@contextmanager
def _stopped_by_signals(stop_it: Callable[[], None]) -> Iterator[None]:
    """A signal stops what is served, also one that comes before the server listens to signals itself. It raises each
    once more when it has ended, which would end the process by that signal and not with 0.
    """

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stop_it()

    kinds = (signal.SIGTERM, signal.SIGINT)
    before = {kind: signal.signal(kind, stop) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
