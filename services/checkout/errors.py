"""Every refusal of checkout; reasons and metadata as in protos/quittance/checkout/v1/errors.proto."""

from dataclasses import dataclass
from uuid import UUID

from services.runtime.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    NotFound,
    Unavailable,
)


@dataclass(eq=False)
class ProductNotFound(NotFound):
    """No product with this id."""

    reason = "PRODUCT_NOT_FOUND"
    text = "product {product_id} does not exist"
    product_id: UUID


@dataclass(eq=False)
class PriceNotFound(NotFound):
    """No price with this id."""

    reason = "PRICE_NOT_FOUND"
    text = "price {price_id} does not exist"
    price_id: UUID


@dataclass(eq=False)
class ProductExistsWithDifferentField(AlreadyExists):
    """The product's id is taken by another content."""

    reason = "PRODUCT_EXISTS_WITH_DIFFERENT_FIELD"
    text = "product {product_id} exists with a different {field}"
    product_id: UUID
    field: str


@dataclass(eq=False)
class PriceExistsWithDifferentField(AlreadyExists):
    """The price's id is taken by another content."""

    reason = "PRICE_EXISTS_WITH_DIFFERENT_FIELD"
    text = "price {price_id} exists with a different {field}"
    price_id: UUID
    field: str


@dataclass(eq=False)
class CurrencyMismatch(FailedPrecondition):
    """A price is in another currency than the order."""

    reason = "CURRENCY_MISMATCH"
    text = "price {price_id} is in {currency}, the order in {order_currency}"
    price_id: UUID
    currency: str
    order_currency: str


@dataclass(eq=False)
class AmountOutOfRange(FailedPrecondition):
    """The order's total is larger than any amount may be."""

    reason = "AMOUNT_OUT_OF_RANGE"
    text = "the order's total is out of range"


@dataclass(eq=False)
class OrderNotFound(NotFound):
    """No order with this id."""

    reason = "ORDER_NOT_FOUND"
    text = "order {order_id} does not exist"
    order_id: UUID


@dataclass(eq=False)
class OrderExistsWithDifferentField(AlreadyExists):
    """The order's id is taken by another content."""

    reason = "ORDER_EXISTS_WITH_DIFFERENT_FIELD"
    text = "order {order_id} exists with different fields"
    order_id: UUID


@dataclass(eq=False)
class OrderAlreadyEnded(FailedPrecondition):
    """The order has failed, expired or been cancelled."""

    reason = "ORDER_ALREADY_ENDED"
    text = "order {order_id} has ended: it is {order_state}"
    order_id: UUID
    order_state: str


@dataclass(eq=False)
class OrderAlreadyPlaced(FailedPrecondition):
    """The order is placed or being placed."""

    reason = "ORDER_ALREADY_PLACED"
    text = "order {order_id} cannot be taken back: it is {order_state}"
    order_id: UUID
    order_state: str


@dataclass(eq=False)
class CheckoutInFlight(FailedPrecondition):
    """This customer has another order on its way. The pay page's address is added only to the customer's answer."""

    reason = "CHECKOUT_IN_FLIGHT"
    text = "order {in_flight_order_id} of this customer is on its way: it is {in_flight_order_state}"
    in_flight_order_id: UUID
    in_flight_order_state: str


@dataclass(eq=False)
class StaleQuote(FailedPrecondition):
    """What would be charged is not what the caller expected; `field` is one of PriceBreakdown."""

    reason = "STALE_QUOTE"
    text = "{field} is {actual_minor}, not {expected_minor}: ask for a new quote"
    field: str
    expected_minor: int
    actual_minor: int


@dataclass(eq=False)
class ProviderNotConfigured(Unavailable):
    """The payment provider has no credentials here: a definite no."""

    reason = "PAYMENT_PROVIDER_NOT_CONFIGURED"
    text = "payment provider {provider} is not configured"
    provider: str


@dataclass(eq=False)
class ProviderRefused(FailedPrecondition):
    """The payment provider says no: a definite no, `provider_code` is its word for it."""

    reason = "PAYMENT_PROVIDER_REFUSED"
    text = "payment provider {provider} refuses: {provider_code}"
    provider: str
    provider_code: str


@dataclass(eq=False)
class ProviderUnavailable(Unavailable):
    """The payment provider gave no answer, or none that can be believed: the outcome is unknown."""

    reason = "PAYMENT_PROVIDER_UNAVAILABLE"
    text = "payment provider {provider} is unavailable"
    retry_after_s = 1.0
    provider: str


@dataclass(eq=False)
class PaymentNotSettled(FailedPrecondition):
    """The order's payment has not been made; `payment_state` is none when it has none."""

    reason = "PAYMENT_NOT_SETTLED"
    text = "the payment of order {order_id} is {payment_state}"
    order_id: UUID
    payment_state: str


@dataclass(eq=False)
class PaymentIsPaid(FailedPrecondition):
    """The order's payment has been made, so the order cannot be ended."""

    reason = "PAYMENT_IS_PAID"
    text = "order {order_id} is paid"
    order_id: UUID


@dataclass(eq=False)
class OrderStateConflict(FailedPrecondition):
    """The step does not fit where the order stands."""

    reason = "ORDER_STATE_CONFLICT"
    text = "order {order_id} is {order_state}, so {step} does not fit"
    order_id: UUID
    order_state: str
    step: str


@dataclass(eq=False)
class OrderInterrupted(Aborted):
    """The order's workflow was stopped from outside before the order was placed."""

    reason = "ORDER_INTERRUPTED"
    text = "order {order_id} was interrupted: nothing of it is left, place a new one"
    order_id: UUID


@dataclass(eq=False)
class WorkflowsUnavailable(Unavailable):
    """Temporal did not answer: whether an order was started is unknown."""

    reason = "WORKFLOWS_UNAVAILABLE"
    text = "orders cannot be processed now, repeat with the same order id"
    retry_after_s = 1.0


@dataclass(eq=False)
class ServiceUnavailable(Unavailable):
    """The ledger or the voucher service did not answer; nothing was begun."""

    reason = "SERVICE_UNAVAILABLE"
    text = "{service} is unavailable, try again later"
    retry_after_s = 0.5
    service: str


@dataclass(eq=False)
class RefundNotFound(NotFound):
    """No refund with this id."""

    reason = "REFUND_NOT_FOUND"
    text = "refund {refund_id} does not exist"
    refund_id: UUID


@dataclass(eq=False)
class RefundExistsWithDifferentField(AlreadyExists):
    """The refund's id is taken by another content."""

    reason = "REFUND_EXISTS_WITH_DIFFERENT_FIELD"
    text = "refund {refund_id} exists with a different {field}"
    refund_id: UUID
    field: str


@dataclass(eq=False)
class RefundExceedsPayment(FailedPrecondition):
    """More would go back than is left of what was paid; refunds on their way count."""

    reason = "REFUND_EXCEEDS_PAYMENT"
    text = "{amount_minor} is more than the {left_minor} that are left of {paid_minor}"
    order_id: UUID
    amount_minor: int
    left_minor: int
    paid_minor: int


@dataclass(eq=False)
class PaymentNotRefundable(FailedPrecondition):
    """There is no money of this order at a provider: it was never paid, or paid with credits alone."""

    reason = "PAYMENT_NOT_REFUNDABLE"
    text = "order {order_id} has no payment that could be refunded"
    order_id: UUID


@dataclass(eq=False)
class PaymentIdTaken(FailedPrecondition):
    """The provider names one payment or one page for two orders; nothing of it is believed."""

    reason = "PAYMENT_ID_TAKEN"
    text = "the provider names {taken_id} for order {order_id}, but it is another order's"
    taken_id: str
    order_id: UUID | None
