"""The sums of all accounts, over all books."""

from collections.abc import Iterable
from typing import NamedTuple

from services.ledger.domain.entry import INT64_MAX, INT64_MIN
from services.ledger.errors import AmountOutOfRange


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


def require_in_range(rows: Iterable[TrialBalanceRow], totals: Iterable[TrialBalanceTotal]) -> None:
    """Each account's sums are in the range of 64-bit integers, theirs over all books need not be.

    Raises AMOUNT_OUT_OF_RANGE.
    """
    sums = [(row.account, minor) for row in rows for minor in (row.posted_minor, row.held_minor)]
    sums += [("total", minor) for total in totals for minor in (total.debit_minor, total.credit_minor)]
    for account, minor in sums:
        if not INT64_MIN <= minor <= INT64_MAX:
            raise AmountOutOfRange(account=account)


def totals_of(rows: Iterable[TrialBalanceRow]) -> list[TrialBalanceTotal]:
    """The totals by currency."""
    sums: dict[str, tuple[int, int]] = {}
    for row in rows:
        debit_minor, credit_minor = sums.get(row.currency, (0, 0))
        sums[row.currency] = debit_minor - min(row.posted_minor, 0), credit_minor + max(row.posted_minor, 0)
    return [TrialBalanceTotal(currency, *both) for currency, both in sorted(sums.items())]
