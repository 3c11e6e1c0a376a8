"""Money at the provider: receipts, refunds, what is not ours, disputes, reconciliation (P3, P4, P-1, P-6)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from quittance.checkout.v1 import checkout_pb2, payments_pb2
from services.checkout.domain.commands import AskForSession, RecordSession
from services.checkout.domain.payments import PaySession
from services.checkout.errors import PaymentIdTaken
from services.checkout.finding_log import report_finding
from services.checkout.main import CheckoutSettings
from services.checkout.payments.provider import Receipt
from services.checkout.payments.sandbox import SandboxProvider
from services.checkout.store.checkout_store import CheckoutStore
from services.checkout.store.money_store import MoneyStore
from services.runtime.database import open_pool
from tests.checkout.conftest import Checkout
from tests.checkout.shop import PRICE_MINOR, fresh_id, refused
from tests.checkout.till import Till
from tests.checkout.webhook_sender import WebhookSender, event_of, forget_payment, refund_event_of

STANDING = payments_pb2.ReceiptStanding
STATE = payments_pb2.RefundState


async def test_paid_order_has_an_applied_receipt(till: Till) -> None:
    order = await till.paid()
    [receipt] = (await till.money(order.order_id)).receipts
    assert (receipt.standing, receipt.why) == (STANDING.RECEIPT_STANDING_APPLIED, "")
    assert (receipt.amount_minor, receipt.currency) == (PRICE_MINOR, "OMR")
    assert receipt.provider_payment_id == order.payment.provider_payment_id


async def test_money_of_an_unknown_order_is_refused(till: Till) -> None:
    async with refused("ORDER_NOT_FOUND"):
        await till.money(fresh_id())
    async with refused("ORDER_NOT_FOUND"):
        await till.refund(fresh_id())
    async with refused("REFUND_NOT_FOUND"):
        await till.read(fresh_id())


async def test_refund_in_parts_never_exceeds_the_payment(till: Till) -> None:
    """P-6"""
    order = await till.placed()
    first = await till.refund(order.order_id, 20_000)
    assert (first.state, first.source) == (STATE.REFUND_STATE_PENDING, payments_pb2.REFUND_SOURCE_OURS)
    async with refused("REFUND_EXCEEDS_PAYMENT") as refusal:
        await till.refund(order.order_id, 30_001)
    assert refusal.metadata == {
        "order_id": order.order_id,
        "amount_minor": "30001",
        "left_minor": "30000",
        "paid_minor": "50000",
    }
    rest = await till.refund(order.order_id)
    assert rest.amount_minor == 30_000
    async with refused("REFUND_EXCEEDS_PAYMENT"):
        await till.refund(order.order_id)
    for refund in (first, rest):
        made = await till.make(refund.refund_id)
        assert made.state == STATE.REFUND_STATE_REFUNDED
        assert made.provider_refund_id
        assert await till.make(refund.refund_id) == made
        assert (await till.complete(made)).is_completed
    refunds = [each for each in (await till.sandbox.journal())["refunds"] if each["refund_id"] == first.refund_id]
    assert [each["amount_minor"] for each in refunds] == [20_000]


async def test_refunds_at_once_take_no_more_than_was_paid(till: Till) -> None:
    """P-6, K-1"""
    order = await till.placed()

    async def attempt() -> int:
        try:
            return (await till.refund(order.order_id, 20_000)).amount_minor
        except Exception:  # noqa: BLE001 - the refusal is counted below
            return 0

    amounts = await asyncio.gather(*(attempt() for _ in range(12)))
    assert sorted(amounts) == [0] * 10 + [20_000, 20_000]


async def test_refund_again_under_its_id_is_the_same_and_another_is_refused(till: Till) -> None:
    """K-2, K-3"""
    order = await till.placed()
    refund = await till.refund(order.order_id, 20_000)
    same = {"refund_id": refund.refund_id}
    assert await till.refund(order.order_id, 20_000, **same) == refund
    async with refused("REFUND_EXISTS_WITH_DIFFERENT_FIELD") as refusal:
        await till.refund(order.order_id, 19_999, **same)
    assert refusal.metadata["field"] == "amount_minor"
    async with refused("REFUND_EXISTS_WITH_DIFFERENT_FIELD") as refusal:
        await till.refund(order.order_id, 20_000, reason="another", **same)
    assert refusal.metadata["field"] == "reason"


async def test_refund_of_an_order_without_a_payment_is_refused(till: Till) -> None:
    order = await till.shop.awaiting_payment()
    async with refused("PAYMENT_NOT_REFUNDABLE"):
        await till.refund(order.order_id)


async def test_refund_whose_answer_was_lost_is_found_and_made_once(till: Till) -> None:
    order = await till.placed()
    refund = await till.refund(order.order_id, 10_000)
    await till.sandbox.set_mode("lose_answer")
    async with refused("PAYMENT_PROVIDER_UNAVAILABLE"):
        await till.make(refund.refund_id)
    await till.sandbox.set_mode("ok")
    await asyncio.sleep(1.1)
    made = await till.make(refund.refund_id)
    assert made.state == STATE.REFUND_STATE_REFUNDED
    mine = [each for each in (await till.sandbox.journal())["refunds"] if each["refund_id"] == refund.refund_id]
    assert len(mine) == 1


async def test_refund_that_the_provider_refuses_has_failed_and_leaves_the_money_refundable(
    till: Till, owner_connection: asyncpg.Connection
) -> None:
    order = await till.placed()
    payment_id = order.payment.provider_payment_id
    # Given back behind our back, and its event lost: our own refund then asks for more than is left.
    [session] = await till.sandbox.sessions_of(UUID(order.order_id))
    refund = await till.refund(order.order_id, 45_000)
    await till.sandbox.refund_at_dashboard(session["session_id"], 10_000)
    failed = await till.make(refund.refund_id)
    assert (failed.state, failed.failure) == (STATE.REFUND_STATE_FAILED, "amount_not_left")
    async with asyncio.timeout(60):
        while len((await till.money(order.order_id)).refunds) < 2:
            await asyncio.sleep(0.02)
    assert {"REFUND_FAILED", "REFUND_MADE_AT_PROVIDER"} <= set(await till.findings(order.order_id))
    assert (await till.refund(order.order_id)).amount_minor == 40_000
    assert payment_id == (await till.money(order.order_id)).refunds[0].provider_payment_id


async def test_order_shows_what_has_gone_back(till: Till) -> None:
    """P4: partially refunded once the provider has done it, refunded when nothing is left; failed ones never count."""
    order = await till.placed()

    async def shown() -> tuple[str, int]:
        payment = (await till.shop.read_order(order.order_id)).payment
        return checkout_pb2.PaymentState.Name(payment.state).removeprefix("PAYMENT_STATE_"), payment.refunded_minor

    assert await shown() == ("PAID", 0)
    part = await till.refund(order.order_id, 20_000)
    assert await shown() == ("PAID", 0)
    await till.make(part.refund_id)
    assert await shown() == ("PARTIALLY_REFUNDED", 20_000)
    await till.make((await till.refund(order.order_id)).refund_id)
    assert await shown() == ("REFUNDED", PRICE_MINOR)
    assert await till.shop.payment_state(order.order_id) == "PAID"


async def test_refund_at_the_dashboard_is_written_down_once(till: Till, webhooks: WebhookSender) -> None:
    """P4"""
    order = await till.placed()
    [session] = await till.sandbox.sessions_of(UUID(order.order_id))
    event = refund_event_of(session["session_id"], order.payment.provider_payment_id, 7_000)
    for event_id in ("evt_a", "evt_b"):
        # The same refund under another event id is the same refund.
        assert await webhooks.send(event | {"event_id": event_id + fresh_id()}) == 200
    [refund] = (await till.money(order.order_id)).refunds
    assert (refund.source, refund.state) == (payments_pb2.REFUND_SOURCE_PROVIDER, STATE.REFUND_STATE_REFUNDED)
    assert refund.amount_minor == 7_000
    assert await till.findings(order.order_id) == ["REFUND_MADE_AT_PROVIDER"]
    stored = await till.read_step(refund.refund_id)
    assert (stored.is_order_in_flight, stored.receipt.standing) == (False, STANDING.RECEIPT_STANDING_APPLIED)


async def test_refund_at_the_dashboard_before_the_pivot_leaves_no_money_to_settle_with(till: Till) -> None:
    """P-2"""
    order = await till.paid()
    [session] = await till.sandbox.sessions_of(UUID(order.order_id))
    await till.sandbox.refund_at_dashboard(session["session_id"], 1_000)
    async with asyncio.timeout(60):
        while not (await till.money(order.order_id)).refunds:
            await asyncio.sleep(0.02)
    async with refused("PAYMENT_NOT_SETTLED"):
        await till.shop.begin_settling(order.order_id)
    [receipt] = (await till.money(order.order_id)).receipts
    assert receipt.standing == STANDING.RECEIPT_STANDING_UNWANTED
    assert await till.shop.close(order.order_id) == "CLOSED"


async def refunded_untold(till: Till, owner: asyncpg.Connection) -> tuple[checkout_pb2.Order, dict[str, Any]]:
    """A paid order of whose payment checkout does not know, and the event of a refund of it."""
    order = await till.paid()
    await forget_payment(owner, order.order_id)
    [session] = await till.sandbox.sessions_of(UUID(order.order_id))
    return order, refund_event_of(session["session_id"], order.payment.provider_payment_id, 1_000)


async def test_refund_that_is_told_of_before_its_payment_ends_as_if_it_came_after(
    till: Till, webhooks: WebhookSender, owner_connection: asyncpg.Connection
) -> None:
    """P3: any order of events ends in the same state."""
    order, told = await refunded_untold(till, owner_connection)
    assert await webhooks.send(told) == 200
    money = await till.money(order.order_id)
    assert [receipt.standing for receipt in money.receipts] == [STANDING.RECEIPT_STANDING_UNWANTED]
    assert [(refund.amount_minor, refund.source) for refund in money.refunds] == [
        (1_000, payments_pb2.REFUND_SOURCE_PROVIDER)
    ]
    assert set(await till.findings(order.order_id)) == {"REFUND_MADE_AT_PROVIDER", "UNWANTED_PAYMENT"}
    async with refused("PAYMENT_NOT_SETTLED"):
        await till.shop.begin_settling(order.order_id)
    # The payment's own event comes at last.
    paid_as = order.payment.provider_payment_id
    late = event_of(order, told["refund"]["session_id"], "payment.paid", provider_payment_id=paid_as)
    assert await webhooks.send(late) == 200
    assert await till.money(order.order_id) == money


async def test_refund_that_is_told_of_while_the_provider_is_silent_has_to_come_again(
    till: Till, webhooks: WebhookSender, owner_connection: asyncpg.Connection
) -> None:
    order, told = await refunded_untold(till, owner_connection)
    await till.sandbox.set_mode("failing")
    assert await webhooks.send(told) == 503
    await till.sandbox.set_mode("ok")
    assert (await till.money(order.order_id)).refunds == []
    assert await webhooks.send(told) == 200
    assert [refund.amount_minor for refund in (await till.money(order.order_id)).refunds] == [1_000]


async def test_late_money_is_unwanted_and_found(till: Till, webhooks: WebhookSender) -> None:
    """P4, P-5"""
    draft = await till.shop.priced()
    await till.shop.open(draft.order_id)
    await till.shop.hand_over(draft.order_id)
    order = await till.shop.read_order(draft.order_id)
    [session] = await till.sandbox.sessions_of(UUID(draft.order_id))
    assert await till.shop.close(draft.order_id) == "CLOSED"
    await till.shop.end(draft)
    event = event_of(order, session["session_id"], "payment.paid")
    assert await webhooks.send(event) == 200
    assert await webhooks.send(event | {"event_id": f"evt_{fresh_id()}"}) == 200
    [receipt] = (await till.money(order.order_id)).receipts
    assert receipt.standing == STANDING.RECEIPT_STANDING_UNWANTED
    assert await till.findings(order.order_id) == ["UNWANTED_PAYMENT"]


@pytest.mark.parametrize("differs", [{"amount_minor": 49_999}, {"currency": "USD"}])
async def test_money_that_was_not_asked_for_is_never_applied_and_goes_back(
    till: Till, webhooks: WebhookSender, differs: dict[str, Any]
) -> None:
    """P-3"""
    order = await till.shop.awaiting_payment()
    [session] = await till.sandbox.sessions_of(UUID(order.order_id))
    assert await webhooks.send(event_of(order, session["session_id"], "payment.paid", **differs)) == 200
    assert await till.shop.payment_state(order.order_id) == "PENDING"
    [receipt] = (await till.money(order.order_id)).receipts
    assert receipt.standing == STANDING.RECEIPT_STANDING_UNWANTED
    expected = {"amount_minor": PRICE_MINOR, "currency": "OMR"} | differs
    assert (receipt.amount_minor, receipt.currency) == (expected["amount_minor"], expected["currency"])


async def test_unwanted_money_that_the_provider_refuses_to_give_back_waits_for_a_person(
    till: Till, webhooks: WebhookSender, checkout_settings: CheckoutSettings
) -> None:
    """P4: it is tried once by itself, and again when somebody asks for it and names it."""
    order = await till.shop.awaiting_payment()
    [session] = await till.sandbox.sessions_of(UUID(order.order_id))
    # The provider knows nothing of this payment, so it refuses all its refunds.
    assert await webhooks.send(event_of(order, session["session_id"], "payment.paid", amount_minor=49_999)) == 200
    [receipt] = (await till.money(order.order_id)).receipts
    named = payments_pb2.ReceiptReference(provider="sandbox", provider_payment_id=receipt.provider_payment_id)
    async with open_pool(checkout_settings, "tests") as pool:
        money = MoneyStore(pool, report_finding)

        async def left_to_give_back() -> list[int]:
            found = await money.find_unreturned(10_000)
            return [each.left_minor for each in found if str(each.receipt.order_id) == order.order_id]

        assert await left_to_give_back() == [49_999]
        async with refused("PAYMENT_NOT_REFUNDABLE"):
            await till.refund(order.order_id)
        refund = await till.refund(order.order_id, receipt=named)
        assert await left_to_give_back() == []
        assert (await till.make(refund.refund_id)).state == STATE.REFUND_STATE_FAILED
        assert await left_to_give_back() == []
        assert (await till.refund(order.order_id, 9_999, receipt=named)).state == STATE.REFUND_STATE_PENDING
        # The rest has not been tried.
        assert await left_to_give_back() == [40_000]


@pytest.mark.parametrize("named", [("sandbox", "pay_of_nobody"), ("stripe", "pi_of_nobody")])
async def test_refund_of_a_receipt_that_is_not_the_orders_is_refused(till: Till, named: tuple[str, str]) -> None:
    order, other = await till.placed(), await till.placed()
    for provider, provider_payment_id in (named, ("sandbox", other.payment.provider_payment_id)):
        receipt = payments_pb2.ReceiptReference(provider=provider, provider_payment_id=provider_payment_id)
        async with refused("PAYMENT_NOT_REFUNDABLE"):
            await till.refund(order.order_id, receipt=receipt)
    for incomplete in ({"provider": "sandbox"}, {"provider_payment_id": other.payment.provider_payment_id}):
        async with refused("INVALID_REQUEST"):
            await till.refund(order.order_id, receipt=payments_pb2.ReceiptReference(**incomplete))
    assert (await till.money(order.order_id)).refunds == []


async def test_second_payment_for_one_order_goes_back(till: Till, webhooks: WebhookSender) -> None:
    order = await till.paid()
    [session] = await till.sandbox.sessions_of(UUID(order.order_id))
    assert await webhooks.send(event_of(order, session["session_id"], "payment.paid")) == 200
    standings = [receipt.standing for receipt in (await till.money(order.order_id)).receipts]
    assert standings == [STANDING.RECEIPT_STANDING_APPLIED, STANDING.RECEIPT_STANDING_UNWANTED]


async def test_money_that_names_no_order_of_ours_is_written_down_and_left_alone(
    till: Till, webhooks: WebhookSender, owner_connection: asyncpg.Connection
) -> None:
    """P4"""
    order = await till.shop.awaiting_payment()
    event = event_of(order, f"ses_{fresh_id()}", "payment.paid", order_id=fresh_id())
    assert await webhooks.send(event) == 200
    receipt = await owner_connection.fetchrow(
        "SELECT standing, order_id FROM receipts WHERE provider_payment_id = $1",
        event["session"]["provider_payment_id"],
    )
    assert tuple(receipt) == ("foreign", None)
    assert await till.shop.payment_state(order.order_id) == "PENDING"


async def test_one_payment_named_for_two_orders_is_refused(till: Till, webhooks: WebhookSender) -> None:
    first, second = await till.paid(), await till.shop.awaiting_payment()
    [session] = await till.sandbox.sessions_of(UUID(second.order_id))
    taken = first.payment.provider_payment_id
    event = event_of(second, session["session_id"], "payment.paid", provider_payment_id=taken)
    assert await webhooks.send(event) == 400
    assert await till.shop.payment_state(second.order_id) == "PENDING"
    assert (await till.money(second.order_id)).receipts == []


async def test_one_page_named_for_two_orders_is_refused(till: Till, checkout_settings: CheckoutSettings) -> None:
    drafts = [await till.shop.priced(), await till.shop.priced()]
    first, second = (UUID(draft.order_id) for draft in drafts)
    page = PaySession(f"ses_{fresh_id()}", "https://pay.example/1", datetime.now(UTC) + timedelta(hours=1))
    async with open_pool(checkout_settings, "tests") as pool:
        store = CheckoutStore(pool, report_finding)
        for order_id in (first, second):
            await store.execute(AskForSession(order_id=order_id))
        await store.execute(RecordSession(order_id=first, session=page))
        with pytest.raises(PaymentIdTaken) as refusal:
            await store.execute(RecordSession(order_id=second, session=page))
    assert refusal.value.reason == "PAYMENT_ID_TAKEN"
    assert refusal.value.taken_id == page.session_id


async def test_reconcile_applies_what_was_missed_and_finds_it_once(
    till: Till, owner_connection: asyncpg.Connection
) -> None:
    """P4, L8"""
    order = await till.paid()
    await forget_payment(owner_connection, order.order_id)
    first = await till.reconcile()
    assert first.missed >= 1
    assert await till.shop.payment_state(order.order_id) == "PAID"
    assert await till.findings(order.order_id) == ["PAYMENT_MISSED"]
    second = await till.reconcile()
    assert second.missed == 0
    assert await till.findings(order.order_id) == ["PAYMENT_MISSED"]


async def test_reconcile_what_comes_while_it_reads_the_lists_was_not_missed(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4: the webhook is stored between checkout's own list and the provider's."""
    paid: list[checkout_pb2.Order] = []
    provider_lists = SandboxProvider.payments_between

    async def after_a_payment(provider: SandboxProvider, since: datetime, until: datetime) -> AsyncIterator[Receipt]:
        paid.append(await till.paid())
        async for receipt in provider_lists(provider, since, until):
            yield receipt

    monkeypatch.setattr(SandboxProvider, "payments_between", after_a_payment)
    assert (await till.reconcile()).missed == 0
    assert await till.findings(paid[0].order_id) == []


async def test_reconcile_finds_money_that_the_provider_does_not_have(till: Till, webhooks: WebhookSender) -> None:
    order = await till.shop.awaiting_payment()
    [session] = await till.sandbox.sessions_of(UUID(order.order_id))
    # Told by somebody who knows the secret, but the provider's list knows nothing of it.
    assert await webhooks.send(event_of(order, session["session_id"], "payment.paid")) == 200
    await till.reconcile()
    await till.reconcile()
    assert await till.findings(order.order_id) == ["PAYMENT_UNKNOWN_TO_PROVIDER"]


async def test_page_token_that_is_none_is_refused(checkout: Checkout) -> None:
    async with refused("INVALID_REQUEST"):
        await checkout.payments.ListPaymentFindings(payments_pb2.ListPaymentFindingsRequest(page_token="not-a-token"))


async def test_clearing_that_differs_is_a_finding(checkout: Checkout, owner_connection: asyncpg.Connection) -> None:
    """P-1"""
    difference = payments_pb2.ClearingDifference(currency="XTS", held_min_minor=5, held_max_minor=6, cleared_minor=4)
    for _ in range(2):
        await checkout.payment_steps.ReportClearing(
            payments_pb2.ReportClearingRequest(provider="sandbox", differences=[difference])
        )
    found = await owner_connection.fetch(
        "SELECT details FROM payment_findings WHERE kind = 'CLEARING_DIFFERS' AND subject = 'XTS'"
    )
    assert len(found) == 1
