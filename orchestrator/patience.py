"""Steps that have to get through: tried without limit, shown as stuck when that takes long, resolved by an operator."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import workflow

from orchestrator.concurrency import cancel_all
from orchestrator.steps import Request, Response, Step, StepBroken, StepRefused, persist

# A step that must get through is shown as stuck when it has not after this long.
STUCK_AFTER = timedelta(seconds=30)
# A step that fails by a bug of ours is tried again after this long, then ever more rarely.
_RETRY_A_BUG_FIRST = timedelta(seconds=30)
_RETRY_A_BUG_MAX = timedelta(minutes=10)


class HistoryFull(Exception):
    """The run's history has become long: the workflow has to go on in a new run, from the progress that it made."""


class Patience:
    """Gets steps through. `on_change` is called whenever one becomes stuck or comes free, so that it can be shown."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._operator_said_retry = 0
        # Summary of a step → why it does not get through.
        self.stuck: dict[str, str] = {}

    async def persist(self, step: Step[Request, Response], request: Request) -> Response:
        """Does a step however long it takes. Raises StepRefused on a definite no, HistoryFull."""
        return await self._get_through(step, request, lambda _reason: True)

    async def insist(self, step: Step[Request, Response], request: Request, *, unless: str | None = None) -> Response:
        """Does a step that must get through: a definite no waits for an operator.

        Raises HistoryFull; StepRefused for the one reason `unless`, which is no obstacle.
        """
        return await self._get_through(step, request, lambda reason: reason == unless)

    def retry_now(self) -> None:
        """An operator wants what is stuck to be tried again."""
        self._operator_said_retry += 1

    async def _get_through(
        self, step: Step[Request, Response], request: Request, may_be_refused: Callable[[str], bool]
    ) -> Response:
        pause = _RETRY_A_BUG_FIRST
        try:
            while True:
                try:
                    return await self._watched(step, request)
                except StepRefused as refused:
                    if may_be_refused(refused.refusal.reason):
                        raise
                    await self._wait_for_operator(step, f"is refused: {refused.refusal.reason}", None)
                except StepBroken as broken:
                    await self._wait_for_operator(step, f"fails by a bug: {broken.kind}", pause)
                    pause = min(2 * pause, _RETRY_A_BUG_MAX)
        finally:
            self._mark_free(step)

    async def _watched(self, step: Step[Request, Response], request: Request) -> Response:
        task = asyncio.create_task(persist(step, request))
        try:
            await workflow.wait_condition(task.done, timeout=STUCK_AFTER, timeout_summary=f"Stuck? {step.summary}")
        except TimeoutError:
            self._mark_stuck(step, "is in doubt")
            await workflow.wait_condition(task.done)
        finally:
            # Cancelled together with what is done beside it, when the run ends.
            await cancel_all([task])
        return task.result()

    async def _wait_for_operator(self, step: Step[Any, Any], why: str, patience: timedelta | None) -> None:
        self._mark_stuck(step, why)
        end_run_when_long()
        seen = self._operator_said_retry
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._operator_said_retry > seen, timeout=patience)

    def _mark_stuck(self, step: Step[Any, Any], why: str) -> None:
        self.stuck[step.summary] = why
        self._on_change()

    def _mark_free(self, step: Step[Any, Any]) -> None:
        if self.stuck.pop(step.summary, None) is not None and workflow.in_workflow():
            self._on_change()


def end_run_when_long() -> None:
    """To be called in every wait that may come again and again. Raises HistoryFull, unless a caller waits."""
    if workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished():
        raise HistoryFull
