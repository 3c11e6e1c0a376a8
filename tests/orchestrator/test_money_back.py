"""Money that is taken and given back, with Stripe and YooKassa as doubles with journals (P4, P-1, P-2, P-5, P-6)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.api.enums.v1 import EventType

from quittance.checkout.v1 import checkout_pb2, payments_pb2
from tests.faults.proxy import until
from tests.orchestrator.payment_stack import PROVIDERS, PaymentStack
from tests.payments.fakes.faults import Fault
from tests.shop import CURRENCY, PRICE_MINOR

REFUNDED = payments_pb2.REFUND_STATE_REFUNDED
FAILED = payments_pb2.REFUND_STATE_FAILED
RECONCILE = "payments.ReconcileProvider"


@pytest.fixture(scope="module")
async def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PaymentStack]:
    async with PaymentStack(tmp_path_factory.mktemp("payments")) as stack:
        yield stack
        await stack.assert_books_agree()


@pytest.fixture
def tills(shared_stack: PaymentStack) -> PaymentStack:
    """The doubles do as they should, whatever the test before had them do."""
    shared_stack.stripe.refund_status = shared_stack.yookassa.refund_status = "succeeded"
    return shared_stack


async def test_order_paid_at_stripe_is_placed_by_its_webhook(tills: PaymentStack) -> None:
    """P1"""
    order, intent = await tills.placed_by_stripe()
    assert order.payment.provider_payment_id == intent["id"]
    [receipt] = (await tills.money(order)).receipts
    assert receipt.standing == payments_pb2.RECEIPT_STANDING_APPLIED


async def test_order_paid_at_yookassa_is_placed_by_its_webhook(tills: PaymentStack) -> None:
    """P1"""
    order = await tills.awaiting("yookassa")
    tills.yookassa.pay(tills.yookassa.payment_of(order.order_id))
    await tills.shop.until_state(order.order_id, checkout_pb2.ORDER_STATE_PLACED)


async def test_order_whose_stripe_page_answers_500_after_the_effect_has_one_page(tills: PaymentStack) -> None:
    """Stripe repeats the 500 under the same key: the page is found by the order's id."""
    tills.stripe.faults.queue("create_session", Fault.ERROR_AFTER)
    order = await tills.awaiting("stripe")
    pages = [each for each in tills.stripe.sessions.values() if each["client_reference_id"] == order.order_id]
    assert len(pages) == 1
    tills.stripe.pay(pages[0])
    await tills.shop.until_state(order.order_id, checkout_pb2.ORDER_STATE_PLACED)


@pytest.mark.parametrize("provider", ["stripe", "yookassa"])
async def test_page_that_is_found_after_lost_answers_stays_open_as_long_as_was_asked_for(
    tills: PaymentStack, provider: str
) -> None:
    """Neither ended at once nor open for as long as the provider would have it."""
    double = tills.stripe if provider == "stripe" else tills.yookassa
    calls = double.journal.calls
    looked = calls.get("list_sessions", 0), calls.get("list_payments", 0)
    # The last of them when the page is too old for its first try.
    double.faults.queue("create_session", Fault.ERROR_BEFORE, Fault.ERROR_BEFORE, Fault.ERROR_AFTER)
    order = await tills.awaiting(provider, payment_window_s=600)
    assert (calls.get("list_sessions", 0), calls.get("list_payments", 0)) != looked
    open_for = order.payment.expire_time.ToDatetime() - order.create_time.ToDatetime()
    assert timedelta(seconds=600) <= open_for < timedelta(seconds=660)
    await tills.shop.cancel(order.order_id)


async def test_refund_in_full_goes_back_and_is_booked(tills: PaymentStack) -> None:
    order, intent = await tills.placed_by_stripe()
    await tills.refund(order)
    money = await tills.until_all_returned(order)
    assert [refund.state for refund in money.refunds] == [REFUNDED]
    assert tills.stripe.journal.balance(intent["id"]) == 0
    await tills.assert_books_agree()


async def test_refunds_at_once_never_exceed_the_payment(tills: PaymentStack) -> None:
    """P-6"""
    order, intent = await tills.placed_by_stripe()
    attempts = await asyncio.gather(*(tills.refund(order, 20_000) for _ in range(5)), return_exceptions=True)
    made = [each for each in attempts if isinstance(each, payments_pb2.Refund)]
    assert len(made) == 2
    await tills.until_money(order, lambda money: all(refund.is_completed for refund in money.refunds))
    assert tills.stripe.journal.balance(intent["id"]) == 10_000
    await tills.assert_books_agree()


async def test_refund_that_takes_its_time_is_booked_when_it_went_through(tills: PaymentStack) -> None:
    order, _ = await tills.placed_by_stripe()
    tills.stripe.refund_status = "pending"
    refund = await tills.refund(order)
    await tills.until_money(order, lambda money: bool(money.refunds[0].provider_refund_id))
    mine = next(each for each in tills.stripe.refunds.values() if each["metadata"].get("refund_id") == refund.refund_id)
    tills.stripe.settle_refund(mine, "succeeded")
    await tills.until_all_returned(order)


async def test_refund_that_fails_is_a_finding_and_can_be_made_again(tills: PaymentStack) -> None:
    order, _ = await tills.placed_by_stripe()
    tills.stripe.refund_status = "pending"
    refund = await tills.refund(order)
    await tills.until_money(order, lambda money: bool(money.refunds[0].provider_refund_id))
    mine = next(each for each in tills.stripe.refunds.values() if each["metadata"].get("refund_id") == refund.refund_id)
    tills.stripe.settle_refund(mine, "failed")
    await tills.until_money(order, lambda money: money.refunds[0].state == FAILED and money.refunds[0].is_completed)
    assert await tills.findings(order) == ["REFUND_FAILED"]
    tills.stripe.refund_status = "succeeded"
    await tills.refund(order)
    await tills.until_money(order, lambda money: len(money.refunds) == 2 and money.refunds[1].is_completed)
    await tills.assert_books_agree()


async def test_refund_that_the_bank_sends_back_after_it_was_booked_is_taken_back(tills: PaymentStack) -> None:
    order, intent = await tills.placed_by_stripe()
    refund = await tills.refund(order)
    await tills.until_all_returned(order)
    mine = next(each for each in tills.stripe.refunds.values() if each["metadata"].get("refund_id") == refund.refund_id)
    tills.stripe.journal.took(intent["id"], order.order_id, PRICE_MINOR, CURRENCY)
    tills.stripe.settle_refund(mine, "failed")
    await tills.until_money(order, lambda money: money.refunds[0].state == FAILED and money.refunds[0].is_completed)
    await tills.assert_books_agree()


async def test_refund_at_the_dashboard_is_booked(tills: PaymentStack) -> None:
    """P4"""
    order, intent = await tills.placed_by_stripe()
    tills.stripe.refund_at_dashboard(intent, 12_000)
    money = await tills.until_money(order, lambda money: bool(money.refunds) and money.refunds[0].is_completed)
    assert money.refunds[0].source == payments_pb2.REFUND_SOURCE_PROVIDER
    assert await tills.findings(order) == ["REFUND_MADE_AT_PROVIDER"]
    await tills.assert_books_agree()


async def test_refund_at_the_dashboard_that_is_told_of_first_leaves_no_order_without_its_money(
    tills: PaymentStack,
) -> None:
    """P3: Stripe's refund names the payment only, and the payment's own event is lost."""
    order = await tills.awaiting("stripe")
    url, tills.stripe.deliveries.url = tills.stripe.deliveries.url, ""
    intent = tills.stripe.pay(tills.stripe_session(order))
    tills.stripe.deliveries.url = url
    tills.stripe.refund_at_dashboard(intent, 12_000)
    money = await tills.until_all_returned(order)
    assert [receipt.standing for receipt in money.receipts] == [payments_pb2.RECEIPT_STANDING_UNWANTED]
    assert sorted(refund.amount_minor for refund in money.refunds) == [12_000, PRICE_MINOR - 12_000]
    await tills.shop.cancel(order.order_id)
    assert (await tills.shop.read_order(order.order_id)).state == checkout_pb2.ORDER_STATE_CANCELLED
    await tills.assert_books_agree()


async def test_page_that_cannot_be_closed_keeps_no_order_and_what_is_paid_there_goes_back(
    tills: PaymentStack,
) -> None:
    """P-5: YooKassa cannot close a page. The order ends at once; the late payment is refunded by itself."""
    order = await tills.awaiting("yookassa")
    assert (await tills.shop.cancel(order.order_id)).order.state == checkout_pb2.ORDER_STATE_CANCELLED
    payment = tills.yookassa.payment_of(order.order_id)
    tills.yookassa.pay(payment)
    money = await tills.until_all_returned(order)
    assert [receipt.standing for receipt in money.receipts] == [payments_pb2.RECEIPT_STANDING_UNWANTED]
    assert tills.yookassa.journal.balance(payment["id"]) == 0
    assert await tills.findings(order) == ["UNWANTED_PAYMENT"]
    assert await tills.unallocated("yookassa") == 0
    await tills.assert_books_agree()


async def test_late_payment_whose_webhook_is_lost_goes_back_too(tills: PaymentStack) -> None:
    """A watcher looks at the page until its end."""
    order = await tills.awaiting("yookassa")
    await tills.shop.cancel(order.order_id)
    watcher = tills.running.temporal.get_workflow_handle(f"watch-session-{order.order_id}")

    async def is_watched() -> bool:
        try:
            await watcher.describe()
        except Exception:  # noqa: BLE001 - not started yet
            return False
        return True

    await until(is_watched)
    payment = tills.yookassa.payment_of(order.order_id)
    url, tills.yookassa.deliveries.url = tills.yookassa.deliveries.url, ""
    tills.yookassa.pay(payment)
    tills.yookassa.deliveries.url = url
    # It would look again in a minute; the reconciliation is there for the impatient.
    await tills.reconcile()
    await tills.until_all_returned(order)
    await tills.assert_books_agree()


async def test_money_that_was_not_asked_for_goes_back_and_the_order_waits(tills: PaymentStack) -> None:
    """P-3"""
    order = await tills.awaiting("stripe")
    tills.stripe.pay(tills.stripe_session(order), amount=PRICE_MINOR - 10)
    money = await tills.until_all_returned(order)
    assert money.receipts[0].amount_minor == PRICE_MINOR - 10
    assert (await tills.shop.read_order(order.order_id)).state == checkout_pb2.ORDER_STATE_AWAITING_PAYMENT
    assert await tills.findings(order) == ["UNWANTED_PAYMENT"]
    await tills.shop.cancel(order.order_id)
    await tills.assert_books_agree()


async def test_money_of_no_order_that_the_bank_sends_back_is_given_back_again_by_hand(tills: PaymentStack) -> None:
    """P4: it goes back once by itself; then somebody has to look at it, and names it."""
    order = await tills.awaiting("stripe")
    tills.stripe.refund_status = "pending"
    tills.stripe.pay(tills.stripe_session(order), amount=PRICE_MINOR - 10)
    money = await tills.until_money(
        order, lambda money: bool(money.refunds) and bool(money.refunds[0].provider_refund_id)
    )
    refund_id = money.refunds[0].refund_id
    mine = next(each for each in tills.stripe.refunds.values() if each["metadata"].get("refund_id") == refund_id)
    tills.stripe.settle_refund(mine, "failed")
    await tills.until_money(order, lambda money: money.refunds[0].state == FAILED and money.refunds[0].is_completed)
    tills.stripe.refund_status = "succeeded"
    (receipt,) = money.receipts
    named = payments_pb2.ReceiptReference(provider="stripe", provider_payment_id=receipt.provider_payment_id)
    assert (await tills.refund(order, receipt=named)).amount_minor == PRICE_MINOR - 10
    await tills.until_all_returned(order)
    assert await tills.findings(order) == ["UNWANTED_PAYMENT", "REFUND_FAILED"]
    await tills.shop.cancel(order.order_id)
    await tills.assert_books_agree()


async def test_dispute_is_a_finding(tills: PaymentStack) -> None:
    order, intent = await tills.placed_by_stripe()
    tills.stripe.dispute(intent)
    async with asyncio.timeout(30):
        while "DISPUTE" not in await tills.findings(order):
            await asyncio.sleep(0.05)


async def test_reconciliation_of_what_agrees_finds_nothing_new(tills: PaymentStack) -> None:
    order, _ = await tills.placed_by_stripe()
    result = await tills.reconcile()
    assert [each.provider for each in result.providers] == ["stripe", "yookassa", "sandbox"]
    assert result.providers[0].payments >= 1
    assert await tills.findings(order) == []
    page = await tills.payments.ListPaymentFindings(payments_pb2.ListPaymentFindingsRequest(page_size=1000))
    assert [found for found in page.findings if found.kind == "CLEARING_DIFFERS"] == []


async def test_reconciliation_applies_a_payment_whose_webhook_is_lost(tills: PaymentStack) -> None:
    order = await tills.awaiting("stripe")
    url, tills.stripe.deliveries.url = tills.stripe.deliveries.url, ""
    tills.stripe.pay(tills.stripe_session(order))
    tills.stripe.deliveries.url = url
    await tills.reconcile()
    await tills.shop.until_state(order.order_id, checkout_pb2.ORDER_STATE_PLACED)
    assert await tills.findings(order) in (["PAYMENT_MISSED"], [])


async def test_reconciliation_tells_the_workflow_of_a_payment_that_it_applied(tills: PaymentStack) -> None:
    """The workflow asks the provider only every few minutes by itself."""
    order = await tills.awaiting("yookassa")
    url, tills.yookassa.deliveries.url = tills.yookassa.deliveries.url, ""
    tills.yookassa.pay(tills.yookassa.payment_of(order.order_id))
    tills.yookassa.deliveries.url = url
    await tills.reconcile()
    await tills.shop.until_state(order.order_id, checkout_pb2.ORDER_STATE_PLACED)
    history = await tills.running.workflow_of(order.order_id).fetch_history()
    assert EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED in {event.event_type for event in history.events}


async def test_reconciliation_of_many_pages_has_time_for_them(tills: PaymentStack) -> None:
    """Hundreds of pages at a good part of a second each, all in one call: far more than other calls may take."""
    await tills.reconcile("reconciliation-of-many-pages")
    history = await tills.running.temporal.get_workflow_handle("reconciliation-of-many-pages").fetch_history()
    scheduled = [event.activity_task_scheduled_event_attributes for event in history.events]
    limits = [each.start_to_close_timeout for each in scheduled if each.activity_type.name == RECONCILE]
    assert [limit.ToTimedelta() for limit in limits] == [timedelta(minutes=10)] * len(PROVIDERS)
