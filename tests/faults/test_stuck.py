"""What cannot get through shows as stuck, and goes on when the obstacle is gone (S-4)."""

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from quittance.checkout.v1 import checkout_pb2
from tests.faults.proxy import Fault, until
from tests.faults.scenario import assert_placed, new_purchase
from tests.faulty_stack import FaultyStack


async def test_step_refused_after_the_pivot_is_stuck_until_an_operator_has_it_retried(stack: FaultyStack) -> None:
    purchase = await new_purchase(stack)
    plan = stack.faults.plan(purchase.workflow_id, "ledger.CaptureHold", Fault.REFUSED_BEFORE)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await stack.shop.on_pay_page(order.payment.payment_url, "pay")
    workflow = stack.workflow_of(purchase.order_id)

    async def is_stuck() -> bool:
        description = await workflow.describe()
        return description.search_attributes.get("QuittanceStuck") == [True]

    await until(is_stuck)
    assert plan.hits == 1
    assert (await stack.shop.read_order(purchase.order_id)).state == checkout_pb2.ORDER_STATE_SETTLING

    await workflow.execute_update("retry_stuck")
    await stack.shop.until_state(purchase.order_id, checkout_pb2.ORDER_STATE_PLACED)
    await assert_placed(purchase)
    assert not await is_stuck()


async def test_retry_without_anything_stuck_is_refused(stack: FaultyStack) -> None:
    purchase = await new_purchase(stack)
    await purchase.place()
    workflow = stack.workflow_of(purchase.order_id)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await workflow.execute_update("retry_stuck")
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "NOTHING_STUCK"
    await stack.shop.cancel(purchase.order_id)
