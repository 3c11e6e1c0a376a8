"""Messages to values; their shape was checked before."""

from collections.abc import Iterable

from quittance.checkout.v1 import checkout_pb2, order_steps_pb2, order_workflow_pb2, payments_pb2
from quittance.errors.v1 import refusal_pb2
from services.checkout.domain.commands import EndOrder, SettlePrice
from services.checkout.domain.kinds import RefundState
from services.checkout.domain.orders import Draft, OrderAnswer, OrderVoucher, Refusal
from services.checkout.domain.prices import Breakdown, LineAsked, Price, Product
from services.checkout.domain.requests import Basket, PlaceRequest
from services.checkout.servicer.encode import ORDER_STATES
from services.checkout.servicer.encode_money import REFUND_STATES
from services.runtime.errors import Status
from services.runtime.ids import keyed_fingerprint, parse_id

_PAYMENT_WINDOW_S_DEFAULT = 1800
_PLACE_TIMEOUT_S_DEFAULT = 60
_ORDER_STATES = {number: state for state, number in ORDER_STATES.items()}
_REFUND_STATES = {number: state for state, number in REFUND_STATES.items()}


def product(message: checkout_pb2.Product) -> Product:
    """A product."""
    return Product(product_id=parse_id(message.product_id, "product.product_id"), name=message.name)


def price(message: checkout_pb2.Price) -> Price:
    """A price."""
    return Price(
        price_id=parse_id(message.price_id, "price.price_id"),
        product_id=parse_id(message.product_id, "price.product_id"),
        currency=message.currency,
        unit_amount_minor=message.unit_amount_minor,
    )


def basket(message: checkout_pb2.QuoteOrderRequest | checkout_pb2.PlaceOrderRequest) -> Basket:
    """What somebody wants to buy."""
    return Basket(
        customer_id=parse_id(message.customer_id, "customer_id"),
        currency=message.currency,
        lines=_lines(message.lines),
        voucher_codes=tuple(message.voucher_codes),
        use_credits=message.use_credits,
    )


def booked_refund_state(number: payments_pb2.RefundState.ValueType) -> RefundState | None:
    """What of a refund was booked; None: its caller does not say."""
    return _REFUND_STATES.get(number)


def place_request(
    message: checkout_pb2.PlaceOrderRequest, provider_default: str, fingerprint_key: bytes
) -> PlaceRequest:
    """An order to be placed."""
    order_id, wanted = parse_id(message.order_id, "order_id"), basket(message)
    expected = _breakdown(message.expected)
    as_given = keyed_fingerprint(
        fingerprint_key,
        order_id,
        wanted.customer_id,
        wanted.currency,
        [tuple(line) for line in wanted.lines],
        list(wanted.voucher_codes),
        wanted.use_credits,
        tuple(expected),
        message.payment_provider,
        message.payment_window_s,
        message.place_timeout_s,
        message.replace,
    )
    return PlaceRequest(
        order_id=order_id,
        basket=wanted,
        expected=expected,
        payment_provider=message.payment_provider or provider_default,
        payment_window_s=message.payment_window_s or _PAYMENT_WINDOW_S_DEFAULT,
        place_timeout_s=message.place_timeout_s or _PLACE_TIMEOUT_S_DEFAULT,
        replace=message.replace,
        fingerprint=as_given,
    )


def draft(message: order_workflow_pb2.OrderDraft) -> Draft:
    """An order as it came through a workflow."""
    return Draft(
        order_id=parse_id(message.order_id, "draft.order_id"),
        customer_id=parse_id(message.customer_id, "draft.customer_id"),
        currency=message.currency,
        lines=_lines(message.lines),
        vouchers=tuple(
            OrderVoucher(parse_id(voucher.voucher_id, "draft.vouchers.voucher_id"), voucher.masked_code)
            for voucher in message.vouchers
        ),
        use_credits=message.use_credits,
        expected=_breakdown(message.expected),
        payment_provider=message.payment_provider,
        payment_window_s=message.payment_window_s,
        place_timeout_s=message.place_timeout_s,
        request_fingerprint=message.request_fingerprint,
    )


def settle_price(message: order_steps_pb2.SettlePriceRequest) -> SettlePrice:
    """The discounts and credits that an order got."""
    return SettlePrice(
        order_id=parse_id(message.order_id, "order_id"),
        line_discounts=tuple((line.line_number, line.discount_minor) for line in message.line_discounts),
        credits_held_minor=message.credits_held_minor,
    )


def end_order(message: order_steps_pb2.EndOrderRequest) -> EndOrder:
    """How and why an order ends."""
    return EndOrder(
        draft=draft(message.draft),
        state=_ORDER_STATES[message.order_state],
        refusal=refusal(message.refusal),
        undo_pending=message.undo_pending,
    )


def refusal(message: refusal_pb2.Refusal) -> Refusal:
    """Why an order is not placed; a refusal without a status is somebody's mistake, not the caller's."""
    return Refusal(
        status=Status(message.status or Status.UNKNOWN.value),
        domain=message.domain,
        reason=message.reason,
        metadata=dict(message.metadata),
        message=message.message,
    )


def answer(message: order_workflow_pb2.OrderAnswer) -> OrderAnswer:
    """What an order's workflow answers."""
    return OrderAnswer(
        state=_ORDER_STATES[message.order_state],
        refusal=refusal(message.refusal) if message.HasField("refusal") else None,
        undo_pending=message.undo_pending,
    )


def _lines(messages: Iterable[checkout_pb2.LineRequest]) -> tuple[LineAsked, ...]:
    return tuple(LineAsked(parse_id(line.price_id, "lines.price_id"), line.quantity) for line in messages)


def _breakdown(message: checkout_pb2.PriceBreakdown) -> Breakdown:
    return Breakdown(*(getattr(message, part) for part in Breakdown._fields))
