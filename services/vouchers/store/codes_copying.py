"""Rows of generated codes for COPY in its binary format, built for thousands at once.

All rows of a batch have the same length and differ in 26 of their bytes or so: one row is repeated, then those bytes
are laid over all rows at once, place by place. Row by row it would take as long as the database's own work.
"""

import struct
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

from services.runtime.database import Connection
from services.vouchers.domain.code_batches import CodeBatch
from services.vouchers.domain.codes import RANDOM_LENGTH, generate_codes

# So many random bytes, fit for secrets.
RandomBytes = Callable[[int], bytes]

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_NULL = struct.pack(">i", -1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MICROSECOND = timedelta(microseconds=1)

_COLUMNS = ("voucher_id", "code_normal", "campaign_id", "batch_id", "created_at", "uses_max")
# Number of columns, then the length of the first value, its id.
_ID_AT = 6
_ID_LENGTH = 16
_CODE_AT = _ID_AT + _ID_LENGTH + 4
# An id is a UUIDv7: the batch's time, its number within the batch, then chance.
_TIME_LENGTH = 6
_NUMBER_LENGTH = 4
_CHANCE_LENGTH = _ID_LENGTH - _TIME_LENGTH - _NUMBER_LENGTH


async def copy_codes(connection: Connection, batch: CodeBatch, count: int, random_bytes: RandomBytes) -> None:
    """Adds so many codes to a batch, under ids that follow those made before."""
    rows = generated_rows(batch, count, random_bytes)

    async def once() -> AsyncIterator[bytes]:
        yield _HEADER + rows + _TRAILER

    await connection.copy_to_table("vouchers", source=once(), columns=list(_COLUMNS), format="binary")


def generated_rows(batch: CodeBatch, count: int, random_bytes: RandomBytes) -> bytes:
    """The rows of so many codes, the first of which has the number `batch.made`."""
    assert batch.format is not None
    codes = generate_codes(batch.format.prefix_normal, random_bytes(RANDOM_LENGTH * count))
    code_length = len(codes) // count
    row = _blank_row(batch, code_length)
    rows = bytearray(row * count)
    _lay_over(rows, len(row), _ID_AT + _TIME_LENGTH, _numbers(batch.made, count), _NUMBER_LENGTH)
    chance = random_bytes(_CHANCE_LENGTH * count)
    _lay_over(rows, len(row), _ID_AT + _TIME_LENGTH + _NUMBER_LENGTH, chance, _CHANCE_LENGTH)
    _lay_over(rows, len(row), _CODE_AT, codes, code_length)
    return bytes(rows)


def _blank_row(batch: CodeBatch, code_length: int) -> bytes:
    """A row with everything that the codes of a batch share, and zeros where they differ."""
    made_at = (batch.created_at - _UNIX_EPOCH) // _MILLISECOND
    voucher_id = made_at.to_bytes(_TIME_LENGTH) + bytes(_ID_LENGTH - _TIME_LENGTH)
    values = (voucher_id, bytes(code_length), batch.campaign_id.bytes, batch.batch_id.bytes)
    created_at = struct.pack(">q", (batch.created_at - _EPOCH) // _MICROSECOND)
    uses_max = _NULL if batch.uses_max is None else _value(struct.pack(">q", batch.uses_max))
    return struct.pack(">h", len(_COLUMNS)) + b"".join(map(_value, (*values, created_at))) + uses_max


def _numbers(first: int, count: int) -> bytes:
    """The middle of the ids: version 7, 12 bits of the number, variant 2, the number's other 12 bits, and two zeros."""
    words = [0x7000_8000 | number >> 12 << 16 | (number & 0xFFF) << 2 for number in range(first, first + count)]
    return struct.pack(f">{count}I", *words)


def _lay_over(rows: bytearray, row_length: int, at: int, values: bytes, length: int) -> None:
    """Writes one value of so many bytes into each row."""
    for place in range(length):
        rows[at + place :: row_length] = values[place::length]


def _value(content: bytes) -> bytes:
    return struct.pack(">i", len(content)) + content
