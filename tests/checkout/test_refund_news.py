"""What a provider says of a refund, in any order: one end (P3), and booked as it ends."""

from datetime import UTC, datetime
from itertools import permutations
from uuid import UUID

import pytest

from quittance.checkout.v1 import payments_pb2
from services.checkout.domain.kinds import ReceiptStanding, RefundState
from services.checkout.domain.receipts import Receipt, ReceiptKey, Refund, RefundNews, new_refund
from services.runtime.ids import new_id
from tests.checkout.conftest import Checkout
from tests.checkout.till import Till
from tests.checkout.webhook_sender import WebhookSender, refund_event_of

NOW = datetime(2027, 1, 15, tzinfo=UTC)
KEY = ReceiptKey("stripe", "pi_1")
RECEIPT = Receipt(
    key=KEY,
    order_id=new_id(),
    amount_minor=50_000,
    currency="OMR",
    paid_at=NOW,
    standing=ReceiptStanding.APPLIED,
    created_at=NOW,
)


def refund() -> Refund:
    return new_refund(RECEIPT, (), refund_id=new_id(), amount_minor=None, reason="customer.request", now=NOW)


def news(state: RefundState, provider_refund_id: str | None = "re_1") -> RefundNews:
    failure = "lost_or_stolen_card" if state is RefundState.FAILED else None
    return RefundNews(
        key=KEY,
        provider_refund_id=provider_refund_id,
        refund_id=None,
        state=state,
        amount_minor=50_000,
        currency="OMR",
        failure=failure,
    )


PENDING, REFUNDED, FAILED = map(news, (RefundState.PENDING, RefundState.REFUNDED, RefundState.FAILED))
# The provider refuses to make it: so there is none of this request, or it is known under another one's id.
REFUSED = news(RefundState.FAILED, None)


@pytest.mark.parametrize("told", list(permutations([PENDING, REFUNDED, FAILED, FAILED])))
def test_refund_that_its_bank_sends_back_has_failed_in_any_order_of_news(told: tuple[RefundNews, ...]) -> None:
    after = refund()
    for each in told:
        after = after.after(each, NOW)
    assert (after.state, after.provider_refund_id, after.failure) == (RefundState.FAILED, "re_1", "lost_or_stolen_card")


@pytest.mark.parametrize("told", list(permutations([PENDING, REFUNDED, REFUSED])))
def test_refund_that_went_through_has_in_any_order_with_the_refusal_of_its_repetition(
    told: tuple[RefundNews, ...],
) -> None:
    after = refund()
    for each in told:
        after = after.after(each, NOW)
    assert (after.state, after.provider_refund_id, after.failure) == (RefundState.REFUNDED, "re_1", None)


def test_refund_that_changes_after_it_was_completed_is_to_be_booked_again() -> None:
    booked = refund().after(REFUNDED, NOW).completed(NOW)
    assert booked.after(FAILED, NOW).completed_at is None
    assert booked.after(REFUNDED, NOW) == booked


async def test_more_than_was_paid_is_found_once_it_has_gone_back(till: Till, webhooks: WebhookSender) -> None:
    """P-6: a refund of ours that is pending may yet be refused, because somebody at the dashboard was faster."""
    order = await till.placed()
    [session] = await till.sandbox.sessions_of(UUID(order.order_id))
    assert (await till.refund(order.order_id)).amount_minor == 50_000
    for _ in range(2):
        event = refund_event_of(session["session_id"], order.payment.provider_payment_id, 25_000)
        assert await webhooks.send(event) == 200
    assert await till.findings(order.order_id) == ["REFUND_MADE_AT_PROVIDER"] * 2
    event = refund_event_of(session["session_id"], order.payment.provider_payment_id, 1)
    assert await webhooks.send(event) == 200
    found = await till.findings(order.order_id)
    assert found == ["REFUND_MADE_AT_PROVIDER"] * 3 + ["REFUND_EXCEEDS_PAYMENT"]


async def test_refund_that_has_changed_since_it_was_booked_is_not_completed(
    till: Till, checkout: Checkout, webhooks: WebhookSender
) -> None:
    order = await till.placed()
    [session] = await till.sandbox.sessions_of(UUID(order.order_id))
    event = refund_event_of(session["session_id"], order.payment.provider_payment_id, 7_000)
    assert await webhooks.send(event) == 200
    [made] = (await till.money(order.order_id)).refunds
    booked = payments_pb2.CompleteRefundRequest(order_id=order.order_id, refund_id=made.refund_id)
    for state, is_completed in (("FAILED", False), ("REFUNDED", True)):
        booked.booked_state = payments_pb2.RefundState.Value(f"REFUND_STATE_{state}")
        answer = await checkout.payment_steps.CompleteRefund(booked)
        assert answer.refund.is_completed is is_completed
