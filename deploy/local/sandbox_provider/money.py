"""Amounts as a customer reads them."""

# ISO 4217; all others have two.
_WITHOUT_DECIMALS = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split())
_WITH_THREE_DECIMALS = frozenset("BHD IQD JOD KWD LYD OMR TND".split())


def decimals_of(currency: str) -> int:
    """How many decimals the currency has."""
    if currency in _WITHOUT_DECIMALS:
        return 0
    return 3 if currency in _WITH_THREE_DECIMALS else 2


def format_amount(amount_minor: int, currency: str) -> str:
    """An amount in minor units as text: 10000 OMR is "10.000 OMR", 1234567 JPY is "1,234,567 JPY"."""
    decimals = decimals_of(currency)
    whole, fraction = divmod(abs(amount_minor), 10**decimals)
    sign = "-" if amount_minor < 0 else ""
    point = f".{fraction:0{decimals}}" if decimals else ""
    return f"{sign}{whole:,}{point} {currency}"
