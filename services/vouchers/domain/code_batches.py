"""Batches: codes that are made together, generated or brought along."""

import enum
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.vouchers.domain.codes import CodeFormat
from services.vouchers.errors.codes import CodeBatchCancelled, CodeBatchExistsWithDifferentField

# The database refusing as many chunks of a batch one after the other is more than bad luck.
FAILURES_MAX = 5


class BatchKind(enum.StrEnum):
    """Where the codes come from."""

    GENERATED = "generated"
    IMPORTED = "imported"


class BatchState(enum.StrEnum):
    """How far a batch is."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    TOMBSTONE = "tombstone"  # cancelled before it came


# Those of which codes are still to be made.
UNFINISHED = frozenset({BatchState.PENDING, BatchState.RUNNING})
_CANCELLED = frozenset({BatchState.CANCELLED, BatchState.TOMBSTONE})


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """A batch asked for.

    code_count: how many codes are to be generated; of imported ones 0. uses_max: of each code; None: no limit of its
    own. format: None for imported ones, which are printed as they came. expires_at: of each code; None: never.
    """

    batch_id: UUID
    campaign_id: UUID
    kind: BatchKind
    code_count: int
    uses_max: int | None
    format: CodeFormat | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBatch(NewBatch):
    """A batch as it stands; `code_count` of an imported one is how many there are."""

    state: BatchState
    made: int
    created_at: datetime
    finished_at: datetime | None
    deactivated_at: datetime | None
    failure: str | None


# What must be equal when the id comes again: attribute, and the request's name for it.
_COMPARED = (
    ("campaign_id", "campaign_id"),
    ("kind", "kind"),
    ("uses_max", "uses_max"),
    ("format", "format"),
    ("expires_at", "expire_time"),
)


def check_same_batch(stored: CodeBatch | None, asked: NewBatch) -> None:
    """Whether a request may go on with the batch that is stored under its id; None: there was only a tombstone.

    Raises CODE_BATCH_EXISTS_WITH_DIFFERENT_FIELD, CODE_BATCH_CANCELLED.
    """
    if stored is None:
        raise CodeBatchCancelled(batch_id=asked.batch_id)
    compared = [*_COMPARED, ("code_count", "code_count")] if asked.kind is BatchKind.GENERATED else _COMPARED
    for attribute, field in compared:
        if getattr(stored, attribute) != getattr(asked, attribute):
            raise CodeBatchExistsWithDifferentField(batch_id=asked.batch_id, field=field)
    if stored.state in _CANCELLED:
        raise CodeBatchCancelled(batch_id=asked.batch_id)
