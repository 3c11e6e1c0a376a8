"""Vouchers to be tampered with: databases of their own, and what a verification says about them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc

from quittance.vouchers.v1 import campaign_pb2, campaigns_pb2, proof_pb2
from quittance.vouchers.v1.proof_pb2_grpc import ProofServiceStub
from services.vouchers.main import VouchersSettings, serving
from tests.vouchers.requests import Order, Shop, Stub, amount_off, credit_grant, in_days, lines


@dataclass(frozen=True)
class Served:
    """Clients of one server."""

    address: str
    shop: Shop
    proof: ProofServiceStub


@asynccontextmanager
async def served(database_url: str, **settings: object) -> AsyncIterator[Served]:
    """A server on this database; by itself it neither sweeps nor verifies, unless the settings say so."""
    values = {"verify_interval_s": 0, "sweep_interval_s": 0, "log_level": "WARNING", **settings}
    async with (
        serving(VouchersSettings(database_url=database_url, address="127.0.0.1:0", **values)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        yield Served(server.address, Shop(Stub(channel)), ProofServiceStub(channel))


@dataclass
class Report:
    """What one verification said."""

    findings: list[proof_pb2.Finding]
    campaigns: dict[str, proof_pb2.VerifiedCampaign]
    progress: list[proof_pb2.VerifyProgress]

    @property
    def kinds(self) -> set[str]:
        return {proof_pb2.FindingKind.Name(finding.kind).removeprefix("FINDING_KIND_") for finding in self.findings}

    def of(self, kind: str) -> list[proof_pb2.Finding]:
        wanted = proof_pb2.FindingKind.Value(f"FINDING_KIND_{kind}")
        return [finding for finding in self.findings if finding.kind == wanted]


async def verify(proof: ProofServiceStub, campaign_ids: Sequence[str] = ()) -> Report:
    """Verifies these campaigns, or all."""
    report = Report([], {}, [])
    async for response in proof.Verify(proof_pb2.VerifyRequest(campaign_ids=campaign_ids)):
        if response.HasField("finding"):
            report.findings.append(response.finding)
        elif response.HasField("campaign"):
            report.campaigns[response.campaign.campaign_id] = response.campaign
        else:
            report.progress.append(response.progress)
    return report


async def tell_story(shop: Shop) -> dict[str, str]:
    """Something of every kind, in campaigns "Off", "Credits" and "Percent"; their ids by name."""
    ids = {
        "Off": await _discounts(shop),
        "Credits": await _credits(shop),
        "Percent": await _percentage(shop),
    }
    await shop.roll_back(Order(["NO-SUCH-CODE"]))
    return ids


async def _discounts(shop: Shop) -> str:
    campaign_id = await shop.campaign(
        name="Off",
        amount_off=amount_off(1_000),
        uses_max=10,
        uses_per_customer_max=3,
        uses_per_period_max=3,
        period_days=30,
        budget_minor=50_000,
        on_refund=campaign_pb2.USE_RULE_RESTORE,
    )
    code = await shop.code(campaign_id, uses_max=5)
    orders = [Order([code]) for _ in range(3)]
    for order in orders:
        await shop.redeem(order)
    await shop.confirm(orders[0])
    await shop.roll_back(orders[1])
    twice = Order([code], orders[0].customer_id)
    await shop.redeem(twice)
    await shop.confirm(twice)
    restored = Order([code])
    await shop.redeem(restored)
    await shop.confirm(restored)
    await shop.restore(restored)
    await shop.roll_back(Order([code]))
    edited = (await shop.get(code)).campaign
    edited.amount_off.amount.amount_minor = 1_500
    request = campaigns_pb2.UpdateCampaignRequest(campaign=edited, expected_revision=1, note="more")
    await shop.stub.campaigns.UpdateCampaign(request)
    await shop.redeem(Order([code], expire_time=in_days(-0.001)))
    return campaign_id


async def _credits(shop: Shop) -> str:
    campaign_id = await shop.campaign(name="Credits", credit_grant=credit_grant(2_000))
    code = await shop.code(campaign_id)
    kept = Order([code])
    await shop.redeem(kept)
    await shop.keep(kept)
    await shop.redeem(Order([code], kept.customer_id))
    return campaign_id


async def _percentage(shop: Shop) -> str:
    """Redeemed together with a fixed amount of another campaign."""
    percent = campaign_pb2.PercentOffEffect(basis_points=1_250, currency="OMR", ceiling_minor=9_000)
    campaign_id = await shop.campaign(name="Percent", percent_off=percent)
    codes = [await shop.code(name="Stacked", amount_off=amount_off(333)), await shop.code(campaign_id)]
    await shop.redeem(Order(codes, lines=lines(10_001, 20_002, 3)))
    request = campaigns_pb2.PauseCampaignRequest(campaign_id=campaign_id, note="enough")
    await shop.stub.campaigns.PauseCampaign(request)
    return campaign_id


async def until_swept(database_url: str, shop: Shop, campaign_id: str) -> None:
    """Waits until the reservation whose time has come is ended."""
    request = campaigns_pb2.GetCampaignReportRequest(campaign_id=campaign_id)
    async with asyncio.timeout(60), served(database_url, sweep_interval_s=0.05):
        while not (await shop.stub.campaigns.GetCampaignReport(request)).report.expired:
            await asyncio.sleep(0.02)
