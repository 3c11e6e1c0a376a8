"""Long work in small pieces, beside callers who are to be answered meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Pace:
    """After each piece of work comes a rest, so that the work takes only a share of the time.

    Without it, work that comes in pieces of some milliseconds holds up every one of the many turns that a call takes,
    in this process and in its database, and callers get a tenth of what both can do. When they are busy a piece takes
    longer, and so does its rest.

    share: above 0, at most 1.
    """

    def __init__(self, share: float) -> None:
        self._rest = 1 / share - 1

    @asynccontextmanager
    async def piece(self) -> AsyncIterator[None]:
        """One piece, with what it reads."""
        started = time.perf_counter()
        yield
        await asyncio.sleep((time.perf_counter() - started) * self._rest)
