"""Questions about everybody take turns, and too many of them are sent away."""

from __future__ import annotations

import asyncio
from threading import Event

import pytest
from fastapi.concurrency import run_in_threadpool

from reconciler.service.turns import WAITING, Busy, Turns


def test_one_is_worked_on_some_wait_and_others_are_not_kept_from_their_threads() -> None:
    turns, go, under_way, most = Turns(), Event(), [0], [0]

    def work() -> None:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        assert go.wait(60)
        under_way[0] -= 1

    async def together() -> None:
        waiting = [asyncio.ensure_future(turns.take(work)) for _ in range(WAITING + 1)]
        while not under_way[0]:
            await asyncio.sleep(0)
        with pytest.raises(Busy):
            await turns.take(work)
        assert await run_in_threadpool(lambda: "others go on") == "others go on"
        go.set()
        await asyncio.gather(*waiting)
        await turns.take(work)  # there is room again

    asyncio.run(together())
    assert (most, under_way) == ([1], [0])


def test_what_fails_gives_its_turn_back() -> None:
    turns = Turns()

    def fails() -> None:
        raise ZeroDivisionError

    async def again_and_again() -> None:
        for _ in range(WAITING + 2):
            with pytest.raises(ZeroDivisionError):
                await turns.take(fails)

    asyncio.run(again_and_again())
