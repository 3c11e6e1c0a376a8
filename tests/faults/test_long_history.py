"""A workflow whose history has become long goes on in a new run, and forgets nothing (S-3, S-4).

Temporal suggests it after 4,096 events. Here it does after 40, and waits and obstacles are filled up with signals that
say nothing new.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
from temporalio.client import WorkflowExecutionStatus

from orchestrator.checkout_workflow import CheckoutWorkflow
from quittance.checkout.v1 import checkout_pb2
from services.runtime.grpc_errors import Refusal
from tests.faults.proxy import Fault, until
from tests.faults.repairing import start_repair
from tests.faults.scenario import (
    Purchase,
    assert_kept,
    assert_placed,
    new_purchase,
)
from tests.faulty_stack import FaultyStack
from tests.orchestrator.paths import RETRY, continue_while_waiting, is_visibly_pending

EVENTS_PER_RUN = 40


@pytest.fixture(scope="module")
async def impatient(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FaultyStack]:
    """A stack whose Temporal finds histories long very soon."""
    directory = tmp_path_factory.mktemp("impatient")
    async with FaultyStack(directory, events_per_run=EVENTS_PER_RUN) as started:
        yield started


async def events_of(purchase: Purchase) -> int:
    """How long the history of the newest run is."""
    return (await purchase.stack.workflow_of(purchase.order_id).describe()).history_length


async def runs_of(purchase: Purchase) -> list[WorkflowExecutionStatus | None]:
    """How the runs of the order's workflow stand, newest first."""
    query = f"WorkflowId = '{purchase.workflow_id}'"
    return [run.status async for run in purchase.stack.temporal.list_workflows(query)]


async def fill_history(purchase: Purchase, *, more_than: int = EVENTS_PER_RUN) -> None:
    """Signals until the run is long; they come at any time, twice, and are no news."""
    workflow = purchase.stack.workflow_of(purchase.order_id)
    while await events_of(purchase) <= more_than:
        await workflow.signal(CheckoutWorkflow.payment_changed)


async def test_order_that_waits_in_a_second_run_is_placed_when_it_is_paid(impatient: FaultyStack) -> None:
    purchase = await new_purchase(impatient)
    order = await continue_while_waiting(purchase)
    # Whoever asks again gets the answer that the first run gave.
    assert await purchase.place() == await impatient.shop.read_order(order.order_id)
    await impatient.shop.on_pay_page(order.payment.payment_url, "pay")
    await impatient.shop.until_state(order.order_id, checkout_pb2.ORDER_STATE_PLACED)
    await assert_placed(purchase)
    assert impatient.faults.rpcs_of(purchase.workflow_id).count("checkout.CreateOrder") == 1


async def test_order_that_waits_in_a_second_run_is_undone_when_it_is_declined(impatient: FaultyStack) -> None:
    """The undo stack goes with it."""
    purchase = await new_purchase(impatient)
    order = await continue_while_waiting(purchase)
    await impatient.shop.on_pay_page(order.payment.payment_url, "decline")
    await impatient.workflow_of(order.order_id).result()
    await assert_kept(purchase, checkout_pb2.ORDER_STATE_FAILED)


async def test_order_that_waits_in_a_second_run_can_be_cancelled(impatient: FaultyStack) -> None:
    purchase = await new_purchase(impatient)
    order = await continue_while_waiting(purchase)
    assert (await impatient.shop.cancel(order.order_id)).order.state == checkout_pb2.ORDER_STATE_CANCELLED
    await impatient.workflow_of(order.order_id).result()
    await assert_kept(purchase, checkout_pb2.ORDER_STATE_CANCELLED)


async def test_payment_that_comes_between_two_runs_is_not_missed(impatient: FaultyStack) -> None:
    """The new run looks at the payment before it waits for news."""
    purchase = await new_purchase(impatient)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await fill_history(purchase, more_than=EVENTS_PER_RUN - 8)

    async def pay() -> None:
        await impatient.shop.on_pay_page(order.payment.payment_url, "pay")

    paying = [asyncio.create_task(fill_history(purchase)), asyncio.create_task(pay())]
    await impatient.shop.until_state(order.order_id, checkout_pb2.ORDER_STATE_PLACED, within_s=10)
    await asyncio.gather(*paying, return_exceptions=True)
    await assert_placed(purchase)


@pytest.mark.parametrize("undo", ["ledger.ReleaseHold", "vouchers.RollbackRedemptions", "checkout.EndOrder"])
async def test_undo_that_is_stuck_in_a_long_run_goes_on_in_the_next_one(impatient: FaultyStack, undo: str) -> None:
    purchase = await new_purchase(impatient)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    plan = impatient.faults.plan(
        purchase.workflow_id, "checkout.ClosePaymentSession", Fault.HOOK_BEFORE, hook=lambda: fill_history(purchase)
    )
    refused = impatient.faults.plan(purchase.workflow_id, undo, Fault.REFUSED_BEFORE)
    await impatient.shop.on_pay_page(order.payment.payment_url, "decline")
    await impatient.workflow_of(order.order_id).result()
    assert (plan.hits, refused.hits) == (1, 1)
    await assert_kept(purchase, checkout_pb2.ORDER_STATE_FAILED)
    await until(lambda: _runs_are(purchase, 2))


@pytest.mark.parametrize("step", ["ledger.CaptureHold", "checkout.CompleteOrder"])
async def test_step_refused_after_the_pivot_in_a_long_run_goes_on_in_the_next_one(
    impatient: FaultyStack, step: str
) -> None:
    purchase = await new_purchase(impatient)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    doubt = impatient.faults.plan(purchase.workflow_id, "checkout.BeginSettling", Fault.LOST_BEFORE, times=None)
    refused = impatient.faults.plan(purchase.workflow_id, step, Fault.REFUSED_BEFORE)
    await impatient.shop.on_pay_page(order.payment.payment_url, "pay")
    await until(lambda: is_visibly_pending(purchase, doubt))
    await fill_history(purchase)
    doubt.times = 0
    await impatient.shop.until_state(order.order_id, checkout_pb2.ORDER_STATE_PLACED)
    assert refused.hits == 1
    await assert_placed(purchase)
    await until(lambda: _runs_are(purchase, 2))


async def test_run_does_not_end_under_a_caller_who_waits(impatient: FaultyStack) -> None:
    """An update that a run has accepted would be lost with it."""
    purchase = await new_purchase(impatient)

    async def fill_and_refuse() -> None:
        await fill_history(purchase)

    filling = impatient.faults.plan(
        purchase.workflow_id, "checkout.OpenPaymentSession", Fault.HOOK_BEFORE, hook=fill_and_refuse
    )
    refused = impatient.faults.plan(purchase.workflow_id, "vouchers.KeepRedemptions", Fault.REFUSED_BEFORE)
    placing = asyncio.create_task(purchase.place())
    workflow = impatient.workflow_of(purchase.order_id)

    async def is_stuck() -> bool:
        return refused.hits > 0 and (await workflow.describe()).search_attributes.get("QuittanceStuck") == [True]

    await until(is_stuck)
    assert filling.hits == 1
    assert await runs_of(purchase) == [WorkflowExecutionStatus.RUNNING]
    await workflow.execute_update(CheckoutWorkflow.resolve, RETRY)
    order = await placing
    assert not isinstance(order, Refusal)
    await impatient.shop.on_pay_page(order.payment.payment_url, "pay")
    await impatient.shop.until_state(order.order_id, checkout_pb2.ORDER_STATE_PLACED)
    await assert_placed(purchase)


async def test_repair_whose_run_is_long_begins_anew(impatient: FaultyStack) -> None:
    """What it did is in the rows."""
    purchase = await new_purchase(impatient)
    await purchase.place()
    await impatient.workflow_of(purchase.order_id).terminate("by a test")
    repair_id = f"order-repair-{purchase.order_id}"

    async def fill() -> None:
        repair = impatient.temporal.get_workflow_handle(repair_id)
        while (await repair.describe()).history_length <= EVENTS_PER_RUN:
            await repair.signal("nothing_that_it_knows")

    plan = impatient.faults.plan(repair_id, "checkout.ClosePaymentSession", Fault.HOOK_BEFORE, hook=fill)
    refused = impatient.faults.plan(repair_id, "vouchers.RollbackRedemptions", Fault.REFUSED_BEFORE)
    await (await start_repair(purchase)).result()
    assert (plan.hits, refused.hits) == (1, 1)
    assert impatient.faults.rpcs_of(repair_id).count("checkout.ReadOrder") == 2
    await assert_kept(purchase, checkout_pb2.ORDER_STATE_FAILED)


async def _runs_are(purchase: Purchase, count: int) -> bool:
    return len(await runs_of(purchase)) == count
