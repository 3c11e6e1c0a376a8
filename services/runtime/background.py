"""Work that a process does by itself, again and again, beside answering calls."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


@asynccontextmanager
async def repeating(name: str, interval_s: float, work: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Does the work at once and then with these pauses, from entering to leaving; 0 seconds: not at all.

    What goes wrong is logged and the work is tried again after the pause, so it has to be safe to repeat, also on
    several replicas at once. On leaving it is cancelled wherever it is.
    """
    if interval_s <= 0:
        yield
        return
    task = asyncio.create_task(_repeat(name, interval_s, work))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _repeat(name: str, interval_s: float, work: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever it was, the next time may be better
            _log.warning("background_work_failed", work=name, exc_info=error)
        await asyncio.sleep(interval_s)
