"""Checkout's side of the workflows of payments: money that goes back, pages that are watched to their end.

Every start is one that may be repeated: the workflow's id says what it is about, and the rows say how far it is.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from uuid import UUID

import structlog
from google.protobuf.message import Message
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError

from quittance.checkout.v1 import payment_workflows_pb2
from quittance.errors.v1 import refusal_pb2
from services.checkout.domain.currencies import written_amount
from services.checkout.domain.receipts import Receipt
from services.checkout.errors import WorkflowsUnavailable
from services.checkout.servicer import decode
from services.runtime.errors import DatabaseUnavailable, DeadlinePassed, ServiceError

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# Names that the orchestrator's side knows as well; they are in histories, so they never change.
REFUND_WORKFLOW_TYPE = "RefundWorkflow"
LATE_PAYMENT_WORKFLOW_TYPE = "LatePaymentWorkflow"
SESSION_WATCH_WORKFLOW_TYPE = "SessionWatchWorkflow"
RECONCILIATION_WORKFLOW_TYPE = "ReconciliationWorkflow"
_ORDER_ID_ATTRIBUTE = SearchAttributeKey.for_keyword("QuittanceOrderId")

_START_TIMEOUT_S = 3.0
_LINGER_S = 0.5
# How long somebody who reconciles by hand is let wait.
_RECONCILIATION_MAX_S = 600.0


class PaymentWorkflowClient:
    """Starts the workflows of payments."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue
        self._background: set[asyncio.Task[None]] = set()

    async def start_refund(self, refund_id: UUID) -> None:
        """Carries a refund out and books it. Raises WORKFLOWS_UNAVAILABLE."""
        # A refund that the bank sends back after it was booked has its workflow a second time.
        await self._start(
            REFUND_WORKFLOW_TYPE,
            payment_workflows_pb2.RefundWorkflowInput(refund_id=str(refund_id)),
            workflow_id=f"refund-{refund_id}",
            reuse=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            summary="Give money back and book it",
        )

    async def start_late_payment(self, receipt: Receipt, left_minor: int) -> None:
        """Gives what is left of a receipt back that no order stands for, once. Raises WORKFLOWS_UNAVAILABLE."""
        provider, provider_payment_id = receipt.key
        assert receipt.order_id is not None, "foreign money is left alone"
        is_whole = left_minor == receipt.amount_minor
        await self._start(
            LATE_PAYMENT_WORKFLOW_TYPE,
            payment_workflows_pb2.LatePaymentInput(
                order_id=str(receipt.order_id),
                provider=provider,
                provider_payment_id=provider_payment_id,
                left_minor=0 if is_whole else left_minor,
            ),
            workflow_id=f"late-payment-{provider}-{provider_payment_id}" + ("" if is_whole else f"-{left_minor}"),
            reuse=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            summary=f"Give {written_amount(left_minor, receipt.currency)} back that pay no order",
            order_id=receipt.order_id,
        )

    async def start_session_watch(self, order_id: UUID) -> None:
        """Watches a page that its provider cannot close. Raises WORKFLOWS_UNAVAILABLE."""
        await self._start(
            SESSION_WATCH_WORKFLOW_TYPE,
            payment_workflows_pb2.SessionWatchInput(order_id=str(order_id)),
            workflow_id=f"watch-session-{order_id}",
            reuse=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            summary="Watch a pay page that its provider cannot close",
            order_id=order_id,
        )

    async def reconcile(
        self, providers: Sequence[str], window_s: int, deadline: float | None
    ) -> payment_workflows_pb2.ReconciliationResult:
        """Reconciles now, or joins one of the same window that runs, and waits for the result.

        `deadline` is on the event loop's clock. Raises what the reconciliation failed with, WORKFLOWS_UNAVAILABLE,
        DEADLINE_PASSED: it goes on all the same.
        """
        latest = asyncio.get_running_loop().time() + _RECONCILIATION_MAX_S
        try:
            async with asyncio.timeout_at(latest if deadline is None else min(deadline, latest)):
                result: payment_workflows_pb2.ReconciliationResult = await self._client.execute_workflow(
                    RECONCILIATION_WORKFLOW_TYPE,
                    payment_workflows_pb2.ReconciliationInput(providers=providers, window_s=window_s),
                    id=f"reconciliation-by-hand-{window_s}s",
                    task_queue=self._task_queue,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    result_type=payment_workflows_pb2.ReconciliationResult,
                    static_summary="Compare payment providers, orders and the ledger, as somebody asked for",
                )
        except TimeoutError as error:
            raise DeadlinePassed from error
        except WorkflowFailureError as error:
            raise _refusal_of(error) from error
        except (RPCError, RuntimeError) as error:
            raise WorkflowsUnavailable from error
        return result

    def in_background(self, start: Coroutine[None, None, None]) -> None:
        """Starts, without waiting for them; they may get lost, and are made again by whoever looks at the rows."""
        task = asyncio.create_task(_or_lost(start))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def aclose(self) -> None:
        """Gives what is on its way a moment, and the rest up."""
        if self._background:
            await asyncio.wait(self._background, timeout=_LINGER_S)
        for task in self._background:
            task.cancel()

    async def _start(
        self,
        workflow_type: str,
        argument: Message,
        *,
        workflow_id: str,
        reuse: WorkflowIDReusePolicy,
        summary: str,
        order_id: UUID | None = None,
    ) -> None:
        attributes = [] if order_id is None else [SearchAttributePair(_ORDER_ID_ATTRIBUTE, str(order_id))]
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await self._client.start_workflow(
                    workflow_type,
                    argument,
                    id=workflow_id,
                    task_queue=self._task_queue,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    id_reuse_policy=reuse,
                    search_attributes=TypedSearchAttributes(attributes),
                    static_summary=summary,
                )
        except WorkflowAlreadyStartedError:
            return
        except (RPCError, RuntimeError, TimeoutError) as error:
            raise WorkflowsUnavailable from error


def _refusal_of(failed: WorkflowFailureError) -> ServiceError:
    """What a step of the workflow was refused with; without that it was stopped from outside."""
    details = failed.cause.details if isinstance(failed.cause, ApplicationError) else ()
    if details and isinstance(details[0], refusal_pb2.Refusal):
        return decode.refusal(details[0]).as_error()
    return WorkflowsUnavailable()


async def _or_lost(start: Coroutine[None, None, None]) -> None:
    try:
        await start
    except (WorkflowsUnavailable, DatabaseUnavailable) as error:
        _log.info("workflow_not_started", cause=repr(error.__cause__))
