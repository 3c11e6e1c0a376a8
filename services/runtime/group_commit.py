"""Many commands, one commit.

While one group commits, the next one gathers; there is no other delay. The unit decides a group's commands in
order inside one transaction, and only after its commit the callers are answered.
"""

import asyncio
import contextvars
import time
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, Protocol, Self, TypeVar, cast

import structlog
from prometheus_client import Counter, Histogram

from services.runtime.database import (
    ACQUIRE_TIMEOUT_S,
    RETRY_PAUSES_S,
    Connection,
    Failure,
    Pool,
    acquired,
    constraint_of,
    failure_of,
)
from services.runtime.errors import DatabaseUnavailable, DeadlinePassed, InternalError, ServiceError

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

_GROUP_SIZE = Histogram(
    "quittance_group_size_commands",
    "Commands in one transaction.",
    ["group"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000),
)
_GROUP_DURATION = Histogram(
    "quittance_group_commit_duration_seconds",
    "From the wait for a connection to the end of the commit.",
    ["group"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
_GROUP_FAILURES = Counter("quittance_group_failures_total", "Transactions that failed.", ["group", "failure"])

Command = TypeVar("Command")
CommandIn_contra = TypeVar("CommandIn_contra", contravariant=True)
Result = TypeVar("Result")
ResultOut_co = TypeVar("ResultOut_co", covariant=True)


class Unit(Protocol[CommandIn_contra, ResultOut_co]):
    """What a store offers to have its commands committed in groups.

    A command with a true attribute `must_run` (an undo) is neither dropped with its caller nor by its deadline.
    """

    async def commit_group(
        self, connection: Connection, commands: Sequence[CommandIn_contra]
    ) -> Sequence[ResultOut_co | ServiceError]:
        """Locks, loads, decides and writes in the transaction that is open on the connection.

        One outcome per command, in their order. It may be called again with the same commands after a failure,
        also when an earlier call was committed and only its answer was lost.
        """

    def error_for_constraint(self, constraint: str, command: CommandIn_contra) -> ServiceError | None:
        """The error that the violation of a named constraint means for the one command that violates it."""


# An outcome as long as neither a commit nor a refusal is known.
_UNKNOWN: Any = object()


class _Request(Generic[Command, Result]):
    """What one caller waits for."""

    __slots__ = ("answer", "deadline", "entries")

    def __init__(self, commands: Sequence[Command], deadline: float | None) -> None:
        self.deadline = deadline
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.entries: list[_Entry[Command, Result]] = [_Entry(command, self) for command in commands]


class _Entry(Generic[Command, Result]):
    """One command and, in the end, its outcome."""

    __slots__ = ("command", "outcome", "request")

    def __init__(self, command: Command, request: _Request[Command, Result]) -> None:
        self.command = command
        self.request = request
        self.outcome: Result | ServiceError = _UNKNOWN

    @property
    def answer(self) -> Result | ServiceError:
        # A fresh one each time: an exception raised in several tasks collects all their tracebacks.
        return DatabaseUnavailable() if self.outcome is _UNKNOWN else self.outcome

    def is_wanted(self, now: float) -> bool:
        """Whether to run it (again): not once its caller has gone or is late, unless it is an undo."""
        if getattr(self.command, "must_run", False):
            return True
        if self.request.deadline is not None and self.request.deadline <= now:
            self.outcome = DeadlinePassed()
            return False
        return not self.request.answer.done()


class GroupCommit(Generic[Command, Result]):
    """Gathers commands and commits them in groups.

    name: tells one group's metrics from another's.
    group_max: commands in a transaction at most; a list handed in by `submit_many` is never split for it.
    inflight_max: transactions at once. More than one only helps when they lock different rows.
    acquire_timeout_s: the longest wait for a connection.
    """

    def __init__(
        self,
        pool: Pool,
        unit: Unit[Command, Result],
        *,
        name: str = "group",
        group_max: int = 2000,
        inflight_max: int = 1,
        acquire_timeout_s: float = ACQUIRE_TIMEOUT_S,
    ) -> None:
        self._pool = pool
        self._unit = unit
        self._name = name
        self._group_max = group_max
        self._inflight_max = inflight_max
        self._acquire_timeout_s = acquire_timeout_s
        self._waiting: deque[_Request[Command, Result]] = deque()
        self._lanes: set[asyncio.Task[None]] = set()
        self._closed = False
        self._group_size = _GROUP_SIZE.labels(name)
        self._group_duration = _GROUP_DURATION.labels(name)

    async def submit(self, command: Command, *, deadline: float | None = None) -> Result:
        """The command's result once it is committed; `deadline` is on the event loop's clock.

        Raises the refusal that the unit decided, DEADLINE_PASSED, DATABASE_UNAVAILABLE or INTERNAL.
        """
        (outcome,) = await self.submit_many((command,), deadline=deadline)
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome

    async def submit_many(
        self, commands: Sequence[Command], *, deadline: float | None = None
    ) -> Sequence[Result | ServiceError]:
        """The outcomes of commands that stay together and in order; each is accepted or refused by itself.

        A caller that is cancelled while it waits takes nothing back that is being committed.
        """
        if self._closed:
            raise DatabaseUnavailable
        request: _Request[Command, Result] = _Request(commands, deadline)
        self._waiting.append(request)
        if len(self._lanes) < self._inflight_max:
            self._open_lane()
        await request.answer
        return [entry.answer for entry in request.entries]

    async def close(self) -> None:
        """Takes no more commands and returns when all that were taken are answered."""
        self._closed = True
        while self._lanes:
            await asyncio.wait(self._lanes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self.close()

    def _open_lane(self) -> None:
        # A context of its own: what one caller bound to its log lines is nothing of the others'.
        lane: asyncio.Task[None] = asyncio.create_task(self._run_lane(), context=contextvars.Context())
        self._lanes.add(lane)

    async def _run_lane(self) -> None:
        try:
            await self._commit_what_waits()
        finally:
            # Here and not in a callback of the task, which runs later: whoever submits in between needs a new lane.
            self._lanes.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _commit_what_waits(self) -> None:
        while self._waiting:
            requests = self._next_group()
            try:
                await self._settle([entry for request in requests for entry in request.entries])
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may be left waiting
                _log.error("group_failed", group=self._name, exc_info=error)
            finally:
                for request in requests:
                    if not request.answer.done():
                        request.answer.set_result(None)

    def _next_group(self) -> list[_Request[Command, Result]]:
        requests = [self._waiting.popleft()]
        size = len(requests[0].entries)
        while self._waiting and size + len(self._waiting[0].entries) <= self._group_max:
            requests.append(self._waiting.popleft())
            size += len(requests[-1].entries)
        return requests

    async def _settle(self, entries: Sequence[_Entry[Command, Result]]) -> None:
        """Gives the entries their outcomes: by one commit, after retries, or in halves when data is refused.

        Raises what neither a retry nor halving helps against; outcomes not known by then stay unknown.
        """
        for pause_s in (*RETRY_PAUSES_S, None):
            now = asyncio.get_running_loop().time()
            entries = [entry for entry in entries if entry.is_wanted(now)]
            if not entries:
                return
            try:
                await self._commit(entries)
            except Exception as error:
                failure = failure_of(error)
                _GROUP_FAILURES.labels(self._name, failure.value).inc()
                is_last_try = pause_s is None
                # A bug is halved as well: an undo that trips one and comes again for ever must not stop all others.
                is_about_one = failure in (Failure.BAD_DATA, Failure.BUG)
                if is_about_one or (failure is Failure.LOST_RACE and is_last_try):
                    await self._settle_refused(entries, error)
                    return
                if failure is Failure.OTHER or is_last_try:
                    raise
            else:
                return
            if failure is Failure.THROWN_AWAY and pause_s is not None:
                await asyncio.sleep(pause_s)

    async def _commit(self, entries: Sequence[_Entry[Command, Result]]) -> None:
        begun_at = time.perf_counter()
        commands = [entry.command for entry in entries]
        async with acquired(self._pool, self._acquire_timeout_s) as connection, connection.transaction():
            outcomes = await self._unit.commit_group(connection, commands)
            if len(outcomes) != len(commands):
                raise ValueError(f"{len(outcomes)} outcomes for {len(commands)} commands")
        for entry, outcome in zip(entries, outcomes, strict=True):
            entry.outcome = outcome
        self._group_size.observe(len(entries))
        self._group_duration.observe(time.perf_counter() - begun_at)

    async def _settle_refused(self, entries: Sequence[_Entry[Command, Result]], error: Exception) -> None:
        if len(entries) == 1:
            entries[0].outcome = self._refusal_of(error, entries[0].command)
            return
        # In order and one after the other: the second half sees what the first one did.
        middle = len(entries) // 2
        await self._settle(entries[:middle])
        await self._settle(entries[middle:])

    def _refusal_of(self, error: Exception, command: Command) -> ServiceError:
        constraint = constraint_of(error)
        named = self._unit.error_for_constraint(constraint, command) if constraint else None
        if named is not None:
            return named
        reference = str(uuid.uuid4())
        _log.error("command_failed", group=self._name, reference=reference, exc_info=error)
        return InternalError(reference=reference)
