"""Reads of wallets: as they are, as they were, and what changed them. Running sums are read, never added up anew."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import accumulate
from uuid import UUID

from services.ledger.domain.kinds import CreditCategory, TransferKind
from services.ledger.domain.paging import Statement
from services.ledger.domain.results import GrantView
from services.ledger.domain.wallet import StatementEntry, StatementView, WalletView, wallet_of
from services.ledger.errors import TimeNotPast
from services.ledger.store.statements import queries
from services.runtime.database import Connection, Record

_BEGINNING = datetime.min.replace(tzinfo=UTC)


async def read_wallet(connection: Connection, book_id: int, owner_id: UUID, currency: str) -> WalletView:
    """The grants with something left, and their sums, at one moment."""
    records = await queries.read_wallet(connection, book_id, owner_id, currency)
    return wallet_of(_views(record for record in records if record["grant_id"] is not None), records[0]["now"])


async def read_wallet_at(
    connection: Connection, book_id: int, owner_id: UUID, currency: str, at: datetime
) -> WalletView:
    """The same as it was at a moment. Raises TIME_NOT_PAST."""
    seq, _ = await _seq_at(connection, book_id, at, "at_time")
    return wallet_of(_views(await queries.read_wallet_at(connection, book_id, owner_id, currency, at, seq)), at)


async def read_statement(connection: Connection, statement: Statement, page_token: str, size: int) -> StatementView:
    """One page, oldest entries first. Raises TIME_NOT_PAST, INVALID_PAGE_TOKEN."""
    book_id = statement.book_id
    from_seq, now = await _begin(connection, statement)
    after_seq, to_seq = statement.place(page_token) or (from_seq, await _end(connection, statement))
    span = (statement.from_at or _BEGINNING, statement.to_at or now)
    wallet = (book_id, statement.owner_id, statement.currency)
    accounts = [grant["account_id"] for grant in await queries.find_statement_grants(connection, *wallet, *span)]
    sums = await queries.sum_balances_at(connection, book_id, accounts, list({from_seq, after_seq, to_seq}))
    balances = {record["seq"]: record["balance_minor"] for record in sums}
    # One more than the page has, to know whether there is a next page.
    records = await queries.list_statement(connection, book_id, accounts, after_seq, to_seq, size + 1)
    return StatementView(
        opening_minor=balances.get(from_seq, 0),
        closing_minor=balances.get(to_seq, 0),
        entries=_entries(records[:size], balances.get(after_seq, 0)),
        next_page_token=statement.token(records[size - 1]["seq"], to_seq) if len(records) > size else "",
    )


async def _begin(connection: Connection, statement: Statement) -> tuple[int, datetime]:
    """The sequence after which the span begins, and the time."""
    return await _seq_at(connection, statement.book_id, statement.from_at or _BEGINNING, "from_time")


async def _end(connection: Connection, statement: Statement) -> int:
    seq, _ = await _seq_at(connection, statement.book_id, statement.to_at, "to_time")
    return seq


async def _seq_at(connection: Connection, book_id: int, at: datetime | None, field: str) -> tuple[int, datetime]:
    record = await queries.find_seq_at(connection, book_id, at)
    if at is not None and at > record["now"]:
        raise TimeNotPast(field=field, time=at)
    return record["seq"], record["now"]


def _entries(records: list[Record], balance_minor: int) -> list[StatementEntry]:
    balances = accumulate((record["change_minor"] for record in records), initial=balance_minor)
    next(balances)
    return [
        StatementEntry(
            seq=record["seq"],
            transaction_id=record["transaction_id"],
            kind=TransferKind(record["kind"]),
            grant_id=record["grant_id"],
            counter_code=record["counter_code"],
            change_minor=record["change_minor"],
            reason=record["reason"],
            created_at=record["created_at"],
            balance_minor=balance_minor,
        )
        for record, balance_minor in zip(records, balances, strict=True)
    ]


def _views(records: Iterable[Record]) -> list[GrantView]:
    return [
        GrantView(
            grant_id=record["grant_id"],
            granted_minor=record["amount_minor"],
            balance_minor=record["posted_minor"],
            held_minor=record["held_minor"],
            category=CreditCategory(record["category"]),
            priority=record["priority"],
            effective_at=record["effective_at"],
            expires_at=record["expires_at"],
            source_code=record["source_code"],
            created_at=record["created_at"],
        )
        for record in records
    ]
