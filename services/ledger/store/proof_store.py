"""What proving the ledger asks of its database: verifications and what they found, seals, the trial balance."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

from services.ledger.domain.findings import Finding, FindingKind, StoredFinding, VerifiedBook
from services.ledger.domain.seals import FIRST_PREVIOUS, Seal, SealHash, StoredTransfer
from services.ledger.domain.trial_balance import TrialBalanceRow
from services.ledger.errors import BookNotFound
from services.ledger.store.statements import columns, queries
from services.ledger.store.verifying import PAGE_ROWS, BookVerification, Event
from services.runtime.database import Connection, Pool, Record, in_transaction, reading, snapshot
from services.runtime.pacing import Pace

# How much of the time proving may take, in this process and its database. Sealing has to keep up with what is made.
_SEALING = Pace(0.3)
_VERIFYING_WHAT_IS_DUE = Pace(0.2)
_VERIFYING_FOR_A_CALLER = Pace(0.5)


class RangeIncomplete(Exception):
    """Transfers of a finished range are missing: it is not sealed, and a verification names the gap."""


class ProofStore:
    """Its pool is one of its own, patient with long statements: what proves must not slow down what serves.

    `book_count` is the setting; that it is the database's is the ledger's readiness.
    """

    def __init__(self, pool: Pool, book_count: int) -> None:
        self._pool = pool
        self._book_count = book_count

    async def books(self, wanted: Sequence[int] = ()) -> dict[int, int]:
        """The wanted books, or all: their next sequences by id. Raises BOOK_NOT_FOUND."""
        async with reading(self._pool) as connection:
            records = await queries.list_books(connection)
        known = {record["book_id"]: record["next_seq"] for record in records}
        for book_id in wanted:
            if book_id not in known:
                raise BookNotFound(book_id=book_id, book_count=self._book_count)
        return {book_id: known[book_id] for book_id in wanted or known}

    async def verify_book(self, book_id: int, known_seals: Mapping[int, bytes]) -> AsyncGenerator[Event, None]:
        """Verifies one book in one snapshot and stores what was found, once it has been seen to its end."""
        async with snapshot(self._pool) as connection:
            verification = BookVerification(connection, book_id, known_seals, _VERIFYING_FOR_A_CALLER)
            async with aclosing(verification.run()) as events:
                async for event in events:
                    if isinstance(event, VerifiedBook):
                        result = event
                    else:
                        yield event
        await self._store(result, verification.collector.kept)
        yield result

    async def verify_due_book(self, book_id: int, interval: timedelta) -> tuple[VerifiedBook, list[Finding]] | None:
        """Verifies a book unless another process does, or has within the interval. The findings are the new ones."""
        async with snapshot(self._pool) as connection:
            turn = await queries.lock_verification(connection, book_id, interval)
            if turn["is_done"] or not turn["is_locked"]:
                return None
            verification = BookVerification(connection, book_id, {}, _VERIFYING_WHAT_IS_DUE)
            async with aclosing(verification.run()) as events:
                async for event in events:
                    if isinstance(event, VerifiedBook):
                        result = event
            # Before the lock goes: the next one to have it sees that the book has been verified.
            return result, await self._store(result, verification.collector.kept)

    async def due_books(self, interval: timedelta) -> list[int]:
        """Books that nobody has verified within the interval."""
        async with reading(self._pool) as connection:
            return [record["book_id"] for record in await queries.list_due_books(connection, interval)]

    async def list_findings(
        self, before: tuple[datetime, bytes], only_open: bool, count_max: int
    ) -> list[StoredFinding]:
        """Newest first seen first, those after this place in the list."""
        async with reading(self._pool) as connection:
            records = await queries.list_findings(connection, *before, only_open, count_max)
        return [_stored_finding(record) for record in records]

    async def seal_next(self, book_id: int, transfers_max: int) -> bool:
        """Seals the book's next finished range, at most this long; False when there is nothing to seal.

        Read and hashed without any lock, for what is visible is final (domain/seals.py says why); the book's lock is
        held only to add the seal, and only if nobody else has added one. Raises RangeIncomplete.
        """
        seal = await self._next_seal(book_id, transfers_max)
        if seal is None:
            return False
        await in_transaction(self._pool, lambda connection: _add_seal(connection, seal))
        return True

    async def trial_balance(self, currency: str, account: str) -> list[TrialBalanceRow]:
        """The sums over all books at one moment, by currency and account."""
        async with reading(self._pool) as connection:
            records = await queries.trial_balance(connection, currency, account)
        return [TrialBalanceRow(of, code, int(posted), int(held), count) for of, code, posted, held, count in records]

    async def _store(self, result: VerifiedBook, findings: Sequence[Finding]) -> list[Finding]:
        """Stores the findings once, and that the book was verified; those that nobody had found before."""

        async def work(connection: Connection) -> list[Finding]:
            record = await queries.insert_verification(connection, result.book_id, result.to_seq, result.findings)
            if not findings:
                return []
            by_digest = {finding.digest: finding for finding in findings}
            rows = [_finding_row(finding) for finding in by_digest.values()]
            stored = await queries.upsert_findings(connection, *columns(rows), record["verified_at"])
            return [by_digest[row["digest"]] for row in stored if row["is_new"]]

        return await in_transaction(self._pool, work)

    async def _next_seal(self, book_id: int, transfers_max: int) -> Seal | None:
        async with reading(self._pool) as connection:
            # In this order: all transfers below the book's next sequence are visible to statements after this one.
            to_seq = (await queries.read_next_seq(connection, book_id))["next_seq"] - 1
            newest = await queries.newest_seal(connection, book_id)
            from_seq, previous = (newest["to_seq"] + 1, newest["sha256"]) if newest else (1, FIRST_PREVIOUS)
            to_seq = min(to_seq, from_seq + transfers_max - 1)
            if to_seq < from_seq:
                return None
            sealing = SealHash(book_id, from_seq, to_seq, previous)
            await _hash_range(connection, sealing, book_id, from_seq, to_seq)
        return Seal(book_id, from_seq, to_seq, sealing.digest(), previous)


async def _hash_range(connection: Connection, sealing: SealHash, book_id: int, from_seq: int, to_seq: int) -> None:
    next_seq = from_seq
    while next_seq <= to_seq:
        async with _SEALING.piece():
            records = await queries.walk_transfers(connection, book_id, next_seq - 1, to_seq, PAGE_ROWS)
            for transfer in (StoredTransfer(*record) for record in records):
                if transfer.seq != next_seq:
                    break
                sealing.add(transfer)
                next_seq += 1
        if next_seq <= to_seq and (not records or next_seq <= records[-1]["seq"]):
            raise RangeIncomplete(f"transfer {next_seq} of book {book_id} is missing")


async def _add_seal(connection: Connection, seal: Seal) -> None:
    await queries.lock_books(connection, [seal.book_id])
    newest = await queries.newest_seal(connection, seal.book_id)
    if (newest["to_seq"] + 1 if newest else 1) == seal.from_seq:
        await queries.insert_seal(
            connection, seal.book_id, seal.from_seq, seal.to_seq, seal.sha256, seal.previous_sha256
        )


def _finding_row(finding: Finding) -> tuple[object, ...]:
    return finding.book_id, finding.kind, finding.subject, finding.digest, finding.expected, finding.found


def _stored_finding(record: Record) -> StoredFinding:
    finding = Finding(
        FindingKind(record["kind"]), record["book_id"], record["subject"], record["expected"], record["found"]
    )
    return StoredFinding(finding, record["digest"], record["first_seen_at"], record["last_seen_at"])
