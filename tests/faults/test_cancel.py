"""Cancellations that meet a step on its way: none is lost, and the answer is what becomes of the order."""

import asyncio

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.checkout_workflow import CheckoutWorkflow
from quittance.checkout.v1 import checkout_pb2
from services.runtime.grpc_errors import Refusal
from tests.faults.proxy import Fault, until
from tests.faults.scenario import assert_clean_slate, assert_kept, assert_placed, new_purchase
from tests.faults.test_repair import HAND_OVER, SETTLE
from tests.faults.test_unwind import LAST_STRAW, UNDO, UNDONE
from tests.faulty_stack import FaultyStack
from tests.orchestrator.paths import cancel_at, is_visibly_pending

CANCELLED = checkout_pb2.ORDER_STATE_CANCELLED
FAILED = checkout_pb2.ORDER_STATE_FAILED


async def test_cancel_during_the_hand_over_answers_cancelled_to_everybody(stack: FaultyStack) -> None:
    """A hand-over that has begun is finished, but nobody is sent to a page that is about to be closed."""
    purchase = await new_purchase(stack)
    plan = stack.faults.plan(purchase.workflow_id, "vouchers.KeepRedemptions", Fault.LOST_BEFORE, times=None)
    placing = asyncio.create_task(purchase.place())
    await until(lambda: _is(plan.hits > 0))
    cancelling = asyncio.create_task(stack.shop.cancel(purchase.order_id))
    await until(lambda: _has_accepted_cancel(stack, purchase.order_id))
    plan.times = 0
    cancelled, placed = await asyncio.gather(cancelling, placing)
    assert cancelled.order.state == CANCELLED
    assert not cancelled.order.payment.payment_url
    assert isinstance(placed, Refusal)
    assert placed.reason == "ORDER_CANCELLED"
    await stack.workflow_of(purchase.order_id).result()
    await assert_kept(purchase, CANCELLED)


async def _is(fact: bool) -> bool:
    return fact


async def _has_accepted_cancel(stack: FaultyStack, order_id: str) -> bool:
    history = await stack.workflow_of(order_id).fetch_history()
    accepted = [event.workflow_execution_update_accepted_event_attributes for event in history.events]
    return any(each.accepted_request.input.name == "cancel" for each in accepted)


@pytest.mark.parametrize("rpc", ["checkout.OpenPaymentSession", "vouchers.RedeemVouchers"])
async def test_cancel_while_a_step_answers_undoes_everything(stack: FaultyStack, rpc: str) -> None:
    """The cancellation and the step's result come to the workflow at about the same time: whichever is first."""

    async def cancelled_in_the_middle() -> None:
        purchase = await new_purchase(stack)
        cancelling: list[asyncio.Task[checkout_pb2.CancelOrderResponse]] = []

        async def cancel() -> None:
            cancelling.append(asyncio.create_task(stack.shop.cancel(purchase.order_id)))
            await asyncio.sleep(0.02)

        stack.faults.plan(purchase.workflow_id, rpc, Fault.HOOK_BEFORE, hook=cancel)
        placed = await purchase.place()
        assert isinstance(placed, Refusal)
        assert (await cancelling[0]).order.state == CANCELLED
        await stack.workflow_of(purchase.order_id).result()
        await assert_clean_slate(purchase, state=CANCELLED)

    await asyncio.gather(*(cancelled_in_the_middle() for _ in range(6)))


async def test_cancel_twice_at_any_step_undoes_everything(stack: FaultyStack) -> None:
    """While the step is in doubt; then its answer comes all the same."""

    async def cancelled_at(rpc: str) -> None:
        purchase = await new_purchase(stack)
        await cancel_at(purchase, rpc, times=2)
        await stack.workflow_of(purchase.order_id).result()
        if rpc in HAND_OVER:
            await assert_kept(purchase, CANCELLED)
        else:
            await assert_clean_slate(purchase, state=CANCELLED)

    await asyncio.gather(*(cancelled_at(rpc) for rpc in (*UNDONE, *HAND_OVER)))


async def test_cancel_in_temporal_at_any_step_undoes_everything(stack: FaultyStack) -> None:
    """By an operator, twice; the workflow ends with a result like any other."""

    async def cancelled_at(rpc: str) -> None:
        purchase = await new_purchase(stack)
        plan = stack.faults.plan(purchase.workflow_id, rpc, Fault.LOST_AFTER, times=None)
        placing = asyncio.create_task(purchase.place())
        await until(lambda: is_visibly_pending(purchase, plan))
        workflow = stack.workflow_of(purchase.order_id)
        await workflow.cancel()
        await workflow.cancel()
        plan.times = 0
        result = await workflow.result()
        assert (result.order_state, result.refusal.reason) == (CANCELLED, "ORDER_CANCELLED")
        assert (await workflow.describe()).status == WorkflowExecutionStatus.COMPLETED
        await placing
        if rpc in HAND_OVER:
            await assert_kept(purchase, CANCELLED)
        else:
            await assert_clean_slate(purchase, state=CANCELLED)

    await asyncio.gather(*(cancelled_at(rpc) for rpc in (*UNDONE, *HAND_OVER)))


async def test_cancel_after_the_pivot_changes_nothing(stack: FaultyStack) -> None:
    """S-4: refused to callers, and no more than a wish in Temporal."""

    async def cancelled_at(rpc: str) -> None:
        purchase = await new_purchase(stack)
        plan = stack.faults.plan(purchase.workflow_id, rpc, Fault.LOST_BEFORE, times=None)
        order = await purchase.place()
        assert isinstance(order, checkout_pb2.Order)
        await stack.shop.on_pay_page(order.payment.payment_url, "pay")
        await until(lambda: is_visibly_pending(purchase, plan))
        workflow = stack.workflow_of(purchase.order_id)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await workflow.execute_update(CheckoutWorkflow.cancel)
        assert isinstance(refused.value.cause, ApplicationError)
        assert refused.value.cause.type == "ORDER_ALREADY_PLACED"
        await workflow.cancel()
        plan.times = 0
        await assert_placed(purchase)

    await asyncio.gather(*(cancelled_at(rpc) for rpc in SETTLE))


async def test_cancel_during_the_undo_gets_the_reason_for_which_it_was_begun(stack: FaultyStack) -> None:
    """Nor does it interrupt the undo, however often it comes and from wherever."""

    async def cancelled_at(undo: str) -> None:
        purchase = await new_purchase(stack)
        stack.faults.plan(purchase.workflow_id, LAST_STRAW, Fault.REFUSED_BEFORE)
        plan = stack.faults.plan(purchase.workflow_id, undo, Fault.LOST_AFTER, times=None)
        placing = asyncio.create_task(purchase.place())
        await until(lambda: is_visibly_pending(purchase, plan))
        workflow = stack.workflow_of(purchase.order_id)
        await workflow.cancel()
        for _ in range(2):
            answer = await workflow.execute_update(CheckoutWorkflow.cancel)
            assert (answer.refusal.reason, answer.undo_pending) == ("REFUSED_BY_TEST", True)
        plan.times = 0
        result = await workflow.result()
        assert (result.order_state, result.refusal.reason) == (FAILED, "REFUSED_BY_TEST")
        refusal = await placing
        assert isinstance(refusal, Refusal)
        assert refusal.reason == "REFUSED_BY_TEST"
        await assert_clean_slate(purchase)

    await asyncio.gather(*(cancelled_at(undo) for undo in UNDO))


async def test_signals_that_come_early_twice_and_late_change_nothing(stack: FaultyStack) -> None:
    """What counts is the payment's row: a signal carries nothing that could be believed."""
    purchase = await new_purchase(stack)
    workflow = stack.workflow_of(purchase.order_id)

    async def signal() -> None:
        for _ in range(2):
            await workflow.signal(CheckoutWorkflow.payment_changed)

    plans = [
        stack.faults.plan(purchase.workflow_id, rpc, Fault.HOOK_BEFORE, hook=signal)
        for rpc in ("checkout.CreateOrder", "checkout.OpenPaymentSession", "checkout.HandOver", "ledger.CaptureHold")
    ]
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await signal()
    assert (await stack.shop.read_order(order.order_id)).state == checkout_pb2.ORDER_STATE_AWAITING_PAYMENT
    await stack.shop.on_pay_page(order.payment.payment_url, "pay")
    await assert_placed(purchase)
    assert [plan.hits for plan in plans] == [1, 1, 1, 1]
    with pytest.raises(RPCError) as late:
        await workflow.signal(CheckoutWorkflow.payment_changed)
    assert late.value.status is RPCStatusCode.NOT_FOUND
