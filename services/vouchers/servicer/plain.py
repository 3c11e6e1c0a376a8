"""The most common way to redeem, read and checked in one pass: no categories, no tags, usual spellings of ids.

The general check of a message's rules takes as long as all the reading. This one knows fewer messages, by the same
rules: it reads them from the proto. Whatever it does not know goes the general way.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from quittance.vouchers.v1 import vouchers_pb2
from services.runtime.times import parse_time
from services.runtime.validation import field_rules
from services.runtime.wire_ids import wire_id
from services.vouchers.domain.codes import normalise_code
from services.vouchers.domain.commands import Basket, CustomerFacts, OrderLine, RedeemVouchers, RedemptionReference
from services.vouchers.domain.vouchers import VoucherReference

_CODES_REMEMBERED = 10_000

_REQUEST, _LINE = vouchers_pb2.RedeemVouchersRequest.DESCRIPTOR, vouchers_pb2.OrderLine.DESCRIPTOR
_VOUCHER = vouchers_pb2.VoucherReference.DESCRIPTOR
_is_currency = re.compile(field_rules(_REQUEST, "currency").string.pattern).fullmatch
_LINES_MAX: int = field_rules(_REQUEST, "lines").repeated.max_items
_VOUCHERS_MAX: int = field_rules(_REQUEST, "redemptions").repeated.max_items
_NUMBER_MAX: int = field_rules(_LINE, "line_number").int32.lte
_QUANTITY_MAX: int = field_rules(_LINE, "quantity").int64.lte
_AMOUNT_MAX: int = field_rules(_LINE, "amount_minor").int64.lte
_CODE_RULES = field_rules(_VOUCHER, "code").string
_CODE_MIN, _CODE_MAX = int(_CODE_RULES.min_len), int(_CODE_RULES.max_len)


def read_plain(request: vouchers_pb2.RedeemVouchersRequest) -> RedeemVouchers | None:
    """The command; None when the request is of another shape, right or wrong. Raises INVALID_REQUEST."""
    order_id, customer_id = wire_id(request.order_id), wire_id(request.customer_id)
    lines, redemptions = _read_lines(request.lines), _read_redemptions(request.redemptions)
    currency, facts = request.currency, request.facts
    if order_id is None or customer_id is None or not lines or not redemptions or not _is_currency(currency):
        return None
    if not request.HasField("expire_time") or facts.orders_placed < 0 or facts.tags:
        return None
    known = CustomerFacts(facts.orders_placed) if request.HasField("facts") else None
    return RedeemVouchers(
        customer_id=customer_id,
        redemptions=redemptions,
        order_id=order_id,
        basket=Basket(customer_id=customer_id, currency=currency, lines=lines, facts=known),
        expires_at=parse_time(request.expire_time, "expire_time"),
    )


def _read_lines(messages: Sequence[vouchers_pb2.OrderLine]) -> tuple[OrderLine, ...] | None:
    if len(messages) > _LINES_MAX:
        return None
    lines = []
    for message in messages:
        number, product_id = message.line_number, wire_id(message.product_id)
        quantity, amount_minor = message.quantity, message.amount_minor
        if (
            product_id is None
            or not 0 < number <= _NUMBER_MAX
            or not 0 < quantity <= _QUANTITY_MAX
            or not 0 <= amount_minor <= _AMOUNT_MAX
            or message.categories
        ):
            return None
        lines.append(OrderLine(number, product_id, quantity, amount_minor))
    return tuple(lines)


def _read_redemptions(messages: Sequence[vouchers_pb2.RedemptionRequest]) -> tuple[RedemptionReference, ...] | None:
    if len(messages) > _VOUCHERS_MAX:
        return None
    redemptions = []
    for message in messages:
        redemption_id, voucher = wire_id(message.redemption_id), message.voucher
        reference = _by_code(voucher.code) or _by_id(voucher.voucher_id)
        if redemption_id is None or reference is None:
            return None
        redemptions.append(RedemptionReference(redemption_id, reference))
    return tuple(redemptions)


# The same few codes come again and again.
@lru_cache(_CODES_REMEMBERED)
def _by_code(code: str) -> VoucherReference | None:
    return VoucherReference(normalise_code(code), None) if _CODE_MIN <= len(code) <= _CODE_MAX else None


def _by_id(text: str) -> VoucherReference | None:
    voucher_id = wire_id(text)
    return None if voucher_id is None else VoucherReference(None, voucher_id)
