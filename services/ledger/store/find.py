"""Finds transactions: by the condition that the fewest of them meet."""

from datetime import datetime, timedelta

from services.ledger.domain.searching import TransactionList
from services.ledger.store.statements import queries
from services.runtime.database import Connection, Record

# What the database's clock counts in.
_TICK = timedelta(microseconds=1)


async def find(connection: Connection, listed: TransactionList, below_seq: int, count_max: int) -> list[Record]:
    """Up to so many, newest first."""
    account_id = await _account_id(connection, listed)
    if listed.account_code and account_id is None:
        return []
    where = (listed.book_id, listed.currency, *await _between(connection, listed, below_seq), count_max)
    if listed.metadata_key:
        entry = (listed.metadata_key, listed.metadata_value)
        found = await queries.list_transactions_by_metadata(connection, *where, listed.reason, *entry, account_id)
    elif account_id is not None:
        found = await queries.list_transactions_by_account(connection, *where, listed.reason, account_id)
    elif listed.reason:
        found = await queries.list_transactions_by_reason(connection, *where, listed.reason)
    else:
        found = await queries.list_transactions(connection, *where)
    records: list[Record] = found
    return records


async def _account_id(connection: Connection, listed: TransactionList) -> int | None:
    if not listed.account_code:
        return None
    for record in await queries.find_account(connection, listed.book_id, listed.currency, listed.account_code):
        account_id: int = record["account_id"]
        return account_id
    return None


async def _between(connection: Connection, listed: TransactionList, below_seq: int) -> tuple[int, int]:
    """The first sequence of the list, and the one behind its last."""
    first, behind = 1, below_seq
    if listed.from_time is not None:
        first = await _first_from(connection, listed.book_id, listed.from_time)
    if listed.until_time is not None:
        behind = min(behind, await _first_from(connection, listed.book_id, listed.until_time))
    return first, behind


async def _first_from(connection: Connection, book_id: int, moment: datetime) -> int:
    """The first sequence at or after a moment, written or not."""
    last_before: int = (await queries.find_seq_at(connection, book_id, moment - _TICK))["seq"]
    return last_before + 1
