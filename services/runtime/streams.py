"""Bidirectional streams: messages are begun as they come, and answered in order, those that are ready together."""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog

from services.runtime.errors import InternalError, ServiceError
from services.runtime.validation import decoded

Request = TypeVar("Request")
Outcome = TypeVar("Outcome")

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Begun(Generic[Request, Outcome]):
    """One message: what it asked for and what becomes of it, or why it was not begun."""

    request: Request
    outcome: asyncio.Future[Outcome]


@dataclass(slots=True, eq=False)
class NotBegun:
    """One message that was refused as it came."""

    error: ServiceError


class MessageReader(Generic[Request, Outcome]):
    """Begins the messages of a stream in their order, up to `ahead_max` of them before the first is answered.

    deserialize: bytes to a message. begin: what the message asks for; what it raises refuses this message only.
    """

    def __init__(
        self,
        deserialize: Callable[[bytes], Request],
        begin: Callable[[Request], asyncio.Future[Outcome]],
        *,
        ahead_max: int,
    ) -> None:
        self._deserialize = deserialize
        self._begin = begin
        self._ahead_max = ahead_max
        self._begun: deque[Begun[Request, Outcome] | NotBegun] = deque()
        self._has_come = asyncio.Event()
        self._has_room = asyncio.Event()
        self._is_over = False

    @asynccontextmanager
    async def reading(self, requests: AsyncIterator[Any]) -> AsyncIterator[None]:
        """Reads until the stream ends. On leaving, what was begun is abandoned; what is being committed will be."""
        task = asyncio.create_task(self._read(requests))
        try:
            yield
            await task
        finally:
            task.cancel()
            for each in self._begun:
                if isinstance(each, Begun):
                    each.outcome.cancel()

    async def next_answered(self) -> Sequence[Begun[Request, Outcome] | NotBegun]:
        """The first of the messages not given yet, when its outcome is there, with those after it that have theirs.

        Nothing when the stream has ended.
        """
        while not self._begun:
            if self._is_over:
                return ()
            self._has_come.clear()
            await self._has_come.wait()
        first = self._begun[0]
        if isinstance(first, Begun):
            await first.outcome
        answered = [self._begun.popleft()]
        while self._begun and _is_answered(self._begun[0]):
            answered.append(self._begun.popleft())
        self._has_room.set()
        return answered

    async def _read(self, requests: AsyncIterator[Any]) -> None:
        try:
            async for raw in requests:
                while len(self._begun) >= self._ahead_max:
                    self._has_room.clear()
                    await self._has_room.wait()
                self._begun.append(self._begin_one(raw))
                self._has_come.set()
        finally:
            self._is_over = True
            self._has_come.set()

    def _begin_one(self, raw: bytes) -> Begun[Request, Outcome] | NotBegun:
        try:
            request = decoded(raw, self._deserialize)
            return Begun(request, self._begin(request))
        except ServiceError as error:
            return NotBegun(error)
        except Exception as error:  # noqa: BLE001 - a bug in one message is no reason to lose the others
            reference = str(uuid.uuid4())
            _log.error("message_failed", reference=reference, exc_info=error)
            return NotBegun(InternalError(reference=reference))


def _is_answered(message: Begun[Request, Outcome] | NotBegun) -> bool:
    return isinstance(message, NotBegun) or message.outcome.done()
