"""The arithmetic of discounts: pure functions of an effect's numbers and of the lines as they were left.

Every effect says on what part of each line it works, and what is taken off all these parts together; that is spread
over the parts in proportion, exact to the minor unit.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from services.vouchers.domain.effects import BASIS_POINTS_ALL, Parameters
from services.vouchers.domain.kinds import EffectKind
from services.vouchers.domain.redemptions import BOTH, BOUGHT, DISCOUNTED, Benefit, DiscountLine

Lines = Sequence[DiscountLine]


def discount_shares(effect: EffectKind, parameters: Parameters, lines: Lines) -> list[int]:
    """What the effect takes off each line, in minor units; each share at most what was left of its line."""
    parts = _PARTS[effect](parameters, lines)
    return spread(_TOTALS[effect](parameters, sum(parts)), parts)


def recompute(benefit: Benefit) -> list[int]:
    """The shares of a stored discount, from its stored inputs alone; none for a credit."""
    if benefit.credit is not None:
        return []
    return discount_shares(benefit.effect, benefit.parameters, [line.line for line in benefit.lines])


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


def missing_pieces(effect: EffectKind, parameters: Parameters, lines: Lines) -> tuple[int, int] | None:
    """How many pieces there are of those that the effect lacks, and how many it needs; None when it lacks none."""
    if effect is EffectKind.CHEAPEST_FREE:
        pieces, pieces_min = _pieces(lines, DISCOUNTED, BOTH), parameters["pieces_min"]
        return (pieces, pieces_min) if pieces < pieces_min else None
    if effect is not EffectKind.BUY_GET or _repetitions(parameters, lines) > 0:
        return None
    only_bought, both = _pieces(lines, BOUGHT), _pieces(lines, BOTH)
    if only_bought + both < parameters["buy_pieces"]:
        return only_bought + both, parameters["buy_pieces"]
    used_up = max(parameters["buy_pieces"] - only_bought, 0)
    return _pieces(lines, DISCOUNTED) + both - used_up, parameters["get_pieces"]


def _whole_lines(_: Parameters, lines: Lines) -> list[int]:
    return [line.amount_minor if line.role & DISCOUNTED else 0 for line in lines]


def _free_pieces(parameters: Parameters, lines: Lines) -> list[int]:
    return _cheapest(lines, parameters["pieces_max"])


def _cheapest_pieces(parameters: Parameters, lines: Lines) -> list[int]:
    return _cheapest(lines, parameters["pieces"])


def _pieces_got(parameters: Parameters, lines: Lines) -> list[int]:
    """The cheapest that can be got: what is bought has to be left over among the pieces that could be either."""
    times = _repetitions(parameters, lines)
    bought_of_both = max(times * parameters["buy_pieces"] - _pieces(lines, BOUGHT), 0)
    return _cheapest(lines, times * parameters["get_pieces"], _pieces(lines, BOTH) - bought_of_both)


def _repetitions(parameters: Parameters, lines: Lines) -> int:
    """How often so many pieces can be bought and so many others got."""
    only_bought, only_got = _pieces(lines, BOUGHT), _pieces(lines, DISCOUNTED)
    both, buy, get = _pieces(lines, BOTH), parameters["buy_pieces"], parameters["get_pieces"]

    def too_often(times: int) -> bool:
        return max(times * buy - only_bought, 0) + max(times * get - only_got, 0) > both

    possible = (only_bought + only_got + both) // (buy + get)
    times_max = min(possible, parameters["times_max"] or possible)
    return bisect_right(range(1, times_max + 1), False, key=too_often)


def _pieces(lines: Lines, *roles: int) -> int:
    return sum(line.quantity for line in lines if line.role in roles)


def _cheapest(lines: Lines, pieces: int, both_max: int | None = None) -> list[int]:
    """What the cheapest so many discounted pieces cost, by line; of equal prices those of the earlier line come first.

    At most `both_max` of them from lines that are bought as well.
    """
    amounts = [0] * len(lines)
    for price_minor, index, count in sorted(_piece_prices(lines)):
        taken = min(count, pieces)
        if both_max is not None and lines[index].role == BOTH:
            taken = min(taken, both_max)
            both_max -= taken
        amounts[index] += taken * price_minor
        pieces -= taken
    return amounts


def _piece_prices(lines: Lines) -> Iterator[tuple[int, int, int]]:
    """Price, line and number of the discounted pieces.

    When what is left of a line is not divisible by its pieces, the remainder makes that many of them one unit dearer.
    """
    for index, line in enumerate(lines):
        if line.role & DISCOUNTED:
            price_minor, dearer = divmod(line.amount_minor, line.quantity)
            yield price_minor, index, line.quantity - dearer
            yield price_minor + 1, index, dearer


def _fixed_amount(parameters: Parameters, total_minor: int) -> int:
    return min(parameters["amount_minor"], total_minor)


def _percentage(parameters: Parameters, total_minor: int) -> int:
    """Rounded down."""
    off_minor = total_minor * parameters["basis_points"] // BASIS_POINTS_ALL
    return min(off_minor, parameters.get("ceiling_minor") or off_minor)


def _all(_: Parameters, total_minor: int) -> int:
    return total_minor


# On what of each line an effect works.
_PARTS: dict[EffectKind, Callable[[Parameters, Lines], list[int]]] = {
    EffectKind.AMOUNT_OFF: _whole_lines,
    EffectKind.PERCENT_OFF: _whole_lines,
    EffectKind.FREE_ITEM: _free_pieces,
    EffectKind.CHEAPEST_FREE: _cheapest_pieces,
    EffectKind.BUY_GET: _pieces_got,
}
# What it takes off all of that together.
_TOTALS: dict[EffectKind, Callable[[Parameters, int], int]] = {
    EffectKind.AMOUNT_OFF: _fixed_amount,
    EffectKind.PERCENT_OFF: _percentage,
    EffectKind.FREE_ITEM: _all,
    EffectKind.CHEAPEST_FREE: _all,
    EffectKind.BUY_GET: _percentage,
}
