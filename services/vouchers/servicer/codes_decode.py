"""Messages about codes to what they ask for. Their shape has been checked by the rules in their proto."""

from datetime import datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from quittance.vouchers.v1 import codes_pb2
from services.runtime.ids import parse_id
from services.runtime.times import parse_time
from services.vouchers.domain.code_batches import BatchKind, NewBatch
from services.vouchers.domain.code_changes import CodeScope, NewChange
from services.vouchers.domain.codes import CodeFormat
from services.vouchers.domain.vouchers import NewVoucher, VoucherReference
from services.vouchers.servicer.decode import reference

GROUP_LENGTH_DEFAULT = 6
SEPARATOR_DEFAULT = "-"


def voucher(message: codes_pb2.Voucher) -> NewVoucher:
    """The voucher of CreateVoucher. Raises INVALID_REQUEST."""
    return NewVoucher(
        voucher_id=parse_id(message.voucher_id, "voucher.voucher_id"),
        campaign_id=parse_id(message.campaign_id, "voucher.campaign_id"),
        code=message.code,
        uses_max=message.uses_max or None,
        customer_id=parse_id(message.customer_id, "voucher.customer_id") if message.customer_id else None,
        expires_at=_moment(message, "voucher.expire_time"),
    )


def generated_batch(message: codes_pb2.CodeBatch) -> NewBatch:
    """The batch of CreateCodeBatch. Raises INVALID_REQUEST."""
    printed = message.format
    separator = printed.separator if printed.HasField("separator") else SEPARATOR_DEFAULT
    return NewBatch(
        batch_id=parse_id(message.batch_id, "batch.batch_id"),
        campaign_id=parse_id(message.campaign_id, "batch.campaign_id"),
        kind=BatchKind.GENERATED,
        code_count=message.code_count,
        uses_max=message.uses_max or None,
        format=CodeFormat(printed.prefix, printed.group_length or GROUP_LENGTH_DEFAULT, separator),
        expires_at=_moment(message, "batch.expire_time"),
    )


def imported_batch(request: codes_pb2.ImportCodesRequest) -> NewBatch:
    """The batch that an import adds to. Raises INVALID_REQUEST."""
    return NewBatch(
        batch_id=parse_id(request.batch_id, "batch_id"),
        campaign_id=parse_id(request.campaign_id, "campaign_id"),
        kind=BatchKind.IMPORTED,
        code_count=0,
        uses_max=request.uses_max or None,
        format=None,
        expires_at=_moment(request, "expire_time"),
    )


def change(request: codes_pb2.DeactivateCodesRequest | codes_pb2.ActivateCodesRequest, *, is_active: bool) -> NewChange:
    """A switch. Raises INVALID_REQUEST."""
    scope, target = _target(request.target)
    change_id = parse_id(request.change_id, "change_id")
    return NewChange(change_id=change_id, scope=scope, target=target, is_active=is_active, note=request.note)


def _target(message: codes_pb2.CodeTarget) -> tuple[CodeScope, VoucherReference | UUID]:
    if message.HasField("voucher"):
        return CodeScope.VOUCHER, reference(message.voucher)
    if message.HasField("batch_id"):
        return CodeScope.BATCH, parse_id(message.batch_id, "target.batch_id")
    return CodeScope.CAMPAIGN, parse_id(message.campaign_id, "target.campaign_id")


def _moment(
    message: codes_pb2.Voucher | codes_pb2.CodeBatch | codes_pb2.ImportCodesRequest, field: str
) -> datetime | None:
    expire_time: Timestamp = message.expire_time
    return parse_time(expire_time, field) if message.HasField("expire_time") else None
