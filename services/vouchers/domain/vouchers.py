"""Vouchers: the codes of campaigns, and how codes are written."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.vouchers.errors import VoucherExistsWithDifferentField

_SEPARATORS = re.compile(r"[^A-Za-z0-9]")
_VISIBLE_MAX = 4
_VISIBLE_PART = 3


class VoucherReference(NamedTuple):
    """A voucher as its caller names it: by a code in normal form or by its id; exactly one of them is not None."""

    code_normal: str | None
    voucher_id: UUID | None

    @property
    def shown(self) -> str:
        """What errors and logs may say of it."""
        return mask_code(self.code_normal or "") if self.voucher_id is None else str(self.voucher_id)

    def __repr__(self) -> str:
        return f"VoucherReference({self.shown})"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVoucher:
    """A code asked for; `uses_max` None: no limit of its own."""

    voucher_id: UUID
    campaign_id: UUID
    code: str = field(repr=False)
    uses_max: int | None

    @property
    def code_normal(self) -> str:
        """What is unique among all codes."""
        return normalise_code(self.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voucher(NewVoucher):
    """A code in effect and how often it is used."""

    uses: int
    created_at: datetime


def normalise_code(code: str) -> str:
    """The one form of all spellings of a code: its letters in capitals and its digits, nothing else."""
    return _SEPARATORS.sub("", code).upper()


def mask_code(code: str) -> str:
    """A code with its middle hidden, `WA…8`: at most four characters and a third of all stay visible."""
    normal = normalise_code(code)
    visible = min(_VISIBLE_MAX, len(normal) // _VISIBLE_PART)
    tail = visible // 2
    return normal[: visible - tail] + "…" + normal[len(normal) - tail :]


def check_same_voucher(stored: Voucher, asked: NewVoucher) -> None:
    """Raises VOUCHER_EXISTS_WITH_DIFFERENT_FIELD when the stored voucher is not the one asked for."""
    for name in ("campaign_id", "code", "uses_max"):
        if getattr(stored, name) != getattr(asked, name):
            raise VoucherExistsWithDifferentField(voucher_id=asked.voucher_id, field=name)
