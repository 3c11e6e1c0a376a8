"""What the ledger asks of its database: groups of commands committed, and reads."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.ledger.domain.commands import AnyCommand, AnyResult
from services.ledger.domain.decide import decide
from services.ledger.domain.paging import Statement, TransferList
from services.ledger.domain.results import AccountPlace, AccountView, ListedTransfer, TransactionView
from services.ledger.domain.searching import TransactionList
from services.ledger.domain.wallet import StatementView, WalletView
from services.ledger.store import wallets
from services.ledger.store.expiring import Due, Expiring, Place, find_due, first_places
from services.ledger.store.find import find
from services.ledger.store.load import load, transfer_of
from services.ledger.store.remembered import RememberedAccounts
from services.ledger.store.statements import columns, queries
from services.ledger.store.write import write
from services.runtime.database import Connection, Pool, Record, in_transaction, reading
from services.runtime.errors import ServiceError
from services.runtime.gathering import GatheredReads

# Of all books together; one takes about 400 bytes.
ACCOUNTS_REMEMBERED_MAX = 200_000


class BookCountDiffers(Exception):
    """LEDGER_BOOKS is not what this database was set up with; customers would be looked for in wrong books."""


class LedgerStore:
    """The ledger's database. `book_count` is the setting, which has to be the database's for ever."""

    def __init__(self, pool: Pool, book_count: int) -> None:
        self._pool = pool
        self._book_count = book_count
        self._is_checked = False
        self._remembered = RememberedAccounts(ACCOUNTS_REMEMBERED_MAX // book_count)
        self._gathered_balances = GatheredReads(self._read_balances)

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
        state, known = await load(connection, commands, self._remembered)
        outcomes = decide(commands, state)
        await write(connection, state)
        self._remembered.keep(state, known)
        return outcomes

    def error_for_constraint(self, constraint: str, command: AnyCommand) -> ServiceError | None:
        """None: `decide` refuses by name all that the constraints forbid, so that a violation is a bug."""

    async def read_wallet(self, book_id: int, owner_id: UUID, currency: str, at: datetime | None = None) -> WalletView:
        """The grants with something left, and their sums, now or at a moment of the past. Raises TIME_NOT_PAST."""
        await self._check_once()
        async with reading(self._pool) as connection:
            if at is not None:
                return await wallets.read_wallet_at(connection, book_id, owner_id, currency, at)
            return await wallets.read_wallet(connection, book_id, owner_id, currency)

    async def read_statement(self, statement: Statement, page_token: str, size: int) -> StatementView:
        """One page, oldest entries first. Raises TIME_NOT_PAST, INVALID_PAGE_TOKEN."""
        await self._check_once()
        async with reading(self._pool) as connection:
            return await wallets.read_statement(connection, statement, page_token, size)

    def first_places(self, what: Expiring) -> list[Place]:
        """Before everything that expires, in each book."""
        return first_places(what, range(self._book_count))

    async def find_due(self, what: Expiring, after: Sequence[Place], count_max: int) -> list[Due]:
        """What comes next behind a place in each book whose time has come, book by book; of each at most so many."""
        await self._check_once()
        async with reading(self._pool) as connection:
            return await find_due(connection, what, after, count_max)

    async def list_transfers(self, listed: TransferList, below_seq: int, count_max: int) -> list[ListedTransfer]:
        """Newest first, those below a sequence."""
        await self._check_once()
        async with reading(self._pool) as connection:
            accounts = await self._listed_accounts(connection, listed, below_seq, count_max)
            records = await queries.list_transfers(connection, listed.book_id, accounts, below_seq, count_max)
        return [_listed(record) for record in records]

    async def read_transaction(
        self, book_id: int, transaction_id: UUID
    ) -> tuple[TransactionView, list[ListedTransfer]] | None:
        """A transaction with its transfers."""
        await self._check_once()
        async with reading(self._pool) as connection:
            record = await queries.read_transaction(connection, book_id, transaction_id)
            if record is None:
                return None
            view = TransactionView(*record)
            records = await queries.list_transfers_of(connection, book_id, view.first_seq, view.transfer_count)
        return view, [_listed(record) for record in records]

    async def list_transactions(self, listed: TransactionList, below_seq: int, count_max: int) -> list[TransactionView]:
        """Newest first, those below a sequence."""
        await self._check_once()
        async with reading(self._pool) as connection:
            return [TransactionView(*record) for record in await find(connection, listed, below_seq, count_max)]

    async def read_account(self, place: AccountPlace) -> AccountView | None:
        """An account as it stands."""
        await self._check_once()
        async with reading(self._pool) as connection:
            record = await queries.read_account(connection, *place)
        return None if record is None else AccountView(*record)

    async def read_balances(self, places: Sequence[AccountPlace]) -> Sequence[Record]:
        """The posted and held sums of each, None for an account that is not there; all of one moment."""
        return await self._gathered_balances(places)

    async def _read_balances(self, places: Sequence[AccountPlace]) -> Sequence[Record]:
        await self._check_once()
        async with reading(self._pool) as connection:
            records: list[Record] = await queries.read_balances(connection, *columns(places))
        return records

    async def _listed_accounts(
        self, connection: Connection, listed: TransferList, below_seq: int, count_max: int
    ) -> list[int]:
        """The account, or those of the wallet's grants that can have transfers on this page."""
        place = (listed.book_id, listed.currency)
        if listed.account_code:
            records = await queries.find_account(connection, *place, listed.account_code)
        else:
            records = await queries.find_wallet_accounts(connection, *place, listed.owner_id, below_seq, count_max)
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


def _listed(record: Record) -> ListedTransfer:
    codes = record["debit_code"], record["credit_code"]
    return ListedTransfer(transfer_of(record), *codes, record["currency"], record["expires_at"])
