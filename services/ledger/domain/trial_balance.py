"""The sums of all accounts, over all books."""

from collections.abc import Iterable
from typing import NamedTuple


class TrialBalanceRow(NamedTuple):
    """One account code's sums over all books, in minor units; all grants of customers are one code, `grant:`."""

    currency: str
    account: str
    posted_minor: int
    held_minor: int
    accounts: int


class TrialBalanceTotal(NamedTuple):
    """One currency's sums of what is below zero, without its sign, and of what is above; equal in a sound ledger."""

    currency: str
    debit_minor: int
    credit_minor: int


def totals_of(rows: Iterable[TrialBalanceRow]) -> list[TrialBalanceTotal]:
    """The totals by currency."""
    sums: dict[str, tuple[int, int]] = {}
    for row in rows:
        debit_minor, credit_minor = sums.get(row.currency, (0, 0))
        sums[row.currency] = debit_minor - min(row.posted_minor, 0), credit_minor + max(row.posted_minor, 0)
    return [TrialBalanceTotal(currency, *both) for currency, both in sorted(sums.items())]
