"""Bidirectional streams: each message gets its answer, in order."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import structlog

from services.runtime.errors import InternalError, ServiceError
from services.runtime.validation import decoded

Request = TypeVar("Request")
Answer = TypeVar("Answer")

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


class Answerer:
    """How one message becomes its answer, whatever happens on the way.

    deserialize: bytes to a message. answer: what the message asks for. refuse: the answer in place of an error.
    """

    def __init__(
        self,
        deserialize: Callable[[bytes], Request],
        answer: Callable[[Request], Awaitable[Answer]],
        refuse: Callable[[ServiceError], Answer],
    ) -> None:
        self._deserialize: Callable[[bytes], Any] = deserialize
        self._answer: Callable[[Any], Awaitable[Any]] = answer
        self._refuse: Callable[[ServiceError], Any] = refuse

    async def __call__(self, raw: bytes) -> Any:
        """The answer to one message; an error becomes its refusal and ends nothing."""
        try:
            return await self._answer(decoded(raw, self._deserialize))
        except ServiceError as error:
            return self._refuse(error)
        except Exception as error:  # noqa: BLE001 - a bug in one message is no reason to lose the others
            reference = str(uuid.uuid4())
            _log.error("message_failed", reference=reference, exc_info=error)
            return self._refuse(InternalError(reference=reference))


async def answers_in_order(requests: AsyncIterator[Any], answer: Answerer, *, ahead_max: int) -> AsyncIterator[Any]:
    """Works on up to `ahead_max` messages at once and gives their answers in the order in which they came.

    Messages are begun in order too. When the caller goes, what was begun is abandoned; what is being committed will be.
    """
    begun: asyncio.Queue[asyncio.Task[Any] | None] = asyncio.Queue(ahead_max)
    reading = asyncio.create_task(_begin(requests, answer, begun))
    try:
        while (task := await begun.get()) is not None:
            yield await task
        await reading
    finally:
        reading.cancel()
        while not begun.empty():
            if (task := begun.get_nowait()) is not None:
                task.cancel()


async def _begin(
    requests: AsyncIterator[Any], answer: Answerer, begun: asyncio.Queue[asyncio.Task[Any] | None]
) -> None:
    try:
        async for request in requests:
            await begun.put(asyncio.create_task(answer(request)))
    finally:
        await begun.put(None)
