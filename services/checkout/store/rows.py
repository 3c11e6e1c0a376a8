"""Rows to values and values to rows."""

from services.checkout.domain.kinds import OrderState, PaymentState, ReceiptStanding, RefundSource, RefundState
from services.checkout.domain.orders import Draft, Order, OrderVoucher, Refusal
from services.checkout.domain.payments import Payment, PaySession, SessionTerms
from services.checkout.domain.prices import Breakdown, LineAsked, PricedLine
from services.checkout.domain.receipts import Receipt, ReceiptKey, Refund
from services.runtime.database import Record
from services.runtime.errors import Status


def order_of(row: Record) -> Order | None:
    """The order in a row of load_order; None when there is none."""
    if row["order_id"] is None:
        return None
    return Order(
        draft=_draft_of(row),
        state=OrderState(row["state"]),
        lines=tuple(PricedLine(*line) for line in row["lines"] if line[1] is not None),
        breakdown=_breakdown_of(row),
        refusal=_refusal_of(row),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        handed_over_at=row["handed_over_at"],
        settling_at=row["settling_at"],
        placed_at=row["placed_at"],
        ended_at=row["ended_at"],
        undone_at=row["undone_at"],
    )


def payment_of(row: Record) -> Payment | None:
    """The payment in a row of load_order; None when there is none."""
    if row["payment_id"] is None:
        return None
    return Payment(
        payment_id=row["payment_id"],
        order_id=row["payment_order_id"],
        terms=_terms_of(row),
        session=_session_of(row),
        state=PaymentState(row["payment_state"]),
        provider_payment_id=row["provider_payment_id"],
        paid_at=row["paid_at"],
        is_late=row["is_late"],
        mismatch=row["mismatch"],
        refunded_minor=row["refunded_minor"],
        closing_at=row["closing_at"],
        closed_at=row["closed_at"],
        created_at=row["payment_created_at"],
        updated_at=row["payment_updated_at"],
    )


def draft_columns(draft: Draft) -> tuple[object, ...]:
    """The part of an order's row that never changes, but for its time."""
    return (
        draft.order_id,
        draft.customer_id,
        draft.currency,
        draft.use_credits,
        *draft.expected,
        draft.payment_provider,
        draft.payment_window_s,
        draft.place_timeout_s,
        draft.request_fingerprint,
    )


def standing_columns(order: Order) -> tuple[object, ...]:
    """The part of an order's row that changes."""
    return (
        order.state,
        order.updated_at,
        *(order.breakdown or (None,) * len(Breakdown._fields)),
        order.handed_over_at,
        order.settling_at,
        order.placed_at,
        order.ended_at,
        order.undone_at,
        *_refusal_columns(order.refusal),
    )


def line_rows(order: Order) -> list[tuple[object, ...]]:
    """The rows of an order's lines: priced, or as they were asked for."""
    if order.lines:
        return [
            (line.line_number, line.price_id, line.quantity, line.product_id, line.amount_minor, line.discount_minor)
            for line in order.lines
        ]
    asked = enumerate(order.draft.lines, start=1)
    return [(number, line.price_id, line.quantity, None, None, 0) for number, line in asked]


def request_columns(payment: Payment) -> tuple[object, ...]:
    """The part of a payment's row that never changes."""
    terms = payment.terms or (None,) * len(SessionTerms._fields)
    return (payment.payment_id, payment.order_id, payment.created_at, *terms)


def payment_columns(payment: Payment) -> tuple[object, ...]:
    """The part of a payment's row that changes."""
    return (
        *(payment.session or (None,) * len(PaySession._fields)),
        payment.state,
        payment.updated_at,
        payment.provider_payment_id,
        payment.paid_at,
        payment.is_late,
        payment.mismatch,
        payment.closing_at,
        payment.closed_at,
    )


def receipt_of(row: Record) -> Receipt:
    """A row of receipts."""
    return Receipt(
        key=ReceiptKey(row["provider"], row["provider_payment_id"]),
        order_id=row["order_id"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        paid_at=row["paid_at"],
        standing=ReceiptStanding(row["standing"]),
        why=row["why"],
        created_at=row["created_at"],
    )


def receipt_columns(receipt: Receipt) -> tuple[object, ...]:
    """A receipt's whole row."""
    return (
        *receipt.key,
        receipt.order_id,
        receipt.amount_minor,
        receipt.currency,
        receipt.paid_at,
        receipt.standing,
        receipt.why,
        receipt.created_at,
    )


def refund_of(row: Record) -> Refund:
    """A row of refunds."""
    return Refund(
        refund_id=row["refund_id"],
        order_id=row["order_id"],
        key=ReceiptKey(row["provider"], row["provider_payment_id"]),
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        reason=row["reason"],
        source=RefundSource(row["source"]),
        state=RefundState(row["state"]),
        idempotency_key=row["idempotency_key"],
        provider_refund_id=row["provider_refund_id"],
        failure=row["failure"],
        completed_at=row["completed_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def refund_request_columns(refund: Refund) -> tuple[object, ...]:
    """The part of a refund's row that never changes."""
    return (
        refund.refund_id,
        refund.order_id,
        *refund.key,
        refund.amount_minor,
        refund.currency,
        refund.reason,
        refund.source,
        refund.idempotency_key,
        refund.created_at,
    )


def refund_columns(refund: Refund) -> tuple[object, ...]:
    """The part of a refund's row that changes."""
    return (refund.state, refund.provider_refund_id, refund.failure, refund.completed_at, refund.updated_at)


def _draft_of(row: Record) -> Draft:
    return Draft(
        order_id=row["order_id"],
        customer_id=row["customer_id"],
        currency=row["currency"],
        lines=tuple(LineAsked(price_id=line[2], quantity=line[3]) for line in row["lines"]),
        vouchers=tuple(OrderVoucher(*voucher) for voucher in row["vouchers"]),
        use_credits=row["use_credits"],
        expected=Breakdown(*(row[f"expected_{part}"] for part in Breakdown._fields)),
        payment_provider=row["payment_provider"],
        payment_window_s=row["payment_window_s"],
        place_timeout_s=row["place_timeout_s"],
        request_fingerprint=row["request_fingerprint"],
    )


def _breakdown_of(row: Record) -> Breakdown | None:
    if row["subtotal_minor"] is None:
        return None
    return Breakdown(*(row[part] for part in Breakdown._fields))


def _refusal_of(row: Record) -> Refusal | None:
    if row["refusal_status"] is None:
        return None
    return Refusal(
        status=Status(row["refusal_status"]),
        domain=row["refusal_domain"],
        reason=row["refusal_reason"],
        metadata=row["refusal_metadata"],
        message=row["refusal_message"],
    )


def _refusal_columns(refusal: Refusal | None) -> tuple[object, ...]:
    """Status, domain, reason, metadata, message."""
    if refusal is None:
        return (None,) * 5
    return (refusal.status.value, refusal.domain, refusal.reason, dict(refusal.metadata), refusal.message)


def _terms_of(row: Record) -> SessionTerms | None:
    if row["provider"] is None:
        return None
    return SessionTerms(
        provider=row["provider"],
        amount_minor=row["amount_minor"],
        currency=row["payment_currency"],
        idempotency_key=row["idempotency_key"],
        expires_at=row["requested_expires_at"],
    )


def _session_of(row: Record) -> PaySession | None:
    if row["session_id"] is None:
        return None
    return PaySession(session_id=row["session_id"], url=row["url"], expires_at=row["expires_at"])
