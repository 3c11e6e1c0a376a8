"""Refusals of what is asked of codes."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.runtime.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted


@dataclass(eq=False)
class VoucherNotFound(NotFound):
    """No voucher with this code or id."""

    reason = "VOUCHER_NOT_FOUND"
    text = "voucher {voucher} does not exist"
    voucher: str


@dataclass(eq=False)
class CodeTaken(AlreadyExists):
    """Another voucher has this code, perhaps in other letters' case or with other dashes."""

    reason = "CODE_TAKEN"
    text = "code {voucher} belongs to another voucher"
    voucher: str


@dataclass(eq=False)
class VoucherExistsWithDifferentField(AlreadyExists):
    """The voucher's id is taken by another content."""

    reason = "VOUCHER_EXISTS_WITH_DIFFERENT_FIELD"
    text = "voucher {voucher_id} exists with a different {field}"
    voucher_id: UUID
    field: str


@dataclass(eq=False)
class CodeMistyped(InvalidArgument):
    """No voucher has this code, and its check symbol is wrong."""

    reason = "CODE_MISTYPED"
    text = "code {voucher} is mistyped"
    voucher: str


@dataclass(eq=False)
class VoucherDeactivated(FailedPrecondition):
    """The code, its batch, or all codes that its campaign had then, are switched off."""

    reason = "VOUCHER_DEACTIVATED"
    text = "voucher {voucher_id} is deactivated since {deactivate_time}"
    voucher_id: UUID
    deactivate_time: datetime


@dataclass(eq=False)
class VoucherExpired(FailedPrecondition):
    """The code is over, its campaign perhaps not."""

    reason = "VOUCHER_EXPIRED"
    text = "voucher {voucher_id} expired {expire_time}"
    voucher_id: UUID
    expire_time: datetime


@dataclass(eq=False)
class TooManyAttempts(ResourceExhausted):
    """This customer has offered too many codes that nobody has: for a while none is looked at, right ones neither."""

    reason = "TOO_MANY_ATTEMPTS"
    text = "{attempts_max} unknown codes were tried, try again in {retry_after_s} seconds"
    attempts_max: int
    retry_after_s: float


@dataclass(eq=False)
class CodeBatchNotFound(NotFound):
    """No batch of codes with this id."""

    reason = "CODE_BATCH_NOT_FOUND"
    text = "batch {batch_id} does not exist"
    batch_id: UUID


@dataclass(eq=False)
class CodeBatchExistsWithDifferentField(AlreadyExists):
    """The batch's id is taken by another content."""

    reason = "CODE_BATCH_EXISTS_WITH_DIFFERENT_FIELD"
    text = "batch {batch_id} exists with a different {field}"
    batch_id: UUID
    field: str


@dataclass(eq=False)
class CodeBatchCancelled(FailedPrecondition):
    """The batch was cancelled, perhaps before it arrived."""

    reason = "CODE_BATCH_CANCELLED"
    text = "batch {batch_id} is cancelled"
    batch_id: UUID


@dataclass(eq=False)
class CodeChangeExistsWithDifferentField(AlreadyExists):
    """The id of a switch is taken by another content."""

    reason = "CODE_CHANGE_EXISTS_WITH_DIFFERENT_FIELD"
    text = "change {change_id} exists with a different {field}"
    change_id: UUID
    field: str
