"""Cancellations that meet a step on its way: none is lost, and the answer is what becomes of the order."""

import asyncio

import pytest

from quittance.checkout.v1 import checkout_pb2
from services.runtime.grpc_errors import Refusal
from tests.faults.proxy import Fault, until
from tests.faults.scenario import assert_clean_slate, assert_kept, new_purchase
from tests.faulty_stack import FaultyStack

CANCELLED = checkout_pb2.ORDER_STATE_CANCELLED


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
