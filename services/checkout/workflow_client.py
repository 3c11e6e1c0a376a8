"""Checkout's side of Temporal: orders started, cancelled and nudged. The only module that speaks to its client."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import structlog
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from quittance.checkout.v1 import order_workflow_pb2
from services.checkout.domain.currencies import written_amount
from services.checkout.domain.kinds import OrderState
from services.checkout.domain.orders import Draft, OrderAnswer
from services.checkout.errors import WorkflowsUnavailable
from services.checkout.servicer import decode, encode
from services.runtime.errors import DeadlinePassed
from services.runtime.payloads import data_converter

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# Names that the orchestrator's side knows as well; they are in histories, so they never change.
WORKFLOW_TYPE = "CheckoutWorkflow"
PLACE_UPDATE = "place"
CANCEL_UPDATE = "cancel"
PAYMENT_SIGNAL = "payment_changed"
ORDER_ID_ATTRIBUTE = SearchAttributeKey.for_keyword("QuittanceOrderId")
CUSTOMER_ID_ATTRIBUTE = SearchAttributeKey.for_keyword("QuittanceCustomerId")
STATE_ATTRIBUTE = SearchAttributeKey.for_keyword("QuittanceState")
CURRENCY_ATTRIBUTE = SearchAttributeKey.for_keyword("QuittanceCurrency")
VOUCHERS_ATTRIBUTE = SearchAttributeKey.for_keyword_list("QuittanceVouchers")

# How long a caller without a deadline of its own is let wait.
_WAIT_MAX_S = 120.0
# A nudge is worth no more: the workflow asks by itself, too.
_NUDGE_TIMEOUT_S = 3.0
_NUDGE_LINGER_S = 0.5
# A worker that died in the middle of a task is noticed after this long; somebody waits for the answer.
_TASK_TIMEOUT = timedelta(seconds=5)
# Somebody waits for the answer, and repeats by himself.
_RETRIES = RetryConfig(max_interval_millis=500, max_elapsed_time_millis=3000)


class WorkflowClient:
    """The workflows of orders."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue
        self._nudges: set[asyncio.Task[None]] = set()

    async def place(self, draft: Draft, deadline: float | None) -> OrderAnswer | None:
        """Starts the order's workflow, or finds it running, and waits for its first answer.

        None: it has ended without answering us; the order's row says how. `deadline` is on the event loop's clock.
        Raises WORKFLOWS_UNAVAILABLE, DEADLINE_PASSED; the order may happen all the same.
        """
        start: WithStartWorkflowOperation[object, order_workflow_pb2.OrderResult] = WithStartWorkflowOperation(
            WORKFLOW_TYPE,
            encode.draft(draft),
            id=workflow_id_of(draft.order_id),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            task_timeout=_TASK_TIMEOUT,
            search_attributes=_search_attributes(draft),
            static_summary=_summary(draft),
        )
        update = self._client.execute_update_with_start_workflow(
            PLACE_UPDATE,
            order_workflow_pb2.PlaceUpdate(request_fingerprint=draft.request_fingerprint),
            start_workflow_operation=start,
            # Whoever asks again for the same order waits for the same answer.
            id=str(draft.order_id),
            result_type=order_workflow_pb2.OrderAnswer,
        )
        return await _answered(update, deadline)

    async def cancel(self, order_id: UUID, deadline: float | None) -> OrderAnswer | None:
        """Asks the order's workflow to cancel and waits for its answer; None: it does not run any more.

        Raises WORKFLOWS_UNAVAILABLE, DEADLINE_PASSED; the order may be cancelled all the same.
        """
        handle = self._client.get_workflow_handle(workflow_id_of(order_id))
        # One update however often it is asked for: a workflow takes only a few at a time.
        update = handle.execute_update(
            CANCEL_UPDATE, id=f"cancel-{order_id}", result_type=order_workflow_pb2.OrderAnswer
        )
        return await _answered(update, deadline)

    def nudge(self, order_id: UUID) -> None:
        """Tells the order's workflow in the background that its payment has changed; it may get lost."""
        task = asyncio.create_task(self._nudge(order_id))
        self._nudges.add(task)
        task.add_done_callback(self._nudges.discard)

    async def close(self) -> None:
        """Gives the nudges that are on their way a moment, and the rest up."""
        if self._nudges:
            await asyncio.wait(self._nudges, timeout=_NUDGE_LINGER_S)
        for nudge in self._nudges:
            nudge.cancel()

    async def _nudge(self, order_id: UUID) -> None:
        handle = self._client.get_workflow_handle(workflow_id_of(order_id))
        try:
            async with asyncio.timeout(_NUDGE_TIMEOUT_S):
                await handle.signal(PAYMENT_SIGNAL)
        except (RPCError, RuntimeError, TimeoutError) as error:
            if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
                _log.error("order_has_no_workflow", order_id=str(order_id))
                return
            _log.info("nudge_lost", order_id=str(order_id), cause=_cause(error))


@asynccontextmanager
async def open_workflows(address: str, namespace: str, task_queue: str) -> AsyncIterator[WorkflowClient]:
    """Connects when first used, so that checkout and Temporal may start in any order."""
    client = await Client.connect(
        address, namespace=namespace, data_converter=data_converter, retry_config=_RETRIES, lazy=True
    )
    workflows = WorkflowClient(client, task_queue)
    try:
        yield workflows
    finally:
        await workflows.close()


def workflow_id_of(order_id: UUID) -> str:
    """One workflow per order, for ever."""
    return f"order-{order_id}"


async def _answered(update: Awaitable[order_workflow_pb2.OrderAnswer], deadline: float | None) -> OrderAnswer | None:
    try:
        async with asyncio.timeout_at(_wait_until(deadline)):
            return decode.answer(await update)
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
        raise DeadlinePassed from error
    except (WorkflowAlreadyStartedError, WorkflowUpdateFailedError):
        return None
    except (RPCError, RuntimeError) as error:
        if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
            return None
        _log.warning("workflows_unavailable", cause=_cause(error))
        raise WorkflowsUnavailable from error


def _cause(error: Exception) -> str:
    """What went wrong, in a word: a failed first connection is a RuntimeError."""
    return error.status.name if isinstance(error, RPCError) else type(error).__name__


def _wait_until(deadline: float | None) -> float:
    latest = asyncio.get_running_loop().time() + _WAIT_MAX_S
    return latest if deadline is None else min(deadline, latest)


def _search_attributes(draft: Draft) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(ORDER_ID_ATTRIBUTE, str(draft.order_id)),
            SearchAttributePair(CUSTOMER_ID_ATTRIBUTE, str(draft.customer_id)),
            SearchAttributePair(STATE_ATTRIBUTE, OrderState.PENDING.value),
            SearchAttributePair(CURRENCY_ATTRIBUTE, draft.currency),
            SearchAttributePair(VOUCHERS_ATTRIBUTE, [voucher.masked_code for voucher in draft.vouchers]),
        ]
    )


def _summary(draft: Draft) -> str:
    """What Temporal's UI shows of an order: `Order of 50.000 OMR with 1 voucher`."""
    amount = written_amount(draft.expected.subtotal_minor, draft.currency)
    count = len(draft.vouchers)
    return f"Order of {amount}" + (f" with {count} voucher{'s' if count > 1 else ''}" if count else "")
