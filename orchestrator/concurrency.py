"""Tasks of a workflow: run to their end whatever is cancelled, or side by side so that none is left behind."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

Result = TypeVar("Result")


async def shielded(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs `work` to its end and answers its result, whatever cancels the caller meanwhile."""
    task = asyncio.create_task(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    return task.result()


async def together(works: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Does all of it side by side. Raises the first thing that one of them raises, once the others are cancelled."""
    await all_of([asyncio.create_task(work) for work in works])


async def all_of(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Like `together`, for tasks that know of one another."""
    try:
        await asyncio.gather(*tasks)
    finally:
        await cancel_all(tasks)


async def cancel_all(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancels those that are still under way, and returns when they have ended: a step's last word is heard."""
    unfinished = [task for task in tasks if not task.done()]
    for task in unfinished:
        task.cancel()
    await asyncio.gather(*unfinished, return_exceptions=True)
