"""Rows of batches, switches and shown vouchers to values and back."""

from dataclasses import replace

from services.runtime.database import Record
from services.vouchers.domain.code_batches import BatchKind, BatchState, CodeBatch, NewBatch
from services.vouchers.domain.code_changes import CodeChange, CodeScope
from services.vouchers.domain.codes import CodeFormat
from services.vouchers.domain.vouchers import Voucher
from services.vouchers.store.rows import voucher_of


def batch_of(row: Record | None) -> CodeBatch | None:
    """The batch in a row of its table; None for none, and for the tombstone of one that never came."""
    if row is None or row["state"] == BatchState.TOMBSTONE:
        return None
    return CodeBatch(
        batch_id=row["batch_id"],
        campaign_id=row["campaign_id"],
        kind=BatchKind(row["kind"]),
        code_count=row["code_count"],
        uses_max=row["uses_max"],
        format=_format_of(row),
        expires_at=row["expires_at"],
        state=BatchState(row["state"]),
        made=row["made"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        deactivated_at=row["deactivated_at"],
        failure=row["failure"],
    )


def batch_columns(batch: NewBatch, state: BatchState) -> tuple[object, ...]:
    """The values of `insert_batch`."""
    printed: tuple[object, ...] = batch.format or (None,) * len(CodeFormat._fields)
    head = (batch.batch_id, batch.campaign_id, batch.kind, state, batch.code_count, batch.uses_max)
    return (*head, *printed, batch.expires_at)


def change_of(row: Record) -> CodeChange:
    """The switch in a row of its table."""
    return CodeChange(
        change_id=row["change_id"],
        scope=CodeScope(row["scope"]),
        target_id=row["target_id"],
        campaign_id=row["campaign_id"],
        is_active=row["is_active"],
        note=row["note"],
        created_at=row["created_at"],
    )


def shown_voucher_of(row: Record, batch: CodeBatch | None) -> Voucher:
    """The voucher in a row of `show_voucher` or of its table, its code as it is printed."""
    return replace(voucher_of(row), code=printed_code(row, batch))


def printed_code(row: Record, batch: CodeBatch | None) -> str:
    """A code as it is printed: as it came, or in its batch's format."""
    code: str | None = row["code"]
    if code is not None:
        return code
    assert batch is not None
    assert batch.format is not None
    return batch.format.printed(row["code_normal"])


def _format_of(row: Record) -> CodeFormat | None:
    if row["prefix"] is None:
        return None
    return CodeFormat(row["prefix"], row["group_length"], row["separator"])
