"""How amounts are written, for people and for some providers. Reckoning never needs this: it is in minor units."""

# ISO 4217: currencies whose minor unit is not a hundredth.
_DECIMALS = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(),
        0,
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}
_DECIMALS_USUAL = 2


def decimals_of(currency: str) -> int:
    """How many decimals an amount of this currency is written with, 0 to 4 (ISO 4217)."""
    return _DECIMALS.get(currency, _DECIMALS_USUAL)


def written_amount(amount_minor: int, currency: str) -> str:
    """An amount of minor units as people write it: `50.000 OMR`, `50 JPY`, `-0.05 EUR`."""
    decimals = decimals_of(currency)
    sign = "-" if amount_minor < 0 else ""
    whole, fraction = divmod(abs(amount_minor), 10**decimals)
    return f"{sign}{whole}.{fraction:0{decimals}} {currency}" if decimals else f"{sign}{whole} {currency}"
