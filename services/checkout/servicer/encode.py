"""Values to messages."""

from quittance.checkout.v1 import checkout_pb2, order_steps_pb2, order_workflow_pb2
from quittance.errors.v1 import refusal_pb2
from services.checkout.domain.kinds import CloseOutcome, OrderState, PaymentState
from services.checkout.domain.orders import Draft, Order, OrderVoucher, Refusal, payment_url_of
from services.checkout.domain.payments import Payment
from services.checkout.domain.prices import Breakdown, Price, PricedLine, Product
from services.runtime.times import timestamp_of

ORDER_STATES = {
    OrderState.PENDING: checkout_pb2.ORDER_STATE_PENDING,
    OrderState.AWAITING_PAYMENT: checkout_pb2.ORDER_STATE_AWAITING_PAYMENT,
    OrderState.SETTLING: checkout_pb2.ORDER_STATE_SETTLING,
    OrderState.PLACED: checkout_pb2.ORDER_STATE_PLACED,
    OrderState.FAILED: checkout_pb2.ORDER_STATE_FAILED,
    OrderState.EXPIRED: checkout_pb2.ORDER_STATE_EXPIRED,
    OrderState.CANCELLED: checkout_pb2.ORDER_STATE_CANCELLED,
}
_PAYMENT_STATES = {
    PaymentState.PENDING: checkout_pb2.PAYMENT_STATE_PENDING,
    PaymentState.PAID: checkout_pb2.PAYMENT_STATE_PAID,
    PaymentState.FAILED: checkout_pb2.PAYMENT_STATE_FAILED,
    PaymentState.EXPIRED: checkout_pb2.PAYMENT_STATE_EXPIRED,
}
CLOSE_OUTCOMES = {
    CloseOutcome.CLOSED: order_steps_pb2.CLOSE_OUTCOME_CLOSED,
    CloseOutcome.PAID: order_steps_pb2.CLOSE_OUTCOME_PAID,
}


def product(value: Product) -> checkout_pb2.Product:
    """A product."""
    return checkout_pb2.Product(product_id=str(value.product_id), name=value.name)


def price(value: Price) -> checkout_pb2.Price:
    """A price."""
    return checkout_pb2.Price(
        price_id=str(value.price_id),
        product_id=str(value.product_id),
        currency=value.currency,
        unit_amount_minor=value.unit_amount_minor,
    )


def breakdown(value: Breakdown) -> checkout_pb2.PriceBreakdown:
    """How a total is covered."""
    return checkout_pb2.PriceBreakdown(**value._asdict())


def line(value: PricedLine) -> checkout_pb2.PricedLine:
    """A line with its price."""
    return checkout_pb2.PricedLine(
        line_number=value.line_number,
        product_id=str(value.product_id),
        price_id=str(value.price_id),
        quantity=value.quantity,
        amount_minor=value.amount_minor,
        discount_minor=value.discount_minor,
    )


def order(value: Order, its_payment: Payment | None) -> checkout_pb2.Order:
    """An order as callers may see it: the pay page's address only while it waits for its payment."""
    return checkout_pb2.Order(
        order_id=str(value.order_id),
        customer_id=str(value.draft.customer_id),
        currency=value.draft.currency,
        state=ORDER_STATES[value.state],
        lines=_lines(value),
        breakdown=breakdown(value.breakdown) if value.breakdown else None,
        vouchers=[_voucher(voucher) for voucher in value.draft.vouchers],
        payment=_payment_of_order(value, its_payment),
        refusal=refusal(value.refusal) if value.refusal else None,
        create_time=timestamp_of(value.created_at),
        update_time=timestamp_of(value.updated_at),
    )


def payment(value: Payment | None, url: str = "") -> checkout_pb2.Payment | None:
    """A payment; its page's address only when it is given. None when there is none: a tombstone is no payment."""
    if value is None or value.terms is None:
        return None
    terms, session = value.terms, value.session
    return checkout_pb2.Payment(
        payment_id=str(value.payment_id),
        provider=terms.provider,
        state=_PAYMENT_STATES[value.state],
        amount_minor=terms.amount_minor,
        payment_url=url,
        expire_time=timestamp_of(session.expires_at if session else terms.expires_at),
        provider_payment_id=value.provider_payment_id or "",
        paid_time=timestamp_of(value.paid_at),
        refunded_minor=value.refunded_minor,
    )


def _payment_of_order(order: Order, value: Payment | None) -> checkout_pb2.Payment | None:
    """As readers of the order see it. To the order's own steps a payment stays paid, whatever goes back later."""
    shown = payment(value, payment_url_of(order, value) or "")
    if shown is not None and shown.state == checkout_pb2.PAYMENT_STATE_PAID and shown.refunded_minor:
        is_all = shown.refunded_minor >= shown.amount_minor
        shown.state = checkout_pb2.PAYMENT_STATE_REFUNDED if is_all else checkout_pb2.PAYMENT_STATE_PARTIALLY_REFUNDED
    return shown


def refusal(value: Refusal) -> refusal_pb2.Refusal:
    """Why an order was not placed."""
    return refusal_pb2.Refusal(
        status=value.status.value,  # the numbers are those of google.rpc.Code
        domain=value.domain,
        reason=value.reason,
        metadata=value.metadata,
        message=value.message,
    )


def draft(value: Draft) -> order_workflow_pb2.OrderDraft:
    """An order as it was asked for: the workflow's input."""
    return order_workflow_pb2.OrderDraft(
        order_id=str(value.order_id),
        customer_id=str(value.customer_id),
        currency=value.currency,
        lines=[
            checkout_pb2.LineRequest(price_id=str(asked.price_id), quantity=asked.quantity) for asked in value.lines
        ],
        vouchers=[_voucher(voucher) for voucher in value.vouchers],
        use_credits=value.use_credits,
        expected=breakdown(value.expected),
        payment_provider=value.payment_provider,
        payment_window_s=value.payment_window_s,
        place_timeout_s=value.place_timeout_s,
        request_fingerprint=value.request_fingerprint,
    )


def standing(value: Order, its_payment: Payment | None) -> order_steps_pb2.ReadOrderResponse:
    """All that is needed to settle or to undo an order; no address of a pay page."""
    has_page = its_payment is not None and its_payment.session is not None and not its_payment.is_closing
    return order_steps_pb2.ReadOrderResponse(
        draft=draft(value.draft),
        order_state=ORDER_STATES[value.state],
        breakdown=breakdown(value.breakdown) if value.breakdown else None,
        refusal=refusal(value.refusal) if value.refusal else None,
        payment=payment(its_payment),
        has_page=has_page,
        is_handed_over=value.handed_over_at is not None,
        is_open=value.is_open,
    )


def _lines(value: Order) -> list[checkout_pb2.PricedLine]:
    """The lines; those of an order that was refused before it was priced have neither product nor amount."""
    if value.lines:
        return [line(priced) for priced in value.lines]
    asked = enumerate(value.draft.lines, start=1)
    return [
        checkout_pb2.PricedLine(line_number=number, price_id=str(wanted.price_id), quantity=wanted.quantity)
        for number, wanted in asked
    ]


def _voucher(value: OrderVoucher) -> checkout_pb2.OrderVoucher:
    return checkout_pb2.OrderVoucher(voucher_id=str(value.voucher_id), masked_code=value.masked_code)
