"""The workers of one process, where several machines share a store: procrastinate fetches, `Duties` does.

Leavers have a worker of their own, so that no other job stands in their way. Where the engine gives up, because the
database has gone or for whatever reason, it is started again; what it was doing is found by the watch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock, Thread
from typing import Any

from procrastinate import App, PsycopgConnector
from procrastinate.jobs import DeleteJobCondition

from reconciler.logs import log
from reconciler.passes.work import LEAVERS, OTHERS, PERSON, WHOLE
from reconciler.service.duties import Duties

__all__ = ["LANES", "Workers"]

LANES = 2
"""So many people are let out side by side, and so many other jobs are under way, for each worker."""

BEAT = 1.0
"""Seconds between two signs of life."""

FORGOTTEN = 60.0
"""Seconds without one after which the engine forgets a worker."""

POLL = 1.0
"""Seconds between two looks for a job, should a notification be lost."""

AGAIN = 1.0
"""Seconds after which the engine is started again."""


class Workers:
    """Start it and stop it, each once. `count` is how many there are at once in this process."""

    def __init__(self, settings: Callable[[], Any], duties: Duties, count: int) -> None:
        self._settings = settings
        self._duties = duties
        self._count = count
        self._stopping = Event()
        self._turn = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._works: asyncio.Task[None] | None = None
        self._thread = Thread(target=self._run, name="workers", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Fetch nothing more. What is under way goes on to its end: `join` waits for it."""
        self._stopping.set()
        with self._turn:
            if self._loop is not None and self._works is not None:
                self._loop.call_soon_threadsafe(self._works.cancel)

    def join(self, seconds: float) -> bool:
        """Whether all has come to rest in that time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def ended(self) -> bool:
        """Whether the thread has ended although it should not."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                asyncio.run(self._worked())
            except Exception as error:
                log.warning("workers-ended", error=type(error).__name__)
            self._stopping.wait(AGAIN)

    async def _worked(self) -> None:
        with self._turn:
            self._loop, self._works = asyncio.get_running_loop(), asyncio.ensure_future(self._work())
            if self._stopping.is_set():
                self._works.cancel()
        try:
            await self._works
        except asyncio.CancelledError:
            log.info("workers-stopped")
        finally:
            with self._turn:
                self._loop = self._works = None

    async def _work(self) -> None:
        threads = ThreadPoolExecutor(2 * LANES * self._count, thread_name_prefix="pass")
        asyncio.get_running_loop().set_default_executor(threads)  # where the engine does what is not written for it
        connector = PsycopgConnector(kwargs=dict(self._settings()), min_size=1, max_size=4, timeout=10.0)
        app = App(connector=connector)
        _named(app, self._duties)
        async with app.open_async():
            workers = [
                asyncio.ensure_future(
                    app.run_worker_async(
                        queues=[queue],
                        concurrency=LANES * self._count,
                        install_signal_handlers=False,
                        delete_jobs=DeleteJobCondition.ALWAYS,
                        update_heartbeat_interval=BEAT,
                        stalled_worker_timeout=FORGOTTEN,
                        fetch_job_polling_interval=POLL,
                    )
                )
                for queue in (LEAVERS, OTHERS)
            ]
            try:
                await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)  # one that ends is not to be without
            finally:
                for worker in workers:
                    worker.cancel()
                ended = await asyncio.gather(*workers, return_exceptions=True)
            for reason in ended:
                if isinstance(reason, Exception):
                    raise reason
            log.warning("workers-ended", error="")


def _named(app: App, duties: Duties) -> None:
    logging.getLogger("procrastinate").addHandler(logging.NullHandler())
    logging.getLogger("procrastinate").propagate = False  # what a job came to is told by the service's own events

    app.task(name=PERSON)(duties.person)
    app.task(name=WHOLE)(duties.whole)
