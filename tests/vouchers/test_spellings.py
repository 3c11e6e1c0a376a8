"""How codes are spelled, and what may be shown of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.vouchers.domain.vouchers import mask_code, normalise_code


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
