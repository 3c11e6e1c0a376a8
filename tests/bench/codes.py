"""Codes by the million: how fast they are made and exported, and whether looking one up stays as fast among many.

The second of the two makes ten million codes, which takes minutes: it is run by its name only.
"""

import asyncio
import os
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import asyncpg
import grpc

from quittance.money.v1 import money_pb2
from quittance.vouchers.v1 import campaign_pb2, campaigns_pb2, codes_pb2, vouchers_pb2
from quittance.vouchers.v1.campaigns_pb2_grpc import CampaignsServiceStub
from quittance.vouchers.v1.codes_pb2_grpc import CodesServiceStub
from quittance.vouchers.v1.vouchers_pb2_grpc import VouchersServiceStub
from services.runtime.ids import new_id
from tests.bench.conditions import conditions_of_database
from tests.bench.measuring import Action, latencies
from tests.bench.registry import Row, benchmark
from tests.bench.vouchers_server import VouchersUnderTest, running_vouchers

CODES = 1_000_000
GOAL_S = 15.0
FEW = 10_000
MANY = int(os.environ.get("QUITTANCE_BENCH_CODES", "10_000_000"))
# Different codes that are looked up.
_KEPT = 5_000
_LOOK_S = 0.05
_FINISHED = (codes_pb2.CODE_BATCH_STATE_COMPLETED, codes_pb2.CODE_BATCH_STATE_FAILED)

# The least that storing so many unguessable things can cost here.
_REFERENCE = """
CREATE TABLE reference (id uuid PRIMARY KEY);
INSERT INTO reference SELECT gen_random_uuid() FROM generate_series(1, {count});
DROP TABLE reference;
"""


@benchmark("codes")
async def measure() -> Sequence[Row]:
    """A batch through gRPC, from the request to its completion, and its export."""
    async with running_vouchers() as vouchers, grpc.aio.insecure_channel(vouchers.address) as channel:
        conditions = await conditions_of_database(vouchers.postgres.url("vouchers"))
        reference_s = await _reference_s(vouchers)
        batch_id, made_s = await _make(vouchers, CodesServiceStub(channel), CODES)
        begun = time.perf_counter()
        exported = await _export(CodesServiceStub(channel), batch_id)
        export_s = time.perf_counter() - begun
    assert exported == CODES
    return [
        Row(f"{CODES:,} codes generated", made_s, "s", "goal", GOAL_S, conditions),
        Row("codes generated", CODES / made_s, "/s", "bare UUIDs by one INSERT", CODES / reference_s, conditions),
        Row("codes exported", CODES / export_s, "/s", "codes generated", CODES / made_s, conditions),
    ]


@benchmark("codes-flat", is_long=True)
async def measure_flat() -> Sequence[Row]:
    """Two servers, one with a thousand times the codes, asked in turns for codes from all over their batches."""
    async with AsyncExitStack() as exits:
        actions: dict[str, Action] = {}
        for count in (FEW, MANY):
            vouchers = await exits.enter_async_context(running_vouchers())
            channel = await exits.enter_async_context(grpc.aio.insecure_channel(vouchers.address))
            await _make(vouchers, CodesServiceStub(channel), count)
            actions[f"{count:,}"] = _validating(VouchersServiceStub(channel), await _some_codes(vouchers, count))
        conditions = await conditions_of_database(vouchers.postgres.url("vouchers"))
        measured = await latencies(actions, warm_up=200, samples=3000, within_s=60)
    few, many = measured[f"{FEW:,}"], measured[f"{MANY:,}"]
    name, reference = f"code looked up among {MANY:,}", f"among {FEW:,}"
    return [
        Row(f"{name}, median", many.median_ms, "ms", reference, few.median_ms, conditions),
        Row(f"{name}, p95", many.p95_ms, "ms", reference, few.p95_ms, conditions),
    ]


async def _make(vouchers: VouchersUnderTest, codes: CodesServiceStub, count: int) -> tuple[str, float]:
    """A batch of so many, and the seconds that it took."""
    campaign = campaign_pb2.Campaign(
        campaign_id=str(new_id()),
        name="Bulk",
        amount_off=campaign_pb2.AmountOffEffect(amount=money_pb2.Money(amount_minor=5_000, currency="OMR")),
    )
    async with grpc.aio.insecure_channel(vouchers.address) as channel:
        await CampaignsServiceStub(channel).CreateCampaign(campaigns_pb2.CreateCampaignRequest(campaign=campaign))
    batch = codes_pb2.CodeBatch(batch_id=str(new_id()), campaign_id=campaign.campaign_id, code_count=count, uses_max=1)
    begun = time.perf_counter()
    batch = (await codes.CreateCodeBatch(codes_pb2.CreateCodeBatchRequest(batch=batch))).batch
    while batch.state not in _FINISHED:
        await asyncio.sleep(_LOOK_S)
        batch = (await codes.GetCodeBatch(codes_pb2.GetCodeBatchRequest(batch_id=batch.batch_id))).batch
    assert batch.made == count, batch
    return batch.batch_id, time.perf_counter() - begun


async def _export(codes: CodesServiceStub, batch_id: str) -> int:
    """How many codes come out of a batch."""
    count = 0
    async for response in codes.ExportCodes(codes_pb2.ExportCodesRequest(batch_id=batch_id)):
        count += len(response.codes)
    return count


async def _some_codes(vouchers: VouchersUnderTest, count: int) -> list[str]:
    """From all over the table, so that not all of what is looked at lies in a cache."""
    connection = await asyncpg.connect(vouchers.postgres.url("vouchers", "vouchers_owner"))
    try:
        percent = min(100.0 * _KEPT / count, 100.0)
        rows = await connection.fetch(f"SELECT code_normal FROM vouchers TABLESAMPLE BERNOULLI ({percent})")
        return [row["code_normal"] for row in rows]
    finally:
        await connection.close()


def _validating(vouchers: VouchersServiceStub, codes: Sequence[str]) -> Action:
    """What a checkout asks for with each code that a customer types."""
    dice = random.Random(7)
    line = vouchers_pb2.OrderLine(line_number=1, product_id=str(new_id()), quantity=1, amount_minor=50_000)

    async def validate() -> Mapping[str, float] | None:
        reference = vouchers_pb2.VoucherReference(code=dice.choice(codes))
        request = vouchers_pb2.ValidateVouchersRequest(
            customer_id=str(new_id()), currency="OMR", lines=[line], vouchers=[reference]
        )
        answer = await vouchers.ValidateVouchers(request)
        assert answer.assessments[0].discount_minor > 0, answer
        return None

    return validate


async def _reference_s(vouchers: VouchersUnderTest) -> float:
    connection = await asyncpg.connect(vouchers.postgres.url("vouchers", "vouchers_owner"))
    try:
        begun = time.perf_counter()
        await connection.execute(_REFERENCE.format(count=CODES))
        return time.perf_counter() - begun
    finally:
        await connection.close()
