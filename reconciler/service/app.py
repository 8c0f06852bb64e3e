"""The application: its routes, and what they work with, handed in as values."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi.concurrency import run_in_threadpool

from reconciler import __version__
from reconciler.service.answers import tell_errors
from reconciler.service.loop import Loop
from reconciler.service.measures import Measures
from reconciler.service.requests import Application

__all__ = ["create_app"]


def create_app(routers: Sequence[APIRouter], loop: Loop, measures: Measures) -> FastAPI:
    """An application with these routes. The loop starts and stops with it."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        loop.start()
        try:
            yield
        finally:
            await run_in_threadpool(loop.stop)

    app = Application(
        title="Permission reconciler",
        version=__version__,
        summary="Is told by HR's systems who joins, moves and leaves; access follows.",
        lifespan=lifespan,
    )
    app.state.measures = measures
    for router in routers:
        app.include_router(router)
    tell_errors(app)
    return app
