"""Every step of an order fails in every way, and nothing is left behind (V2, V3, V4, S-3, S-5).

`QUITTANCE_UNWIND=full` (make unwind) kills every process at every step instead of one that the seed chooses.
"""

import os
import random

import pytest

from quittance.checkout.v1 import checkout_pb2
from tests.faults.proxy import Fault
from tests.faults.scenario import Purchase, assert_clean_slate, assert_kept, assert_placed, new_purchase
from tests.faulty_stack import FaultyStack

# The steps before the pay page is handed over: a failure undoes everything.
UNDONE = (
    "checkout.CreateOrder",
    "vouchers.RedeemVouchers",
    "ledger.HoldCredits",
    "checkout.SettlePrice",
    "checkout.OpenPaymentSession",
)
# The steps from then on: they go forward whatever happens.
FORWARD = (
    "vouchers.KeepRedemptions",
    "checkout.HandOver",
    "checkout.ReadPayment",
    "checkout.BeginSettling",
    "ledger.PostTransactions",
    "ledger.CaptureHold",
    "vouchers.ConfirmRedemptions",
    "checkout.CompleteOrder",
)
UNDO = (
    "checkout.ClosePaymentSession",
    "ledger.ReleaseHold",
    "vouchers.RollbackRedemptions",
    "checkout.EndOrder",
)
PROCESSES = ("ledger", "vouchers", "checkout", "orchestrator", "sandbox", "postgres")
EVERY_PROCESS = os.environ.get("QUITTANCE_UNWIND") == "full"
# Fails the order after all of its steps that can be undone have had their effect.
LAST_STRAW = "checkout.OpenPaymentSession"


async def test_good_run_is_what_the_other_tests_break(stack: FaultyStack) -> None:
    """The steps that the tests below name are the steps that there are."""
    purchase = await new_purchase(stack)
    await purchase.place_and_pay()
    await assert_placed(purchase)
    seen = list(dict.fromkeys(stack.faults.rpcs_of(purchase.workflow_id)))
    assert sorted(seen) == sorted((*UNDONE, *FORWARD))


@pytest.mark.parametrize("step", UNDONE)
async def test_step_refused_before_its_effect_leaves_a_clean_slate(stack: FaultyStack, step: str) -> None:
    purchase = await new_purchase(stack)
    plan = stack.faults.plan(purchase.workflow_id, step, Fault.REFUSED_BEFORE)
    refusal = await purchase.place_refused()
    assert (plan.hits, refusal.reason) == (1, "REFUSED_BY_TEST")
    await assert_clean_slate(purchase)


@pytest.mark.parametrize("step", UNDONE)
@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER])
async def test_step_that_stays_in_doubt_leaves_a_clean_slate(stack: FaultyStack, step: str, fault: Fault) -> None:
    purchase = await new_purchase(stack, place_timeout_s=1)
    plan = stack.faults.plan(purchase.workflow_id, step, fault, times=None)
    refusal = await purchase.place_refused()
    assert plan.hits >= 1
    assert refusal.reason == "STEP_TIMED_OUT"
    await assert_clean_slate(purchase)


@pytest.mark.parametrize("step", [*UNDONE, *FORWARD])
@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.DOUBLED])
async def test_step_that_is_repeated_has_one_effect(stack: FaultyStack, step: str, fault: Fault) -> None:
    """S-5: what is lost or doubled on the way is done once."""
    purchase = await new_purchase(stack)
    plan = stack.faults.plan(purchase.workflow_id, step, fault, times=2)
    await purchase.place_and_pay()
    assert plan.hits >= 1
    await assert_placed(purchase)


@pytest.mark.parametrize("undo", UNDO)
@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.DOUBLED])
async def test_undo_that_is_repeated_is_done_once(stack: FaultyStack, undo: str, fault: Fault) -> None:
    """V4: undoing twice is once."""
    purchase = await new_purchase(stack)
    stack.faults.plan(purchase.workflow_id, LAST_STRAW, Fault.REFUSED_BEFORE)
    plan = stack.faults.plan(purchase.workflow_id, undo, fault, times=2)
    await purchase.place_refused()
    assert plan.hits >= 1
    await assert_clean_slate(purchase)


@pytest.mark.parametrize("undo", UNDO)
@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.DOUBLED])
async def test_undo_after_hand_over_that_is_repeated_is_done_once(stack: FaultyStack, undo: str, fault: Fault) -> None:
    """V1: after a declined payment the credit stays, the discount returns."""
    purchase = await new_purchase(stack)
    plan = stack.faults.plan(purchase.workflow_id, undo, fault, times=2)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await stack.shop.on_pay_page(order.payment.payment_url, "decline")
    await stack.workflow_of(purchase.order_id).result()
    assert plan.hits >= 1
    await assert_kept(purchase, checkout_pb2.ORDER_STATE_FAILED)


def victims(dice: random.Random) -> tuple[str, ...]:
    """Who is killed at a step: everybody, one after the other, or whom the dice choose."""
    return PROCESSES if EVERY_PROCESS else (dice.choice(PROCESSES),)


async def _kill_at(purchase: Purchase, rpc: str, victim: str, dice: random.Random) -> None:
    """The next call of `rpc` meets the death of `victim`, before or after its effect."""

    async def kill() -> None:
        await purchase.stack.stack.kill(victim)

    fault = dice.choice([Fault.HOOK_BEFORE, Fault.HOOK_AFTER])
    purchase.stack.faults.plan(purchase.workflow_id, rpc, fault, hook=kill)


@pytest.mark.parametrize("step", [*UNDONE, *FORWARD])
async def test_process_killed_at_a_step_changes_nothing_for_the_customer(
    stack: FaultyStack, step: str, dice: random.Random
) -> None:
    """V2: a crash of any process at any point."""
    for victim in victims(dice):
        purchase = await new_purchase(stack)
        await _kill_at(purchase, step, victim, dice)
        await purchase.place_and_pay()
        await stack.stack.wait_ready(victim)
        await assert_placed(purchase)


@pytest.mark.parametrize("undo", UNDO)
async def test_process_killed_at_an_undo_leaves_a_clean_slate(
    stack: FaultyStack, undo: str, dice: random.Random
) -> None:
    for victim in victims(dice):
        purchase = await new_purchase(stack)
        stack.faults.plan(purchase.workflow_id, LAST_STRAW, Fault.REFUSED_BEFORE)
        await _kill_at(purchase, undo, victim, dice)
        await purchase.place_refused()
        await stack.stack.wait_ready(victim)
        await assert_clean_slate(purchase)
