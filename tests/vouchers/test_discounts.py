"""The pure arithmetic: shares of a discount, spellings of codes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.vouchers.domain.discounts import spread
from services.vouchers.domain.vouchers import mask_code, normalise_code
from tests.vouchers.soundness import expected_shares

AMOUNT_MAX = 10**15
amounts = st.one_of(st.integers(0, 50), st.integers(0, AMOUNT_MAX))
line_lists = st.lists(amounts, min_size=1, max_size=12)


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


@given(st.text(max_size=64))
def test_mask_code_shows_at_most_a_third_and_four_characters(code: str) -> None:
    normal = normalise_code(code)
    shown = mask_code(code).replace("…", "")
    assert len(shown) <= min(4, len(normal) / 3)
    head, tail = mask_code(code).split("…")
    assert normal.startswith(head)
    assert normal.endswith(tail)


@pytest.mark.parametrize(
    ("code", "masked"), [("WALK-T38-2138", "WA…8"), ("WALK-T38X-2138", "WA…38"), ("A1B", "A…"), ("", "…")]
)
def test_mask_code_examples(code: str, masked: str) -> None:
    assert mask_code(code) == masked


@given(st.text("ABCxyz019-_ .ßıé", max_size=30))
def test_normalise_code_ignores_case_and_separators_and_nothing_else(code: str) -> None:
    normal = normalise_code(code)
    assert normal == normalise_code(normal) == normalise_code(code.swapcase()) or not code.isascii()
    assert all(character.isascii() and (character.isdigit() or character.isupper()) for character in normal)
