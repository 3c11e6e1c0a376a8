"""Report and verification of a campaign with a million redemptions, next to those of a campaign with one."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import grpc

from quittance.vouchers.v1 import campaigns_pb2, proof_pb2
from quittance.vouchers.v1.campaigns_pb2_grpc import CampaignsServiceStub
from quittance.vouchers.v1.proof_pb2_grpc import ProofServiceStub
from tests.bench.conditions import conditions_of_database
from tests.bench.measuring import latencies
from tests.bench.registry import Row, benchmark
from tests.bench.vouchers_server import VouchersUnderTest, running_vouchers

MANY = 1_000_000
SAMPLES = 200
WITHIN_S = 30
# The one redemption of the campaign again and again, each of another customer, with the counters that go with them.
_FILL = """
SET session_replication_role = replica;
CREATE TEMPORARY TABLE copies AS
    SELECT r.* FROM redemptions AS r, generate_series(2, {many}) WHERE r.campaign_id = '{campaign_id}';
UPDATE copies SET redemption_id = gen_random_uuid(), customer_id = gen_random_uuid(),
    redemptions_digest = uuid_send(gen_random_uuid());
INSERT INTO redemptions SELECT * FROM copies;
UPDATE campaigns SET reserved = {many}, uses = {many}, spent_minor = spent_minor * {many}
    WHERE campaign_id = '{campaign_id}';
UPDATE vouchers SET uses = {many} WHERE campaign_id = '{campaign_id}';
"""


@benchmark("vouchers-many", is_long=True)
async def measure() -> Sequence[Row]:
    """Two campaigns in one database."""
    async with running_vouchers() as vouchers:
        conditions = {**await conditions_of_database(vouchers.postgres.url("vouchers")), "redemptions": MANY}
        few, many = await _campaign_of_one(vouchers), await _campaign_of_one(vouchers)
        await _fill(vouchers, many)
        async with _clients(vouchers) as (campaigns, proof):

            async def report(campaign_id: str) -> None:
                await campaigns.GetCampaignReport(campaigns_pb2.GetCampaignReportRequest(campaign_id=campaign_id))

            actions = {"many": lambda: report(many), "few": lambda: report(few)}
            found = await latencies(actions, warm_up=20, samples=SAMPLES, within_s=WITHIN_S)
            verify_s, count_s = await _verify(proof, many), await _count(vouchers)
    return [
        Row("a report", found["many"].median_ms, "ms", "of one redemption", found["few"].median_ms, conditions),
        Row("redemptions verified", MANY / verify_s, "/s", "counted by PostgreSQL", MANY / count_s, conditions),
    ]


async def _campaign_of_one(vouchers: VouchersUnderTest) -> str:
    """A campaign with one redemption."""
    code = await vouchers.hot_code()
    await vouchers.load("redeem", code, callers=1, rate=1, seconds=1)
    connection = await asyncpg.connect(vouchers.postgres.superuser_url("vouchers"))
    found = await connection.fetchval("SELECT campaign_id FROM vouchers WHERE code = $1", code)
    await connection.close()
    return str(found)


async def _fill(vouchers: VouchersUnderTest, campaign_id: str) -> None:
    connection = await asyncpg.connect(vouchers.postgres.superuser_url("vouchers"))
    await connection.execute(_FILL.format(many=MANY, campaign_id=campaign_id), timeout=600)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


@asynccontextmanager
async def _clients(vouchers: VouchersUnderTest) -> AsyncIterator[tuple[CampaignsServiceStub, ProofServiceStub]]:
    async with grpc.aio.insecure_channel(vouchers.address) as channel:
        yield CampaignsServiceStub(channel), ProofServiceStub(channel)


async def _verify(proof: ProofServiceStub, campaign_id: str) -> float:
    """Seconds. Raises RuntimeError when anything is found."""
    started = time.perf_counter()
    async for response in proof.Verify(proof_pb2.VerifyRequest(campaign_ids=[campaign_id])):
        if response.HasField("finding"):
            raise RuntimeError(f"the redemptions are not sound: {response.finding}")
    return time.perf_counter() - started


async def _count(vouchers: VouchersUnderTest) -> float:
    """Seconds for the counters alone."""
    connection = await asyncpg.connect(vouchers.postgres.superuser_url("vouchers"))
    started = time.perf_counter()
    await connection.fetch("SELECT campaign_id, state, count(*), sum(discount_minor) FROM redemptions GROUP BY 1, 2")
    spent_s = time.perf_counter() - started
    await connection.close()
    return spent_s
