"""The undo stack of a workflow, and the patience that undoing needs.

An undo is registered before its step is tried, because a call that timed out may have worked. Undos run in reverse
order of registration, side by side unless one names others that it must come after. They are shielded from
cancellation and never give up; one that does not get through shows as stuck and holds up only those that name it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow

from orchestrator.steps import Request, Response, Step, StepRefused, persist

Result = TypeVar("Result")

# A step that must get through is shown as stuck when it has not after this long.
STUCK_AFTER = timedelta(seconds=30)


@dataclass(frozen=True)
class _Undo:
    name: str
    run: Callable[[], Awaitable[object]]
    after: Sequence[str]


class Saga:
    """What a workflow has to undo, and which of its steps are stuck.

    `on_change` is called whenever a step becomes stuck, comes free or is undone, so that it can be shown.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._undos: list[_Undo] = []
        self._operator_said_retry = 0
        # Step → why it does not get through.
        self.stuck: dict[str, str] = {}
        # Names of what has been undone, in that order.
        self.undone: list[str] = []

    def register(self, name: str, undo: Callable[[], Awaitable[object]], *, after: Sequence[str] = ()) -> None:
        """Adds an undo; to be called before the step itself is tried."""
        self._undos.append(_Undo(name, undo, after))

    async def undo_all(self) -> None:
        """Runs every registered undo to its end."""
        tasks: dict[str, asyncio.Future[None]] = {}
        for undo in reversed(self._undos):
            before = [tasks[name] for name in undo.after if name in tasks]
            tasks[undo.name] = asyncio.ensure_future(self._undo_one(undo, before))
        for task in tasks.values():
            await task

    async def persist(self, step: Step[Request, Response], request: Request) -> Response:
        """Does a step however long it takes; in doubt for long, it shows as stuck. Raises StepRefused."""
        task = asyncio.ensure_future(persist(step, request))
        done, _ = await workflow.wait([task], timeout=STUCK_AFTER.total_seconds())
        if not done:
            self._mark_stuck(step, "in doubt; still being tried")
        try:
            return await task
        finally:
            self._mark_free(step)

    async def insist(self, step: Step[Request, Response], request: Request) -> Response:
        """Does a step that must get through. A definite no shows as stuck until an operator has it tried again."""
        while True:
            try:
                return await self.persist(step, request)
            except StepRefused as refused:
                await self._wait_for_operator(step, refused)

    def retry_stuck(self) -> None:
        """An operator wants what was refused to be tried again."""
        self._operator_said_retry += 1

    async def _undo_one(self, undo: _Undo, before: Sequence[asyncio.Future[None]]) -> None:
        for task in before:
            await task
        await undo.run()
        self.undone.append(undo.name)
        self._on_change()

    async def _wait_for_operator(self, step: Step[Any, Any], refused: StepRefused) -> None:
        self._mark_stuck(step, f"refused: {refused.refusal.reason}")
        seen = self._operator_said_retry
        await workflow.wait_condition(lambda: self._operator_said_retry > seen)
        self._mark_free(step)

    def _mark_stuck(self, step: Step[Any, Any], why: str) -> None:
        self.stuck[step.activity] = why
        self._on_change()

    def _mark_free(self, step: Step[Any, Any]) -> None:
        if self.stuck.pop(step.activity, None) is not None:
            self._on_change()


async def shielded(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs `work` to its end and answers its result, whatever cancels the caller meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    return task.result()
