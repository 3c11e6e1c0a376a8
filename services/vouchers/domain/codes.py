"""How codes are written: the one form of all spellings, and codes that nobody can guess.

A generated code has 18 symbols after its batch's prefix: 17 drawn at random, 85 bits, and a check symbol. The symbols
are the digits and the letters without I, L, O and U, which are read as 1, 1, 0 and V; so every letter and digit stands
for a value from 0 to 31. The check symbol makes the sum of all values, each times its own power of a primitive element
of the field with 32 elements, zero: one wrong symbol, or any two that changed places, and it is zero no more, because
31 places have 31 different powers. That is why no code with a check symbol is longer than 31.
"""

import re
from typing import NamedTuple

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Symbols drawn at random, and with the check symbol.
RANDOM_LENGTH = 17
BODY_LENGTH = RANDOM_LENGTH + 1
CHECKED_LENGTH_MAX = 31
PREFIX_LENGTH_MAX = 12

_SEPARATORS = re.compile(r"[^A-Za-z0-9]")
_READ_ALIKE = str.maketrans("ILOU", "110V")
_VALUES = {symbol: value for value, symbol in enumerate(ALPHABET)}
# Each value times the primitive element: shifted, and reduced by x^5 + x^2 + 1.
_TIMES = bytes((value << 1) ^ (0b100101 if value & 16 else 0) for value in range(32))
# For bytes.translate, which takes tables of 256: any byte to the value of its lower five bits, a value to its symbol.
_DRAWN = bytes(byte & 31 for byte in range(256))
_TIMES_TABLE = _TIMES.ljust(256, b"\0")
_SYMBOLS_TABLE = ALPHABET.encode().ljust(256, b"\0")


class CodeFormat(NamedTuple):
    """How the codes of a batch are printed: WALK-7K3MQ9-TXW2PD-4HRNC8 has prefix WALK, groups of 6 and a dash between.

    prefix: capitals and digits, up to 12, or none. group_length: 0 for no groups. separator: one character or none.
    """

    prefix: str
    group_length: int
    separator: str

    @property
    def prefix_normal(self) -> str:
        """What the codes' normal form begins with."""
        return _read_alike(self.prefix)

    def printed(self, code_normal: str) -> str:
        """A code of the batch as it is printed, from its normal form."""
        body = code_normal[-BODY_LENGTH:]
        size = self.group_length or BODY_LENGTH
        groups = [body[begin : begin + size] for begin in range(0, BODY_LENGTH, size)]
        return self.separator.join([self.prefix, *groups] if self.prefix else groups)


def normalise_code(code: str) -> str:
    """The one form of all spellings of a code: its letters in capitals and its digits, nothing else.

    What has a right check symbol once letters are read like the digits that they look like, is written with the digits.
    """
    normal = _SEPARATORS.sub("", code).upper()
    alike = _read_alike(normal)
    return alike if has_right_check(alike) else normal


def has_right_check(code_normal: str) -> bool:
    """Whether it is as long as generated codes are and its check symbol is right."""
    return _is_checked_length(code_normal) and _weighted(_read_alike(code_normal)) == 0


def is_mistyped(code_normal: str) -> bool:
    """Whether it is as long as generated codes are and its check symbol is wrong.

    Says something of codes that nobody has: one made by hand may be as long.
    """
    return _is_checked_length(code_normal) and not has_right_check(code_normal)


def generate_codes(prefix_normal: str, drawn: bytes) -> bytes:
    """Codes in normal form, one behind the other without anything between; all have the same length.

    drawn: 17 random bytes for each code. Worked out for all codes at once, place by place: a hundred times as fast as
    code by code.
    """
    count = len(drawn) // RANDOM_LENGTH
    length = len(prefix_normal) + BODY_LENGTH
    codes = bytearray(count * length)
    for place, symbol in enumerate(prefix_normal):
        codes[place::length] = symbol.encode() * count
    sums = bytes([_weighted(prefix_normal)]) * count
    for number in range(RANDOM_LENGTH):
        values = drawn[number * count : (number + 1) * count].translate(_DRAWN)
        codes[len(prefix_normal) + number :: length] = values.translate(_SYMBOLS_TABLE)
        sums = _added(sums.translate(_TIMES_TABLE), values)
    codes[length - 1 :: length] = sums.translate(_TIMES_TABLE).translate(_SYMBOLS_TABLE)
    return bytes(codes)


def _is_checked_length(code_normal: str) -> bool:
    return BODY_LENGTH <= len(code_normal) <= CHECKED_LENGTH_MAX


def _read_alike(text: str) -> str:
    return text.translate(_READ_ALIKE)


def _weighted(symbols: str) -> int:
    """Sum of the values, the last one times 1, each one before times a power more."""
    total = 0
    for symbol in symbols:
        total = _TIMES[total] ^ _VALUES[symbol]
    return total


def _added(left: bytes, right: bytes) -> bytes:
    """Place by place; adding is exclusive or."""
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))
