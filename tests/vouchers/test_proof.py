"""Verification by itself and by hand: what is found is stored once, on however many servers it is found how often."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import grpc
import pytest

from deploy.local.postgres import EmbeddedPostgres
from quittance.vouchers.v1 import proof_pb2
from services.runtime.database import open_pool
from services.runtime.migrations import migrate_up, migrations_of
from services.vouchers.main import VouchersSettings
from services.vouchers.proofs import Proofs
from services.vouchers.store.proof_store import ProofStore
from tests.vouchers.proving import Served, served, tell_story, verify
from tests.vouchers.requests import Order, refused, some_id

DATABASE = "vouchers_proof"
A_DAY = timedelta(days=1)
NO_TIME = timedelta(0)


@dataclass
class Proven:
    """Vouchers of their own, and an administrator in them."""

    server: Served
    url: str
    administrator: asyncpg.Connection
    campaign_ids: dict[str, str]

    async def tamper(self, by: int = 1) -> None:
        await self.administrator.execute(
            "UPDATE campaigns SET rolled_back = rolled_back + $1 WHERE name IN ('Off', 'Credits')", by
        )

    async def findings(self, *, only_open: bool = True) -> list[proof_pb2.Finding]:
        request = proof_pb2.ListFindingsRequest(only_open=only_open)
        return list((await self.server.proof.ListFindings(request)).findings)

    async def checked(self, interval: timedelta, times: int = 1) -> None:
        """The scheduled check, on as many servers at once."""
        async with open_pool(VouchersSettings(database_url=self.url), "tests") as pool:
            await asyncio.gather(*(Proofs(ProofStore(pool), interval).verify() for _ in range(times)))


@pytest.fixture
async def proven(postgres: EmbeddedPostgres) -> AsyncIterator[Proven]:
    await asyncio.to_thread(postgres.create_database, DATABASE, "vouchers")
    await migrate_up(postgres.url(DATABASE, "vouchers_owner"), migrations_of("vouchers"), "vouchers_app")
    url = postgres.url(DATABASE, "vouchers_app")
    administrator = await asyncpg.connect(postgres.superuser_url(DATABASE))
    async with served(url) as server:
        yield Proven(server, url, administrator, await tell_story(server.shop))
    await administrator.close()
    await asyncio.to_thread(postgres.drop_database, DATABASE)


async def test_scheduled_check_stores_each_finding_once_however_often_it_runs(proven: Proven) -> None:
    await proven.tamper()
    await proven.checked(NO_TIME, times=3)
    first = await proven.findings()
    assert {finding.campaign_id for finding in first} == {proven.campaign_ids["Off"], proven.campaign_ids["Credits"]}
    await proven.checked(NO_TIME)
    again = await proven.findings()
    assert [finding.first_seen_time for finding in again] == [finding.first_seen_time for finding in first]
    assert all(
        later.last_seen_time.ToNanoseconds() > before.last_seen_time.ToNanoseconds()
        for before, later in zip(first, again, strict=True)
    )
    assert await proven.administrator.fetchval("SELECT count(*) FROM findings") == 2


async def test_scheduled_check_verifies_a_campaign_once_within_its_interval(proven: Proven) -> None:
    """However many servers there are."""
    await proven.checked(A_DAY, times=4)
    before = await proven.administrator.fetch("SELECT * FROM verifications ORDER BY unit")
    # Four campaigns, and what belongs to none.
    assert len(before) == 5
    await proven.tamper()
    await proven.checked(A_DAY, times=2)
    assert await proven.administrator.fetch("SELECT * FROM verifications ORDER BY unit") == before
    assert await proven.findings(only_open=False) == []


async def test_wrong_counter_that_goes_on_counting_stays_one_finding(proven: Proven) -> None:
    await proven.tamper()
    for _ in range(2):
        assert len((await verify(proven.server.proof)).findings) == 2
        order = Order([await proven.server.shop.code(proven.campaign_ids["Credits"])])
        await proven.server.shop.redeem(order)
        await proven.server.shop.roll_back(order)
    assert len(await proven.findings(only_open=False)) == 2


async def test_finding_that_is_gone_is_no_longer_open(proven: Proven) -> None:
    await proven.tamper()
    await verify(proven.server.proof)
    await proven.tamper(-1)
    assert (await verify(proven.server.proof)).findings == []
    assert await proven.findings() == []
    assert len(await proven.findings(only_open=False)) == 2


async def test_findings_are_listed_page_by_page_of_one_list(proven: Proven) -> None:
    await proven.tamper()
    await verify(proven.server.proof)
    request = proof_pb2.ListFindingsRequest(page_size=1)
    first = await proven.server.proof.ListFindings(request)
    request.page_token = first.next_page_token
    second = await proven.server.proof.ListFindings(request)
    assert [*first.findings, *second.findings] == await proven.findings(only_open=False)
    assert second.next_page_token == ""
    request.only_open = True
    async with refused("INVALID_PAGE_TOKEN", grpc.StatusCode.INVALID_ARGUMENT):
        await proven.server.proof.ListFindings(request)


async def test_verification_tells_how_far_it_is(proven: Proven) -> None:
    report = await verify(proven.server.proof)
    last = report.progress[-1]
    # Answers from the wallet and tombstones are counted nowhere, so that there may be more than were expected.
    assert last.redemptions_done == last.redemptions_total
    assert last.redemptions_done == await proven.administrator.fetchval(
        "SELECT count(*) FROM redemptions WHERE campaign_id IS NOT NULL"
    )


async def test_verification_of_an_unknown_campaign_refused(proven: Proven) -> None:
    campaign_id = some_id()
    async with refused("CAMPAIGN_NOT_FOUND", grpc.StatusCode.NOT_FOUND, campaign_id=campaign_id):
        await verify(proven.server.proof, [campaign_id])


async def test_verification_during_traffic_finds_nothing(proven: Proven) -> None:
    """Each campaign is seen at one moment."""
    shop = proven.server.shop
    code = await shop.code(uses_per_customer_max=10)

    async def shopper() -> None:
        for number in range(25):
            order = Order([code])
            await shop.redeem(order)
            await (shop.confirm(order) if number % 2 else shop.roll_back(order))

    async def verifier() -> list[proof_pb2.Finding]:
        return [finding for _ in range(10) for finding in (await verify(proven.server.proof)).findings]

    findings, *_ = await asyncio.gather(verifier(), *(shopper() for _ in range(4)))
    assert findings == []


async def test_server_verifies_by_itself(proven: Proven) -> None:
    await proven.tamper()
    async with served(proven.url, verify_interval_s=86_400), asyncio.timeout(60):
        while len(await proven.findings()) < 2:
            await asyncio.sleep(0.05)
