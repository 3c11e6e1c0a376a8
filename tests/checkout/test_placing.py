"""PlaceOrder with a Temporal that comes and goes, and orders that make way for others. On the whole stack."""

import asyncio

import grpc

from quittance.checkout.v1 import checkout_pb2
from tests.faulty_stack import FaultyStack
from tests.shop import fresh_id

CANCELLED = checkout_pb2.ORDER_STATE_CANCELLED
PLACED = checkout_pb2.ORDER_STATE_PLACED
AWAITING_PAYMENT = checkout_pb2.ORDER_STATE_AWAITING_PAYMENT


async def test_replace_cancels_the_order_in_flight_first(stack: FaultyStack) -> None:
    """P5."""
    shop, customer_id = stack.shop, fresh_id()
    first = await shop.place(await shop.order(customer_id))
    second = await shop.place(await shop.order(customer_id, replace=True))
    assert second.state == AWAITING_PAYMENT
    assert (await shop.read_order(first.order_id)).state == CANCELLED
    await shop.cancel(second.order_id)


async def test_replace_of_an_order_that_turns_out_paid_is_refused(stack: FaultyStack) -> None:
    """P5: whichever is faster, one of the two orders lives and nobody pays for the other."""
    shop, customer_id = stack.shop, fresh_id()
    first = await shop.place(await shop.order(customer_id))
    request = await shop.order(customer_id, replace=True)
    await shop.on_pay_page(first.payment.payment_url, "pay")
    try:
        second = await shop.place(request)
    except grpc.aio.AioRpcError:
        second = await shop.read_order(request.order_id)
        assert second.refusal.reason == "CHECKOUT_IN_FLIGHT"
    before = await shop.until_state(first.order_id, PLACED)
    assert before.payment.provider_payment_id
    # The first may have been placed before the second looked: then the slot was free.
    assert second.state in (checkout_pb2.ORDER_STATE_FAILED, AWAITING_PAYMENT)
    await shop.cancel(second.order_id)


async def test_place_without_a_worker_times_out_and_converges_when_it_is_back(stack: FaultyStack) -> None:
    """C-1: DEADLINE_EXCEEDED says nothing, the same id gets the answer."""
    request = await stack.shop.order(fresh_id())
    await stack.stack.kill("orchestrator", stay_down=True)
    try:
        refusal = await stack.shop.refused(request, timeout_s=1)
        assert refusal.status is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "order_state" not in refusal.metadata
    finally:
        await stack.stack.restart("orchestrator")
    order = await stack.shop.place(request)
    assert order.state == AWAITING_PAYMENT
    await stack.shop.cancel(order.order_id)


async def test_place_while_temporal_is_away_is_unavailable_and_works_when_it_is_back(stack: FaultyStack) -> None:
    """Services restart in any order."""
    request = await stack.shop.order(fresh_id())
    await stack.stack.kill("temporal", stay_down=True)
    try:
        refusal = await stack.shop.refused(request, timeout_s=20)
        assert refusal.reason == "WORKFLOWS_UNAVAILABLE"
        assert "order_state" not in refusal.metadata
    finally:
        await stack.stack.restart("temporal")
    async with asyncio.timeout(60):
        while (order := await placed_if_available(stack, request)) is None:
            await asyncio.sleep(0.2)
    assert order.state == AWAITING_PAYMENT
    await stack.shop.cancel(order.order_id)


async def placed_if_available(stack: FaultyStack, request: checkout_pb2.PlaceOrderRequest) -> checkout_pb2.Order | None:
    """The order, or None when nothing is known of it yet."""
    try:
        return await stack.shop.place(request, timeout_s=10)
    except grpc.aio.AioRpcError as error:
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            return None
        raise
