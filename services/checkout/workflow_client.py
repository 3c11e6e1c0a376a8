"""Checkout's side of Temporal: orders started, cancelled and nudged. The only module that speaks to its client."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
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
from services.runtime.temporal import TemporalSettings, runtime_with_metrics, temporal_client, why_unreachable

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# Names that the orchestrator's side knows as well; they are in histories, so they never change.
WORKFLOW_TYPE = "CheckoutWorkflow"
PLACE_UPDATE = "place"
CANCEL_UPDATE = "cancel"
PAYMENT_SIGNAL = "payment_changed"
REPAIR_WORKFLOW_TYPE = "OrderRepairWorkflow"
ORDER_ID_ATTRIBUTE = SearchAttributeKey.for_keyword("QuittanceOrderId")
CUSTOMER_ID_ATTRIBUTE = SearchAttributeKey.for_keyword("QuittanceCustomerId")
STATE_ATTRIBUTE = SearchAttributeKey.for_keyword("QuittanceState")
AMOUNT_MINOR_ATTRIBUTE = SearchAttributeKey.for_int("QuittanceAmountMinor")
CURRENCY_ATTRIBUTE = SearchAttributeKey.for_keyword("QuittanceCurrency")
VOUCHERS_ATTRIBUTE = SearchAttributeKey.for_keyword_list("QuittanceVouchers")

# What Temporal's UI shows of a repair.
REPAIR_SUMMARY = "Settle or undo an order whose workflow is gone"

# How long a caller without a deadline of its own is let wait.
_WAIT_MAX_S = 120.0
# A nudge or the start of a repair is worth no more: the workflow asks by itself, too, and a sweep finds what is open.
_NUDGE_TIMEOUT_S = 3.0
_NUDGE_LINGER_S = 0.5
# A worker that died in the middle of a task is noticed after this long; somebody waits for the answer.
_TASK_TIMEOUT = timedelta(seconds=5)
# Somebody waits for the answer, and repeats by himself.
_RETRIES = RetryConfig(max_interval_millis=500, max_elapsed_time_millis=3000)


class WorkflowGone(Exception):
    """The order's workflow has ended, whether by itself or not; the order's row says how far it came."""


class WorkflowClient:
    """The workflows of orders."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue
        # On their way in the background.
        self._nudges: set[asyncio.Task[None]] = set()

    @property
    def client(self) -> Client:
        """The connection, for others that speak to the same Temporal."""
        return self._client

    async def place(self, draft: Draft, deadline: float | None) -> OrderAnswer | None:
        """Starts the order's workflow, or finds it running, and waits for its first answer.

        None: it ended while it was asked. `deadline` is on the event loop's clock. Raises WorkflowGone;
        WORKFLOWS_UNAVAILABLE, DEADLINE_PASSED: the order may happen all the same.
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
            static_details=_details(draft),
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
        """Asks the order's workflow to cancel and waits for its answer; None: it refuses, or is gone.

        Raises WORKFLOWS_UNAVAILABLE, DEADLINE_PASSED; the order may be cancelled all the same.
        """
        handle = self._client.get_workflow_handle(workflow_id_of(order_id))
        # One update however often it is asked for: a workflow takes only a few at a time.
        update = handle.execute_update(
            CANCEL_UPDATE, id=f"cancel-{order_id}", result_type=order_workflow_pb2.OrderAnswer
        )
        return await _answered(update, deadline)

    def nudge(self, order_id: UUID) -> None:
        """Tells the open order's workflow in the background that its payment has changed; it may get lost."""
        self._in_background(self._nudge(order_id))

    def repair(self, order_id: UUID) -> None:
        """Has the order settled or undone, in the background, if its workflow is really gone; it may get lost."""
        self._in_background(self._repair(order_id))

    async def close(self) -> None:
        """Gives the nudges that are on their way a moment, and the rest up."""
        if self._nudges:
            await asyncio.wait(self._nudges, timeout=_NUDGE_LINGER_S)
        for nudge in self._nudges:
            nudge.cancel()

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._nudges.add(task)
        task.add_done_callback(self._nudges.discard)

    async def _nudge(self, order_id: UUID) -> None:
        handle = self._client.get_workflow_handle(workflow_id_of(order_id))
        try:
            async with asyncio.timeout(_NUDGE_TIMEOUT_S):
                await handle.signal(PAYMENT_SIGNAL)
        except (RPCError, RuntimeError, TimeoutError) as error:
            if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
                await self._repair(order_id)
                return
            _log.info("nudge_lost", order_id=str(order_id), cause=why_unreachable(error))

    async def _repair(self, order_id: UUID) -> None:
        _log.warning("order_has_no_workflow", order_id=str(order_id))
        try:
            async with asyncio.timeout(_NUDGE_TIMEOUT_S):
                await self._client.start_workflow(
                    REPAIR_WORKFLOW_TYPE,
                    order_workflow_pb2.RepairRequest(order_id=str(order_id)),
                    id=repair_id_of(order_id),
                    task_queue=self._task_queue,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    search_attributes=TypedSearchAttributes([SearchAttributePair(ORDER_ID_ATTRIBUTE, str(order_id))]),
                    static_summary=REPAIR_SUMMARY,
                )
        except (RPCError, RuntimeError, TimeoutError) as error:
            _log.info("repair_not_started", order_id=str(order_id), cause=why_unreachable(error))


@asynccontextmanager
async def open_workflows(temporal: TemporalSettings, metrics_address: str) -> AsyncIterator[WorkflowClient]:
    """Connects when first used, so that checkout and Temporal may start in any order.

    metrics_address: host:port for the metrics of Temporal's SDK; empty: nowhere. Raises TemporalUnreachable: a file of
    the settings cannot be read.
    """
    runtime = runtime_with_metrics(metrics_address)
    async with temporal_client(temporal, lazy=True, retries=_RETRIES, runtime=runtime) as client:
        workflows = WorkflowClient(client, temporal.task_queue)
        try:
            yield workflows
        finally:
            await workflows.close()


def workflow_id_of(order_id: UUID) -> str:
    """One workflow per order, for ever."""
    return f"order-{order_id}"


def repair_id_of(order_id: UUID) -> str:
    """One repair at a time; there may be another one later."""
    return f"order-repair-{order_id}"


async def _answered(update: Awaitable[order_workflow_pb2.OrderAnswer], deadline: float | None) -> OrderAnswer | None:
    try:
        async with asyncio.timeout_at(_wait_until(deadline)):
            return decode.answer(await update)
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
        raise DeadlinePassed from error
    except WorkflowAlreadyStartedError as error:
        raise WorkflowGone from error
    except WorkflowUpdateFailedError:
        return None
    except (RPCError, RuntimeError) as error:
        if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
            return None
        _log.warning("workflows_unavailable", cause=why_unreachable(error))
        raise WorkflowsUnavailable from error


def _wait_until(deadline: float | None) -> float:
    latest = asyncio.get_running_loop().time() + _WAIT_MAX_S
    return latest if deadline is None else min(deadline, latest)


def _search_attributes(draft: Draft) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(ORDER_ID_ATTRIBUTE, str(draft.order_id)),
            SearchAttributePair(CUSTOMER_ID_ATTRIBUTE, str(draft.customer_id)),
            SearchAttributePair(STATE_ATTRIBUTE, OrderState.PENDING.value),
            SearchAttributePair(AMOUNT_MINOR_ATTRIBUTE, draft.expected.subtotal_minor),
            SearchAttributePair(CURRENCY_ATTRIBUTE, draft.currency),
            SearchAttributePair(VOUCHERS_ATTRIBUTE, [voucher.masked_code for voucher in draft.vouchers]),
        ]
    )


def _summary(draft: Draft) -> str:
    """What Temporal's UI shows of an order: `Order of 50.000 OMR with 1 voucher`."""
    amount = written_amount(draft.expected.subtotal_minor, draft.currency)
    count = len(draft.vouchers)
    return f"Order of {amount}" + (f" with {count} voucher{'s' if count > 1 else ''}" if count else "")


def _details(draft: Draft) -> str:
    """What the customer has confirmed, for whoever looks at the order in Temporal's UI."""
    expected = draft.expected
    amounts = {
        f"{len(draft.lines)} line{'s' if len(draft.lines) > 1 else ''}": expected.subtotal_minor,
        "Discounts": -expected.discount_minor,
        "Credits": -expected.credits_minor,
        "**To pay**": expected.amount_due_minor,
    }
    rows = [f"| {name} | {written_amount(amount, draft.currency)} |" for name, amount in amounts.items()]
    rows += [f"| Voucher | `{voucher.masked_code}` |" for voucher in draft.vouchers]
    if expected.amount_due_minor > 0:
        rows.append(f"| Pay page | {draft.payment_provider}, open for {_length(draft.payment_window_s)} |")
    rows.append(f"| Customer | `{draft.customer_id}` |")
    return "\n".join(["| Confirmed by the customer | |", "|:---|---:|", *rows])


def _length(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
