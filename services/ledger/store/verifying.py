"""Reads one book from beginning to end in one snapshot and hands it to the checks."""

from collections.abc import AsyncGenerator, Mapping

from services.ledger.domain.findings import (
    Finding,
    FindingKind,
    VerifiedBook,
    Verifying,
)
from services.ledger.domain.seal_walk import SealWalk
from services.ledger.domain.seals import Seal, StoredTransfer
from services.ledger.domain.walk import BookWalk, WalkedAccount
from services.ledger.store.statements import queries
from services.ledger.store.verifying_asked import check_asked
from services.runtime.database import Connection
from services.runtime.findings import FINDINGS_OF_A_KIND_MAX, Collector
from services.runtime.pacing import Pace

# Rows read at a time: while a page is looked at, two milliseconds or so, nothing else is answered.
PAGE_ROWS = 250
_ALL = 2**63 - 1

# What needs no order is asked of the database, which spills to its disk what does not fit into memory.
_CHECKS = (
    (FindingKind.HOLD_DIFFERS, queries.verify_hold_differs_from_parts),
    (FindingKind.HOLD_DIFFERS, queries.verify_hold_differs_from_command),
    (FindingKind.HOLD_DIFFERS, queries.verify_hold_differs_from_transfers),
    (FindingKind.HOLD_PART_DIFFERS, queries.verify_hold_part_differs),
    (FindingKind.HOLD_ENDED_WRONGLY, queries.verify_hold_ended_wrongly),
    (FindingKind.HOLD_ENDED_WRONGLY, queries.verify_transfer_expiry_differs),
    (FindingKind.HOLD_PART_MISSING, queries.verify_hold_part_missing),
    (FindingKind.COMMAND_TRANSFERS_MISSING, queries.verify_command_transfers_missing),
    (FindingKind.COMMAND_MISSING, queries.verify_command_missing),
    (FindingKind.COMMAND_DIFFERS, queries.verify_command_differs),
    (FindingKind.COMMAND_DIFFERS, queries.verify_transaction_differs),
    (FindingKind.COMMAND_DIFFERS, queries.verify_metadata_differs),
    (FindingKind.GRANT_DIFFERS, queries.verify_grant_differs),
    (FindingKind.GRANT_DIFFERS, queries.verify_grant_account_differs),
    (FindingKind.GRANT_DIFFERS, queries.verify_grant_end_differs),
    (FindingKind.GRANT_DIFFERS, queries.verify_grant_revocation_differs),
    (FindingKind.GRANT_DIFFERS, queries.verify_grant_sibling_differs),
    (FindingKind.GRANT_DIFFERS, queries.verify_grant_empty_differs),
    (FindingKind.REFUND_DIFFERS, queries.verify_refund_differs),
    (FindingKind.REFUND_DIFFERS, queries.verify_refund_differs_from_parts),
    (FindingKind.REFUND_DIFFERS, queries.verify_refund_part_differs),
    (FindingKind.REVERSED_TOO_MUCH, queries.verify_grant_overdrawn),
    (FindingKind.REVERSED_TOO_MUCH, queries.verify_transfer_overreversed),
)

Event = Verifying | Finding | VerifiedBook


class BookVerification:
    """One book, on a connection whose transaction is a repeatable-read snapshot. `known` as SealWalk takes it."""

    def __init__(self, connection: Connection, book_id: int, known: Mapping[int, bytes], pace: Pace) -> None:
        self._connection = connection
        self._pace = pace
        self._book_id = book_id
        self.collector = Collector[FindingKind, Finding](Finding, book_id)
        self._seals = SealWalk(self.collector, known)
        self._sealed_from = 0

    async def run(self) -> AsyncGenerator[Event, None]:
        """Progress after each page, findings as they are found, and in the end what came out."""
        book = await queries.read_next_seq(self._connection, self._book_id)
        accounts = await self._accounts()
        walk = BookWalk(accounts, self.collector)
        while page := await self._walk_page(walk):
            yield Verifying(len(page))
            for finding in self.collector.take_new():
                yield finding
        walk.finish(book["next_seq"])
        await self._expect_seals(_ALL)
        self._seals.finish()
        await self._check_rows()
        await check_asked(self._connection, self._book_id, self.collector, self._pace)
        for finding in self.collector.take_new():
            yield finding
        yield self._result(walk, len(accounts))

    async def _walk_page(self, walk: BookWalk) -> list[StoredTransfer]:
        """The next transfers, checked; none behind the last."""
        async with self._pace.piece():
            records = await queries.walk_transfers(self._connection, self._book_id, walk.last_seq, _ALL, PAGE_ROWS)
            page = [StoredTransfer(*record) for record in records]
            if page:
                await self._expect_seals(page[-1].seq)
                walk.feed(page)
                self._seals.feed(page)
        return page

    async def _accounts(self) -> dict[int, WalkedAccount]:
        accounts: dict[int, WalkedAccount] = {}
        last_id = 0
        while records := await queries.walk_accounts(self._connection, self._book_id, last_id, PAGE_ROWS):
            last_id = records[-1]["account_id"]
            accounts.update((record["account_id"], WalkedAccount(*record)) for record in records)
        return accounts

    async def _expect_seals(self, up_to_seq: int) -> None:
        """Hands over the seals that begin up to this sequence, before the transfers that they cover."""
        while True:
            span = (self._sealed_from, up_to_seq)
            records = await queries.walk_seals(self._connection, self._book_id, *span, PAGE_ROWS)
            if not records:
                return
            self._sealed_from = records[-1]["from_seq"]
            self._seals.expect(Seal(*record) for record in records)

    async def _check_rows(self) -> None:
        for kind, query in _CHECKS:
            records = await query(self._connection, self._book_id, FINDINGS_OF_A_KIND_MAX)
            for record in records:
                self.collector.add(kind, record["subject"], record["expected"], record["found"])
            if records:
                self.collector.count_only(kind, records[0]["total"] - len(records))

    def _result(self, walk: BookWalk, account_count: int) -> VerifiedBook:
        found = self.collector.count
        return VerifiedBook(
            book_id=self._book_id,
            to_seq=walk.last_seq,
            transfers=walk.transfers,
            accounts=account_count,
            findings=found,
            findings_left_out=found - len(self.collector.kept),
            newest_seal=self._seals.newest,
        )
