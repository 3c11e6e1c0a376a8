"""An order whose workflow is terminated at any point is settled or undone from its row alone (S-1, S-2, S-3)."""

import asyncio

import grpc
import pytest
from temporalio.client import ScheduleActionExecutionStartWorkflow

from orchestrator.order_sweep_workflow import OrderSweepWorkflow
from quittance.checkout.v1 import checkout_pb2
from services.runtime.grpc_errors import Refusal, refusal_of
from tests.faults.proxy import Fault, until
from tests.faults.repairing import (
    FAILED,
    OPEN,
    ask,
    assert_undone,
    repair_of,
    start_repair,
    sweep,
    swept,
    terminate_at,
)
from tests.faults.scenario import Purchase, assert_all_in_effect, assert_kept, new_purchase
from tests.faults.test_unwind import FORWARD, LAST_STRAW, UNDO, UNDONE
from tests.faulty_stack import FaultyStack

BEFORE_AND_AFTER = (Fault.HOOK_BEFORE, Fault.HOOK_AFTER)
HAND_OVER = ("vouchers.KeepRedemptions", "checkout.HandOver")
SETTLE = tuple(step for step in FORWARD if step not in (*HAND_OVER, "checkout.ReadPayment"))


async def waiting_for_payment(stack: FaultyStack) -> tuple[Purchase, checkout_pb2.Order]:
    """A purchase whose customer looks at the pay page, and whose workflow has just been terminated."""
    purchase = await new_purchase(stack)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await stack.workflow_of(purchase.order_id).terminate("by a test")
    return purchase, order


@pytest.mark.parametrize("step", UNDONE)
@pytest.mark.parametrize("fault", BEFORE_AND_AFTER)
async def test_order_terminated_at_a_step_is_undone_as_soon_as_its_caller_asks_again(
    stack: FaultyStack, step: str, fault: Fault
) -> None:
    purchase = await new_purchase(stack)
    plan = terminate_at(purchase, step, fault)
    answer = await purchase.place()
    if not isinstance(answer, Refusal):
        # Asked in the moment in which the repair had handed the page over, as was begun, and not closed it yet.
        await stack.shop.until_state(purchase.order_id, FAILED)
        answer = await purchase.place()
    assert isinstance(answer, Refusal)
    assert (answer.reason, answer.metadata["order_state"]) == ("ORDER_INTERRUPTED", "failed")
    assert plan.hits == 1
    await swept(purchase)
    await assert_undone(purchase)


@pytest.mark.parametrize("step", [step for step in UNDONE if step != "checkout.CreateOrder"])
async def test_step_that_arrives_after_the_repair_is_refused(stack: FaultyStack, step: str) -> None:
    """V4, S-3: what was still on its way finds a tombstone."""
    purchase = await new_purchase(stack)
    plan = terminate_at(purchase, step, Fault.HOOK_BEFORE, then=lambda: swept(purchase))
    answer = await purchase.place()
    assert isinstance(answer, Refusal)
    assert answer.reason == "ORDER_INTERRUPTED"
    assert plan.hits == 1
    await until(lambda: _is(plan.under_way == 0))
    await assert_undone(purchase)


async def test_order_terminated_before_its_first_step_is_stored_as_failed(stack: FaultyStack) -> None:
    """C-1: there is no row to repair, but whoever asks again brings all that a refusal needs."""
    purchase = await new_purchase(stack)
    answers: list[Refusal] = []

    async def ask_again() -> None:
        answers.append(await stack.shop.refused(purchase.request))

    plan = terminate_at(purchase, "checkout.CreateOrder", Fault.HOOK_BEFORE, then=ask_again)
    answer = await purchase.place()
    assert isinstance(answer, Refusal)
    assert [answer.reason, *(each.reason for each in answers)] == ["ORDER_INTERRUPTED"] * 2
    assert plan.hits == 1
    await assert_undone(purchase)


@pytest.mark.parametrize("step", HAND_OVER)
@pytest.mark.parametrize("fault", BEFORE_AND_AFTER)
async def test_order_terminated_during_the_hand_over_is_handed_over_and_undone(
    stack: FaultyStack, step: str, fault: Fault
) -> None:
    """V-2: what has begun is finished, so the credit is the customer's to keep."""
    purchase = await new_purchase(stack)
    plan = terminate_at(purchase, step, fault)
    placing = asyncio.create_task(purchase.place())
    await until(lambda: _is(plan.hits > 0))
    await until(lambda: _has_ended(purchase))
    await placing
    await assert_undone(purchase)
    await assert_kept(purchase, FAILED)


async def test_order_terminated_while_it_waits_is_undone_by_a_sweep(stack: FaultyStack) -> None:
    purchase, order = await waiting_for_payment(stack)
    await swept(purchase)
    assert (await stack.shop.read_order(order.order_id)).refusal.reason == "ORDER_INTERRUPTED"
    await assert_undone(purchase)


async def test_order_terminated_while_it_waits_is_placed_as_soon_as_it_is_paid(stack: FaultyStack) -> None:
    """The webhook finds no workflow and has the order repaired."""
    purchase, order = await waiting_for_payment(stack)
    await stack.shop.on_pay_page(order.payment.payment_url, "pay")
    await stack.shop.until_state(order.order_id, checkout_pb2.ORDER_STATE_PLACED)
    assert (await repair_of(purchase).result()).order_state == checkout_pb2.ORDER_STATE_PLACED
    await assert_all_in_effect(purchase)


async def test_order_terminated_while_it_waits_is_undone_as_soon_as_its_payment_is_declined(
    stack: FaultyStack,
) -> None:
    purchase, order = await waiting_for_payment(stack)
    await stack.shop.on_pay_page(order.payment.payment_url, "decline")
    failed = await stack.shop.until_state(order.order_id, FAILED)
    assert failed.refusal.reason == "PAYMENT_DECLINED"
    await repair_of(purchase).result()
    await assert_undone(purchase)


async def test_order_terminated_while_it_waits_is_undone_as_soon_as_somebody_cancels(stack: FaultyStack) -> None:
    purchase, order = await waiting_for_payment(stack)

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stack.shop.cancel(order.order_id)
    assert refusal_of(raised.value).reason == "WORKFLOWS_UNAVAILABLE"
    await stack.shop.until_state(order.order_id, FAILED)
    assert (await stack.shop.cancel(order.order_id)).order.state == FAILED
    await repair_of(purchase).result()
    await assert_undone(purchase)


@pytest.mark.parametrize("step", SETTLE)
@pytest.mark.parametrize("fault", BEFORE_AND_AFTER)
async def test_order_terminated_after_it_was_paid_is_placed(stack: FaultyStack, step: str, fault: Fault) -> None:
    """S-4: forward only."""
    purchase = await new_purchase(stack)
    plan = terminate_at(purchase, step, fault)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await stack.shop.on_pay_page(order.payment.payment_url, "pay")
    await until(lambda: _is(plan.hits > 0))
    await swept(purchase)
    assert (await stack.shop.read_order(order.order_id)).state == checkout_pb2.ORDER_STATE_PLACED
    await assert_all_in_effect(purchase)


@pytest.mark.parametrize("undo", UNDO)
@pytest.mark.parametrize("fault", BEFORE_AND_AFTER)
async def test_order_terminated_during_its_undo_is_undone(stack: FaultyStack, undo: str, fault: Fault) -> None:
    purchase = await new_purchase(stack)
    stack.faults.plan(purchase.workflow_id, LAST_STRAW, Fault.REFUSED_BEFORE)
    plan = terminate_at(purchase, undo, fault)
    answer = await purchase.place()
    assert isinstance(answer, Refusal)
    assert answer.reason in ("REFUSED_BY_TEST", "ORDER_INTERRUPTED")
    assert plan.hits == 1
    await swept(purchase)
    await assert_undone(purchase)


@pytest.mark.parametrize("undo", UNDO)
@pytest.mark.parametrize("fault", BEFORE_AND_AFTER)
async def test_order_terminated_during_its_undo_after_the_hand_over_is_undone(
    stack: FaultyStack, undo: str, fault: Fault
) -> None:
    purchase = await new_purchase(stack)
    plan = terminate_at(purchase, undo, fault)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await stack.shop.on_pay_page(order.payment.payment_url, "decline")
    await until(lambda: _is(plan.hits > 0))
    await swept(purchase)
    assert (await stack.shop.read_order(order.order_id)).refusal.reason == "PAYMENT_DECLINED"
    await assert_undone(purchase)


async def test_order_that_ended_before_all_was_undone_is_undone_by_a_sweep(stack: FaultyStack) -> None:
    """The slot is free although the vouchers are not; the order stays open until they are."""
    purchase = await new_purchase(stack)
    stack.faults.plan(purchase.workflow_id, LAST_STRAW, Fault.REFUSED_BEFORE)
    plan = stack.faults.plan(purchase.workflow_id, "vouchers.RollbackRedemptions", Fault.LOST_BEFORE, times=None)
    placing = asyncio.create_task(purchase.place())
    await until(lambda: _is(plan.hits > 1))
    await stack.shop.until_state(purchase.order_id, FAILED)
    assert await ask(purchase, OPEN)
    await stack.workflow_of(purchase.order_id).terminate("by a test")
    plan.times = 0
    await placing
    assert await stack.shop.uses(purchase.discount_code) == 1
    await swept(purchase)
    assert (await stack.shop.read_order(purchase.order_id)).refusal.reason == "REFUSED_BY_TEST"
    await assert_undone(purchase)


async def test_repair_of_an_order_with_a_workflow_does_nothing(stack: FaultyStack) -> None:
    purchase = await new_purchase(stack)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    result = await (await start_repair(purchase)).result()
    assert result.order_state == checkout_pb2.ORDER_STATE_AWAITING_PAYMENT
    assert stack.faults.rpcs_of(f"order-repair-{order.order_id}") == ["checkout.ReadOrder"]
    await stack.shop.on_pay_page(order.payment.payment_url, "pay")
    await stack.shop.until_state(order.order_id, checkout_pb2.ORDER_STATE_PLACED)
    await stack.workflow_of(order.order_id).result()
    result = await (await start_repair(purchase)).result()
    assert result.order_state == checkout_pb2.ORDER_STATE_PLACED
    await assert_all_in_effect(purchase)


async def test_sweep_leaves_orders_with_a_workflow_alone(stack: FaultyStack) -> None:
    lost, _ = await waiting_for_payment(stack)
    healthy = [await new_purchase(stack) for _ in range(3)]
    for purchase in healthy:
        await purchase.place()
    results = await asyncio.gather(sweep(stack), sweep(stack))
    assert all(result.open_orders >= 3 for result in results)
    await repair_of(lost).result()
    await assert_undone(lost)
    for purchase in healthy:
        order = await stack.shop.read_order(purchase.order_id)
        assert order.state == checkout_pb2.ORDER_STATE_AWAITING_PAYMENT
        await stack.shop.cancel(purchase.order_id)


async def test_sweep_that_the_schedule_starts_ends_well(stack: FaultyStack) -> None:
    """O3: nobody has to think of it."""
    schedule = stack.temporal.get_schedule_handle("order-sweep")
    runs_before = (await schedule.describe()).info.num_actions
    await schedule.trigger()

    async def has_run() -> bool:
        info = (await schedule.describe()).info
        return info.num_actions > runs_before and not info.running_actions

    await until(has_run)
    action = (await schedule.describe()).info.recent_actions[-1].action
    assert isinstance(action, ScheduleActionExecutionStartWorkflow)
    result = await stack.temporal.get_workflow_handle_for(OrderSweepWorkflow.run, action.workflow_id).result()
    assert result.open_orders >= result.repairs_started


async def _is(fact: bool) -> bool:
    return fact


async def _has_ended(purchase: Purchase) -> bool:
    await sweep(purchase.stack)
    return (await purchase.stack.shop.read_order(purchase.order_id)).state == FAILED
