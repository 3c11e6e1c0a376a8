"""What a step is, and how one is carried out: quickly and locally first, patiently and visibly after that.

A step is one activity, which is one call of one service under an id derived from the order, so that repeating it is
harmless. It ends with a result, with a definite refusal, or, while it may still give up, with a time-out in doubt.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from google.protobuf.message import Message
from google.rpc import code_pb2
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

from quittance.errors.v1 import refusal_pb2

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

# A local activity costs a third of a normal one, but nobody sees it while it runs: so it gets this long, no more.
_LOCAL_ATTEMPT = timedelta(seconds=2)
_LOCAL_IN_ALL = timedelta(seconds=4)
_LOCAL_RETRY_FIRST = timedelta(milliseconds=100)
_LOCAL_RETRY_MAX = timedelta(seconds=1)

# A provider may take its time; a lost worker is noticed after this long.
_ATTEMPT = timedelta(seconds=15)
_RETRY = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10))


@dataclass(frozen=True)
class Step(Generic[Request, Response]):
    """One step: the activity that does it, what that takes and answers, and its line in Temporal's UI."""

    activity: str
    request: type[Request]
    response: type[Response]
    summary: str
    # Calls to a payment provider are slow and worth seeing: they never run as local activities.
    calls_provider: bool = False
    # How long one call of it may take, where it is not tried locally first.
    attempt: timedelta = _ATTEMPT
    # For calls that answer OK with a refusal inside: finds it.
    refusal_within: Callable[[Response], refusal_pb2.Refusal | None] | None = None


class StepRefused(Exception):
    """A definite no: the step has had no effect and will not have one."""

    def __init__(self, step: str, refusal: refusal_pb2.Refusal) -> None:
        super().__init__(f"{step}: {refusal.reason}")
        self.step = step
        self.refusal = refusal

    def as_failure(self) -> ApplicationError:
        """What a workflow fails with that this ends: the refusal, whole, by its reason."""
        return ApplicationError(str(self), self.refusal, type=self.refusal.reason)


class StepTimedOut(StepRefused):
    """The step stayed in doubt for too long: it may have had its effect."""

    def __init__(self, step: str) -> None:
        super().__init__(
            step,
            refusal_pb2.Refusal(
                status=code_pb2.UNAVAILABLE,
                domain="checkout.quittance",
                reason="STEP_TIMED_OUT",
                metadata={"step": step},
                message=f"step {step} stayed in doubt for too long",
            ),
        )


class StepBroken(Exception):
    """A bug of ours ended the step: it may have had its effect. `kind` is the bug's class."""

    def __init__(self, step: str, error: FailureError) -> None:
        super().__init__(f"{step}: {error}")
        cause = error.cause if isinstance(error, ActivityError) else error
        self.kind = (cause.type if isinstance(cause, ApplicationError) else None) or type(cause).__name__


async def try_step(step: Step[Request, Response], request: Request, *, give_up_at: datetime) -> Response:
    """Does the step, repeating it under the same id while it is in doubt.

    Raises StepRefused on a definite no, StepTimedOut when still in doubt at `give_up_at` (workflow time).
    """
    if not step.calls_provider:
        try:
            return await _run_local(step, request, give_up_at - workflow.now())
        except FailureError as error:
            _raise_if_final(step, error)
    left = give_up_at - workflow.now()
    if left <= timedelta(0):
        raise StepTimedOut(step.activity)
    try:
        return await _run_visible(step, request, left)
    except FailureError as error:
        _raise_if_final(step, error)
        raise StepTimedOut(step.activity) from error


async def require_step(step: Step[Request, Response], request: Request, *, within: timedelta) -> Response:
    """The same for workflows that fail with their step. Raises ApplicationError with the refusal in it."""
    try:
        return await try_step(step, request, give_up_at=workflow.now() + within)
    except StepRefused as refused:
        raise refused.as_failure() from refused


async def persist(step: Step[Request, Response], request: Request) -> Response:
    """Does the step however long it takes. Raises StepRefused on a definite no, StepBroken, nothing else."""
    if not step.calls_provider:
        try:
            return await _run_local(step, request, _LOCAL_IN_ALL)
        except FailureError as error:
            _raise_if_final(step, error)
    try:
        return await _run_visible(step, request, None)
    except FailureError as error:
        _raise_if_final(step, error)
        # Only a failure of our own making ends an activity without a time limit.
        raise StepBroken(step.activity, error) from error


async def _run_local(step: Step[Request, Response], request: Request, left: timedelta) -> Response:
    in_all = max(min(_LOCAL_IN_ALL, left), timedelta(milliseconds=1))
    result: Response = await workflow.execute_local_activity(
        step.activity,
        request,
        result_type=step.response,
        start_to_close_timeout=min(_LOCAL_ATTEMPT, in_all),
        schedule_to_close_timeout=in_all,
        retry_policy=RetryPolicy(
            initial_interval=_LOCAL_RETRY_FIRST,
            maximum_interval=_LOCAL_RETRY_MAX,
            maximum_attempts=_attempts_within(in_all),
        ),
        summary=step.summary,
    )
    return result


def _attempts_within(in_all: timedelta) -> int:
    """How many attempts that fail at once fit in. Temporal's SDK ends a local activity at its time limit only while
    an attempt is running, so that a row of quick failures would go on for ever.
    """
    attempts, pause, elapsed = 1, _LOCAL_RETRY_FIRST, _LOCAL_RETRY_FIRST
    while elapsed <= in_all:
        attempts += 1
        pause = min(2 * pause, _LOCAL_RETRY_MAX)
        elapsed += pause
    return attempts


async def _run_visible(step: Step[Request, Response], request: Request, left: timedelta | None) -> Response:
    result: Response = await workflow.execute_activity(
        step.activity,
        request,
        result_type=step.response,
        start_to_close_timeout=step.attempt,
        schedule_to_close_timeout=left,
        retry_policy=_RETRY,
        summary=step.summary,
    )
    return result


def _raise_if_final(step: Step[Request, Response], error: FailureError) -> None:
    """Raises what ends the step; returns when `error` leaves it in doubt."""
    if is_cancelled_exception(error):
        raise asyncio.CancelledError from error
    # A failing local activity raises a bare ApplicationError, a normal one wraps it in an ActivityError.
    cause = error.cause if isinstance(error, ActivityError) else error
    if not isinstance(cause, ApplicationError) or not cause.non_retryable:
        return
    if cause.details and isinstance(cause.details[0], refusal_pb2.Refusal):
        raise StepRefused(step.activity, cause.details[0]) from error
