"""What tests say about codes in one line each."""

import asyncio
from collections.abc import Sequence

from quittance.vouchers.v1 import codes_pb2
from tests.vouchers.requests import Stub, by_code, some_id

PENDING, RUNNING, COMPLETED, CANCELLED, FAILED = (
    codes_pb2.CodeBatchState.Value(f"CODE_BATCH_STATE_{name}")
    for name in ("PENDING", "RUNNING", "COMPLETED", "CANCELLED", "FAILED")
)
FINISHED = (COMPLETED, CANCELLED, FAILED)
MAKING_S = 60.0


def batch(campaign_id: str, code_count: int = 10, **fields: object) -> codes_pb2.CodeBatch:
    defaults = {"batch_id": some_id(), "campaign_id": campaign_id, "code_count": code_count, "uses_max": 1}
    return codes_pb2.CodeBatch(**{**defaults, **fields})


def of_voucher(code: str) -> codes_pb2.CodeTarget:
    return codes_pb2.CodeTarget(voucher=by_code(code))


def of_batch(batch_id: str) -> codes_pb2.CodeTarget:
    return codes_pb2.CodeTarget(batch_id=batch_id)


def of_campaign(campaign_id: str) -> codes_pb2.CodeTarget:
    return codes_pb2.CodeTarget(campaign_id=campaign_id)


class Codes:
    """CodesService of one server."""

    def __init__(self, stub: Stub) -> None:
        self.stub = stub.codes

    async def create(self, asked: codes_pb2.CodeBatch) -> codes_pb2.CodeBatch:
        return (await self.stub.CreateCodeBatch(codes_pb2.CreateCodeBatchRequest(batch=asked))).batch

    async def get(self, batch_id: str) -> codes_pb2.CodeBatch:
        return (await self.stub.GetCodeBatch(codes_pb2.GetCodeBatchRequest(batch_id=batch_id))).batch

    async def finished(self, batch_id: str) -> codes_pb2.CodeBatch:
        """The batch once nothing more is made of it."""
        async with asyncio.timeout(MAKING_S):
            while (found := await self.get(batch_id)).state not in FINISHED:
                await asyncio.sleep(0.02)
        return found

    async def made(self, campaign_id: str, code_count: int = 10, **fields: object) -> tuple[str, list[str]]:
        """A batch that is complete: its id and its codes."""
        created = await self.create(batch(campaign_id, code_count, **fields))
        assert (await self.finished(created.batch_id)).state == COMPLETED
        return created.batch_id, [each.code for each in await self.exported(created.batch_id)]

    async def cancel(self, batch_id: str) -> codes_pb2.CancelCodeBatchResponse:
        return await self.stub.CancelCodeBatch(codes_pb2.CancelCodeBatchRequest(batch_id=batch_id))

    async def exported(self, batch_id: str, cursor: str = "") -> list[codes_pb2.ExportedCode]:
        stream = self.stub.ExportCodes(codes_pb2.ExportCodesRequest(batch_id=batch_id, cursor=cursor))
        return [code async for response in stream for code in response.codes]

    async def bring_in(
        self, campaign_id: str, codes: Sequence[str], batch_id: str = "", **fields: object
    ) -> list[codes_pb2.ImportedCode]:
        request = codes_pb2.ImportCodesRequest(
            batch_id=batch_id or some_id(), campaign_id=campaign_id, codes=codes, **fields
        )
        return list((await self.stub.ImportCodes(request)).codes)

    async def deactivate(
        self, target: codes_pb2.CodeTarget, change_id: str = "", note: str = ""
    ) -> codes_pb2.CodeChange:
        request = codes_pb2.DeactivateCodesRequest(change_id=change_id or some_id(), target=target, note=note)
        return (await self.stub.DeactivateCodes(request)).change

    async def activate(self, target: codes_pb2.CodeTarget, change_id: str = "", note: str = "") -> codes_pb2.CodeChange:
        request = codes_pb2.ActivateCodesRequest(change_id=change_id or some_id(), target=target, note=note)
        return (await self.stub.ActivateCodes(request)).change
