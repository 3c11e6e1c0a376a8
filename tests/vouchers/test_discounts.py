"""The pure arithmetic of discounts: shares that add up, pieces, percentages."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.vouchers.domain.discounts import discount_shares, missing_pieces, recompute, spread
from services.vouchers.domain.kinds import EffectKind
from services.vouchers.domain.redemptions import BOTH, BOUGHT, DISCOUNTED, Benefit, DiscountLine, LineDiscount
from tests.vouchers.discount_model import expected_discount, expected_shares, most_repetitions

AMOUNT_MAX = 10**15
amounts = st.one_of(st.integers(0, 50), st.integers(0, AMOUNT_MAX))
line_lists = st.lists(amounts, min_size=1, max_size=12)
roles = st.sampled_from([0, DISCOUNTED, DISCOUNTED, BOUGHT, BOTH, BOTH])
pieces = st.integers(1, 4)

EFFECTS: dict[EffectKind, st.SearchStrategy[dict[str, int]]] = {
    EffectKind.AMOUNT_OFF: st.fixed_dictionaries({"amount_minor": st.integers(1, AMOUNT_MAX)}),
    EffectKind.PERCENT_OFF: st.fixed_dictionaries(
        {"basis_points": st.integers(1, 10_000), "ceiling_minor": st.one_of(st.just(0), amounts)}
    ),
    EffectKind.FREE_ITEM: st.fixed_dictionaries({"pieces_max": pieces}),
    EffectKind.CHEAPEST_FREE: st.fixed_dictionaries({"pieces": pieces, "pieces_min": pieces}),
    EffectKind.BUY_GET: st.fixed_dictionaries(
        {
            "buy_pieces": pieces,
            "get_pieces": pieces,
            "basis_points": st.integers(1, 10_000),
            "times_max": st.integers(0, 3),
        }
    ),
}
effects = st.sampled_from(sorted(EFFECTS)).flatmap(lambda kind: st.tuples(st.just(kind), EFFECTS[kind]))


def line_strategy(quantity_max: int) -> st.SearchStrategy[DiscountLine]:
    return st.builds(DiscountLine, amounts, st.integers(1, quantity_max), roles)


@given(amounts, line_lists)
def test_spread_adds_up_exactly_and_never_exceeds_a_line(amount_minor: int, line_amounts: list[int]) -> None:
    """V6, V-5."""
    shares = spread(amount_minor, line_amounts)
    assert sum(shares) == min(amount_minor, sum(line_amounts))
    assert all(0 <= share <= line for share, line in zip(shares, line_amounts, strict=True))


@given(amounts, line_lists)
def test_spread_is_less_than_one_unit_from_the_exact_share(amount_minor: int, line_amounts: list[int]) -> None:
    subtotal = sum(line_amounts)
    discount = min(amount_minor, subtotal)
    for share, line in zip(spread(amount_minor, line_amounts), line_amounts, strict=True):
        assert abs(share * subtotal - discount * line) < max(subtotal, 1)


@given(amounts, line_lists)
def test_spread_is_what_the_checker_works_out_with_fractions(amount_minor: int, line_amounts: list[int]) -> None:
    """V-5: the checker of stored discounts does not use the service's function."""
    assert spread(amount_minor, line_amounts) == expected_shares(amount_minor, line_amounts)


@given(amounts, line_lists)
def test_spread_gives_a_larger_line_no_smaller_share(amount_minor: int, line_amounts: list[int]) -> None:
    shares = [share for _, share in sorted(zip(line_amounts, spread(amount_minor, line_amounts), strict=True))]
    assert shares == sorted(shares)


@pytest.mark.parametrize(
    ("amount_minor", "line_amounts", "shares"),
    [
        (10, [1, 1, 1], [1, 1, 1]),
        (2, [1, 1, 1], [1, 1, 0]),
        (100, [33_333, 33_333, 33_334], [33, 33, 34]),
        (1, [0, 5, 5], [0, 1, 0]),
        (7, [0, 0], [0, 0]),
        (0, [5], [0]),
    ],
)
def test_spread_examples(amount_minor: int, line_amounts: list[int], shares: list[int]) -> None:
    assert spread(amount_minor, line_amounts) == shares


@given(effects, st.lists(line_strategy(1_000_000), min_size=1, max_size=8))
def test_discount_of_any_effect_stays_within_what_is_left_of_its_lines(
    effect: tuple[EffectKind, dict[str, int]], lines: list[DiscountLine]
) -> None:
    """V-5: 0 <= discount <= subtotal; nothing off a line that has no part in it; the same again for the same."""
    kind, parameters = effect
    shares = discount_shares(kind, parameters, lines)
    assert all(0 <= share <= line.amount_minor for share, line in zip(shares, lines, strict=True))
    assert all(share == 0 for share, line in zip(shares, lines, strict=True) if not line.role & DISCOUNTED)
    assert discount_shares(kind, parameters, lines) == shares


@given(effects, st.lists(line_strategy(3), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_discount_of_any_effect_is_what_the_model_works_out_piece_by_piece(
    effect: tuple[EffectKind, dict[str, int]], lines: list[DiscountLine]
) -> None:
    """V-5, V7: by trying all choices of pieces, with fractions, and units handed out one by one."""
    kind, parameters = effect
    found, expected = discount_shares(kind, parameters, lines), expected_discount(kind, parameters, lines)
    if kind is EffectKind.BUY_GET:
        # Of two pieces with one price it makes no difference which one is got, but for the line that shows it.
        assert sum(found) == sum(expected)
    else:
        assert found == expected


@given(EFFECTS[EffectKind.BUY_GET], st.lists(line_strategy(4), min_size=1, max_size=5))
def test_missing_pieces_are_told_exactly_when_nothing_can_be_got(
    parameters: dict[str, int], lines: list[DiscountLine]
) -> None:
    missing = missing_pieces(EffectKind.BUY_GET, parameters, lines)
    assert (missing is None) == (most_repetitions(parameters, lines) > 0)
    if missing is not None:
        there, needed = missing
        assert there < needed


def line(amount_minor: int, quantity: int = 1, role: int = DISCOUNTED) -> DiscountLine:
    return DiscountLine(amount_minor, quantity, role)


@pytest.mark.parametrize(
    ("kind", "parameters", "lines", "shares"),
    [
        # A third of 100 for each piece: two cost 33, one costs 34, and the cheaper ones come first.
        ("free_item", {"pieces_max": 2}, [line(100, 3)], [66]),
        ("free_item", {"pieces_max": 3}, [line(100, 3)], [100]),
        ("free_item", {"pieces_max": 5}, [line(100, 3), line(5, 1, 0)], [100, 0]),
        ("cheapest_free", {"pieces": 1, "pieces_min": 3}, [line(900, 2), line(300)], [0, 300]),
        ("cheapest_free", {"pieces": 2, "pieces_min": 3}, [line(900, 2), line(300)], [450, 300]),
        ("percent_off", {"basis_points": 1_500, "ceiling_minor": 0}, [line(999)], [149]),
        ("percent_off", {"basis_points": 1_500, "ceiling_minor": 100}, [line(600), line(400)], [60, 40]),
        ("percent_off", {"basis_points": 10_000, "ceiling_minor": 0}, [line(7), line(3, 1, 0)], [7, 0]),
        # Three for two, twice; the two cheapest of seven.
        (
            "buy_get",
            {"buy_pieces": 2, "get_pieces": 1, "basis_points": 10_000, "times_max": 0},
            [line(500, 5, BOTH), line(120, 2, BOTH)],
            [0, 120],
        ),
        # Only once, at half its price.
        (
            "buy_get",
            {"buy_pieces": 2, "get_pieces": 1, "basis_points": 5_000, "times_max": 1},
            [line(500, 5, BOTH), line(120, 2, BOTH)],
            [0, 30],
        ),
        # Buy a walk, get a drink: the drink's line is none that counts as bought.
        (
            "buy_get",
            {"buy_pieces": 1, "get_pieces": 1, "basis_points": 10_000, "times_max": 0},
            [line(1_000, 1, BOUGHT), line(90, 3)],
            [0, 30],
        ),
        # The cheap piece has to be left over as bought, because the dear one cannot be.
        (
            "buy_get",
            {"buy_pieces": 1, "get_pieces": 1, "basis_points": 10_000, "times_max": 0},
            [line(10, 1, BOTH), line(1_000)],
            [0, 1_000],
        ),
    ],
)
def test_discount_examples(
    kind: str, parameters: Mapping[str, int], lines: list[DiscountLine], shares: list[int]
) -> None:
    """V7."""
    assert discount_shares(EffectKind(kind), parameters, lines) == shares


@given(effects, st.lists(line_strategy(5), min_size=1, max_size=5))
def test_recompute_gives_the_shares_again_from_what_is_stored(
    effect: tuple[EffectKind, dict[str, int]], lines: list[DiscountLine]
) -> None:
    """V-5."""
    kind, parameters = effect
    shares = discount_shares(kind, parameters, lines)
    stored = tuple(
        LineDiscount(number, one.amount_minor, share, one.quantity, one.role)
        for number, (one, share) in enumerate(zip(lines, shares, strict=True), start=1)
    )
    assert recompute(Benefit(kind, 1, parameters, sum(shares), stored)) == shares
