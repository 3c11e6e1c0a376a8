"""The closed sets of words that checkout stores; the text is what stands in the database."""

import enum


class OrderState(enum.StrEnum):
    """Life cycle of an order; the last four are for ever."""

    PENDING = "pending"
    AWAITING_PAYMENT = "awaiting_payment"
    SETTLING = "settling"
    PLACED = "placed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class PaymentState(enum.StrEnum):
    """Life cycle of a payment; of two endings the later in this list wins, whichever comes first."""

    PENDING = "pending"
    EXPIRED = "expired"
    FAILED = "failed"
    PAID = "paid"


class ReceiptStanding(enum.StrEnum):
    """What a success at a provider is to us."""

    APPLIED = "applied"  # it pays its order
    UNWANTED = "unwanted"  # ours, but no order stands for it: it goes back
    FOREIGN = "foreign"  # not ours: left alone


class RefundState(enum.StrEnum):
    """Where a refund stands at its provider."""

    PENDING = "pending"
    REFUNDED = "refunded"
    FAILED = "failed"


class RefundSource(enum.StrEnum):
    """Who made a refund."""

    OURS = "ours"
    PROVIDER = "provider"


class CloseOutcome(enum.StrEnum):
    """What closing a pay page came to."""

    CLOSED = "closed"
    PAID = "paid"


class EventStatus(enum.StrEnum):
    """What has become of a webhook."""

    RECEIVED = "received"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class EventOutcome(enum.StrEnum):
    """What a webhook came to."""

    COMPLETED = "completed"
    DUPLICATE = "duplicate"
    LATE = "late"  # money for an order that has ended
    FAILED = "failed"  # stored, but not to be believed


# Those that hold the customer's one slot.
IN_FLIGHT = frozenset({OrderState.PENDING, OrderState.AWAITING_PAYMENT, OrderState.SETTLING})
# Past the pivot: nothing is undone any more.
FORWARD_ONLY = frozenset({OrderState.SETTLING, OrderState.PLACED})
# Over without a sale.
ENDED = frozenset({OrderState.FAILED, OrderState.EXPIRED, OrderState.CANCELLED})
