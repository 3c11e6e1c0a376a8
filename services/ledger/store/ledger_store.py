"""What the ledger asks of its database: groups of commands committed, and reads."""

from collections.abc import Sequence
from uuid import UUID

from services.ledger.domain.commands import AnyCommand, AnyResult
from services.ledger.domain.decide import decide
from services.ledger.domain.kinds import CreditCategory
from services.ledger.domain.paging import TransferList
from services.ledger.domain.results import GrantView, ListedTransfer
from services.ledger.domain.wallet import WalletView, wallet_of
from services.ledger.store.load import load, transfer_of
from services.ledger.store.statements import queries
from services.ledger.store.write import write
from services.runtime.database import Connection, Pool, Record, in_transaction, reading
from services.runtime.errors import ServiceError


class BookCountDiffers(Exception):
    """LEDGER_BOOKS is not what this database was set up with; customers would be looked for in wrong books."""


class LedgerStore:
    """The ledger's database. `book_count` is the setting, which has to be the database's for ever."""

    def __init__(self, pool: Pool, book_count: int) -> None:
        self._pool = pool
        self._book_count = book_count
        self._is_checked = False

    async def check(self) -> None:
        """Sets the books up at the very first use. Raises BookCountDiffers, or what the database says."""
        await in_transaction(self._pool, self._check_books)
        self._is_checked = True

    async def commit_group(
        self, connection: Connection, commands: Sequence[AnyCommand]
    ) -> Sequence[AnyResult | ServiceError]:
        """Locks the books, loads, decides, writes."""
        if not self._is_checked:
            # On the connection at hand: a group that waited for a second one could wait for itself.
            await self._check_books(connection)
        state = await load(connection, commands)
        outcomes = decide(commands, state)
        await write(connection, state)
        return outcomes

    def error_for_constraint(self, constraint: str, command: AnyCommand) -> ServiceError | None:
        """None: `decide` refuses by name all that the constraints forbid, so that a violation is a bug."""

    async def read_wallet(self, book_id: int, owner_id: UUID, currency: str) -> WalletView:
        """The grants with something left, and their sums, at one moment."""
        await self._check_once()
        async with reading(self._pool) as connection:
            records = await queries.read_wallet(connection, book_id, owner_id, currency)
        grants = [_grant_view(record) for record in records if record["grant_id"] is not None]
        return wallet_of(grants, records[0]["now"])

    async def list_transfers(self, listed: TransferList, below_seq: int, count_max: int) -> list[ListedTransfer]:
        """Newest first, those below a sequence."""
        await self._check_once()
        async with reading(self._pool) as connection:
            accounts = await self._listed_accounts(connection, listed)
            records = await queries.list_transfers(connection, listed.book_id, accounts, below_seq, count_max)
        return [
            ListedTransfer(transfer_of(record), record["debit_code"], record["credit_code"], record["currency"])
            for record in records
        ]

    async def _listed_accounts(self, connection: Connection, listed: TransferList) -> list[int]:
        place = (listed.book_id, listed.currency)
        if listed.account_code:
            records = await queries.find_account(connection, *place, listed.account_code)
        else:
            records = await queries.find_wallet_accounts(connection, *place, listed.owner_id)
        return [record["account_id"] for record in records]

    async def _check_once(self) -> None:
        if not self._is_checked:
            await self.check()

    async def _check_books(self, connection: Connection) -> None:
        record = await queries.read_book_count(connection)
        if record is None:
            await queries.insert_book_count(connection, self._book_count)
            await queries.insert_books(connection, self._book_count)
        elif record["book_count"] != self._book_count:
            raise BookCountDiffers(f"the database has {record['book_count']} books, not {self._book_count}")


def _grant_view(record: Record) -> GrantView:
    return GrantView(
        grant_id=record["grant_id"],
        granted_minor=record["amount_minor"],
        balance_minor=record["posted_minor"],
        held_minor=record["held_minor"],
        category=CreditCategory(record["category"]),
        priority=record["priority"],
        effective_at=record["effective_at"],
        expires_at=record["expires_at"],
        source_code=record["source_code"],
    )
