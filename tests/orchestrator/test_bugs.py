"""An exception that no step and nobody's decision raised is a bug: it stops the workflow where it stands, is seen, and
undoes nothing. When it is corrected the order goes on, and says what it would have said (S-2, S-3).

The worker is in this process, so that bugs can be put into it and taken out again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from orchestrator.activities import activities_for
from orchestrator.checkout_workflow import CheckoutWorkflow
from orchestrator.order_saga import OrderSaga
from orchestrator.order_steps import ALL_STEPS, RELEASE_HOLD
from quittance.checkout.v1 import checkout_pb2, order_workflow_pb2
from quittance.checkout.v1.order_steps_pb2_grpc import OrderStepsServiceStub
from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from quittance.vouchers.v1.vouchers_pb2_grpc import VouchersServiceStub
from services.runtime.channels import open_channel
from tests.faults.proxy import Fault, until
from tests.faults.scenario import Purchase, assert_all_in_effect, assert_clean_slate, new_purchase
from tests.faults.test_unwind import LAST_STRAW
from tests.faulty_stack import FaultyStack
from tests.orchestrator.paths import RETRY
from tests.shop import fresh_id

Handle = WorkflowHandle[CheckoutWorkflow, order_workflow_pb2.OrderResult]
Activity = Callable[..., Awaitable[Any]]


@asynccontextmanager
async def worker_here(stack: FaultyStack, *instead: Activity) -> AsyncIterator[str]:
    """A worker in this process, with some activities `instead` of the real ones; gives its task queue."""
    async with (
        open_channel(stack.proxies["ledger"]) as ledger,
        open_channel(stack.proxies["vouchers"]) as vouchers,
        open_channel(stack.proxies["checkout"]) as checkout,
    ):
        stubs = {
            "ledger": LedgerServiceStub(ledger),
            "vouchers": VouchersServiceStub(vouchers),
            "checkout": OrderStepsServiceStub(checkout),
        }
        replaced = {name_of(each) for each in instead}
        real = [each for each in activities_for(ALL_STEPS, stubs) if name_of(each) not in replaced]
        queue = f"bugs-{fresh_id()}"
        runner = UnsandboxedWorkflowRunner()
        async with Worker(
            stack.temporal,
            task_queue=queue,
            workflows=[CheckoutWorkflow],
            activities=[*real, *instead],
            workflow_runner=runner,
        ):
            yield queue


def name_of(each: Activity) -> str | None:
    """The activity's name."""
    return activity._Definition.must_from_callable(each).name


async def begin(purchase: Purchase, queue: str) -> Handle:
    """Starts the order's workflow with this worker, as checkout would."""
    request, shop = purchase.request, purchase.stack.shop
    found = [(await shop.read_voucher(code)).voucher for code in request.voucher_codes]
    draft = order_workflow_pb2.OrderDraft(
        order_id=request.order_id,
        customer_id=request.customer_id,
        currency=request.currency,
        lines=request.lines,
        vouchers=[checkout_pb2.OrderVoucher(voucher_id=each.voucher_id, masked_code="WA…") for each in found],
        use_credits=request.use_credits,
        expected=request.expected,
        payment_provider="sandbox",
        payment_window_s=600,
        place_timeout_s=60,
        request_fingerprint=bytes(16),
    )
    return await purchase.stack.temporal.start_workflow(
        CheckoutWorkflow.run, draft, id=purchase.workflow_id, task_queue=queue
    )


async def failed_tasks(handle: Handle) -> list[str]:
    """What Temporal's UI shows of the workflow's failed tasks."""
    failed = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    return [
        event.workflow_task_failed_event_attributes.failure.message
        async for event in handle.fetch_history_events()
        if event.event_type == failed
    ]


async def until_seen(handle: Handle, bug: str) -> None:
    """Waits until the bug stands in the history; the workflow goes on running."""

    async def is_seen() -> bool:
        return any(bug in message for message in await failed_tasks(handle))

    await until(is_seen)
    assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING


def bug(*_: object) -> NoReturn:
    raise KeyError("a bug")


async def test_bug_on_the_way_forward_undoes_nothing_and_the_order_goes_on_once_it_is_corrected(
    stack: FaultyStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = await new_purchase(stack)
    monkeypatch.setattr(CheckoutWorkflow, "_hand_over", bug)
    async with worker_here(stack) as queue:
        handle = await begin(purchase, queue)
        await until_seen(handle, "a bug")
        assert (await stack.shop.read_order(purchase.order_id)).state == checkout_pb2.ORDER_STATE_PENDING
        assert (await stack.shop.wallet(purchase.request.customer_id)).held_minor > 0
        assert await stack.shop.uses(purchase.credit_code) == 1

        monkeypatch.undo()
        order = await stack.shop.until_state(purchase.order_id, checkout_pb2.ORDER_STATE_AWAITING_PAYMENT)
        await stack.shop.on_pay_page(order.payment.payment_url, "pay")
        await stack.shop.until_state(purchase.order_id, checkout_pb2.ORDER_STATE_PLACED)
        assert (await handle.result()).order_state == checkout_pb2.ORDER_STATE_PLACED
    await assert_all_in_effect(purchase)


async def test_bug_in_an_undo_is_seen_beside_one_that_is_stuck_and_the_reason_is_kept(
    stack: FaultyStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = await new_purchase(stack)
    stack.faults.plan(purchase.workflow_id, LAST_STRAW, Fault.REFUSED_BEFORE)
    stuck = stack.faults.plan(purchase.workflow_id, "ledger.ReleaseHold", Fault.LOST_BEFORE, times=None)
    monkeypatch.setattr(OrderSaga, "_roll_back_vouchers", bug)
    async with worker_here(stack) as queue:
        handle = await begin(purchase, queue)
        await until_seen(handle, "a bug")
        monkeypatch.undo()
        stuck.times = 0
        result = await handle.result()
    assert result.refusal.reason == "REFUSED_BY_TEST"
    await assert_clean_slate(purchase)


async def test_bug_in_an_activity_shows_as_stuck_and_an_operator_has_it_tried_again(stack: FaultyStack) -> None:
    """An activity that fails for good and gives no reason: the step may have had its effect."""
    purchase = await new_purchase(stack)
    stack.faults.plan(purchase.workflow_id, LAST_STRAW, Fault.REFUSED_BEFORE)
    is_broken = True

    @activity.defn(name=RELEASE_HOLD.activity)
    async def release_hold(request: ledger_pb2.ReleaseHoldRequest) -> ledger_pb2.ReleaseHoldResponse:
        if is_broken:
            raise ApplicationError("a bug", type="KeyError", non_retryable=True)
        return await stack.shop.ledger.ReleaseHold(request)

    async with worker_here(stack, release_hold) as queue:
        handle = await begin(purchase, queue)

        async def is_stuck() -> bool:
            return (await handle.describe()).search_attributes.get("QuittanceStuck") == [True]

        await until(is_stuck)
        # What does not depend on it has been done meanwhile.
        await until(lambda: _has_called(purchase, "vouchers.RollbackRedemptions"))
        assert "checkout.EndOrder" not in stack.faults.rpcs_of(purchase.workflow_id)
        is_broken = False
        async with asyncio.timeout(60):
            await handle.execute_update(CheckoutWorkflow.resolve, RETRY)
            result = await handle.result()
    assert result.refusal.reason == "REFUSED_BY_TEST"
    await assert_clean_slate(purchase)


async def _has_called(purchase: Purchase, rpc: str) -> bool:
    return rpc in purchase.stack.faults.rpcs_of(purchase.workflow_id)
