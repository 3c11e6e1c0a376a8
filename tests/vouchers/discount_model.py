"""Discounts worked out one piece and one minor unit at a time, with fractions: nothing of the service's arithmetic."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from math import floor

# What was left of a line, its pieces, and its role: 1 discounted, 2 bought, 3 both.
Line = tuple[int, int, int]


def expected_shares(amount_minor: int, line_amounts: Sequence[int]) -> list[int]:
    """Largest remainder, worked out with fractions; of equal remainders the earlier line comes first."""
    subtotal = sum(line_amounts)
    discount = min(amount_minor, subtotal)
    exact = [Fraction(discount * line_amount, subtotal or 1) for line_amount in line_amounts]
    shares = [floor(share) for share in exact]
    while sum(shares) < discount:
        shares[max(range(len(shares)), key=lambda index: (exact[index] - shares[index], -index))] += 1
    return shares


def expected_discount(effect: str, parameters: Mapping[str, int], lines: Sequence[Line]) -> list[int]:
    """The shares of a discount over lines with so much left."""
    discounted = [amount if role & 1 else 0 for amount, _, role in lines]
    match effect:
        case "amount_off":
            return expected_shares(parameters["amount_minor"], discounted)
        case "percent_off":
            return _percentage(parameters, discounted)
        case "free_item":
            return _cheapest(lines, parameters["pieces_max"])
        case "cheapest_free":
            return _cheapest(lines, parameters["pieces"])
        case "buy_get":
            return _percentage(parameters, _got(parameters, lines))
    raise AssertionError(effect)


def pieces_of(lines: Sequence[Line]) -> list[tuple[int, int]]:
    """Price and line of every discounted piece; the dearer pieces of a line that does not divide come last."""
    pieces = []
    for index, (amount, quantity, role) in enumerate(lines):
        prices = [amount // quantity] * quantity
        for extra in range(amount % quantity):
            prices[quantity - 1 - extra] += 1
        pieces += [(price, index) for price in prices if role & 1]
    return sorted(pieces)


def most_repetitions(parameters: Mapping[str, int], lines: Sequence[Line]) -> int:
    """By trying: so many pieces bought and so many others got, each piece one of the two."""
    count = {role: sum(quantity for _, quantity, own in lines if own == role) for role in (1, 2, 3)}
    times = 0
    while parameters["times_max"] in (0, *range(times + 1, times + 100_000)):
        bought, got = (times + 1) * parameters["buy_pieces"], (times + 1) * parameters["get_pieces"]
        if not any(bought <= count[2] + both and got <= count[1] + count[3] - both for both in range(count[3] + 1)):
            return times
        times += 1
    return times


def _percentage(parameters: Mapping[str, int], parts: Sequence[int]) -> list[int]:
    off = floor(Fraction(sum(parts) * parameters["basis_points"], 10_000))
    ceiling = parameters.get("ceiling_minor", 0)
    return expected_shares(min(off, ceiling) if ceiling else off, parts)


def _cheapest(lines: Sequence[Line], number: int) -> list[int]:
    shares = [0] * len(lines)
    for price, index in pieces_of(lines)[:number]:
        shares[index] += price
    return shares


def _got(parameters: Mapping[str, int], lines: Sequence[Line]) -> list[int]:
    """Of all choices of so many pieces that leave enough to be bought, a cheapest one; the earliest lines of those."""
    times = most_repetitions(parameters, lines)
    number, bought = times * parameters["get_pieces"], times * parameters["buy_pieces"]
    only_bought = sum(quantity for _, quantity, role in lines if role == 2)
    both = sum(quantity for _, quantity, role in lines if role == 3)
    pieces = pieces_of(lines)
    choices = [
        choice
        for choice in combinations(range(len(pieces)), number)
        if both - sum(lines[pieces[at][1]][2] == 3 for at in choice) + only_bought >= bought
    ]
    best = min(choices, key=lambda choice: (sum(pieces[at][0] for at in choice), choice))
    shares = [0] * len(lines)
    for at in best:
        shares[pieces[at][1]] += pieces[at][0]
    return shares
