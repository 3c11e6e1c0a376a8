"""Work in the background goes on whatever happens to it, and ends with its process."""

import asyncio

from services.runtime.background import repeating


async def test_work_that_fails_is_done_again() -> None:
    tries = asyncio.Queue[int]()

    async def work() -> None:
        tries.put_nowait(1)
        raise ValueError("broken")

    async with asyncio.timeout(30), repeating("test", 0.001, work):
        for _ in range(3):
            await tries.get()


async def test_work_is_cancelled_on_leaving() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    async with repeating("test", 1, work):
        await begun.wait()
    assert ended.is_set()


async def test_work_without_an_interval_is_never_done() -> None:
    async def work() -> None:
        raise AssertionError("it was done")

    async with repeating("test", 0, work):
        await asyncio.sleep(0.01)
