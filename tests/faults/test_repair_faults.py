"""Repairs that meet faults themselves: lost and doubled calls, termination, cancellation, dead processes (S-3, S-5)."""

import random
from collections.abc import Awaitable, Callable

import grpc
import pytest

from quittance.checkout.v1 import checkout_pb2
from tests.faults.proxy import Fault, Plan, until
from tests.faults.repairing import OPEN, ask, assert_undone, repair_of, swept, terminate_and_cut_off_at
from tests.faults.scenario import Purchase, assert_all_in_effect, new_purchase
from tests.faults.test_unwind import victims
from tests.faulty_stack import FaultyStack

# The calls of a repair that undoes, and of one that settles.
UNDOES = (
    "checkout.ReadOrder",
    "vouchers.KeepRedemptions",
    "checkout.HandOver",
    "checkout.ClosePaymentSession",
    "ledger.ReleaseHold",
    "vouchers.RollbackRedemptions",
    "checkout.EndOrder",
)
SETTLES = (
    "checkout.ReadOrder",
    "checkout.BeginSettling",
    "ledger.PostTransactions",
    "ledger.CaptureHold",
    "vouchers.ConfirmRedemptions",
    "checkout.CompleteOrder",
)
FAULTS = (Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.DOUBLED)


def repair_id(purchase: Purchase) -> str:
    """The id of the order's repair."""
    return f"order-repair-{purchase.order_id}"


async def to_be_undone(purchase: Purchase) -> None:
    """Its workflow is terminated when its pay page has been opened and not yet handed over."""
    plan = terminate_and_cut_off_at(purchase, "checkout.OpenPaymentSession")
    # It gets no answer, and nobody asks again.
    with pytest.raises(grpc.aio.AioRpcError):
        await purchase.stack.shop.place(purchase.request)
    await until(lambda: _is(plan.hits == 1 and plan.under_way == 0))


async def to_be_settled(purchase: Purchase) -> None:
    """Its workflow is terminated just behind the pivot; a second webhook may have it repaired at once."""
    plan = terminate_and_cut_off_at(purchase, "checkout.BeginSettling")
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await purchase.stack.shop.on_pay_page(order.payment.payment_url, "pay")
    await until(lambda: _is(plan.hits == 1 and plan.under_way == 0))


async def assert_repaired(purchase: Purchase) -> None:
    """Whatever the repair met: in the end the order is done. Sweeps come and fail or find it, as the schedule's."""
    await swept(purchase)
    assert not await ask(purchase, OPEN)
    if (await purchase.stack.shop.read_order(purchase.order_id)).state == checkout_pb2.ORDER_STATE_PLACED:
        await assert_all_in_effect(purchase)
    else:
        await assert_undone(purchase)


CASES = [(to_be_undone, rpc) for rpc in UNDOES] + [(to_be_settled, rpc) for rpc in SETTLES]
every_call = pytest.mark.parametrize(
    ("begin", "rpc"), CASES, ids=[f"{begin.__name__}-{rpc.rpartition('.')[2]}" for begin, rpc in CASES]
)
Begin = Callable[[Purchase], Awaitable[None]]


@pytest.mark.parametrize(("begin", "rpcs"), [(to_be_undone, UNDOES), (to_be_settled, SETTLES)])
async def test_good_repair_is_what_the_other_tests_break(
    stack: FaultyStack, begin: Begin, rpcs: tuple[str, ...]
) -> None:
    """The calls that the tests below name are the calls that there are."""
    purchase = await new_purchase(stack)
    await begin(purchase)
    await assert_repaired(purchase)
    await repair_of(purchase).result()
    assert sorted(set(stack.faults.rpcs_of(repair_id(purchase)))) == sorted(rpcs)


@every_call
@pytest.mark.parametrize("fault", FAULTS)
async def test_call_of_a_repair_that_is_repeated_has_one_effect(
    stack: FaultyStack, begin: Begin, rpc: str, fault: Fault
) -> None:
    purchase = await new_purchase(stack)
    plan = stack.faults.plan(repair_id(purchase), rpc, fault, times=2)
    await begin(purchase)
    await assert_repaired(purchase)
    assert plan.hits >= 1


def interrupt_at(purchase: Purchase, rpc: str, interrupt: Callable[[], Awaitable[None]]) -> Plan:
    """Something happens to the repair right after this call, whose answer is lost."""
    return purchase.stack.faults.plan(repair_id(purchase), rpc, Fault.HOOK_AFTER, hook=interrupt)


@every_call
async def test_repair_that_is_terminated_is_followed_by_another_one(stack: FaultyStack, begin: Begin, rpc: str) -> None:
    purchase = await new_purchase(stack)

    async def terminate() -> None:
        await repair_of(purchase).terminate("by a test")

    plan = interrupt_at(purchase, rpc, terminate)
    await begin(purchase)
    await assert_repaired(purchase)
    assert plan.hits == 1


@every_call
async def test_repair_that_is_cancelled_finishes(stack: FaultyStack, begin: Begin, rpc: str) -> None:
    """What it does is undoing or settling, and neither is left half done."""
    purchase = await new_purchase(stack)

    async def cancel() -> None:
        await repair_of(purchase).cancel()
        await repair_of(purchase).cancel()

    plan = interrupt_at(purchase, rpc, cancel)
    await begin(purchase)
    await assert_repaired(purchase)
    await repair_of(purchase).result()
    assert plan.hits == 1


@every_call
async def test_process_killed_during_a_repair_changes_nothing(
    stack: FaultyStack, begin: Begin, rpc: str, dice: random.Random
) -> None:
    for victim in victims(dice):
        purchase = await new_purchase(stack)

        async def kill(name: str = victim) -> None:
            await stack.stack.kill(name)

        plan = interrupt_at(purchase, rpc, kill)
        await begin(purchase)
        await assert_repaired(purchase)
        assert plan.hits == 1
        await stack.stack.wait_ready(victim)


async def _is(fact: bool) -> bool:
    return fact
