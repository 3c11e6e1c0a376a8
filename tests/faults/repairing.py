"""Orders whose workflow is terminated, which leaves it no chance to undo anything, and their repair."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import asyncpg
from temporalio.client import WorkflowFailureError, WorkflowHandle

from orchestrator.order_repair_workflow import OrderRepairWorkflow
from orchestrator.order_sweep_workflow import OrderSweepWorkflow
from quittance.checkout.v1 import checkout_pb2, order_workflow_pb2
from tests.faults.proxy import Fault, Plan
from tests.faults.scenario import ORDERS_ON_THEIR_WAY, Purchase, assert_clean_slate, assert_kept
from tests.faulty_stack import FaultyStack
from tests.shop import fresh_id

FAILED = checkout_pb2.ORDER_STATE_FAILED
TASK_QUEUE = "quittance"
OPEN = "select placed_at is null and undone_at is null from orders where order_id = $1"
HANDED_OVER = "select handed_over_at is not null from orders where order_id = $1"


async def sweep(stack: FaultyStack, workflow_id: str | None = None) -> order_workflow_pb2.SweepResult:
    """Looks at all open orders once, also at those that have just changed."""
    return await stack.temporal.execute_workflow(
        OrderSweepWorkflow.run,
        order_workflow_pb2.SweepRequest(unchanged_for_s=0),
        id=workflow_id or f"test-sweep-{fresh_id()}",
        task_queue=TASK_QUEUE,
        execution_timeout=timedelta(seconds=60),
    )


def repair_of(purchase: Purchase) -> WorkflowHandle[OrderRepairWorkflow, order_workflow_pb2.OrderResult]:
    """The newest repair of the order."""
    return purchase.stack.temporal.get_workflow_handle_for(OrderRepairWorkflow.run, f"order-repair-{purchase.order_id}")


async def start_repair(purchase: Purchase) -> WorkflowHandle[OrderRepairWorkflow, order_workflow_pb2.OrderResult]:
    """A repair that nobody else has started."""
    return await purchase.stack.temporal.start_workflow(
        OrderRepairWorkflow.run,
        order_workflow_pb2.RepairRequest(order_id=purchase.order_id),
        id=f"order-repair-{purchase.order_id}",
        task_queue=TASK_QUEUE,
    )


async def swept(purchase: Purchase) -> None:
    """Sweeps find the order if it is still open, and it is repaired."""
    async with asyncio.timeout(120):
        while await ask(purchase, OPEN):
            # One that meets a dead process fails, and the next one begins anew.
            with contextlib.suppress(WorkflowFailureError):
                await sweep(purchase.stack)
            await asyncio.sleep(0.1)


async def ask(purchase: Purchase, query: str) -> bool:
    """What checkout's database says of the order; None when it is unknown. A database that is away comes back."""
    async with asyncio.timeout(60):
        while True:
            try:
                connection = await purchase.stack.connect("checkout")
                try:
                    answer: bool = await connection.fetchval(query, purchase.order_id)
                finally:
                    await connection.close()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                await asyncio.sleep(0.1)
            else:
                return answer


def terminate_at(
    purchase: Purchase, rpc: str, fault: Fault, then: Callable[[], Awaitable[object]] | None = None
) -> Plan:
    """The order's workflow is terminated around its next call of `rpc`.

    The call itself goes on, as one that was on its way; with `then` it is held up until that has been done. So do
    later ones: the worker only hears of the termination when it reports what it has done.
    """

    async def terminate() -> None:
        await purchase.stack.workflow_of(purchase.order_id).terminate("by a test")
        if then is not None:
            await then()

    return purchase.stack.faults.plan(purchase.workflow_id, rpc, fault, hook=terminate)


def terminate_and_cut_off_at(purchase: Purchase, rpc: str) -> Plan:
    """Nothing of the order is done any more after this call but by its repair."""

    async def cut_off() -> None:
        purchase.stack.faults.cut_off(purchase.workflow_id)

    return terminate_at(purchase, rpc, Fault.HOOK_AFTER, then=cut_off)


async def assert_undone(purchase: Purchase, state: checkout_pb2.OrderState.ValueType = FAILED) -> None:
    """Nothing is left; but when the pay page was handed over, to whomever, the credit is the customer's to keep."""
    if await ask(purchase, HANDED_OVER):
        await assert_kept(purchase, state)
    else:
        await assert_clean_slate(purchase, state=state)
    assert not await ask(purchase, OPEN)
    await _assert_customer_can_buy(purchase)


async def _assert_customer_can_buy(purchase: Purchase) -> None:
    """The same purchase once more goes through: the slot is free, and both codes work or are in the wallet."""
    shop = purchase.stack.shop
    again = await shop.order(purchase.request.customer_id, [purchase.discount_code, purchase.credit_code])
    order = await shop.place(again)
    assert order.state == checkout_pb2.ORDER_STATE_AWAITING_PAYMENT
    await shop.cancel(order.order_id)
    async with asyncio.timeout(30):
        connection = await purchase.stack.connect("checkout")
        assert await connection.fetchval(ORDERS_ON_THEIR_WAY, purchase.request.customer_id) == 0
        await connection.close()
