"""Many commands, one commit.

While one group commits, the next one gathers; there is no other delay. The unit decides a group's commands in
order inside one transaction, and only after its commit the callers are answered.
"""

import asyncio
import contextvars
import itertools
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, Self, TypeVar, cast

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
from services.runtime.errors import DatabaseUnavailable, InternalError, ServiceError
from services.runtime.lanes import Lane, Part, Request

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


class GroupCommit(Generic[Command, Result]):
    """Gathers commands and commits them in groups.

    name: tells one group's metrics from another's.
    group_max: commands of a lane in a transaction at most; those of one `submit_many` are never split for it.
    inflight_max: the number of lanes. Each has one transaction at a time, so that this process works for one lane while
    the database works for another. More than one only helps when they lock different rows.
    lane_of: a number for a command; those of one number are committed in the order in which they came. It should be
    the row that the unit locks. Without it each `submit_many` goes the next lane.
    lane_min: so many commands wait in a lane for a transaction of their own. Fewer go together with those of other
    lanes, one such transaction at a time: what a transaction costs is shared by more.
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
        lane_of: Callable[[Command], int] | None = None,
        lane_min: int = 1,
        acquire_timeout_s: float = ACQUIRE_TIMEOUT_S,
    ) -> None:
        self._pool = pool
        self._unit = unit
        self._name = name
        self._group_max = group_max
        self._lanes: list[Lane[Command, Result]] = [Lane() for _ in range(inflight_max)]
        self._lane_of = lane_of
        self._lane_min = lane_min
        self._next_lane = itertools.cycle(self._lanes)
        self._acquire_timeout_s = acquire_timeout_s
        self._groups: set[asyncio.Task[None]] = set()
        self._is_sharing = False
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
        """The outcomes of commands that stay in order within their lanes; each is accepted or refused by itself.

        A caller that is cancelled while it waits takes nothing back that is being committed.
        """
        return await self.begin_many(commands, deadline=deadline)

    def begin_many(
        self, commands: Sequence[Command], *, deadline: float | None = None
    ) -> "asyncio.Future[Sequence[Result | ServiceError]]":
        """`submit_many` for callers that do not wait at once. Cancelling the future is going away."""
        if self._closed:
            raise DatabaseUnavailable
        request: Request[Result] = Request(len(commands), deadline)
        if not commands:
            request.answer.set_result([])
            return request.answer
        for lane, places in self._ways(commands):
            own = commands if len(places) == len(commands) else [commands[place] for place in places]
            lane.put(Part(request, own, places))
            request.parts += 1
        self._begin_groups()
        return request.answer

    async def close(self) -> None:
        """Takes no more commands and returns when all that were taken are answered."""
        self._closed = True
        while self._groups:
            await asyncio.wait(self._groups)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self.close()

    def _ways(self, commands: Sequence[Command]) -> Iterable[tuple[Lane[Command, Result], Sequence[int]]]:
        """The lanes that these commands go, and which of them go each."""
        lane_of, lanes = self._lane_of, self._lanes
        if lane_of is None:
            return [(next(self._next_lane), range(len(commands)))]
        if len(commands) == 1:
            return [(lanes[lane_of(commands[0]) % len(lanes)], (0,))]
        ways: dict[int, list[int]] = {}
        for place, command in enumerate(commands):
            ways.setdefault(lane_of(command) % len(lanes), []).append(place)
        return [(lanes[number], places) for number, places in ways.items()]

    def _begin_groups(self) -> None:
        """A group of its own for each lane where enough waits, and one for all the others together."""
        idle = self._idle_lanes()
        for lane in idle:
            if lane.size >= self._lane_min:
                lane.is_busy = True
                self._begin_group([lane])
        if not self._is_sharing and not all(lane.is_busy for lane in idle):
            self._is_sharing = True
            self._begin_group(None)

    def _idle_lanes(self) -> list[Lane[Command, Result]]:
        return [lane for lane in self._lanes if lane.waiting and not lane.is_busy]

    def _begin_group(self, lanes: Sequence[Lane[Command, Result]] | None) -> None:
        # A context of its own: what one caller bound to its log lines is nothing of the others'.
        group = asyncio.create_task(self._run_group(lanes), context=contextvars.Context())
        self._groups.add(group)

    async def _run_group(self, own: Sequence[Lane[Command, Result]] | None) -> None:
        """Commits what waits in these lanes; None: in all that have no group of their own."""
        # Taken now: whoever came since the group was begun goes along.
        lanes = self._idle_lanes() if own is None else own
        parts = []
        for lane in lanes:
            lane.is_busy = True
            parts += lane.take(self._group_max)
        try:
            await self._settle(parts)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may be left waiting
            _log.error("group_failed", group=self._name, exc_info=error)
        finally:
            for part in parts:
                part.request.end_part()
            for lane in lanes:
                lane.is_busy = False
            if own is None:
                self._is_sharing = False
            # Here and not in a callback of the task, which runs later: `close` would see no group in between.
            self._groups.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            self._begin_groups()

    async def _settle(self, parts: Sequence[Part[Command, Result]]) -> None:
        """Gives the commands their outcomes: by one commit, after retries, or in halves when data is refused.

        Raises what neither a retry nor halving helps against; outcomes not known by then stay unknown.
        """
        for pause_s in (*RETRY_PAUSES_S, None):
            now = asyncio.get_running_loop().time()
            parts = [part for part in (part.wanted(now) for part in parts) if part.commands]
            if not parts:
                return
            try:
                await self._commit(parts)
            except Exception as error:
                failure = failure_of(error)
                _GROUP_FAILURES.labels(self._name, failure.value).inc()
                is_last_try = pause_s is None
                # A bug is halved as well: an undo that trips one and comes again for ever must not stop all others.
                is_about_one = failure in (Failure.BAD_DATA, Failure.BUG)
                if is_about_one or (failure is Failure.LOST_RACE and is_last_try):
                    await self._settle_refused(parts, error)
                    return
                if failure is Failure.OTHER or is_last_try:
                    raise
            else:
                return
            if failure is Failure.THROWN_AWAY and pause_s is not None:
                await asyncio.sleep(pause_s)

    async def _commit(self, parts: Sequence[Part[Command, Result]]) -> None:
        begun_at = time.perf_counter()
        commands = [command for part in parts for command in part.commands]
        async with acquired(self._pool, self._acquire_timeout_s) as connection, connection.transaction():
            outcomes = await self._unit.commit_group(connection, commands)
            if len(outcomes) != len(commands):
                raise ValueError(f"{len(outcomes)} outcomes for {len(commands)} commands")
        following = iter(outcomes)
        for part in parts:
            part.settle(itertools.islice(following, len(part.commands)))
        self._group_size.observe(len(commands))
        self._group_duration.observe(time.perf_counter() - begun_at)

    async def _settle_refused(self, parts: Sequence[Part[Command, Result]], error: Exception) -> None:
        if len(parts) == 1:
            (part,) = parts
            if len(part.commands) == 1:
                part.settle([self._refusal_of(error, part.commands[0])])
                return
            parts = part.halves()
        # In order and one after the other: the second half sees what the first one did.
        middle = len(parts) // 2
        await self._settle(parts[:middle])
        await self._settle(parts[middle:])

    def _refusal_of(self, error: Exception, command: Command) -> ServiceError:
        constraint = constraint_of(error)
        named = self._unit.error_for_constraint(constraint, command) if constraint else None
        if named is not None:
            return named
        reference = str(uuid.uuid4())
        _log.error("command_failed", group=self._name, reference=reference, exc_info=error)
        return InternalError(reference=reference)
