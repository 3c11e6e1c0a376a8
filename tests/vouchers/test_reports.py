"""Reports: what has become of a campaign's redemptions, next to the redemptions themselves."""

import asyncio
import random
from collections import Counter
from typing import Any
from uuid import UUID

import asyncpg

from quittance.vouchers.v1 import campaign_pb2, campaigns_pb2
from tests.vouchers.interleaving import outcome
from tests.vouchers.requests import ACTIVE, Order, Shop, Stub, amount_off, credit_grant, in_days, refused, some_id

STATES = ("reserved", "kept", "confirmed", "rolled_back", "expired", "restored")


async def report(shop: Shop, campaign_id: str, *, with_codes: bool = False) -> campaigns_pb2.GetCampaignReportResponse:
    request = campaigns_pb2.GetCampaignReportRequest(campaign_id=campaign_id, with_codes=with_codes)
    return await shop.stub.campaigns.GetCampaignReport(request)


async def recomputed(connection: asyncpg.Connection, campaign_id: str) -> dict[str, int]:
    """The report's numbers from the rows, counted here."""
    rows = await connection.fetch("SELECT * FROM redemptions WHERE campaign_id = $1", UUID(campaign_id))
    states = Counter(row["state"] for row in rows)
    counted = [row for row in rows if row["state"] in ("reserved", "kept", "confirmed")]
    return {
        **{state: states[state] for state in STATES},
        "uses": len(counted),
        "spent_minor": sum(row["discount_minor"] + row["credit_minor"] for row in counted),
        "codes_issued": await connection.fetchval(
            "SELECT count(*) FROM vouchers WHERE campaign_id = $1", UUID(campaign_id)
        ),
    }


def numbers(message: campaigns_pb2.CampaignReport, names: Any) -> dict[str, int]:
    return {name: getattr(message, name) for name in names}


async def test_report_of_a_new_campaign_is_empty(shop: Shop) -> None:
    campaign_id = await shop.campaign()
    found = (await report(shop, campaign_id)).report
    assert (found.state, found.currency, found.report_time.seconds > 0) == (ACTIVE, "OMR", True)
    names = (*STATES, "uses", "codes_issued", "spent_minor", "budget_minor", "left_minor")
    assert numbers(found, names) == dict.fromkeys(names, 0)


async def test_report_of_an_unknown_campaign_refused(shop: Shop) -> None:
    async with refused("CAMPAIGN_NOT_FOUND"):
        await report(shop, some_id())


async def test_report_counts_each_redemption_where_it_stands(shop: Shop, owner_connection: asyncpg.Connection) -> None:
    campaign_id = await shop.campaign(credit_grant=credit_grant(1_000), budget_minor=50_000)
    code, other = await shop.code(campaign_id), await shop.code(campaign_id)
    orders = [Order([code]) for _ in range(6)] + [Order([other])]
    for order in orders:
        await shop.redeem(order)
    await shop.keep(orders[0])
    await shop.keep(orders[1])
    for order in orders[1:4]:
        await shop.confirm(order)
    await shop.roll_back(orders[4])
    await shop.roll_back(Order([code]))
    await shop.redeem(Order([code], orders[0].customer_id))
    found = (await report(shop, campaign_id)).report
    expected = {"reserved": 2, "kept": 1, "confirmed": 3, "rolled_back": 1, "uses": 6, "codes_issued": 2}
    assert numbers(found, expected) == expected
    assert (found.spent_minor, found.budget_minor, found.left_minor) == (6_000, 50_000, 44_000)
    rows = await recomputed(owner_connection, campaign_id)
    assert numbers(found, rows) == rows


async def test_report_code_by_code_shows_uses_and_no_code(shop: Shop) -> None:
    campaign_id = await shop.campaign()
    codes = [await shop.code(campaign_id, uses_max=number) for number in (0, 2, 3)]
    for code in (codes[1], codes[1], codes[2]):
        await shop.redeem(Order([code]))
    found = (await report(shop, campaign_id, with_codes=True)).codes
    assert [(each.uses, each.uses_max) for each in found] == [(0, 0), (2, 2), (1, 3)]
    assert not any(code.replace("-", "") in str(found) or code in str(found) for code in codes)
    assert not (await report(shop, campaign_id)).codes


async def test_report_of_many_codes_is_not_code_by_code(shop: Shop) -> None:
    campaign_id = await shop.campaign()
    await asyncio.gather(*(shop.code(campaign_id) for _ in range(101)))
    found = await report(shop, campaign_id, with_codes=True)
    assert (found.report.codes_issued, len(found.codes)) == (101, 0)


async def test_report_of_expired_and_restored_redemptions(shop: Shop, owner_connection: asyncpg.Connection) -> None:
    """The use and its worth come back."""
    campaign_id = await shop.campaign(
        amount_off=amount_off(1_000), on_refund=campaign_pb2.USE_RULE_RESTORE, budget_minor=2_000
    )
    code = await shop.code(campaign_id)
    restored, expired = Order([code]), Order([code], expire_time=in_days(-1))
    await shop.redeem(restored)
    await shop.confirm(restored)
    await shop.restore(restored)
    await shop.redeem(expired)
    async with asyncio.timeout(60):
        while not (await report(shop, campaign_id)).report.expired:
            await asyncio.sleep(0.05)
    found = (await report(shop, campaign_id)).report
    expected = {"reserved": 0, "confirmed": 0, "restored": 1, "expired": 1, "uses": 0, "spent_minor": 0}
    assert numbers(found, expected) == expected
    assert found.left_minor == 2_000
    rows = await recomputed(owner_connection, campaign_id)
    assert numbers(found, rows) == rows


async def test_reports_under_random_traffic_equal_the_rows(
    shop: Shop, second_vouchers: Stub, dice: random.Random, owner_connection: asyncpg.Connection
) -> None:
    """Each report is of one moment: its parts never disagree, whatever is going on; at the end it equals the rows."""
    shops = [shop, Shop(second_vouchers)]
    campaign_id = await shop.campaign(amount_off=amount_off(700), uses_per_customer_max=3)
    code = await shop.code(campaign_id)
    customers = [some_id() for _ in range(10)]
    orders = [Order([code], dice.choice(customers)) for _ in range(60)]
    moves = ["redeem", "redeem", "confirm", "roll_back"]
    seen: list[campaigns_pb2.CampaignReport] = []

    async def watch() -> None:
        for _ in range(40):
            seen.append((await report(dice.choice(shops), campaign_id)).report)

    calls = [outcome(getattr(dice.choice(shops), dice.choice(moves))(dice.choice(orders))) for _ in range(400)]
    await asyncio.gather(watch(), *calls)
    for each in seen:
        assert each.uses == each.reserved + each.kept + each.confirmed
        assert each.spent_minor == 700 * each.uses
    rows = await recomputed(owner_connection, campaign_id)
    assert numbers((await report(shop, campaign_id)).report, rows) == rows
    assert rows["uses"] > 0
