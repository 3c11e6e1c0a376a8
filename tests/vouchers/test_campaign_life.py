"""Campaigns started, paused and ended, and what that does to redemptions."""

import asyncio

import asyncpg
import grpc
import pytest

from quittance.vouchers.v1 import campaigns_pb2
from tests.vouchers.interleaving import queue_for
from tests.vouchers.manager import Manager
from tests.vouchers.requests import (
    ACTIVE,
    CONFIRMED,
    DRAFT,
    ENDED,
    PAUSED,
    ROLLED_BACK,
    Order,
    Shop,
    Stub,
    amount_off,
    campaign,
    refused,
    some_id,
)

CREATED = campaigns_pb2.CAMPAIGN_CHANGE_CREATED
STARTED, WAS_PAUSED = campaigns_pb2.CAMPAIGN_CHANGE_STARTED, campaigns_pb2.CAMPAIGN_CHANGE_PAUSED
WAS_ENDED = campaigns_pb2.CAMPAIGN_CHANGE_ENDED


async def test_campaign_goes_its_way_and_each_change_is_a_revision(manager: Manager) -> None:
    campaign_id = (await manager.create(draft=True)).campaign_id
    for change, state in (
        (manager.start, ACTIVE),
        (manager.pause, PAUSED),
        (manager.start, ACTIVE),
        (manager.end, ENDED),
    ):
        assert (await change(campaign_id, note=f"to {state}")).state == state
    revisions = await manager.revisions(campaign_id)
    assert [revision.revision for revision in revisions] == [1, 2, 3, 4, 5]
    assert [revision.campaign.revision for revision in revisions] == [1, 2, 3, 4, 5]
    assert [revision.change for revision in revisions] == [CREATED, STARTED, WAS_PAUSED, STARTED, WAS_ENDED]
    assert [revision.campaign.state for revision in revisions] == [DRAFT, ACTIVE, PAUSED, ACTIVE, ENDED]
    assert [revision.note for revision in revisions] == [
        "",
        *(f"to {state}" for state in (ACTIVE, PAUSED, ACTIVE, ENDED)),
    ]
    moments = [revision.change_time.ToNanoseconds() for revision in revisions]
    assert moments == sorted(moments)


@pytest.mark.parametrize("name", ["start", "pause", "end"])
async def test_change_twice_is_once(manager: Manager, name: str) -> None:
    """K-2."""
    campaign_id = (await manager.create()).campaign_id
    await manager.pause(campaign_id)
    if name == "pause":
        await manager.start(campaign_id)
    first = await getattr(manager, name)(campaign_id)
    assert await getattr(manager, name)(campaign_id) == first
    assert len(await manager.revisions(campaign_id)) == first.revision


async def test_ended_campaign_is_never_changed_again(manager: Manager) -> None:
    ended = await manager.end((await manager.create()).campaign_id)
    for change in (manager.start(ended.campaign_id), manager.pause(ended.campaign_id), manager.update(ended)):
        async with refused("CAMPAIGN_IS_FINAL", grpc.StatusCode.FAILED_PRECONDITION, campaign_id=ended.campaign_id):
            await change
    assert await manager.get(ended.campaign_id) == ended


async def test_draft_can_be_ended_but_not_paused(manager: Manager) -> None:
    draft = await manager.create(draft=True)
    async with refused("CAMPAIGN_IS_DRAFT", campaign_id=draft.campaign_id):
        await manager.pause(draft.campaign_id)
    assert (await manager.end(draft.campaign_id)).state == ENDED


@pytest.mark.parametrize("name", ["get", "start", "pause", "end", "revisions"])
async def test_unknown_campaign_refused(manager: Manager, name: str) -> None:
    campaign_id = some_id()
    async with refused("CAMPAIGN_NOT_FOUND", grpc.StatusCode.NOT_FOUND, campaign_id=campaign_id):
        await getattr(manager, name)(campaign_id)


async def test_update_of_unknown_campaign_refused(manager: Manager) -> None:
    async with refused("CAMPAIGN_NOT_FOUND"):
        await manager.update(campaign(), revision=1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [(["pause"], "CAMPAIGN_PAUSED"), (["end"], "CAMPAIGN_ENDED"), (["pause", "end"], "CAMPAIGN_ENDED")],
)
async def test_redemption_of_a_stopped_campaign_refused_and_open_ones_go_on(
    manager: Manager, shop: Shop, changes: list[str], reason: str
) -> None:
    code = await shop.code(amount_off=amount_off())
    campaign_id = (await shop.get(code)).campaign.campaign_id
    confirmed, undone = Order([code]), Order([code])
    for order in (confirmed, undone):
        await shop.redeem(order)
    for change in changes:
        await getattr(manager, change)(campaign_id)
    async with refused(reason, grpc.StatusCode.FAILED_PRECONDITION, campaign_id=campaign_id):
        await shop.redeem(Order([code]))
    assert (await shop.validate(Order([code])))[0].refusal.reason == reason
    assert await shop.confirm(confirmed) == [CONFIRMED]
    assert await shop.roll_back(undone) == 1
    assert sorted(await shop.states(code)) == sorted([CONFIRMED, ROLLED_BACK])


async def test_redemption_of_a_draft_refused_until_it_is_started(manager: Manager, shop: Shop) -> None:
    draft = await manager.create(draft=True)
    order = Order([await shop.code(draft.campaign_id)])
    async with refused("CAMPAIGN_IS_DRAFT", campaign_id=draft.campaign_id):
        await shop.redeem(order)
    await manager.start(draft.campaign_id)
    assert await shop.redeem(order)


async def test_change_waits_for_redemptions_and_holds_for_those_after_it(
    manager: Manager, shop: Shop, second_vouchers: Stub, owner_connection: asyncpg.Connection
) -> None:
    """On another server, all of them at the campaign's lock."""
    other = Manager(second_vouchers)
    for change in (other.pause, other.end):
        code = await shop.code()
        campaign_id = (await shop.get(code)).campaign.campaign_id
        async with queue_for(owner_connection, campaign_id) as queue:
            before = await queue.enter(shop.redeem(Order([code])))
            stopping = await queue.enter(change(campaign_id))
        assert await asyncio.gather(before, stopping) == ["OK", "OK"]
        async with queue_for(owner_connection, campaign_id) as queue:
            again = await queue.enter(change(campaign_id))
            late = await queue.enter(shop.redeem(Order([code])))
        answers = await asyncio.gather(again, late)
        assert answers in (["OK", "CAMPAIGN_PAUSED"], ["OK", "CAMPAIGN_ENDED"])
        assert await shop.uses(code) == (1, 1)
