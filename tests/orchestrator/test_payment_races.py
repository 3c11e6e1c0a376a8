"""Webhook, poll, expiry and cancellation for one order, refund and refund, money after the end: one end each.

Many orders at once, each with its own rivals at its own times, drawn from the seed (P-1, P-2, P-5, P-6, S-3, V1).
"""

import asyncio
import random
from collections.abc import AsyncIterator
from functools import partial

import grpc
import pytest

from quittance.checkout.v1 import checkout_pb2, payments_pb2
from services.runtime.grpc_errors import refusal_of
from tests.checkout.soundness import assert_checkout_sound
from tests.conftest import SEED
from tests.faults.proxy import Fault, until
from tests.faults.scenario import DUE_MINOR, assert_kept, assert_placed, new_purchase
from tests.ledger.soundness import assert_ledger_sound
from tests.orchestrator.contests import SPREAD_S, Contest, after, drawn, page_at
from tests.orchestrator.payment_stack import PaymentStack
from tests.payments.fakes.deliveries import Weather
from tests.shop import CURRENCY, PRICE_MINOR, fresh_id
from tests.vouchers.soundness import assert_vouchers_sound

ORDERS = 40
LATE_ORDERS = 12
REFUNDED_ORDERS = 12
# The shortest that an order may ask for, and one that leaves time to begin with a payment.
WINDOW_S, WINDOW_TO_BEGIN_S = 5, 10

PROVIDERS = ("stripe", "yookassa")
REFUNDED = payments_pb2.REFUND_STATE_REFUNDED
PLACED = checkout_pb2.ORDER_STATE_PLACED
ENDED = (checkout_pb2.ORDER_STATE_CANCELLED, checkout_pb2.ORDER_STATE_EXPIRED, checkout_pb2.ORDER_STATE_FAILED)

# What is still on its way: an order, money that goes back, a webhook whose order was not told.
OPEN = """
    SELECT 'order', order_id::text FROM orders WHERE placed_at IS NULL AND undone_at IS NULL
    UNION ALL SELECT 'refund', order_id::text FROM refunds WHERE completed_at IS NULL
    UNION ALL SELECT 'webhook', order_id::text FROM webhook_events WHERE told_at IS NULL
    UNION ALL SELECT 'receipt', order_id::text FROM receipts AS r
        WHERE standing = 'unwanted' AND amount_minor <> (
            SELECT coalesce(sum(amount_minor), 0) FROM refunds AS f
            WHERE (f.provider, f.provider_payment_id) = (r.provider, r.provider_payment_id) AND f.state = 'refunded')
"""
# Found when providers, orders and ledger disagree.
DISAGREEMENTS = {"CLEARING_DIFFERS", "AMOUNT_DIFFERS", "PAYMENT_UNKNOWN_TO_PROVIDER", "REFUND_EXCEEDS_PAYMENT"}


@pytest.fixture(scope="module")
async def tills(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PaymentStack]:
    """Webhooks come twice and late, as they do."""
    weather = Weather(duplicated=0.3, reordered=0.3)
    async with PaymentStack(tmp_path_factory.mktemp("races"), seed=SEED, weather=weather) as stack:
        yield stack


async def assert_all_is_settled(tills: PaymentStack) -> None:
    """Nothing is left open; then all three databases and both providers say the same."""
    await asyncio.gather(tills.stripe.deliveries.settle(), tills.yookassa.deliveries.settle())
    # What came before the payment that it is about is found by it, as by the schedule.
    await tills.reconcile()
    checkout = await tills.running.connect("checkout")
    try:

        async def nothing_is_open() -> bool:
            return not await checkout.fetch(OPEN)

        try:
            await until(nothing_is_open)
        except TimeoutError:
            raise AssertionError(f"left open: {await checkout.fetch(OPEN)}") from None
        await assert_checkout_sound(checkout)
        kinds = {row["kind"] for row in await checkout.fetch("SELECT kind FROM payment_findings")}
        assert kinds & DISAGREEMENTS == set()
    finally:
        await checkout.close()
    for database, assert_sound in (("ledger", assert_ledger_sound), ("vouchers", assert_vouchers_sound)):
        connection = await tills.running.connect(database)
        await assert_sound(connection)
        await connection.close()
    await tills.assert_books_agree()
    assert [await tills.unallocated(provider) for provider in ("stripe", "yookassa")] == [0, 0]


async def assert_money_agrees(tills: PaymentStack, order_id: str) -> payments_pb2.ListOrderMoneyResponse:
    """P-6: what the provider took and gave back for an order is what checkout has written down, and no less is left."""
    order = await tills.shop.read_order(order_id)
    money = await tills.money(order)
    moved = tills.movements(order)
    refunded = [refund.amount_minor for refund in money.refunds if refund.state == REFUNDED]
    assert sum(receipt.amount_minor for receipt in money.receipts) == sum(amount for amount in moved if amount > 0)
    assert sorted(refunded) == sorted(-amount for amount in moved if amount < 0)
    assert sum(moved) >= 0
    return money


async def assert_one_end(contest: Contest, state: checkout_pb2.OrderState.ValueType) -> None:
    """The row, the vouchers, the credits, the money and every caller say the same of an order."""
    purchase, tills = contest.purchase, contest.tills
    order = await tills.shop.read_order(purchase.order_id)
    money = await assert_money_agrees(tills, purchase.order_id)
    left_minor = sum(tills.movements(order))
    if state == PLACED:
        await assert_placed(purchase)
        assert left_minor == DUE_MINOR - sum(refund.amount_minor for refund in money.refunds)
        assert {refund.source for refund in money.refunds} <= {payments_pb2.REFUND_SOURCE_PROVIDER}
    else:
        assert state in ENDED
        await assert_kept(purchase, state)
        assert left_minor == 0
    assert set(contest.cancelled) <= {state}


async def new_contest(tills: PaymentStack, number: int, dice: random.Random) -> Contest:
    """Half of the orders at each provider, half of these about to end by themselves."""
    is_at_its_end = number // 2 % 2 == 0
    more = dice.sample(["cancel", "cancel", "expire", "give back"], dice.randint(0, 3))
    purchase = await new_purchase(
        tills.running,
        payment_provider=PROVIDERS[number % 2],
        payment_window_s=WINDOW_S if is_at_its_end else 0,
    )
    return Contest(tills, purchase, drawn(dice, ["pay", "poll", "poll", *more]), is_at_its_end)


@pytest.mark.slow
async def test_order_for_whose_end_all_compete_has_one(tills: PaymentStack, dice: random.Random) -> None:
    """Webhook, poll, expiry, cancellation and a refund at the dashboard, in any order."""
    draws = [random.Random(dice.random()) for _ in range(ORDERS)]
    contests = await asyncio.gather(*(new_contest(tills, *each) for each in enumerate(draws)))
    states = await asyncio.gather(*(contest.hold() for contest in contests))
    await assert_all_is_settled(tills)
    for contest, state in zip(contests, states, strict=True):
        await assert_one_end(contest, state)
    print({checkout_pb2.OrderState.Name(state): states.count(state) for state in set(states)})


async def pay_after_its_end(tills: PaymentStack, number: int, dice: random.Random) -> str:
    """An order whose money comes when nobody waits for it any more, told by several at once; answers its id."""
    provider = PROVIDERS[number % 2]
    order = await tills.awaiting(provider, payment_window_s=WINDOW_TO_BEGIN_S)
    session = tills.stripe_session(order) if provider == "stripe" else None
    if session is not None:
        # By a transfer that takes its time: a page that was given up is closed otherwise.
        tills.stripe.pay_slowly(session)
    result = await tills.running.workflow_of(order.order_id).result()
    assert result.order_state == checkout_pb2.ORDER_STATE_EXPIRED

    page = page_at(tills, order)

    async def pay() -> None:
        if session is not None:
            tills.stripe.transfer_arrives(session)
            tills.stripe.tell("checkout.session.completed", session)
        else:
            page.pay()

    async def give_back() -> None:
        page.give_back()

    rivals = [pay, *(partial(tills.poll, order.order_id) for _ in range(3))]
    rivals += dice.sample([tills.reconcile, give_back, give_back], 2)
    await asyncio.gather(*(after(dice.uniform(0, SPREAD_S), rival) for rival in rivals))
    return order.order_id


@pytest.mark.slow
async def test_money_after_the_end_of_its_order_goes_back_whoever_tells_of_it(
    tills: PaymentStack, dice: random.Random
) -> None:
    """P-5"""
    draws = [random.Random(dice.random()) for _ in range(LATE_ORDERS)]
    order_ids = await asyncio.gather(*(pay_after_its_end(tills, *each) for each in enumerate(draws)))
    await assert_all_is_settled(tills)
    for order_id in order_ids:
        money = await assert_money_agrees(tills, order_id)
        assert [receipt.standing for receipt in money.receipts] == [payments_pb2.RECEIPT_STANDING_UNWANTED]
        assert sum(refund.amount_minor for refund in money.refunds if refund.state == REFUNDED) == PRICE_MINOR
        assert (await tills.shop.read_order(order_id)).state == checkout_pb2.ORDER_STATE_EXPIRED


async def refund_at_once(tills: PaymentStack, number: int, dice: random.Random) -> str:
    """An order that several give back, some under the same id, one of them at the dashboard; answers its id."""
    order = await tills.awaiting(PROVIDERS[number % 2])
    page = page_at(tills, order)
    page.pay()
    if dice.random() < 0.5:
        await tills.shop.until_state(order.order_id, PLACED)
    else:
        # While it is being placed.
        await tills.until_money(order, lambda money: bool(money.receipts))

    async def refund(refund_id: str, amount_minor: int) -> None:
        try:
            await tills.refund(order, amount_minor, refund_id=refund_id)
        except grpc.aio.AioRpcError as error:
            # Given back at the dashboard before the order was settled: then no order is paid, and all of it goes back.
            if refusal_of(error).reason not in ("REFUND_EXCEEDS_PAYMENT", "PAYMENT_NOT_REFUNDABLE"):
                raise

    async def give_back() -> None:
        page.give_back()

    asked = [(fresh_id(), dice.choice((0, 10_000, 20_000, 30_000))) for _ in range(4)]
    rivals = [*(partial(refund, *each) for each in [*asked, asked[0]]), give_back]
    await asyncio.gather(*(after(dice.uniform(0, SPREAD_S), rival) for rival in rivals))
    return order.order_id


async def test_refunds_at_once_give_back_no_more_than_was_paid(tills: PaymentStack, dice: random.Random) -> None:
    """P-6"""
    draws = [random.Random(dice.random()) for _ in range(REFUNDED_ORDERS)]
    order_ids = await asyncio.gather(*(refund_at_once(tills, *each) for each in enumerate(draws)))
    await assert_all_is_settled(tills)
    for order_id in order_ids:
        money = await assert_money_agrees(tills, order_id)
        assert money.refunds


async def test_refund_that_the_bank_sends_back_while_it_is_booked_is_booked_as_failed(tills: PaymentStack) -> None:
    order, intent = await tills.placed_by_stripe()
    refund_id = fresh_id()

    async def is_sent_back() -> bool:
        return (await tills.money(order)).refunds[0].state == payments_pb2.REFUND_STATE_FAILED

    async def send_it_back() -> None:
        [mine] = [each for each in tills.stripe.refunds.values() if each["metadata"].get("refund_id") == refund_id]
        tills.stripe.journal.took(intent["id"], order.order_id, PRICE_MINOR, CURRENCY)
        tills.stripe.settle_refund(mine, "failed")
        await until(is_sent_back)

    hook = tills.running.faults.plan(
        f"refund-{refund_id}", "checkout.CompleteRefund", Fault.HOOK_BEFORE, hook=send_it_back
    )
    await tills.refund(order, refund_id=refund_id)
    await tills.until_money(order, lambda money: bool(money.refunds) and money.refunds[0].is_completed)
    assert hook.hits == 1
    assert await is_sent_back()
    await assert_all_is_settled(tills)
