"""Campaigns edited: what is refused, and what redemptions that are made already keep."""

import asyncio
from uuid import UUID

import asyncpg
import grpc
import pytest

from quittance.vouchers.v1 import campaign_pb2, campaigns_pb2
from tests.vouchers.interleaving import outcome
from tests.vouchers.manager import Manager
from tests.vouchers.requests import (
    ACTIVE,
    Order,
    Shop,
    Stub,
    amount_off,
    campaign,
    credit_grant,
    in_days,
    refused,
    some_id,
)

UPDATED, CREATED = campaigns_pb2.CAMPAIGN_CHANGE_UPDATED, campaigns_pb2.CAMPAIGN_CHANGE_CREATED


async def test_update_replaces_all_rules_and_keeps_what_redemptions_were_made_with(
    manager: Manager, shop: Shop
) -> None:
    created = await manager.create(amount_off=amount_off(10_000), order_minimum_minor=1)
    code = await shop.code(created.campaign_id)
    before = Order([code])
    first = await shop.redeem(before)
    edited = campaign(
        campaign_id=created.campaign_id, name="Run", amount_off=amount_off(7_000), uses_max=5, end_time=in_days(1)
    )
    stored = await manager.update(edited, revision=1, note="cheaper")
    assert (stored.revision, stored.name, stored.uses_max, stored.order_minimum_minor) == (2, "Run", 5, 0)
    assert (stored.uses, stored.spent_minor, stored.state) == (1, 10_000, ACTIVE)
    assert await shop.redeem(before) == first
    assert (await shop.redeem(Order([code]))).discount_minor == 7_000
    was, now = await manager.revisions(created.campaign_id)
    assert (was.change, was.campaign.name, was.campaign.amount_off.amount.amount_minor) == (CREATED, "Walk", 10_000)
    assert (now.change, now.note, now.campaign.amount_off.amount.amount_minor) == (UPDATED, "cheaper", 7_000)


async def test_create_campaign_repeated_after_an_edit_answers_what_stands_now(manager: Manager) -> None:
    """K-2: compared with what it was made as, not with what has become of it."""
    created = await manager.create(name="Walk")
    edited = await manager.update(campaign(campaign_id=created.campaign_id, name="Run"), revision=1)
    assert await manager.create(campaign_id=created.campaign_id, name="Walk") == edited
    async with refused("CAMPAIGN_EXISTS_WITH_DIFFERENT_FIELD", field="name"):
        await manager.create(campaign_id=created.campaign_id, name="Run")


async def test_update_repeated_changes_nothing_more(manager: Manager) -> None:
    """K-2: also when others have edited and ended the campaign since."""
    created = await manager.create()
    edited = campaign(campaign_id=created.campaign_id, name="Run")
    first = await manager.update(edited, revision=1, note="x")
    assert await manager.update(edited, revision=1, note="x") == first
    await manager.update(campaign(campaign_id=created.campaign_id, name="Swim"), revision=2)
    ended = await manager.end(created.campaign_id)
    assert await manager.update(edited, revision=1, note="x") == ended
    assert [revision.campaign.name for revision in await manager.revisions(created.campaign_id)] == [
        *("Walk", "Run"),
        *("Swim", "Swim"),
    ]


async def test_update_to_the_same_rules_makes_no_revision(manager: Manager) -> None:
    created = await manager.create(uses_max=3)
    assert await manager.update(created) == created


async def test_update_of_a_changed_campaign_refused(manager: Manager) -> None:
    """Nobody's edit is lost."""
    created = await manager.create()
    await manager.update(campaign(campaign_id=created.campaign_id, name="Run"), revision=1)
    async with refused(
        "CAMPAIGN_CHANGED_MEANWHILE",
        grpc.StatusCode.ABORTED,
        campaign_id=created.campaign_id,
        revision=2,
        expected_revision=1,
    ):
        await manager.update(campaign(campaign_id=created.campaign_id, name="Swim"), revision=1)


async def test_updates_at_once_one_of_them_wins(manager: Manager, second_vouchers: Stub) -> None:
    managers = [manager, Manager(second_vouchers)]
    for _ in range(5):
        created = await manager.create()
        edits = [campaign(campaign_id=created.campaign_id, name=f"Edit {number}") for number in range(6)]
        answers = await asyncio.gather(
            *(outcome(managers[number % 2].update(edit, revision=1)) for number, edit in enumerate(edits))
        )
        assert sorted(answers) == ["CAMPAIGN_CHANGED_MEANWHILE"] * 5 + ["OK"]
        assert (await manager.get(created.campaign_id)).name == f"Edit {answers.index('OK')}"


async def used(shop: Shop, count: int, **fields: object) -> str:
    """A campaign that one customer has used so often; its id."""
    code = await shop.code(uses_per_customer_max=100, **fields)
    customer_id = some_id()
    for _ in range(count):
        order = Order([code], customer_id)
        await shop.redeem(order)
        await shop.confirm(order)
    return (await shop.get(code)).campaign.campaign_id


LIMITS = {
    "uses_max": {"uses_max": 2},
    "uses_per_customer_max": {"uses_per_customer_max": 2},
    "uses_per_period_max": {"uses_per_period_max": 2, "period_days": 1},
    "budget_minor": {"budget_minor": 29_999},
}
USED = {"uses_max": 3, "uses_per_customer_max": 3, "uses_per_period_max": 3, "budget_minor": 30_000}


@pytest.mark.parametrize("field", LIMITS)
async def test_update_to_a_limit_below_what_is_used_refused_with_both_values(
    manager: Manager, shop: Shop, field: str
) -> None:
    campaign_id = await used(shop, 3)
    stored = await manager.get(campaign_id)
    limit = LIMITS[field][field]
    values = {"campaign_id": campaign_id, "field": field, "limit": limit, "used": USED[field]}
    async with refused("LIMIT_BELOW_USE", grpc.StatusCode.FAILED_PRECONDITION, **values):
        await manager.update(_with(stored, LIMITS[field]))
    assert await manager.get(campaign_id) == stored
    exact = {**LIMITS[field], field: USED[field]}
    assert (await manager.update(_with(stored, exact))).revision == 2


def _with(stored: campaign_pb2.Campaign, fields: dict[str, int]) -> campaign_pb2.Campaign:
    edited = campaign_pb2.Campaign()
    edited.CopyFrom(stored)
    for name, value in fields.items():
        setattr(edited, name, value)
    return edited


async def test_limit_of_a_period_looks_at_the_fullest_period_only(
    manager: Manager, shop: Shop, owner_connection: asyncpg.Connection
) -> None:
    """Three uses in all, two of them within a day: the third was exactly a day before."""
    campaign_id = await used(shop, 3)
    await owner_connection.execute(
        "UPDATE redemptions SET created_at = (SELECT min(created_at) + interval '24 hours' FROM redemptions"
        " WHERE campaign_id = $1) - interval '48 hours' WHERE redemption_id = ("
        " SELECT redemption_id FROM redemptions WHERE campaign_id = $1 ORDER BY created_at LIMIT 1)",
        UUID(campaign_id),
    )
    stored = await manager.get(campaign_id)
    async with refused("LIMIT_BELOW_USE", field="uses_per_period_max", used=2):
        await manager.update(_with(stored, {"uses_per_period_max": 1, "period_days": 1}))
    assert (await manager.update(_with(stored, {"uses_per_period_max": 2, "period_days": 1}))).revision == 2
    async with refused("LIMIT_BELOW_USE", field="uses_per_period_max", used=3):
        await manager.update(_with(stored, {"uses_per_period_max": 2, "period_days": 3}), revision=2)


@pytest.mark.parametrize(
    ("effect", "field"),
    [({"credit_grant": credit_grant()}, "effect"), ({"amount_off": amount_off(10_000, "USD")}, "currency")],
)
async def test_update_of_what_redemptions_count_in_refused(
    manager: Manager, shop: Shop, effect: dict[str, object], field: str
) -> None:
    """Also when the only redemption was rolled back: its value stands in the same report."""
    code = await shop.code(amount_off=amount_off())
    stored = (await shop.get(code)).campaign
    edited = campaign(campaign_id=stored.campaign_id, **effect)
    assert (await manager.update(edited, revision=1)).revision == 2
    assert (await manager.update(stored, revision=2)).revision == 3
    order = Order([code])
    await shop.redeem(order)
    await shop.roll_back(order)
    async with refused("FIELD_IS_FIXED", grpc.StatusCode.FAILED_PRECONDITION, field=field):
        await manager.update(edited, revision=3)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"start_time": in_days(2), "end_time": in_days(1)}, "INVALID_WINDOW"),
        ({"qualification": "order.quantity"}, "INVALID_QUALIFICATION"),
        ({"name": ""}, "INVALID_REQUEST"),
    ],
)
async def test_update_to_rules_that_cannot_be_refused(manager: Manager, fields: dict[str, object], reason: str) -> None:
    created = await manager.create()
    async with refused(reason, grpc.StatusCode.INVALID_ARGUMENT):
        await manager.update(campaign(campaign_id=created.campaign_id, **fields), revision=1)
    assert await manager.get(created.campaign_id) == created


async def test_budget_raised_lets_the_next_redemption_in(manager: Manager, shop: Shop) -> None:
    code = await shop.code(amount_off=amount_off(10_000), budget_minor=15_000)
    await shop.redeem(Order([code]))
    async with refused("BUDGET_EXHAUSTED"):
        await shop.redeem(Order([code]))
    stored = (await shop.get(code)).campaign
    await manager.update(_with(stored, {"budget_minor": 20_000}))
    assert (await shop.redeem(Order([code]))).discount_minor == 10_000
