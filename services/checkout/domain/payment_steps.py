"""The steps of a payment: opening its page, closing it, and what the provider says in between."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from services.checkout.domain.commands import (
    ApplyNews,
    AskForSession,
    BeginClosing,
    ReceiveEvent,
    RecordClosed,
    RecordSession,
)
from services.checkout.domain.kinds import EventOutcome, EventStatus, OrderState, PaymentState, ReceiptStanding
from services.checkout.domain.orders import Order
from services.checkout.domain.payments import (
    Applied,
    News,
    Payment,
    SessionTerms,
    apply_news,
    new_payment,
    payment_id_of,
    payment_tombstone,
)
from services.checkout.domain.receipt_steps import (
    finding_of_dispute,
    findings_of,
    is_going_back,
    receipt_of,
    refund_change,
)
from services.checkout.domain.receipts import ReceiptKey, Refund
from services.checkout.domain.state import Change, ProcessedEvent, State
from services.checkout.errors import OrderNotFound, OrderStateConflict

NO_SUCH_PAYMENT = "no payment of ours"


def ask_for_session(command: AskForSession, state: State) -> Change[Payment]:
    """Writes down what the provider is about to be asked; a repetition gets the same request again.

    Raises ORDER_NOT_FOUND, ORDER_ALREADY_ENDED, and ORDER_STATE_CONFLICT when the payment is closed or nothing is
    to pay.
    """
    order, payment = state.require_order(command.order_id), state.payment
    order.check_not_ended()
    if payment is not None:
        if payment.is_closing:
            raise _cannot_open(order)
        return Change(payment)
    if order.state is not OrderState.PENDING or order.breakdown is None or order.breakdown.amount_due_minor == 0:
        raise _cannot_open(order)
    terms = SessionTerms(
        provider=order.draft.payment_provider,
        amount_minor=order.breakdown.amount_due_minor,
        currency=order.draft.currency,
        idempotency_key=str(payment_id_of(order.order_id)),
        expires_at=state.now + timedelta(seconds=order.draft.payment_window_s),
    )
    asked = new_payment(order.order_id, terms, state.now)
    return Change(asked, payment=asked)


def record_session(command: RecordSession, state: State) -> Change[Payment]:
    """Writes down the page that the provider opened, also when it came too late to be used.

    Raises ORDER_NOT_FOUND when it was never asked for.
    """
    if state.payment is None or state.payment.terms is None:
        raise OrderNotFound(order_id=command.order_id)
    opened = state.payment.opened(command.session, state.now)
    return Change(opened, payment=opened)


def begin_closing(command: BeginClosing, state: State) -> Change[Payment]:
    """From now on no page is opened. What was never opened, or is over, is closed at once; what is paid stays."""
    payment = state.payment
    if payment is None:
        tombstone = payment_tombstone(command.order_id, state.now)
        return Change(tombstone, payment=tombstone)
    if payment.state is PaymentState.PAID or payment.closed_at is not None:
        return Change(payment)
    is_over = payment.state is not PaymentState.PENDING
    closing = payment.closed(state.now) if is_over else payment.closing(state.now)
    return Change(closing, payment=closing)


def record_closed(command: RecordClosed, state: State) -> Change[Payment]:
    """The page is closed, or cannot be and is given up. Raises ORDER_NOT_FOUND when there is no payment."""
    payment = state.payment
    if payment is None:
        raise OrderNotFound(order_id=command.order_id)
    if payment.state is PaymentState.PAID or payment.closed_at is not None:
        return Change(payment)
    closed = payment.given_up(state.now) if command.is_still_open else payment.closed(state.now)
    return Change(closed, payment=closed)


def apply_read(command: ApplyNews, state: State) -> Change[Payment]:
    """Applies what the provider answered when it was asked. Raises ORDER_NOT_FOUND when there is no payment."""
    if state.payment is None or state.payment.terms is None:
        raise OrderNotFound(order_id=command.order_id)
    payment, mismatch = _applied(state.payment, state.payment.terms.provider, command.news, state)
    receipt = receipt_of(state.payment.terms.provider, command.news, state, payment, mismatch)
    return Change(payment, payment=payment, receipt=receipt, findings=findings_of(receipt))


def receive_event(command: ReceiveEvent, state: State) -> Change[EventOutcome]:
    """Stores a webhook once and applies it; what cannot be applied is stored as failed with its error."""
    if state.is_event_known:
        return Change(EventOutcome.DUPLICATE)
    if command.news is not None:
        return _receive_news(command, command.news, state)
    if command.refund is not None:
        change = refund_change(command.refund, state)
        if change is None:
            return _processed(command, EventOutcome.FAILED, error=NO_SUCH_PAYMENT)
        return replace(_processed(command, EventOutcome.COMPLETED), **_rows_of(change))
    if command.dispute is not None:
        findings = (finding_of_dispute(command.event.provider, command.dispute, state),)
        return replace(_processed(command, EventOutcome.COMPLETED), dispute=command.dispute, findings=findings)
    return _processed(command, EventOutcome.COMPLETED)


def _receive_news(command: ReceiveEvent, news: News, state: State) -> Change[EventOutcome]:
    provider, before = command.event.provider, state.payment
    after: Payment | None = None
    refused: str | None = NO_SUCH_PAYMENT
    if before is not None and before.terms is not None and before.terms.provider == provider:
        after, refused = _applied(before, provider, news, state)
    receipt = receipt_of(provider, news, state, after, refused)
    outcome = EventOutcome.COMPLETED if refused is None else EventOutcome.FAILED
    if receipt is not None and refused is None and receipt.standing is ReceiptStanding.UNWANTED:
        outcome = EventOutcome.LATE
    processed = _processed(command, outcome, after, error=refused)
    return replace(processed, receipt=receipt, findings=findings_of(receipt))


def _applied(payment: Payment, provider: str, news: News, state: State) -> Applied:
    """The payment after the news. Money that is on its way back settles nothing, whatever is said of it later."""
    if news.provider_payment_id is not None and is_going_back(state, ReceiptKey(provider, news.provider_payment_id)):
        mismatch = f"payment {news.provider_payment_id} goes back to the customer"
        return Applied(replace(payment, mismatch=mismatch, updated_at=state.now), mismatch)
    return apply_news(payment, news, order_has_ended=_has_ended(state), now=state.now)


def _processed(
    command: ReceiveEvent, outcome: EventOutcome, payment: Payment | None = None, *, error: str | None = None
) -> Change[EventOutcome]:
    status = EventStatus.COMPLETED if error is None else EventStatus.FAILED
    return Change(outcome, payment=payment, event=ProcessedEvent(command.event, status, error))


def _rows_of(change: Change[Refund]) -> dict[str, Any]:
    return {
        "payment": change.payment,
        "receipt": change.receipt,
        "refund": change.refund,
        "findings": change.findings,
    }


def _has_ended(state: State) -> bool:
    return state.order is None or state.order.has_ended


def _cannot_open(order: Order) -> OrderStateConflict:
    return OrderStateConflict(order_id=order.order_id, order_state=order.state.value, step="open_payment_session")
