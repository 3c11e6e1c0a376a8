"""CodesService: decode, call, encode."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from uuid import UUID

import grpc

from quittance.vouchers.v1 import codes_pb2, codes_pb2_grpc
from services.runtime.ids import parse_id
from services.vouchers.domain.code_batches import CodeBatch
from services.vouchers.domain.paging import PAGE_SIZE_DEFAULT, Place, page_of, place_of
from services.vouchers.domain.redemptions import Redemption
from services.vouchers.servicer import codes_decode, codes_encode, decode
from services.vouchers.store.codes_batches import CodeBatchesStore
from services.vouchers.store.codes_store import CodesStore

Context = grpc.aio.ServicerContext[Any, Any]

_REDEMPTIONS_DEFAULT = 100
_BEFORE_ALL = UUID(int=0)


class CodesServicer(codes_pb2_grpc.CodesServiceServicer):
    """Handlers of CodesService; their contract is written in the proto."""

    def __init__(self, store: CodesStore, batches: CodeBatchesStore) -> None:
        self._store = store
        self._batches = batches

    async def CreateVoucher(
        self, request: codes_pb2.CreateVoucherRequest, context: Context
    ) -> codes_pb2.CreateVoucherResponse:
        """A transaction of its own."""
        voucher = await self._store.create_voucher(codes_decode.voucher(request.voucher))
        return codes_pb2.CreateVoucherResponse(voucher=codes_encode.voucher(voucher))

    async def GetVoucher(self, request: codes_pb2.GetVoucherRequest, context: Context) -> codes_pb2.GetVoucherResponse:
        """A read of one redemption more than the page has, to know whether there is a next page."""
        reference = decode.reference(request.voucher)
        size = request.page_size or _REDEMPTIONS_DEFAULT
        place = place_of(request.page_token, "voucher", *reference)
        view = await self._store.read_voucher(reference, place, size + 1, with_changes=not request.page_token)
        page, next_page_token = page_of(view.redemptions, size, _place_of_redemption, "voucher", *reference)
        return codes_encode.voucher_view(view, page, next_page_token)

    async def CreateCodeBatch(
        self, request: codes_pb2.CreateCodeBatchRequest, context: Context
    ) -> codes_pb2.CreateCodeBatchResponse:
        """A transaction of its own; the codes are made later."""
        batch = await self._batches.create(codes_decode.generated_batch(request.batch))
        return codes_pb2.CreateCodeBatchResponse(batch=codes_encode.batch(batch))

    async def GetCodeBatch(
        self, request: codes_pb2.GetCodeBatchRequest, context: Context
    ) -> codes_pb2.GetCodeBatchResponse:
        """A read."""
        batch = await self._batches.read(parse_id(request.batch_id, "batch_id"))
        return codes_pb2.GetCodeBatchResponse(batch=codes_encode.batch(batch))

    async def ListCodeBatches(
        self, request: codes_pb2.ListCodeBatchesRequest, context: Context
    ) -> codes_pb2.ListCodeBatchesResponse:
        """A read of one batch more than the page has, to know whether there is a next page."""
        campaign_id = parse_id(request.campaign_id, "campaign_id") if request.campaign_id else None
        size = request.page_size or PAGE_SIZE_DEFAULT
        place = place_of(request.page_token, "batches", campaign_id)
        found = await self._batches.list(campaign_id, place, size + 1)
        page, next_page_token = page_of(found, size, _place_of_batch, "batches", campaign_id)
        return codes_pb2.ListCodeBatchesResponse(
            batches=[codes_encode.batch(batch) for batch in page], next_page_token=next_page_token
        )

    async def CancelCodeBatch(
        self, request: codes_pb2.CancelCodeBatchRequest, context: Context
    ) -> codes_pb2.CancelCodeBatchResponse:
        """A transaction of its own."""
        batch = await self._batches.cancel(parse_id(request.batch_id, "batch_id"))
        return codes_pb2.CancelCodeBatchResponse(batch=codes_encode.batch(batch) if batch else None)

    async def ExportCodes(
        self, request: codes_pb2.ExportCodesRequest, context: Context
    ) -> AsyncIterator[codes_pb2.ExportCodesResponse]:
        """Page after page."""
        after = parse_id(request.cursor, "cursor") if request.cursor else _BEFORE_ALL
        async with aclosing(self._batches.export(parse_id(request.batch_id, "batch_id"), after)) as pages:
            async for codes in pages:
                yield codes_encode.exported(codes)

    async def ImportCodes(
        self, request: codes_pb2.ImportCodesRequest, context: Context
    ) -> codes_pb2.ImportCodesResponse:
        """A transaction of its own."""
        batch = codes_decode.imported_batch(request)
        outcomes = await self._batches.bring_in(batch, request.codes, dry_run=request.dry_run)
        return codes_encode.imported(outcomes, dry_run=request.dry_run)

    async def DeactivateCodes(
        self, request: codes_pb2.DeactivateCodesRequest, context: Context
    ) -> codes_pb2.DeactivateCodesResponse:
        """A transaction of its own."""
        change = await self._store.change(codes_decode.change(request, is_active=False))
        return codes_pb2.DeactivateCodesResponse(change=codes_encode.change(change))

    async def ActivateCodes(
        self, request: codes_pb2.ActivateCodesRequest, context: Context
    ) -> codes_pb2.ActivateCodesResponse:
        """A transaction of its own."""
        change = await self._store.change(codes_decode.change(request, is_active=True))
        return codes_pb2.ActivateCodesResponse(change=codes_encode.change(change))


def _place_of_redemption(redemption: Redemption) -> Place:
    return Place(redemption.created_at, redemption.redemption_id)


def _place_of_batch(batch: CodeBatch) -> Place:
    return Place(batch.created_at, batch.batch_id)
