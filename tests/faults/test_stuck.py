"""What cannot get through shows as stuck, and goes on when the obstacle is gone (S-4)."""

import contextlib

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from orchestrator.checkout_workflow import CheckoutWorkflow
from orchestrator.order_repair_workflow import OrderRepairWorkflow
from quittance.checkout.v1 import checkout_pb2, order_workflow_pb2
from services.runtime.grpc_errors import Refusal
from tests.faults.proxy import Fault, until
from tests.faults.repairing import assert_undone, start_repair
from tests.faults.scenario import Purchase, assert_clean_slate, assert_placed, new_purchase
from tests.faults.test_unwind import LAST_STRAW, UNDO
from tests.faulty_stack import FaultyStack
from tests.orchestrator.paths import RETRY

NOTHING = order_workflow_pb2.ResolveUpdate()


async def is_stuck(stack: FaultyStack, workflow_id: str) -> bool:
    """What the list of workflows says."""
    description = await stack.temporal.get_workflow_handle(workflow_id).describe()
    return description.search_attributes.get("QuittanceStuck") == [True]


async def resolve(purchase: Purchase, update: order_workflow_pb2.ResolveUpdate = RETRY) -> None:
    """An operator's decision."""
    await purchase.stack.workflow_of(purchase.order_id).execute_update(CheckoutWorkflow.resolve, update)


async def assert_resolve_refused(
    purchase: Purchase, reason: str, update: order_workflow_pb2.ResolveUpdate = RETRY
) -> None:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await resolve(purchase, update)
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == reason


async def test_step_refused_after_the_pivot_is_stuck_until_an_operator_has_it_retried(stack: FaultyStack) -> None:
    purchase = await new_purchase(stack)
    plan = stack.faults.plan(purchase.workflow_id, "ledger.CaptureHold", Fault.REFUSED_BEFORE)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await stack.shop.on_pay_page(order.payment.payment_url, "pay")
    await until(lambda: is_stuck(stack, purchase.workflow_id))
    assert plan.hits == 1
    assert (await stack.shop.read_order(purchase.order_id)).state == checkout_pb2.ORDER_STATE_SETTLING

    await resolve(purchase)
    await stack.shop.until_state(purchase.order_id, checkout_pb2.ORDER_STATE_PLACED)
    await assert_placed(purchase)
    assert not await is_stuck(stack, purchase.workflow_id)


@pytest.mark.parametrize("undo", UNDO)
async def test_undo_refused_is_stuck_until_an_operator_has_it_retried(stack: FaultyStack, undo: str) -> None:
    """As often as it takes; the caller is told in time that the undo goes on."""
    purchase = await new_purchase(stack)
    stack.faults.plan(purchase.workflow_id, LAST_STRAW, Fault.REFUSED_BEFORE)
    plan = stack.faults.plan(purchase.workflow_id, undo, Fault.REFUSED_BEFORE, times=2)
    answer = await purchase.place()
    assert isinstance(answer, Refusal)
    assert (answer.reason, answer.metadata["undo_pending"]) == ("REFUSED_BY_TEST", "true")
    assert plan.hits == 1
    await until(lambda: is_stuck(stack, purchase.workflow_id))
    workflow = stack.workflow_of(purchase.order_id)

    async def is_over() -> bool:
        if (await workflow.describe()).status is not WorkflowExecutionStatus.RUNNING:
            return True
        with contextlib.suppress(WorkflowUpdateFailedError, RPCError):
            await resolve(purchase)
        return False

    await until(is_over)
    assert plan.hits == 2
    assert not await is_stuck(stack, purchase.workflow_id)
    await assert_clean_slate(purchase)


async def test_repair_that_is_stuck_goes_on_when_an_operator_has_it_retried(stack: FaultyStack) -> None:
    purchase = await new_purchase(stack)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await stack.workflow_of(order.order_id).terminate("by a test")
    repair_id = f"order-repair-{order.order_id}"
    plan = stack.faults.plan(repair_id, "ledger.ReleaseHold", Fault.REFUSED_BEFORE)
    repair = await start_repair(purchase)
    await until(lambda: is_stuck(stack, repair_id))
    assert plan.hits == 1
    await repair.execute_update(OrderRepairWorkflow.resolve, RETRY)
    await repair.result()
    await assert_undone(purchase)


async def test_resolution_without_anything_stuck_is_refused(stack: FaultyStack) -> None:
    purchase = await new_purchase(stack)
    await purchase.place()
    await assert_resolve_refused(purchase, "NOTHING_STUCK")
    await assert_resolve_refused(purchase, "UNKNOWN_RESOLUTION", NOTHING)
    await stack.shop.cancel(purchase.order_id)
