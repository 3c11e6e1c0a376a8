"""Vouchers: the codes of campaigns."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.vouchers.domain.codes import is_mistyped, normalise_code
from services.vouchers.errors.codes import CodeMistyped, VoucherExistsWithDifferentField, VoucherNotFound

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
    """A code asked for.

    uses_max: None: no limit of its own. customer_id: who alone may use it; None: everybody. expires_at: not redeemable
    from then on; None: as long as its campaign.
    """

    voucher_id: UUID
    campaign_id: UUID
    code: str = field(repr=False)
    uses_max: int | None
    customer_id: UUID | None = None
    expires_at: datetime | None = None

    @property
    def code_normal(self) -> str:
        """What is unique among all codes."""
        return normalise_code(self.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voucher(NewVoucher):
    """A code in effect and how often it is used.

    batch_id: None: it was made by itself. deactivated_at: since when it is off, by itself, with its batch or with its
    campaign's codes; None: it is not. Of a batch it has the batch's expiry.
    """

    uses: int
    created_at: datetime
    batch_id: UUID | None = None
    deactivated_at: datetime | None = None


def mask_code(code: str) -> str:
    """A code with its middle hidden, `WA…8`: at most four characters and a third of all stay visible."""
    normal = normalise_code(code)
    visible = min(_VISIBLE_MAX, len(normal) // _VISIBLE_PART)
    tail = visible // 2
    return normal[: visible - tail] + "…" + normal[len(normal) - tail :]


def unknown_voucher(reference: VoucherReference) -> VoucherNotFound | CodeMistyped:
    """What is said of a voucher that does not exist: whether its code can be one at all."""
    if reference.code_normal is not None and is_mistyped(reference.code_normal):
        return CodeMistyped(voucher=reference.shown)
    return VoucherNotFound(voucher=reference.shown)


# What must be equal when the id comes again: attribute, and the request's name for it.
_COMPARED = (
    ("campaign_id", "campaign_id"),
    ("code", "code"),
    ("uses_max", "uses_max"),
    ("customer_id", "customer_id"),
    ("expires_at", "expire_time"),
)


def check_same_voucher(stored: Voucher, asked: NewVoucher) -> None:
    """Raises VOUCHER_EXISTS_WITH_DIFFERENT_FIELD when the stored voucher is not the one asked for."""
    for attribute, field_name in _COMPARED:
        if getattr(stored, attribute) != getattr(asked, attribute):
            raise VoucherExistsWithDifferentField(voucher_id=asked.voucher_id, field=field_name)
