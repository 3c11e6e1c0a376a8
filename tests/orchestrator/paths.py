"""Every way that a workflow can take, each walked by a real one: what the recorded histories are recorded from.

A path is a function of a stack; it answers the ids of the workflows that have walked it to their end.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

from temporalio.client import WorkflowFailureError, WorkflowUpdateStage
from temporalio.service import RPCError

from orchestrator.checkout_workflow import CheckoutWorkflow
from quittance.checkout.v1 import checkout_pb2, order_workflow_pb2
from services.runtime.grpc_errors import Refusal
from tests.faults.proxy import Fault, Plan, until
from tests.faults.repairing import start_repair, sweep, swept, terminate_and_cut_off_at
from tests.faults.scenario import Purchase, new_purchase
from tests.faults.test_unwind import LAST_STRAW, UNDONE
from tests.faulty_stack import FaultyStack
from tests.orchestrator import money_paths
from tests.orchestrator.generating import new_batch, start_generating, until_followed
from tests.shop import PRICE_MINOR, fresh_id

Path = Callable[[FaultyStack], Awaitable[list[str]]]

RETRY = order_workflow_pb2.ResolveUpdate(resolution=order_workflow_pb2.RESOLUTION_RETRY)
PLACED = checkout_pb2.ORDER_STATE_PLACED
FAILED = checkout_pb2.ORDER_STATE_FAILED


async def ended(purchase: Purchase) -> list[str]:
    """The order's workflow, once it has ended."""
    await purchase.stack.workflow_of(purchase.order_id).result()
    return [purchase.workflow_id]


async def awaiting_payment(stack: FaultyStack, **fields: object) -> tuple[Purchase, str]:
    """A purchase with vouchers and credits whose pay page is open, and that page's address."""
    purchase = await new_purchase(stack, **fields)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    return purchase, order.payment.payment_url


async def small_purchase(stack: FaultyStack, codes: tuple[str, ...], *, use_credits: bool) -> Purchase:
    """A purchase that leaves something out."""
    request = await stack.shop.order(fresh_id(), codes, use_credits=use_credits)
    return Purchase(stack, request, "", "")


# Placed


async def placed_by_credits(stack: FaultyStack) -> list[str]:
    customer = fresh_id()
    await stack.shop.give_credits(customer, PRICE_MINOR)
    purchase = Purchase(stack, await stack.shop.order(customer), "", "")
    await purchase.place()
    return await ended(purchase)


async def placed_by_discount(stack: FaultyStack) -> list[str]:
    """Nothing to hold and nothing to pay."""
    code = await stack.shop.discount_voucher(PRICE_MINOR)
    purchase = await small_purchase(stack, (code,), use_credits=False)
    await purchase.place()
    return await ended(purchase)


async def placed_with_credits_unused(stack: FaultyStack) -> list[str]:
    """What was held turned out not to be needed."""
    code = await stack.shop.discount_voucher(PRICE_MINOR)
    purchase = await small_purchase(stack, (code,), use_credits=True)
    await purchase.place()
    return await ended(purchase)


async def paid(stack: FaultyStack) -> list[str]:
    purchase = await new_purchase(stack)
    await purchase.place_and_pay()
    return await ended(purchase)


async def paid_without_vouchers(stack: FaultyStack) -> list[str]:
    purchase = await small_purchase(stack, (), use_credits=False)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await stack.shop.on_pay_page(order.payment.payment_url, "pay")
    return await ended(purchase)


async def paid_after_refused_attempts_and_news_that_are_none(stack: FaultyStack) -> list[str]:
    purchase, url = await awaiting_payment(stack)
    await stack.shop.on_pay_page(url, "refuse")
    for _ in range(3):
        await stack.workflow_of(purchase.order_id).signal(CheckoutWorkflow.payment_changed)
        await asyncio.sleep(0.2)
    await stack.shop.on_pay_page(url, "pay")
    return await ended(purchase)


async def paid_with_steps_in_doubt(stack: FaultyStack) -> list[str]:
    """Steps that become visible activities before and after the pivot."""
    purchase = await new_purchase(stack)
    rpcs = ("ledger.HoldCredits", "ledger.CaptureHold")
    plans = [stack.faults.plan(purchase.workflow_id, rpc, Fault.LOST_AFTER, times=8) for rpc in rpcs]
    await purchase.place_and_pay()
    assert all(plan.hits == 8 for plan in plans)
    return await ended(purchase)


async def paid_after_step_was_stuck(stack: FaultyStack) -> list[str]:
    purchase = await new_purchase(stack)
    stack.faults.plan(purchase.workflow_id, "ledger.CaptureHold", Fault.REFUSED_BEFORE)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await stack.shop.on_pay_page(order.payment.payment_url, "pay")
    await resolve(purchase)
    return await ended(purchase)


async def paid_while_cancelled(stack: FaultyStack) -> list[str]:
    """The customer is faster than the cancellation."""
    purchase, url = await awaiting_payment(stack)

    async def pay() -> None:
        await stack.shop.on_pay_page(url, "pay")

    stack.faults.plan(purchase.workflow_id, "checkout.ClosePaymentSession", Fault.HOOK_BEFORE, hook=pay)
    await stack.workflow_of(purchase.order_id).cancel()
    await stack.shop.until_state(purchase.order_id, PLACED)
    return await ended(purchase)


async def resolve(purchase: Purchase) -> None:
    """Waits until something is stuck, then has it tried again."""
    workflow = purchase.stack.workflow_of(purchase.order_id)

    async def is_stuck() -> bool:
        return (await workflow.describe()).search_attributes.get("QuittanceStuck") == [True]

    await until(is_stuck)
    await workflow.execute_update(CheckoutWorkflow.resolve, RETRY)


# Undone


async def refused_at(step: str, stack: FaultyStack) -> list[str]:
    purchase = await new_purchase(stack)
    stack.faults.plan(purchase.workflow_id, step, Fault.REFUSED_BEFORE)
    await purchase.place_refused()
    return await ended(purchase)


async def timed_out(stack: FaultyStack) -> list[str]:
    purchase = await new_purchase(stack, place_timeout_s=1)
    stack.faults.plan(purchase.workflow_id, "ledger.HoldCredits", Fault.LOST_BEFORE, times=None)
    await purchase.place_refused()
    return await ended(purchase)


async def timed_out_late(stack: FaultyStack) -> list[str]:
    """After the step has become a visible activity."""
    purchase = await new_purchase(stack, place_timeout_s=6)
    stack.faults.plan(purchase.workflow_id, "vouchers.RedeemVouchers", Fault.LOST_AFTER, times=None)
    await purchase.place_refused()
    return await ended(purchase)


async def declined(stack: FaultyStack) -> list[str]:
    purchase, url = await awaiting_payment(stack)
    await stack.shop.on_pay_page(url, "decline")
    return await ended(purchase)


async def expired(stack: FaultyStack) -> list[str]:
    purchase, _ = await awaiting_payment(stack, payment_window_s=5)
    return await ended(purchase)


async def cancelled_at(rpc: str, stack: FaultyStack) -> list[str]:
    """While this step is in doubt: a quick one is over before anybody can cancel it."""
    purchase = await new_purchase(stack)
    await cancel_at(purchase, rpc)
    return await ended(purchase)


async def cancel_at(purchase: Purchase, rpc: str, *, times: int = 1) -> None:
    """Places the order, and cancels it so many times while this step is in doubt, which then comes free."""
    plan = purchase.stack.faults.plan(purchase.workflow_id, rpc, Fault.LOST_AFTER, times=None)
    placing = asyncio.create_task(purchase.place())
    workflow = purchase.stack.workflow_of(purchase.order_id)
    await until(lambda: is_visibly_pending(purchase, plan))
    # Nothing of the undo may be over before the last one has come.
    last_undo = purchase.stack.faults.plan(
        purchase.workflow_id, "checkout.EndOrder", Fault.LOST_BEFORE, times=None if times > 1 else 0
    )
    cancelling = [
        await workflow.start_update(CheckoutWorkflow.cancel, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
        for _ in range(times)
    ]
    plan.times = last_undo.times = 0
    for cancel in cancelling:
        assert (await cancel.result()).refusal.reason == "ORDER_CANCELLED"
    assert isinstance(await placing, Refusal)


async def is_visibly_pending(purchase: Purchase, plan: Plan) -> bool:
    """The step that meets the plan's fault stays in doubt and has become an activity: others get a word in."""
    if plan.hits == 0:
        return False
    try:
        described = await purchase.stack.workflow_of(purchase.order_id).describe()
    except RPCError:
        return False
    return len(described.raw_description.pending_activities) > 0


async def cancelled_while_waiting(stack: FaultyStack) -> list[str]:
    purchase, _ = await awaiting_payment(stack)
    await asyncio.gather(*(stack.shop.cancel(purchase.order_id) for _ in range(2)))
    return await ended(purchase)


async def cancelled_in_temporal(stack: FaultyStack) -> list[str]:
    purchase, _ = await awaiting_payment(stack)
    await stack.workflow_of(purchase.order_id).cancel()
    return await ended(purchase)


async def undone_after_undo_was_stuck(stack: FaultyStack) -> list[str]:
    """For longer than a caller is let wait."""
    purchase = await new_purchase(stack)
    stack.faults.plan(purchase.workflow_id, LAST_STRAW, Fault.REFUSED_BEFORE)
    stack.faults.plan(purchase.workflow_id, "ledger.ReleaseHold", Fault.REFUSED_BEFORE)
    answer = await purchase.place()
    assert isinstance(answer, Refusal)
    assert answer.metadata["undo_pending"] == "true"
    await resolve(purchase)
    return await ended(purchase)


async def undone_after_its_end(stack: FaultyStack) -> list[str]:
    """The customer's slot is free before the vouchers are rolled back."""
    purchase = await new_purchase(stack)
    stack.faults.plan(purchase.workflow_id, LAST_STRAW, Fault.REFUSED_BEFORE)
    stack.faults.plan(purchase.workflow_id, "vouchers.RollbackRedemptions", Fault.LOST_BEFORE, times=10)
    assert isinstance(await purchase.place(), Refusal)
    return await ended(purchase)


# Repaired


async def repaired(purchase: Purchase) -> list[str]:
    """The order's repair, once the order is closed."""
    await swept(purchase)
    await purchase.stack.temporal.get_workflow_handle(f"order-repair-{purchase.order_id}").result()
    return [f"order-repair-{purchase.order_id}"]


async def repaired_at(rpc: str, stack: FaultyStack) -> list[str]:
    """After its workflow was terminated at this step of the way to the pay page."""
    purchase = await new_purchase(stack)
    terminate_and_cut_off_at(purchase, rpc)
    await purchase.place()
    return await repaired(purchase)


async def repaired_forward(stack: FaultyStack) -> list[str]:
    purchase, url = await awaiting_payment(stack)
    plan = terminate_and_cut_off_at(purchase, "ledger.CaptureHold")
    await stack.shop.on_pay_page(url, "pay")
    await until(lambda: _has_hits(plan.hits))
    return await repaired(purchase)


async def repaired_when_paid(stack: FaultyStack) -> list[str]:
    purchase, url = await awaiting_payment(stack)
    await stack.workflow_of(purchase.order_id).terminate("by a test")
    await stack.shop.on_pay_page(url, "pay")
    return await repaired(purchase)


async def repaired_in_vain(stack: FaultyStack) -> list[str]:
    """Its workflow goes on."""
    purchase, _ = await awaiting_payment(stack)
    repair = await start_repair(purchase)
    await repair.result()
    await stack.shop.cancel(purchase.order_id)
    return [repair.id]


async def swept_up(stack: FaultyStack) -> list[str]:
    purchase, _ = await awaiting_payment(stack)
    await stack.workflow_of(purchase.order_id).terminate("by a test")
    sweep_id = f"sweep-of-{purchase.order_id}"
    await sweep(stack, sweep_id)
    await swept(purchase)
    return [sweep_id]


# Codes


async def codes_generated(stack: FaultyStack) -> list[str]:
    request = await new_batch(stack, 45_000)
    workflow = await start_generating(stack, request)
    await workflow.result()
    return [workflow.id]


async def codes_cancelled(stack: FaultyStack) -> list[str]:
    request = await new_batch(stack, 3_000_000)
    workflow = await start_generating(stack, request)
    await until_followed(workflow)
    await workflow.cancel()
    await workflow.result()
    return [workflow.id]


async def codes_refused(stack: FaultyStack) -> list[str]:
    request = await new_batch(stack, 10)
    request.batch.campaign_id = fresh_id()
    workflow = await start_generating(stack, request)
    with contextlib.suppress(WorkflowFailureError):
        await workflow.result()
    return [workflow.id]


async def _has_hits(hits: int) -> bool:
    return hits > 0


# Gone on in a second run, where Temporal suggests it soon


async def continue_while_waiting(purchase: Purchase) -> checkout_pb2.Order:
    """Places the order and makes it go on in a second run while its customer looks at the pay page."""
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    workflow = purchase.stack.workflow_of(purchase.order_id)
    first_run = (await workflow.describe()).run_id

    async def is_in_second_run() -> bool:
        await workflow.signal(CheckoutWorkflow.payment_changed)
        return (await workflow.describe()).run_id != first_run

    await until(is_in_second_run)
    return order


async def continued(action: str, stack: FaultyStack) -> list[str]:
    """While it waited for this."""
    purchase = await new_purchase(stack)
    order = await continue_while_waiting(purchase)
    await stack.shop.on_pay_page(order.payment.payment_url, action)
    return await ended(purchase)


PATHS: dict[str, Path] = {
    "placed-by-credits": placed_by_credits,
    "placed-by-discount": placed_by_discount,
    "placed-with-credits-unused": placed_with_credits_unused,
    "paid": paid,
    "paid-without-vouchers": paid_without_vouchers,
    "paid-after-refused-attempts": paid_after_refused_attempts_and_news_that_are_none,
    "paid-with-steps-in-doubt": paid_with_steps_in_doubt,
    "paid-after-step-was-stuck": paid_after_step_was_stuck,
    "paid-while-cancelled": paid_while_cancelled,
    **{f"refused-at-{step.rpartition('.')[2]}": partial(refused_at, step) for step in UNDONE},
    "timed-out": timed_out,
    "timed-out-late": timed_out_late,
    "declined": declined,
    "expired": expired,
    **{
        f"cancelled-at-{rpc.rpartition('.')[2]}": partial(cancelled_at, rpc)
        for rpc in (*UNDONE, "vouchers.KeepRedemptions")
    },
    "cancelled-while-waiting": cancelled_while_waiting,
    "cancelled-in-temporal": cancelled_in_temporal,
    "undone-after-undo-was-stuck": undone_after_undo_was_stuck,
    "undone-after-its-end": undone_after_its_end,
    **{
        f"repaired-at-{rpc.rpartition('.')[2]}": partial(repaired_at, rpc)
        for rpc in ("vouchers.RedeemVouchers", "checkout.OpenPaymentSession", "checkout.HandOver")
    },
    "repaired-forward": repaired_forward,
    "repaired-when-paid": repaired_when_paid,
    "repaired-in-vain": repaired_in_vain,
    "swept-up": swept_up,
    "codes-generated": codes_generated,
    "codes-cancelled": codes_cancelled,
    "codes-refused": codes_refused,
    "refunded": money_paths.refunded,
    "returned-in-vain": money_paths.returned_in_vain,
    "watched": money_paths.watched,
    "reconciled": money_paths.reconciled,
}
# Of a stack that is impatient.
LONG_PATHS: dict[str, Path] = {
    "continued-then-paid": partial(continued, "pay"),
    "continued-then-declined": partial(continued, "decline"),
}
