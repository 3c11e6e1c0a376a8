"""What is answered about codes, as messages."""

from collections.abc import Iterable, Sequence

from quittance.vouchers.v1 import codes_pb2
from services.runtime.errors import ServiceError
from services.runtime.grpc_errors import refusal_message
from services.runtime.times import timestamp_of
from services.vouchers.domain.code_batches import BatchKind, BatchState, CodeBatch
from services.vouchers.domain.code_changes import CodeChange, CodeScope
from services.vouchers.domain.code_history import EventKind, VoucherEvent, VoucherView
from services.vouchers.domain.code_imports import ImportedCode
from services.vouchers.domain.redemptions import Redemption
from services.vouchers.domain.vouchers import Voucher
from services.vouchers.errors import DOMAIN
from services.vouchers.servicer import campaign_messages, encode
from services.vouchers.store.codes_batches import ListedCode

_KINDS = {kind: codes_pb2.CodeBatchKind.Value(f"CODE_BATCH_KIND_{kind.name}") for kind in BatchKind}
_STATES: dict[BatchState, codes_pb2.CodeBatchState.ValueType] = {
    state: codes_pb2.CodeBatchState.Value(f"CODE_BATCH_STATE_{state.name}")
    for state in BatchState
    if state is not BatchState.TOMBSTONE
}
_SCOPES = {scope: codes_pb2.CodeScope.Value(f"CODE_SCOPE_{scope.name}") for scope in CodeScope}
_EVENTS = {kind: codes_pb2.VoucherEventKind.Value(f"VOUCHER_EVENT_KIND_{kind.name}") for kind in EventKind}


def voucher(stored: Voucher) -> codes_pb2.Voucher:
    """A voucher with its uses."""
    return codes_pb2.Voucher(
        voucher_id=str(stored.voucher_id),
        campaign_id=str(stored.campaign_id),
        code=stored.code,
        uses_max=stored.uses_max or 0,
        uses=stored.uses,
        create_time=timestamp_of(stored.created_at),
        customer_id=str(stored.customer_id or ""),
        expire_time=timestamp_of(stored.expires_at),
        batch_id=str(stored.batch_id or ""),
        deactivate_time=timestamp_of(stored.deactivated_at),
    )


def voucher_view(view: VoucherView, page: Sequence[Redemption], next_page_token: str) -> codes_pb2.GetVoucherResponse:
    """A voucher, where it comes from, and what became of it and of the redemptions of this page."""
    return codes_pb2.GetVoucherResponse(
        voucher=voucher(view.voucher),
        campaign=campaign_messages.campaign(view.campaign),
        redemptions=encode.redemptions(page),
        batch=batch(view.batch) if view.batch else None,
        events=[_event(event) for event in view.events(page)],
        next_page_token=next_page_token,
    )


def batch(stored: CodeBatch) -> codes_pb2.CodeBatch:
    """A batch and how far it is."""
    return codes_pb2.CodeBatch(
        batch_id=str(stored.batch_id),
        campaign_id=str(stored.campaign_id),
        code_count=stored.code_count,
        uses_max=stored.uses_max or 0,
        format=codes_pb2.CodeFormat(**stored.format._asdict()) if stored.format else None,
        expire_time=timestamp_of(stored.expires_at),
        kind=_KINDS[stored.kind],
        state=_STATES[stored.state],
        made=stored.made,
        create_time=timestamp_of(stored.created_at),
        finish_time=timestamp_of(stored.finished_at),
        deactivate_time=timestamp_of(stored.deactivated_at),
        failure=stored.failure or "",
    )


def exported(codes: Sequence[ListedCode]) -> codes_pb2.ExportCodesResponse:
    """Some codes of an export, at least one."""
    return codes_pb2.ExportCodesResponse(
        codes=[
            codes_pb2.ExportedCode(
                code=each.code, voucher_id=str(each.voucher_id), uses=each.uses, active=each.is_active
            )
            for each in codes
        ],
        cursor=str(codes[-1].voucher_id),
    )


def imported(outcomes: Iterable[ImportedCode | ServiceError], *, dry_run: bool) -> codes_pb2.ImportCodesResponse:
    """What became of each code."""
    return codes_pb2.ImportCodesResponse(codes=[_imported(outcome, dry_run=dry_run) for outcome in outcomes])


def change(stored: CodeChange) -> codes_pb2.CodeChange:
    """A switch."""
    return codes_pb2.CodeChange(
        change_id=str(stored.change_id),
        scope=_SCOPES[stored.scope],
        target_id=str(stored.target_id),
        campaign_id=str(stored.campaign_id),
        active=stored.is_active,
        create_time=timestamp_of(stored.created_at),
        note=stored.note,
    )


def _imported(outcome: ImportedCode | ServiceError, *, dry_run: bool) -> codes_pb2.ImportedCode:
    if isinstance(outcome, ServiceError):
        return codes_pb2.ImportedCode(refusal=refusal_message(outcome, DOMAIN))
    voucher_id = "" if dry_run else str(outcome.voucher_id)
    return codes_pb2.ImportedCode(voucher_id=voucher_id, existed=outcome.existed)


def _event(event: VoucherEvent) -> codes_pb2.VoucherEvent:
    message = codes_pb2.VoucherEvent(
        event_time=timestamp_of(event.at), kind=_EVENTS[event.kind], redemption_id=str(event.redemption_id or "")
    )
    if event.change is not None:
        message.scope = _SCOPES[event.change.scope]
        message.change_id = str(event.change.change_id)
        message.note = event.change.note
    return message
