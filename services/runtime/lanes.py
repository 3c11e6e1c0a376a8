"""What waits to be committed: requests, split into the parts that go one way, in lanes that keep their order."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

from services.runtime.errors import DatabaseUnavailable, DeadlinePassed, ServiceError

Command = TypeVar("Command")
Result = TypeVar("Result")

# An outcome as long as neither a commit nor a refusal is known.
_UNKNOWN: Any = object()


class Request(Generic[Result]):
    """What one caller waits for: an outcome for each command, when all its parts are done."""

    __slots__ = ("answer", "deadline", "outcomes", "parts")

    def __init__(self, size: int, deadline: float | None) -> None:
        self.deadline = deadline
        self.answer: asyncio.Future[Sequence[Result | ServiceError]] = asyncio.get_running_loop().create_future()
        self.outcomes: list[Result | ServiceError] = [_UNKNOWN] * size
        self.parts = 0

    def end_part(self) -> None:
        """Answers after the last one."""
        self.parts -= 1
        if self.parts == 0 and not self.answer.done():
            # A fresh error each time: one that is raised in several tasks collects all their tracebacks.
            self.answer.set_result([DatabaseUnavailable() if each is _UNKNOWN else each for each in self.outcomes])


class Part(Generic[Command, Result]):
    """Those of a request's commands that go the same way, and their places in it."""

    __slots__ = ("commands", "places", "request")

    def __init__(self, request: Request[Result], commands: Sequence[Command], places: Sequence[int]) -> None:
        self.request = request
        self.commands = commands
        self.places = places

    def settle(self, outcomes: Iterable[Result | ServiceError]) -> None:
        """One outcome for each command."""
        into = self.request.outcomes
        for place, outcome in zip(self.places, outcomes, strict=True):
            into[place] = outcome

    def wanted(self, now: float) -> "Part[Command, Result]":
        """What to run (again) of it: once its caller has gone or is late, only undos."""
        request = self.request
        is_late = request.deadline is not None and request.deadline <= now
        if not is_late and not request.answer.done():
            return self
        undos = [index for index, command in enumerate(self.commands) if getattr(command, "must_run", False)]
        if is_late:
            self.settle([DeadlinePassed() for _ in self.commands])
            for index in undos:
                request.outcomes[self.places[index]] = _UNKNOWN
        return self._some(undos)

    def halves(self) -> "list[Part[Command, Result]]":
        """Two parts in its place, in order."""
        middle, end = len(self.commands) // 2, len(self.commands)
        return [self._some(range(middle)), self._some(range(middle, end))]

    def _some(self, indices: Iterable[int]) -> "Part[Command, Result]":
        chosen = list(indices)
        return Part(self.request, [self.commands[each] for each in chosen], [self.places[each] for each in chosen])


class Lane(Generic[Command, Result]):
    """Commands that are committed in their order: one group at a time takes from a lane."""

    __slots__ = ("is_busy", "size", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Part[Command, Result]] = deque()
        # Commands that wait.
        self.size = 0
        self.is_busy = False

    def put(self, part: Part[Command, Result]) -> None:
        """Adds a part behind all others."""
        self.waiting.append(part)
        self.size += len(part.commands)

    def take(self, size_max: int) -> list[Part[Command, Result]]:
        """The next parts, one at least, of so many commands together."""
        taken = [self.waiting.popleft()]
        size = len(taken[0].commands)
        while self.waiting and size + len(self.waiting[0].commands) <= size_max:
            taken.append(self.waiting.popleft())
            size += len(taken[-1].commands)
        self.size -= size
        return taken
