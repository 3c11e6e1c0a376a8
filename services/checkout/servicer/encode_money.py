"""Receipts, refunds and findings to messages."""

from quittance.checkout.v1 import payments_pb2
from services.checkout.domain.kinds import ReceiptStanding, RefundSource, RefundState
from services.checkout.domain.receipts import Receipt, Refund
from services.checkout.store.money_store import StoredFinding, StoredRefund
from services.runtime.times import timestamp_of

_STANDINGS = {
    ReceiptStanding.APPLIED: payments_pb2.RECEIPT_STANDING_APPLIED,
    ReceiptStanding.UNWANTED: payments_pb2.RECEIPT_STANDING_UNWANTED,
    ReceiptStanding.FOREIGN: payments_pb2.RECEIPT_STANDING_FOREIGN,
}
REFUND_STATES = {
    RefundState.PENDING: payments_pb2.REFUND_STATE_PENDING,
    RefundState.REFUNDED: payments_pb2.REFUND_STATE_REFUNDED,
    RefundState.FAILED: payments_pb2.REFUND_STATE_FAILED,
}
_SOURCES = {
    RefundSource.OURS: payments_pb2.REFUND_SOURCE_OURS,
    RefundSource.PROVIDER: payments_pb2.REFUND_SOURCE_PROVIDER,
}


def receipt(value: Receipt) -> payments_pb2.Receipt:
    """A success at a provider."""
    return payments_pb2.Receipt(
        provider=value.key.provider,
        provider_payment_id=value.key.provider_payment_id,
        amount_minor=value.amount_minor,
        currency=value.currency,
        standing=_STANDINGS[value.standing],
        why=value.why or "",
        paid_time=timestamp_of(value.paid_at),
    )


def refund(value: Refund) -> payments_pb2.Refund:
    """Money that goes back, or went."""
    return payments_pb2.Refund(
        refund_id=str(value.refund_id),
        order_id=str(value.order_id),
        provider=value.key.provider,
        provider_payment_id=value.key.provider_payment_id,
        amount_minor=value.amount_minor,
        currency=value.currency,
        reason=value.reason,
        source=_SOURCES[value.source],
        state=REFUND_STATES[value.state],
        provider_refund_id=value.provider_refund_id or "",
        failure=value.failure or "",
        is_completed=value.completed_at is not None,
        create_time=timestamp_of(value.created_at),
    )


def stored_refund(stored: StoredRefund) -> payments_pb2.ReadRefundResponse:
    """A refund and how its order stands."""
    return payments_pb2.ReadRefundResponse(
        refund=refund(stored.refund),
        receipt=receipt(stored.receipt),
        customer_id=str(stored.customer_id),
        is_order_in_flight=stored.is_order_in_flight,
    )


def finding(stored: StoredFinding) -> payments_pb2.PaymentFinding:
    """What a person has to look at."""
    found = stored.finding
    return payments_pb2.PaymentFinding(
        kind=found.kind.value,
        provider=found.provider,
        subject=found.subject,
        order_id=str(found.order_id) if found.order_id is not None else "",
        details=found.details,
        find_time=timestamp_of(stored.found_at),
    )
