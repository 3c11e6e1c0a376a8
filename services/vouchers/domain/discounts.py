"""Discounts: an amount spread over the lines of an order, to the last minor unit."""

from collections.abc import Sequence


def spread(amount_minor: int, line_amounts: Sequence[int]) -> list[int]:
    """The share of each line in an amount off, at most their sum; the shares add up to it exactly.

    Rounding, by largest remainder: a line's exact share is the amount times the line over the sum. Each line gets it
    rounded down; the minor units then missing go one by one to the lines that lost the largest fraction, of equal
    ones to the earlier line. So no share exceeds its line or differs from the exact one by a whole unit.
    """
    total = sum(line_amounts)
    if total == 0:
        return [0] * len(line_amounts)
    amount = min(amount_minor, total)
    quotients = [divmod(amount * line_amount, total) for line_amount in line_amounts]
    shares = [share for share, _ in quotients]
    largest_first = sorted(range(len(shares)), key=lambda index: -quotients[index][1])
    for index in largest_first[: amount - sum(shares)]:
        shares[index] += 1
    return shares
