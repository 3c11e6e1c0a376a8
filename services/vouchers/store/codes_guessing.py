"""Misses in the database: read before codes are looked at, written when some were unknown."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID
from weakref import WeakValueDictionary

from services.runtime.database import Connection, Pool, in_transaction
from services.runtime.errors import ServiceError
from services.vouchers.domain.code_guessing import Guesses, GuessLimit
from services.vouchers.domain.vouchers import VoucherReference
from services.vouchers.errors.codes import TooManyAttempts
from services.vouchers.store.statements import columns, queries


class Turns:
    """Lets one request of each customer through at a time; those of different customers do not wait for each other."""

    def __init__(self) -> None:
        # Of customers that nobody waits for any more nothing is kept.
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, customer_id: UUID) -> AsyncIterator[None]:
        """This customer's turn."""
        lock = self._locks.get(customer_id)
        if lock is None:
            lock = self._locks[customer_id] = asyncio.Lock()
        async with lock:
            yield


async def load_guesses(
    connection: Connection, limit: GuessLimit, customer_ids: Collection[UUID], now: datetime
) -> Guesses:
    """The customers' misses that still count; nothing is asked for when nobody offers a code."""
    guesses = Guesses(limit)
    if limit.misses_max and customer_ids:
        for record in await queries.load_misses(connection, list(customer_ids), now - limit.window):
            guesses.misses.setdefault(record["customer_id"], {})[record["code_digest"]] = record["missed_at"]
    return guesses


async def lock_guessers(connection: Connection, limit: GuessLimit, customer_ids: Collection[UUID]) -> None:
    """Lets nobody else count misses of these customers until the transaction ends."""
    if limit.misses_max and customer_ids:
        await queries.lock_guessers(connection, list(customer_ids))


async def write_misses(connection: Connection, guesses: Guesses) -> None:
    """Stores those that are new."""
    rows = [(miss.customer_id, miss.code_digest, miss.missed_at) for miss in guesses.made]
    if rows:
        await queries.note_misses(connection, *columns(rows))


async def count_misses(
    pool: Pool,
    limit: GuessLimit,
    customer_id: UUID,
    offered: Sequence[VoucherReference],
    known: Collection[VoucherReference],
    now: datetime,
) -> None:
    """Counts what a read found unknown, in a transaction of its own. Raises TOO_MANY_ATTEMPTS once that is stored."""

    async def work(connection: Connection) -> ServiceError | None:
        await lock_guessers(connection, limit, [customer_id])
        guesses = await load_guesses(connection, limit, [customer_id], now)
        refusal = _refusal(guesses, customer_id, offered, known, now)
        await write_misses(connection, guesses)
        return refusal

    refusal = await in_transaction(pool, work)
    if refusal is not None:
        raise refusal


def _refusal(
    guesses: Guesses,
    customer_id: UUID,
    offered: Sequence[VoucherReference],
    known: Collection[VoucherReference],
    now: datetime,
) -> TooManyAttempts | None:
    try:
        guesses.count(customer_id, offered, known, now)
    except TooManyAttempts as refusal:
        return refusal
    return None
