"""Codes switched off and on: one by one, by batches, or all that a campaign has at a moment."""

import enum
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.vouchers.domain.vouchers import VoucherReference
from services.vouchers.errors.codes import CodeChangeExistsWithDifferentField


class CodeScope(enum.StrEnum):
    """What a switch is about."""

    VOUCHER = "voucher"
    BATCH = "batch"
    CAMPAIGN = "campaign"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChange:
    """A switch asked for. target: the voucher as it is named, or the id of the batch or campaign."""

    change_id: UUID
    scope: CodeScope
    target: VoucherReference | UUID
    is_active: bool
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeChange:
    """A switch as it was made."""

    change_id: UUID
    scope: CodeScope
    target_id: UUID
    campaign_id: UUID
    is_active: bool
    note: str
    created_at: datetime


def check_same_change(stored: CodeChange, asked: NewChange, target_id: UUID | None) -> None:
    """Raises CODE_CHANGE_EXISTS_WITH_DIFFERENT_FIELD when the stored switch is not the one asked for.

    target_id: where the target that is asked for leads; None: nowhere.
    """
    compared = (
        ("target", (stored.scope, stored.target_id), (asked.scope, target_id)),
        ("active", stored.is_active, asked.is_active),
        ("note", stored.note, asked.note),
    )
    for field, was, wanted in compared:
        if was != wanted:
            raise CodeChangeExistsWithDifferentField(change_id=asked.change_id, field=field)
