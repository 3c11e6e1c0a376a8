"""Batches in the database: asked for, made chunk by chunk, brought along, exported, cancelled."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.runtime.database import Connection, Pool, in_transaction, reading
from services.runtime.errors import ServiceError
from services.runtime.ids import derived_id, new_id
from services.vouchers.domain.code_batches import (
    FAILURES_MAX,
    BatchState,
    CodeBatch,
    NewBatch,
    check_same_batch,
)
from services.vouchers.domain.code_changes import CodeScope
from services.vouchers.domain.code_imports import Import, ImportedCode, KnownCode, NewCode, import_codes
from services.vouchers.domain.codes import normalise_code
from services.vouchers.errors.codes import CodeBatchNotFound
from services.vouchers.store.codes_copying import RandomBytes, copy_codes
from services.vouchers.store.codes_rows import batch_columns, batch_of, printed_code
from services.vouchers.store.codes_store import lock_campaign
from services.vouchers.store.statements import columns, queries

# Codes in one statement of an export.
_PAGE_CODES = 2000
_CANCELLED_NOTE = "the batch was cancelled"


class ListedCode(NamedTuple):
    """A code of an export. is_active: not switched off by itself."""

    voucher_id: UUID
    code: str
    uses: int
    is_active: bool


class CodeBatchesStore:
    """The vouchers' database, as far as it is about batches."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(self, batch: NewBatch) -> CodeBatch:
        """The batch as it stands; one that failed is tried again.

        Raises CAMPAIGN_NOT_FOUND, CODE_BATCH_EXISTS_WITH_DIFFERENT_FIELD, CODE_BATCH_CANCELLED.
        """

        async def work(connection: Connection) -> CodeBatch:
            stored = await _lock_same(connection, batch)
            if stored is None:
                return await _insert(connection, batch, BatchState.PENDING)
            if stored.state is BatchState.FAILED:
                return _known(batch_of(await queries.resume_batch(connection, batch.batch_id)))
            return stored

        return await in_transaction(self._pool, work)

    async def read(self, batch_id: UUID) -> CodeBatch:
        """The batch as it stands. Raises CODE_BATCH_NOT_FOUND."""
        async with reading(self._pool) as connection:
            batch = batch_of(await queries.read_batch(connection, batch_id))
        if batch is None:
            raise CodeBatchNotFound(batch_id=batch_id)
        return batch

    async def list(self, campaign_id: UUID | None, below: tuple[datetime, UUID], limit: int) -> Sequence[CodeBatch]:
        """Batches of one campaign, or of all, below a place (time and id), newest first."""
        async with reading(self._pool) as connection:
            if campaign_id is None:
                records = await queries.list_batches(connection, *below, limit)
            else:
                records = await queries.list_batches_of_campaign(connection, campaign_id, *below, limit)
        return [_known(batch_of(record)) for record in records]

    async def cancel(self, batch_id: UUID) -> CodeBatch | None:
        """The batch, stopped and switched off; None for one that is unknown, which is refused when it comes."""

        async def work(connection: Connection) -> CodeBatch | None:
            record = await queries.lock_batch(connection, batch_id)
            if record is None:
                await queries.insert_batch_tombstone(connection, batch_id)
            batch = batch_of(record)
            if batch is None or batch.state is BatchState.CANCELLED:
                return batch
            now = await lock_campaign(connection, batch.campaign_id)
            values = (derived_id(batch_id, "cancel"), CodeScope.BATCH, batch_id, batch.campaign_id, False)
            await queries.insert_code_change(connection, *values, _CANCELLED_NOTE, now)
            return batch_of(await queries.cancel_batch(connection, batch_id, now))

        return await in_transaction(self._pool, work)

    async def find_unfinished(self) -> Sequence[UUID]:
        """The batches of which codes are still to be made."""
        async with reading(self._pool) as connection:
            return [record["batch_id"] for record in await queries.find_unfinished_batches(connection)]

    async def make_chunk(self, batch_id: UUID, size_max: int, random_bytes: RandomBytes) -> int:
        """Makes some more codes of a batch; how many. 0 when another replica is at work on it, or none are wanted."""

        async def work(connection: Connection) -> int:
            batch = batch_of(await queries.lock_unfinished_batch(connection, batch_id))
            if batch is None:
                return 0
            count = min(size_max, batch.code_count - batch.made)
            await copy_codes(connection, batch, count, random_bytes)
            await queries.advance_batch(connection, batch_id, count)
            # Last, because every redemption of the campaign waits for it.
            await queries.count_codes(connection, batch.campaign_id, count)
            return count

        return await in_transaction(self._pool, work)

    async def note_failure(self, batch_id: UUID, failure: str) -> BatchState | None:
        """Remembers that the database refused a chunk; the batch's state after it, None: it is not being made."""

        async def work(connection: Connection) -> BatchState | None:
            record = await queries.note_batch_failure(connection, batch_id, failure, FAILURES_MAX)
            return BatchState(record["state"]) if record else None

        return await in_transaction(self._pool, work)

    async def forget_misses(self, older_than_s: float) -> int:
        """Deletes unknown codes that customers offered longer ago; how many."""

        async def work(connection: Connection) -> int:
            record = await queries.forget_misses(connection, older_than_s)
            forgotten: int = record["forgotten"]
            return forgotten

        return await in_transaction(self._pool, work)

    async def bring_in(
        self, batch: NewBatch, codes: Sequence[str], *, dry_run: bool
    ) -> Sequence[ImportedCode | ServiceError]:
        """One outcome per code, in the order given; a dry run writes nothing.

        Raises CAMPAIGN_NOT_FOUND, CODE_BATCH_EXISTS_WITH_DIFFERENT_FIELD, CODE_BATCH_CANCELLED.
        """

        async def work(connection: Connection) -> Sequence[ImportedCode | ServiceError]:
            stored = await _lock_same(connection, batch)
            if stored is None and dry_run:
                await lock_campaign(connection, batch.campaign_id)
            elif stored is None:
                await _insert(connection, batch, BatchState.COMPLETED)
            decided = await _decide_import(connection, batch.batch_id, codes)
            if decided.new_codes and not dry_run:
                await _insert_codes(connection, batch, decided.new_codes)
            return decided.outcomes

        return await in_transaction(self._pool, work)

    async def export(self, batch_id: UUID, after: UUID) -> AsyncGenerator[Sequence[ListedCode], None]:
        """The batch's codes with ids above `after`, some at a time. Raises CODE_BATCH_NOT_FOUND.

        Each page is a read of its own: however slow its reader is, nothing is held open for it.
        """
        batch = await self.read(batch_id)
        while True:
            async with reading(self._pool) as connection:
                records = await queries.export_codes(connection, batch_id, after, _PAGE_CODES)
            if not records:
                return
            yield [
                ListedCode(row["voucher_id"], printed_code(row, batch), row["uses"], row["deactivated_at"] is None)
                for row in records
            ]
            after = records[-1]["voucher_id"]


async def _lock_same(connection: Connection, batch: NewBatch) -> CodeBatch | None:
    """The batch under this id, locked; None when there is none. Raises what `check_same_batch` says of it."""
    record = await queries.lock_batch(connection, batch.batch_id)
    if record is None:
        return None
    stored = batch_of(record)
    check_same_batch(stored, batch)
    return stored


async def _insert(connection: Connection, batch: NewBatch, state: BatchState) -> CodeBatch:
    await lock_campaign(connection, batch.campaign_id)
    return _known(batch_of(await queries.insert_batch(connection, *batch_columns(batch, state))))


async def _decide_import(connection: Connection, batch_id: UUID, codes: Sequence[str]) -> Import:
    normal = list({normalise_code(code) for code in codes})
    records = await queries.find_codes(connection, normal)
    known = {record["code_normal"]: KnownCode(record["voucher_id"], record["batch_id"]) for record in records}
    return import_codes(batch_id, codes, known, (new_id() for _ in codes))


async def _insert_codes(connection: Connection, batch: NewBatch, codes: Sequence[NewCode]) -> None:
    rows = [(code.voucher_id, code.code, code.code_normal) for code in codes]
    await queries.insert_imported_codes(connection, batch.batch_id, *columns(rows))
    await queries.grow_batch(connection, batch.batch_id, len(codes))
    await queries.count_codes(connection, batch.campaign_id, len(codes))


def _known(batch: CodeBatch | None) -> CodeBatch:
    """A batch that was just read and is no tombstone."""
    assert batch is not None
    return batch
