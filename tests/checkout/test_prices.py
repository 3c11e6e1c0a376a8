"""The one place that computes prices (C2, V6)."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.checkout.domain.currencies import written_amount
from services.checkout.domain.prices import (
    AMOUNT_MAX,
    Breakdown,
    LineAsked,
    Price,
    PricedLine,
    break_down,
    price_lines,
    stale_part,
    subtotal_of,
    with_discounts,
)
from services.checkout.errors import AmountOutOfRange, CurrencyMismatch, PriceNotFound
from services.runtime.errors import InvalidRequest
from services.runtime.ids import new_id

AMOUNTS = st.integers(0, 10**12)


def priced(*amounts: int) -> tuple[PricedLine, ...]:
    return tuple(PricedLine(number, new_id(), new_id(), 1, amount) for number, amount in enumerate(amounts, start=1))


@given(amounts=st.lists(AMOUNTS, min_size=1, max_size=10), offered=st.integers(0, 10**14), data=st.data())
def test_break_down_of_any_order_adds_up(amounts: list[int], offered: int, data: st.DataObject) -> None:
    """V6: subtotal = discount + credits + amount due, and no part is negative."""
    discounts = [(number, data.draw(st.integers(0, amount))) for number, amount in enumerate(amounts, start=1)]
    lines = with_discounts(priced(*amounts), discounts)
    parts = break_down(lines, offered)
    assert parts.subtotal_minor == sum(amounts)
    assert parts.subtotal_minor == parts.discount_minor + parts.credits_minor + parts.amount_due_minor
    assert min(parts) >= 0
    assert parts.credits_minor <= offered
    assert parts.credits_minor == offered or parts.amount_due_minor == 0


@given(amount=AMOUNTS, offers=st.lists(AMOUNTS, min_size=2))
def test_break_down_with_more_credits_never_costs_more(amount: int, offers: list[int]) -> None:
    due = [break_down(priced(amount), offered).amount_due_minor for offered in sorted(offers)]
    assert all(less >= more for less, more in pairwise(due))


@given(units=st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 10**6)), min_size=1, max_size=20))
def test_price_lines_of_any_order_are_exact_or_refused(units: list[tuple[int, int]]) -> None:
    prices = [Price(new_id(), new_id(), "OMR", unit_minor) for unit_minor, _ in units]
    asked = [LineAsked(price.price_id, quantity) for price, (_, quantity) in zip(prices, units, strict=True)]
    total = sum(unit_minor * quantity for unit_minor, quantity in units)
    by_id = {price.price_id: price for price in prices}
    if total > AMOUNT_MAX:
        with pytest.raises(AmountOutOfRange):
            price_lines(asked, by_id, "OMR")
    else:
        lines = price_lines(asked, by_id, "OMR")
        assert subtotal_of(lines) == total
        assert [line.line_number for line in lines] == list(range(1, len(units) + 1))


def test_price_lines_with_an_unknown_price_is_refused() -> None:
    with pytest.raises(PriceNotFound):
        price_lines([LineAsked(new_id(), 1)], {}, "OMR")


def test_price_lines_in_another_currency_is_refused() -> None:
    price = Price(new_id(), new_id(), "EUR", 100)
    with pytest.raises(CurrencyMismatch):
        price_lines([LineAsked(price.price_id, 1)], {price.price_id: price}, "OMR")


def test_discounts_of_several_vouchers_for_one_line_add_up() -> None:
    lines = with_discounts(priced(100, 50), [(1, 10), (2, 5), (1, 20)])
    assert [line.discount_minor for line in lines] == [30, 5]


@pytest.mark.parametrize("discounts", [[(3, 1)], [(1, 101)], [(1, 60), (1, 41)], [(1, -1)]])
def test_discounts_that_fit_no_line_are_refused(discounts: list[tuple[int, int]]) -> None:
    with pytest.raises(InvalidRequest):
        with_discounts(priced(100, 50), discounts)


def test_stale_part_names_the_first_difference() -> None:
    stale = stale_part(Breakdown(100, 10, 0, 90), Breakdown(100, 5, 5, 90))
    assert stale is not None
    assert (stale.field, stale.expected_minor, stale.actual_minor) == ("discount_minor", 10, 5)
    assert stale_part(Breakdown(1, 0, 1, 0), Breakdown(1, 0, 1, 0)) is None


@pytest.mark.parametrize(
    ("amount_minor", "currency", "written"),
    [
        (50_000, "OMR", "50.000 OMR"),
        (5, "EUR", "0.05 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (1500, "JPY", "1500 JPY"),
        (12_345_678, "CLF", "1234.5678 CLF"),
    ],
)
def test_written_amount_has_the_decimals_of_its_currency(amount_minor: int, currency: str, written: str) -> None:
    assert written_amount(amount_minor, currency) == written
