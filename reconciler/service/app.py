"""The application: its routes, and what they work with, handed in as values."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from fastapi import APIRouter, FastAPI
from fastapi.concurrency import run_in_threadpool

from reconciler import __version__
from reconciler.service.answers import tell_errors
from reconciler.service.measures import Measures
from reconciler.service.requests import Application

__all__ = ["Work", "create_app"]


class Work(Protocol):
    """What is done beside answering requests."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> object:
        """Finish what is under way; begin nothing."""


def create_app(routers: Sequence[APIRouter], works: Sequence[Work], measures: Measures) -> FastAPI:
    """An application with these routes. The works start with it and stop with it, all at once."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        for work in works:
            work.start()
        try:
            yield
        finally:
            await asyncio.gather(*(run_in_threadpool(work.stop) for work in works))

    app = Application(
        title="Permission reconciler",
        version=__version__,
        summary="Is told by HR's systems who joins, moves and leaves; access follows. Says who may what, and why.",
        lifespan=lifespan,
        redirect_slashes=False,  # it would send whoever asks, and their token, to whatever host the request names
    )
    app.state.measures = measures
    for router in routers:
        app.include_router(router)
    tell_errors(app)
    return app
