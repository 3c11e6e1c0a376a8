"""Seals: SHA-256 over finished ranges of a book's transfers, each over the seal before it too.

A range is finished as soon as it is visible. The book's row is locked from the moment at which a group takes its
sequence numbers to its commit, so transfers become visible in the order of their numbers, without gaps; whoever sees
number n sees all below n, and no transaction that is still open can add one. Transfers are never changed, so what was
read for a seal is what will be there for ever.

What is hashed, all integers big-endian and signed, times in microseconds since 1970 UTC:

    seal      previous seal's hash (32 bytes; for a book's first: SHA-256 of b"quittance.ledger.seal.v1"),
              book_id (2), from_seq (8), to_seq (8), then the transfers in order
    transfer  book_id (2), seq (8), transaction_id (16), debit_account_id, credit_account_id, amount_minor,
              debit_posted_minor, debit_held_minor, credit_posted_minor, credit_held_minor (8 each), created_at (8),
              target_seq (8; 0: none), expires_at (8; 0: never), kind and reason (each its length in bytes, 2, and
              its UTF-8), then 1 (1) and the command whose first transfer it is, or 0 (1)
    command   owner_id (16), then kind, currency, fingerprint and metadata (each its length in bytes, 4, and its bytes;
              metadata as JSON in ASCII without spaces, keys in order; none: null)

What a seal leaves out is what changes later (the states of commands, holds and grants, what was captured, refunded or
expired of them: verification compares these with the transfers) and commands that moved nothing.
"""

import hashlib
import json
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

FIRST_PREVIOUS = hashlib.sha256(b"quittance.ledger.seal.v1").digest()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HEADER = struct.Struct(">hqq")
_TRANSFER = struct.Struct(">hq16s10qH")
_LENGTH = struct.Struct(">H")
_LONG_LENGTH = struct.Struct(">I")


class StoredTransfer(NamedTuple):
    """A transfer's row as it is read for proof: the words and values that are stored, whatever the rules make of them.

    Amounts and sums in minor units; sums are those after it. expires_at: of a transaction's hold, None is never. From
    command_kind on: of the command whose first transfer it is, None for all others.
    """

    book_id: int
    seq: int
    transaction_id: UUID
    kind: str
    debit_account_id: int
    credit_account_id: int
    amount_minor: int
    debit_posted_minor: int
    debit_held_minor: int
    credit_posted_minor: int
    credit_held_minor: int
    target_seq: int | None
    reason: str
    created_at: datetime
    expires_at: datetime | None = None
    command_kind: str | None = None
    owner_id: UUID | None = None
    currency: str | None = None
    fingerprint: bytes | None = None
    metadata: object = None


@dataclass(frozen=True, slots=True)
class Seal:
    """One seal; `previous_sha256` is the hash of the book's seal before it."""

    book_id: int
    from_seq: int
    to_seq: int
    sha256: bytes
    previous_sha256: bytes


class SealHash:
    """The hash of one seal in the making."""

    def __init__(self, book_id: int, from_seq: int, to_seq: int, previous_sha256: bytes) -> None:
        self._hash = hashlib.sha256(previous_sha256 + _HEADER.pack(book_id, from_seq, to_seq))

    def add(self, transfer: StoredTransfer) -> None:
        """The next transfer of the range."""
        self._hash.update(canonical_bytes(transfer))

    def digest(self) -> bytes:
        """The seal's hash, when all transfers were added."""
        return self._hash.digest()


def canonical_bytes(transfer: StoredTransfer) -> bytes:
    """The transfer as it is hashed: part of what was sealed, so it may never change."""
    kind, reason = transfer.kind.encode(), transfer.reason.encode()
    return b"".join(
        (
            _TRANSFER.pack(
                transfer.book_id,
                transfer.seq,
                transfer.transaction_id.bytes,
                transfer.debit_account_id,
                transfer.credit_account_id,
                transfer.amount_minor,
                transfer.debit_posted_minor,
                transfer.debit_held_minor,
                transfer.credit_posted_minor,
                transfer.credit_held_minor,
                _microseconds(transfer.created_at),
                transfer.target_seq or 0,
                0 if transfer.expires_at is None else _microseconds(transfer.expires_at),
                len(kind),
            ),
            kind,
            _LENGTH.pack(len(reason)),
            reason,
            b"\0" if transfer.owner_id is None else _command_bytes(transfer, transfer.owner_id),
        )
    )


def _command_bytes(transfer: StoredTransfer, owner_id: UUID) -> bytes:
    kind, currency = transfer.command_kind or "", transfer.currency or ""
    metadata = "null"
    if transfer.metadata is not None:
        metadata = json.dumps(transfer.metadata, sort_keys=True, separators=(",", ":"))
    parts = (kind.encode(), currency.encode(), transfer.fingerprint or b"", metadata.encode())
    return b"\1" + owner_id.bytes + b"".join([_LONG_LENGTH.pack(len(part)) + part for part in parts])


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
