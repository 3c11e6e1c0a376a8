"""The one place that computes prices: lines, totals, and how a total is covered. Minor units throughout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

from services.checkout.errors import (
    AmountOutOfRange,
    CurrencyMismatch,
    PriceExistsWithDifferentField,
    PriceNotFound,
    ProductExistsWithDifferentField,
    StaleQuote,
)
from services.runtime.errors import InvalidRequest

AMOUNT_MAX = 10**15


class Product(NamedTuple):
    """Something that is sold."""

    product_id: UUID
    name: str


class Price(NamedTuple):
    """What one piece of a product costs in one currency."""

    price_id: UUID
    product_id: UUID
    currency: str
    unit_amount_minor: int


class LineAsked(NamedTuple):
    """So many pieces at a price."""

    price_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class PricedLine:
    """A line, numbered from 1, with what it costs in whole and what vouchers take off it."""

    line_number: int
    product_id: UUID
    price_id: UUID
    quantity: int
    amount_minor: int
    discount_minor: int = 0


class Breakdown(NamedTuple):
    """How a total is covered; the fields are named as in the protos' PriceBreakdown."""

    subtotal_minor: int
    discount_minor: int
    credits_minor: int
    amount_due_minor: int


def check_same_product(stored: Product, asked: Product) -> None:
    """Raises PRODUCT_EXISTS_WITH_DIFFERENT_FIELD when the stored product is not the one asked for."""
    if stored.name != asked.name:
        raise ProductExistsWithDifferentField(product_id=asked.product_id, field="name")


def check_same_price(stored: Price, asked: Price) -> None:
    """Raises PRICE_EXISTS_WITH_DIFFERENT_FIELD when the stored price is not the one asked for."""
    for field in ("product_id", "currency", "unit_amount_minor"):
        if getattr(stored, field) != getattr(asked, field):
            raise PriceExistsWithDifferentField(price_id=asked.price_id, field=field)


def price_lines(lines: Sequence[LineAsked], prices: Mapping[UUID, Price], currency: str) -> tuple[PricedLine, ...]:
    """The lines at list prices, in the order asked.

    Raises PRICE_NOT_FOUND, CURRENCY_MISMATCH, AMOUNT_OUT_OF_RANGE.
    """
    priced = tuple(_price_line(number, line, prices, currency) for number, line in enumerate(lines, start=1))
    if subtotal_of(priced) > AMOUNT_MAX:
        raise AmountOutOfRange
    return priced


def _price_line(number: int, line: LineAsked, prices: Mapping[UUID, Price], currency: str) -> PricedLine:
    price = prices.get(line.price_id)
    if price is None:
        raise PriceNotFound(price_id=line.price_id)
    if price.currency != currency:
        raise CurrencyMismatch(price_id=price.price_id, currency=price.currency, order_currency=currency)
    amount_minor = price.unit_amount_minor * line.quantity
    return PricedLine(number, price.product_id, price.price_id, line.quantity, amount_minor)


def subtotal_of(lines: Sequence[PricedLine]) -> int:
    """What the lines cost before anything is taken off."""
    return sum(line.amount_minor for line in lines)


def with_discounts(lines: Sequence[PricedLine], discounts: Sequence[tuple[int, int]]) -> tuple[PricedLine, ...]:
    """The lines with what the vouchers take off: pairs of line number and amount, several for a line add up.

    Raises INVALID_REQUEST when a pair names no line, or takes more off a line than it costs.
    """
    taken_off = dict.fromkeys((line.line_number for line in lines), 0)
    for line_number, discount_minor in discounts:
        if line_number not in taken_off or discount_minor < 0:
            raise InvalidRequest(field="line_discounts", rule="line")
        taken_off[line_number] += discount_minor
    if any(taken_off[line.line_number] > line.amount_minor for line in lines):
        raise InvalidRequest(field="line_discounts", rule="within_line")
    return tuple(replace(line, discount_minor=taken_off[line.line_number]) for line in lines)


def break_down(lines: Sequence[PricedLine], credits_offered_minor: int) -> Breakdown:
    """How the lines' total is covered: discounts first, then credits as far as they go, money for the rest."""
    subtotal_minor = subtotal_of(lines)
    discount_minor = sum(line.discount_minor for line in lines)
    left_minor = subtotal_minor - discount_minor
    credits_minor = min(left_minor, credits_offered_minor)
    return Breakdown(subtotal_minor, discount_minor, credits_minor, left_minor - credits_minor)


def stale_part(expected: Breakdown, actual: Breakdown) -> StaleQuote | None:
    """STALE_QUOTE for the first part that is not what the customer confirmed (C2); None when all are."""
    for field in Breakdown._fields:
        expected_minor, actual_minor = getattr(expected, field), getattr(actual, field)
        if expected_minor != actual_minor:
            return StaleQuote(field=field, expected_minor=expected_minor, actual_minor=actual_minor)
    return None
