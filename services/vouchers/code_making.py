"""What the vouchers' process does by itself about codes: it makes those that batches ask for."""

import os
from uuid import UUID

import structlog
from prometheus_client import Counter

from services.runtime.errors import ServiceError
from services.vouchers.domain.code_batches import BatchState
from services.vouchers.store.codes_batches import CodeBatchesStore

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

_MADE = Counter("quittance_vouchers_codes_made_total", "Codes generated for batches.")
_FAILED = Counter("quittance_vouchers_code_batches_failed_total", "Batches given up after repeated failures.")

# Codes in one transaction: what a crash throws away at most, and what a cancellation waits for at most.
CHUNK_CODES = 20_000


class CodeMaker:
    """Safe on several replicas: one at a time works on a batch, and counts in the transaction that makes."""

    def __init__(self, store: CodeBatchesStore, misses_kept_s: float) -> None:
        self._store = store
        self._misses_kept_s = misses_kept_s

    async def forget_misses(self) -> None:
        """Deletes the unknown codes that were offered so long ago that they count no more."""
        await self._store.forget_misses(self._misses_kept_s)

    async def make(self) -> None:
        """Makes codes until none are wanted, or what is left is in others' hands. Raises DATABASE_UNAVAILABLE."""
        while batch_ids := await self._store.find_unfinished():
            made = [await self._make_chunk(batch_id) for batch_id in batch_ids]
            if not any(made):
                return

    async def _make_chunk(self, batch_id: UUID) -> int:
        """How many were made."""
        try:
            count = await self._store.make_chunk(batch_id, CHUNK_CODES, os.urandom)
        except ServiceError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the other batches are not to suffer from it
            await self._note_failure(batch_id, error)
            return 0
        _MADE.inc(count)
        return count

    async def _note_failure(self, batch_id: UUID, error: Exception) -> None:
        _log.error("code_chunk_failed", batch_id=str(batch_id), exc_info=error)
        if await self._store.note_failure(batch_id, type(error).__name__) is BatchState.FAILED:
            _FAILED.inc()
