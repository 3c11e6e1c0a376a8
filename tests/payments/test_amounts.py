"""Amounts in the providers' own forms: there and back, for every currency."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.checkout.payments.amounts import AmountNotRepresentable, from_stripe, from_text, to_stripe, to_text

CURRENCIES = ("USD", "EUR", "RUB", "JPY", "KRW", "OMR", "KWD", "ISK", "UGX", "CLF")


@given(st.integers(0, 10**12), st.sampled_from(CURRENCIES))
def test_to_text_and_back_is_the_same(amount_minor: int, currency: str) -> None:
    assert from_text(to_text(amount_minor, currency), currency) == amount_minor


@given(st.integers(0, 10**12), st.sampled_from(CURRENCIES))
def test_to_stripe_and_back_is_the_same_or_refused(amount_minor: int, currency: str) -> None:
    try:
        in_stripes_units = to_stripe(amount_minor, currency)
    except AmountNotRepresentable:
        assert currency in ("OMR", "KWD")
        assert amount_minor % 10
    else:
        assert from_stripe(in_stripes_units, currency) == amount_minor


@pytest.mark.parametrize(
    ("text", "currency", "amount_minor"),
    [("100.00", "RUB", 10_000), ("0.05", "RUB", 5), ("7", "JPY", 7), ("1.5", "OMR", 1_500), ("100", "RUB", 10_000)],
)
def test_from_text_reads_what_providers_write(text: str, currency: str, amount_minor: int) -> None:
    assert from_text(text, currency) == amount_minor


@pytest.mark.parametrize("text", ["", "x", "1.001", "NaN", "Infinity", "1e400000000"])
def test_from_text_of_no_amount_of_this_currency_is_refused(text: str) -> None:
    with pytest.raises(AmountNotRepresentable):
        from_text(text, "RUB")
