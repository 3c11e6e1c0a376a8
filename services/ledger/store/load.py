"""Reads what a group of commands needs to see, under the locks of its books."""

from collections.abc import Container, Iterable, Sequence

from services.ledger.domain.commands import AnyCommand
from services.ledger.domain.kinds import (
    CommandKind,
    CommandState,
    CreditCategory,
    GrantState,
    HoldState,
    TransferKind,
)
from services.ledger.domain.needs import TargetKey, needs_of
from services.ledger.domain.records import (
    Account,
    Book,
    CommandRecord,
    Grant,
    Hold,
    HoldPart,
    Key,
    Movement,
    TransferExpiry,
)
from services.ledger.domain.results import PostedTransaction, Refund, RefundPart, RevokedGrant, Transfer
from services.ledger.domain.state import CodeKey, State
from services.ledger.domain.targets import left_of
from services.ledger.store.remembered import KnownAccounts, RememberedAccounts
from services.ledger.store.statements import columns, queries
from services.runtime.database import Connection, Record

AccountKey = tuple[int, int]


async def load(
    connection: Connection, commands: Sequence[AnyCommand], remembered: RememberedAccounts
) -> tuple[State, KnownAccounts]:
    """Locks the commands' books, then reads by later statements, which see all that committed during the wait."""
    loading = _Loading(connection)
    needs = needs_of(commands)
    await loading.lock_books(sorted({command.book_id for command in commands}), remembered)
    await loading.load_commands(needs.ids.union((book_id, target_id) for book_id, target_id, _ in needs.targets))
    await loading.load_first_answers(needs.ids)
    movements = await loading.load_movements(needs.targets)
    await loading.load_refunds()
    holds = await loading.load_holds()
    parts = await loading.load_hold_parts(holds)
    grants = await loading.load_grants(parts, needs.wallets)
    await loading.load_accounts(needs.codes, movements, holds, grants)
    loading.connect(movements, holds, parts, grants)
    return loading.state, loading.known


class _Loading:
    """The steps of one load. Records are kept until the accounts that they point to are there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._accounts: dict[AccountKey, Account] = {}
        self.state = State()
        self.known = KnownAccounts({})

    async def lock_books(self, book_ids: Sequence[int], remembered: RememberedAccounts) -> None:
        for record in await queries.lock_books(self._connection, book_ids):
            self.state.books[record["book_id"]] = Book(*record)
        self.known = remembered.take(self.state.books.values())

    async def load_commands(self, ids: Iterable[Key]) -> None:
        for record in await queries.load_commands(self._connection, *columns(ids)) if ids else ():
            command = _command(record)
            self.state.commands[command.key] = command

    async def load_first_answers(self, ids: Container[Key]) -> None:
        """Of transactions that came before: their transfers."""
        known = [
            command
            for command in self.state.commands.values()
            if command.kind is CommandKind.TRANSACTION and command.key in ids
        ]
        if not known:
            return
        places = ((command.book_id, command.first_seq, command.transfer_count) for command in known)
        transfers: dict[Key, list[Transfer]] = {}
        for record in await queries.load_first_transfers(self._connection, *columns(places)):
            transfer = transfer_of(record)
            transfers.setdefault((transfer.book_id, transfer.transaction_id), []).append(transfer)
        for command in known:
            command.posted = PostedTransaction(command.command_id, transfers[command.key], command.created_at)

    async def load_movements(self, targets: Iterable[TargetKey]) -> list[Record]:
        return await queries.load_movements(self._connection, *columns(targets)) if targets else []

    async def load_refunds(self) -> None:
        """First answers, with their parts."""
        wanted = self._known(CommandKind.REFUND)
        for record in await queries.load_refunds(self._connection, *columns(wanted)) if wanted else ():
            refund = _refund(record)
            self.state.refunds[refund.key] = refund

    async def load_holds(self) -> list[Record]:
        wanted = self._known(CommandKind.HOLD)
        return await queries.load_holds(self._connection, *columns(wanted)) if wanted else []

    async def load_hold_parts(self, holds: Sequence[Record]) -> list[Record]:
        wanted = [(hold["book_id"], hold["hold_id"]) for hold in holds]
        return await queries.load_hold_parts(self._connection, *columns(wanted)) if wanted else []

    async def load_grants(self, parts: Sequence[Record], wallets: Iterable[tuple[object, ...]]) -> list[Record]:
        wanted = {(part["book_id"], part["grant_id"]) for part in parts} | set(self._known(CommandKind.GRANT))
        found: list[Record] = await queries.load_grants(self._connection, *columns(wanted)) if wanted else []
        if wallets:
            found += await queries.load_wallet_grants(self._connection, *columns(wallets))
        return found

    async def load_accounts(
        self,
        codes: Iterable[CodeKey],
        movements: Sequence[Record],
        holds: Sequence[Record],
        grants: Sequence[Record],
    ) -> None:
        found = await self._load_unknown(codes)
        wanted = {(hold["book_id"], hold["credit_account_id"]) for hold in holds}
        for movement in movements:
            wanted.add((movement["book_id"], movement["debit_account_id"]))
            wanted.add((movement["book_id"], movement["credit_account_id"]))
        for grant in grants:
            wanted.add((grant["book_id"], grant["account_id"]))
            wanted.add((grant["book_id"], grant["source_account_id"]))
        if wanted:
            found += await queries.load_accounts(self._connection, *columns(wanted))
        for record in found:
            self._know_account(record)

    async def _load_unknown(self, codes: Iterable[CodeKey]) -> list[Record]:
        """Accounts by code, as far as they are not remembered."""
        unknown, accounts, known = [], self.state.accounts, self.known
        for key in codes:
            account = known.get(key)
            if account is None:
                unknown.append(key)
            else:
                accounts[key] = account
        if not unknown:
            return []
        found: list[Record] = await queries.load_accounts_by_code(self._connection, *columns(unknown))
        return found

    def connect(
        self,
        movements: Sequence[Record],
        holds: Sequence[Record],
        parts: Sequence[Record],
        grants: Sequence[Record],
    ) -> None:
        """Turns the records into rows that point to each other."""
        for record in movements:
            self._know_movement(record)
        for record in grants:
            self.state.know_grant(self._grant(record))
        for record in holds:
            hold = self._hold(record)
            self.state.holds[hold.key] = hold
        for record in parts:
            grant = self.state.grants[record["book_id"], record["grant_id"]]
            part = HoldPart(grant, record["held_minor"], record["captured_minor"], record["refunded_minor"])
            self.state.holds[record["book_id"], record["hold_id"]].parts.append(part)

    def _known(self, kind: CommandKind) -> list[Key]:
        """Ids that turned out to stand for something of this kind, with a row of its own."""
        commands = self.state.commands.values()
        return [
            command.key for command in commands if command.kind is kind and command.state is not CommandState.TOMBSTONE
        ]

    def _know_account(self, record: Record) -> None:
        key = (record[0], record[1])
        if key not in self._accounts:
            place = (record[0], record[2], record[3])
            account = self.state.accounts.get(place) or self.known.get(place)
            if account is None:
                account = Account(*record)
                self.known.know(place, account)
            self.state.accounts[place] = self._accounts[key] = account

    def _know_movement(self, record: Record) -> None:
        transfer, book_id = transfer_of(record), record["book_id"]
        key = book_id, transfer.seq
        self.state.movements[key] = Movement(
            transfer,
            self._accounts[book_id, transfer.debit_account_id],
            self._accounts[book_id, transfer.credit_account_id],
            left_of(transfer, record["reversed_minor"], record["is_ended"]),
        )
        if record["expires_at"] is not None:
            expiry = TransferExpiry(*key, transfer.transaction_id, record["expires_at"])
            self.state.expiries[key] = expiry

    def _grant(self, record: Record) -> Grant:
        book_id = record["book_id"]
        return Grant(
            book_id=book_id,
            grant_id=record["grant_id"],
            account=self._accounts[book_id, record["account_id"]],
            owner_id=record["owner_id"],
            currency=record["currency"],
            category=CreditCategory(record["category"]),
            priority=record["priority"],
            amount_minor=record["amount_minor"],
            effective_at=record["effective_at"],
            expires_at=record["expires_at"],
            source=self._accounts[book_id, record["source_account_id"]],
            hold_id=record["hold_id"],
            created_at=record["created_at"],
            state=GrantState(record["state"]),
            expired_minor=record["expired_minor"],
            revoked=_revoked(record),
            empty_since=record["empty_since"],
        )

    def _hold(self, record: Record) -> Hold:
        return Hold(
            book_id=record["book_id"],
            hold_id=record["hold_id"],
            owner_id=record["owner_id"],
            currency=record["currency"],
            credit=self._accounts[record["book_id"], record["credit_account_id"]],
            target_minor=record["target_minor"],
            expires_at=record["expires_at"],
            reason=record["reason"],
            created_at=record["created_at"],
            state=HoldState(record["state"]),
            reverse_born_held=record["reverse_born_held"],
            ended_at=record["ended_at"],
        )


def transfer_of(record: Record) -> Transfer:
    """The transfer in a record that begins with the table's columns."""
    book_id, seq, transaction_id, kind, *rest = tuple(record)[: len(Transfer._fields)]
    return Transfer(book_id, seq, transaction_id, TransferKind(kind), *rest)


def _refund(record: Record) -> Refund:
    parts = zip(record["grant_ids"], record["amounts_minor"], record["returned_to"], strict=True)
    return Refund(
        book_id=record["book_id"],
        refund_id=record["refund_id"],
        hold_id=record["hold_id"],
        amount_minor=record["amount_minor"],
        grace_days=record["grace_days"],
        reason=record["reason"],
        created_at=record["created_at"],
        parts=[RefundPart(*part) for part in parts],
    )


def _revoked(record: Record) -> RevokedGrant | None:
    reversed_minor, held_minor = record["revoked_minor"], record["revoked_held_minor"]
    if reversed_minor is None:
        return None
    return RevokedGrant(reversed_minor, record["amount_minor"] - reversed_minor - held_minor, held_minor)


def _command(record: Record) -> CommandRecord:
    return CommandRecord(
        book_id=record["book_id"],
        command_id=record["command_id"],
        kind=CommandKind(record["kind"]),
        owner_id=record["owner_id"],
        currency=record["currency"],
        fingerprint=record["fingerprint"],
        state=CommandState(record["state"]),
        first_seq=record["first_seq"],
        transfer_count=record["transfer_count"],
        created_at=record["created_at"],
        reason=record["reason"],
        metadata=record["metadata"],
    )
