"""Finds what expires by itself: holds of wallets and of transactions, and grants."""

import enum
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from services.ledger.domain.commands import ExpireGrant, ExpireHold, ExpireTransfer, Target
from services.ledger.store.statements import columns, queries
from services.runtime.database import Connection, Record

ExpiryCommand = ExpireHold | ExpireTransfer | ExpireGrant

_BEGINNING = datetime.min.replace(tzinfo=UTC)


class Expiring(enum.StrEnum):
    """What expires."""

    HOLD = "hold"
    TRANSFER = "transfer"
    GRANT = "grant"


class Place(NamedTuple):
    """Where in the order of expiry of one book something stands; the id is a transfer's sequence, or a UUID."""

    book_id: int
    expires_at: datetime
    id: UUID | int


class Due(NamedTuple):
    """Something whose time has come, and the command that ends it."""

    place: Place
    command: ExpiryCommand


_FIRST_IDS: dict[Expiring, UUID | int] = {
    Expiring.HOLD: UUID(int=0),
    Expiring.TRANSFER: 0,
    Expiring.GRANT: UUID(int=0),
}
_FIND = {
    Expiring.HOLD: queries.find_expired_holds,
    Expiring.TRANSFER: queries.find_expired_transfers,
    Expiring.GRANT: queries.find_expired_grants,
}


def first_places(what: Expiring, book_ids: Iterable[int]) -> list[Place]:
    """Before everything that expires, in each book."""
    return [Place(book_id, _BEGINNING, _FIRST_IDS[what]) for book_id in book_ids]


async def find_due(connection: Connection, what: Expiring, after: Sequence[Place], count_max: int) -> list[Due]:
    """What comes next behind a place in each book whose time has come, book by book; of each at most so many."""
    records = await _FIND[what](connection, *columns(after), count_max)
    return [Due(Place(*tuple(record)[: len(Place._fields)]), _command(what, record)) for record in records]


def _command(what: Expiring, record: Record) -> ExpiryCommand:
    book_id, owner_id, currency = record["book_id"], record["owner_id"], record["currency"]
    if what is Expiring.HOLD:
        return ExpireHold(book_id=book_id, owner_id=owner_id, currency=currency, hold_id=record["id"])
    if what is Expiring.GRANT:
        return ExpireGrant(book_id=book_id, owner_id=owner_id, currency=currency, grant_id=record["id"])
    target = Target(record["transaction_id"], record["position"])
    return ExpireTransfer(book_id=book_id, owner_id=owner_id, currency=currency, target=target)
