"""Rows for COPY in its binary format: one `pack` a row, where arrays for unnest cost a call for every value.

Used for the two tables that grow with every transaction, whose rows were most of what writing them cost.
"""

import json
import struct
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

from services.ledger.domain.records import CommandRecord
from services.ledger.domain.results import Transfer
from services.runtime.database import Connection

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_NULL = struct.pack(">i", -1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
# The version that the binary form of jsonb begins with.
_JSONB = b"\x01"

_TRANSFER_COLUMNS = (
    *("book_id", "seq", "transaction_id", "debit_account_id", "credit_account_id", "amount_minor"),
    *("debit_posted_minor", "debit_held_minor", "credit_posted_minor", "credit_held_minor", "created_at"),
    *("kind", "reason", "target_seq"),
)
_COMMAND_COLUMNS = (
    *("book_id", "command_id", "owner_id", "transfer_count", "created_at"),
    *("kind", "currency", "state", "reason", "first_seq", "fingerprint", "metadata"),
)
# Number of columns; then each value after its length: smallint h, integer i, bigint and time q, uuid 16s.
_TRANSFER = struct.Struct(">h ih iq i16s iq iq iq iq iq iq iq iq")
_COMMAND = struct.Struct(">h ih i16s i16s ii iq")
_BIGINT = struct.Struct(">iq")


async def copy_transfers(connection: Connection, transfers: Iterable[Transfer]) -> None:
    """Adds transfers."""
    parts = [_HEADER]
    for book_id, seq, made_by, kind, debit, credit, amount, *sums, reason, created_at, target_seq in transfers:
        debit_posted, debit_held, credit_posted, credit_held = sums
        parts.append(
            _TRANSFER.pack(
                *(14, 2, book_id, 8, seq, 16, made_by.bytes, 8, debit, 8, credit, 8, amount),
                *(8, debit_posted, 8, debit_held, 8, credit_posted, 8, credit_held, 8, _microseconds(created_at)),
            )
        )
        parts += (_texts(kind, reason), _bigint(target_seq))
    await _copy(connection, "transfers", _TRANSFER_COLUMNS, parts)


async def copy_commands(connection: Connection, commands: Iterable[CommandRecord]) -> None:
    """Adds commands."""
    parts = [_HEADER]
    for each in commands:
        parts.append(
            _COMMAND.pack(
                *(12, 2, each.book_id, 16, each.command_id.bytes, 16, each.owner_id.bytes),
                *(4, each.transfer_count, 8, _microseconds(each.created_at)),
            )
        )
        texts = _texts(each.kind, each.currency, each.state, each.reason)
        parts += (texts, _bigint(each.first_seq), _bytes(each.fingerprint), _json(each.metadata))
    await _copy(connection, "commands", _COMMAND_COLUMNS, parts)


async def _copy(connection: Connection, table: str, columns: Iterable[str], parts: list[bytes]) -> None:
    parts.append(_TRAILER)

    async def once() -> AsyncIterator[bytes]:
        yield b"".join(parts)

    await connection.copy_to_table(table, source=once(), columns=list(columns), format="binary")


@lru_cache(maxsize=10_000)
def _microseconds(moment: datetime) -> int:
    """How PostgreSQL counts time. All rows of one book in one group have the same."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


@lru_cache(maxsize=10_000)
def _texts(*texts: str | None) -> bytes:
    """Several columns; the same few come together again and again."""
    return b"".join([_bytes(None if text is None else text.encode()) for text in texts])


def _bytes(value: bytes | None) -> bytes:
    return _NULL if value is None else struct.pack(">i", len(value)) + value


def _bigint(value: int | None) -> bytes:
    return _NULL if value is None else _BIGINT.pack(8, value)


def _json(value: Mapping[str, str] | None) -> bytes:
    return _NULL if value is None else _bytes(_JSONB + json.dumps(value).encode())
