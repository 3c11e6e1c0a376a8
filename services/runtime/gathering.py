"""Reads of many callers in one query: while one runs, the next one gathers."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from services.runtime.database import Failure, failure_of

Key = TypeVar("Key")
Value = TypeVar("Value")

# What he asks for, and where his answer goes.
_Caller = tuple[Sequence[Key], asyncio.Future[Sequence[Value]]]

# So many keys are a query of their own: together with others' they would only keep these waiting.
KEYS_MAX = 500


class GatheredReads(Generic[Key, Value]):
    """Reads by key, each query for all callers that came while the one before it ran.

    A caller's query is begun after he came, so that it sees all that was committed by then, and all his keys are in
    one query. read: the values of keys, in their order.
    """

    def __init__(self, read: Callable[[Sequence[Key]], Awaitable[Sequence[Value]]]) -> None:
        self._read = read
        self._waiting: list[_Caller[Key, Value]] = []
        self._reading: asyncio.Task[None] | None = None

    async def __call__(self, keys: Sequence[Key]) -> Sequence[Value]:
        """The values of these keys, in their order. Raises what `read` raises."""
        if len(keys) >= KEYS_MAX:
            return await self._read(keys)
        answer: asyncio.Future[Sequence[Value]] = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, answer))
        if self._reading is None:
            # A context of its own: what one caller bound to its log lines is nothing of the others'.
            self._reading = asyncio.create_task(self._read_all(), context=contextvars.Context())
        return await answer

    async def _read_all(self) -> None:
        try:
            while self._waiting:
                taken, self._waiting = self._waiting, []
                callers = [(keys, answer) for keys, answer in taken if not answer.done()]
                if callers:
                    await self._read_for(callers)
        finally:
            self._reading = None

    async def _read_for(self, callers: Sequence[_Caller[Key, Value]]) -> None:
        try:
            values = iter(await self._read([key for keys, _ in callers for key in keys]))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the callers' answer
            if len(callers) > 1 and failure_of(error) is Failure.BAD_DATA:
                # Some key can never be asked for: that is its caller's answer, not the others'.
                for caller in callers:
                    await self._read_for([caller])
                return
            for _, answer in callers:
                if not answer.done():
                    answer.set_exception(error)
            return
        for keys, answer in callers:
            own = list(islice(values, len(keys)))
            if not answer.done():
                answer.set_result(own)
