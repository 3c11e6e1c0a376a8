"""How codes are written: generated ones, all spellings of one, mistyped ones (V8)."""

import random
from itertools import combinations
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.vouchers.domain.code_imports import ImportedCode, KnownCode, import_codes
from services.vouchers.domain.codes import (
    ALPHABET,
    BODY_LENGTH,
    CHECKED_LENGTH_MAX,
    PREFIX_LENGTH_MAX,
    RANDOM_LENGTH,
    CodeFormat,
    generate_codes,
    has_right_check,
    is_mistyped,
    normalise_code,
)
from services.vouchers.domain.vouchers import VoucherReference, mask_code, unknown_voucher

ALL_SYMBOLS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LOOK_ALIKE = {"0": "0Oo", "1": "1IiLl", "V": "VvUu"}

prefixes = st.text(ALL_SYMBOLS, max_size=PREFIX_LENGTH_MAX)
formats = st.builds(CodeFormat, prefixes, st.integers(0, BODY_LENGTH), st.sampled_from(["", "-", ".", " "]))
drawn = st.binary(min_size=RANDOM_LENGTH, max_size=RANDOM_LENGTH)


def code_of(printed: CodeFormat, chance: bytes) -> str:
    """One generated code in normal form."""
    return generate_codes(printed.prefix_normal, chance).decode()


def spelled(dice: random.Random, printed: str) -> str:
    """As somebody types it who reads it from paper."""
    letters = [dice.choice(LOOK_ALIKE.get(symbol, symbol + symbol.lower())) for symbol in printed]
    return "".join(letter + dice.choice(["", "", " ", "-", "_"]) for letter in letters)


@given(formats, drawn, st.randoms(use_true_random=False))
def test_generated_code_is_found_under_every_spelling(printed: CodeFormat, chance: bytes, dice: random.Random) -> None:
    """V8: case, separators and letters that look like digits do not matter."""
    code = code_of(printed, chance)
    assert has_right_check(code)
    assert not is_mistyped(code)
    for text in (code, printed.printed(code), spelled(dice, printed.printed(code))):
        assert normalise_code(text) == code


@given(formats, drawn, st.data())
def test_one_wrong_symbol_is_never_a_code(printed: CodeFormat, chance: bytes, data: st.DataObject) -> None:
    code = code_of(printed, chance)
    place = data.draw(st.integers(0, len(code) - 1))
    symbol = data.draw(st.sampled_from(ALPHABET.replace(code[place], "")))
    assert is_mistyped(normalise_code(code[:place] + symbol + code[place + 1 :]))


@given(formats, drawn)
def test_two_symbols_that_changed_places_are_never_a_code(printed: CodeFormat, chance: bytes) -> None:
    """Adjacent ones, and all others as well."""
    code = code_of(printed, chance)
    for left, right in combinations(range(len(code)), 2):
        symbols = list(code)
        symbols[left], symbols[right] = symbols[right], symbols[left]
        if code[left] != code[right]:
            assert is_mistyped(normalise_code("".join(symbols)))


def test_codes_generated_at_once_are_those_generated_one_by_one(dice: random.Random) -> None:
    prefix, count = "WA1K", 50
    chance = dice.randbytes(RANDOM_LENGTH * count)
    together = generate_codes(prefix, chance).decode()
    length = len(prefix) + BODY_LENGTH
    one_by_one = [
        generate_codes(prefix, bytes(chance[place * count + number] for place in range(RANDOM_LENGTH))).decode()
        for number in range(count)
    ]
    assert [together[begin : begin + length] for begin in range(0, len(together), length)] == one_by_one


def test_every_symbol_is_drawn_from_five_bits_of_chance() -> None:
    """85 bits a code: each of the 17 places takes all 32 symbols, each from 8 of 256 bytes."""
    every_byte = bytes(range(256))
    for place in range(RANDOM_LENGTH):
        chance = bytes(256 * place) + every_byte + bytes(256 * (RANDOM_LENGTH - 1 - place))
        codes = generate_codes("", chance).decode()
        column = codes[place::BODY_LENGTH]
        assert {symbol: column.count(symbol) for symbol in set(column)} == dict.fromkeys(ALPHABET, 8)


def test_printed_code_has_no_letter_that_can_be_misread() -> None:
    assert set("ILOU").isdisjoint(ALPHABET)
    code = generate_codes("", bytes(range(RANDOM_LENGTH))).decode()
    assert CodeFormat("WALK", 6, "-").printed(code) == f"WALK-012345-6789AB-CDEFG{code[-1]}"
    assert CodeFormat("", 5, " ").printed(code) == f"01234 56789 ABCDE FG{code[-1]}"
    assert CodeFormat("X", 0, "").printed(code) == f"X{code}"


@given(st.text(ALL_SYMBOLS + "-", min_size=3, max_size=CHECKED_LENGTH_MAX + 5))
def test_code_made_by_hand_keeps_one_form(text: str) -> None:
    """Also one that is as long as a generated one: made and looked up in the same way, it is found."""
    normal = normalise_code(text)
    assert normalise_code(normal) == normalise_code(text.lower()) == normalise_code(f" {text}-") == normal
    if len(text.replace("-", "")) < BODY_LENGTH:
        assert normal == text.replace("-", "")
        assert not is_mistyped(normal)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("WALK-T38-2138", "VOUCHER_NOT_FOUND"),
        ("SEVENTEENLETTERSX", "VOUCHER_NOT_FOUND"),
        ("EIGHTEENLETTERSXYZ", "CODE_MISTYPED"),
        ("000000000000000000", "VOUCHER_NOT_FOUND"),
        ("X" * (CHECKED_LENGTH_MAX + 1), "VOUCHER_NOT_FOUND"),
    ],
)
def test_unknown_code_is_mistyped_only_where_it_could_have_been_generated(code: str, reason: str) -> None:
    """The form alone decides: 18 to 31 letters and digits with a wrong check symbol."""
    refusal = unknown_voucher(VoucherReference(normalise_code(code), None))
    assert refusal.reason == reason
    assert refusal.voucher == mask_code(code)


def test_unknown_id_is_not_found() -> None:
    assert unknown_voucher(VoucherReference(None, uuid4())).reason == "VOUCHER_NOT_FOUND"


def test_imported_codes_have_an_outcome_each() -> None:
    batch_id, other_id, here, there, fresh = (uuid4() for _ in range(5))
    known = {"HERE": KnownCode(here, batch_id), "THERE": KnownCode(there, other_id), "ALONE": KnownCode(there, None)}
    codes = ["new-1", "here", "T-HERE", "alone", "NEW 1", "-x-", "a-", "ab", "ä1b", "A" * 65]
    made = import_codes(batch_id, codes, known, iter([fresh]))
    assert [each if isinstance(each, ImportedCode) else each.reason for each in made.outcomes] == [
        ImportedCode(fresh, existed=False),
        ImportedCode(here, existed=True),
        "CODE_TAKEN",
        "CODE_TAKEN",
        ImportedCode(fresh, existed=True),
        *["INVALID_REQUEST"] * 5,
    ]
    assert [(new.voucher_id, new.code, new.code_normal) for new in made.new_codes] == [(fresh, "new-1", "NEW1")]
