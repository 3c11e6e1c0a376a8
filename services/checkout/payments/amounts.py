"""Amounts in each provider's own form. Ours are whole minor units as ISO 4217 counts them."""

import re
from decimal import Decimal

from services.checkout.domain.currencies import decimals_of

# Stripe writes these with two decimals that are always zero, although the currencies have none.
# Source: docs.stripe.com/currencies, "Special cases".
_STRIPE_HUNDREDFOLD = frozenset({"ISK", "UGX"})
_THREE_DECIMALS = 3
_DECIMAL_NUMBER = re.compile("[0-9]{1,15}([.][0-9]{1,4})?")


class AmountNotRepresentable(ValueError):
    """The provider has no such amount."""


def to_stripe(amount_minor: int, currency: str) -> int:
    """Stripe's smallest unit. Raises AmountNotRepresentable: of three decimals the last one must be zero."""
    if currency in _STRIPE_HUNDREDFOLD:
        return amount_minor * 100
    if decimals_of(currency) == _THREE_DECIMALS and amount_minor % 10:
        raise AmountNotRepresentable(f"{amount_minor} {currency} does not end in 0")
    return amount_minor


def from_stripe(amount: int, currency: str) -> int:
    """Our minor units. Raises AmountNotRepresentable."""
    if currency not in _STRIPE_HUNDREDFOLD:
        return amount
    whole, rest = divmod(amount, 100)
    if rest:
        raise AmountNotRepresentable(f"{amount} of {currency} is no whole unit")
    return whole


def to_text(amount_minor: int, currency: str) -> str:
    """`100.00`: a decimal number with as many decimals as the currency has."""
    decimals = decimals_of(currency)
    whole, fraction = divmod(amount_minor, 10**decimals)
    return f"{whole}.{fraction:0{decimals}}" if decimals else str(whole)


def from_text(text: str, currency: str) -> int:
    """Our minor units of a decimal number. Raises AmountNotRepresentable: it is finer than the currency, or none."""
    if _DECIMAL_NUMBER.fullmatch(text) is None:
        raise AmountNotRepresentable("no amount")
    scaled = Decimal(text).scaleb(decimals_of(currency))
    if scaled != int(scaled):
        raise AmountNotRepresentable("finer than the currency's minor unit")
    return int(scaled)
