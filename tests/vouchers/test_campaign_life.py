"""Campaigns started, paused, ended and edited, and what that does to redemptions; lists and revisions."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import grpc
import pytest

from quittance.vouchers.v1 import campaign_pb2, campaigns_pb2
from tests.vouchers.interleaving import outcome, queue_for
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
    credit_grant,
    in_days,
    refused,
    some_id,
)

UPDATED, CREATED = campaigns_pb2.CAMPAIGN_CHANGE_UPDATED, campaigns_pb2.CAMPAIGN_CHANGE_CREATED
STARTED, WAS_PAUSED = campaigns_pb2.CAMPAIGN_CHANGE_STARTED, campaigns_pb2.CAMPAIGN_CHANGE_PAUSED
WAS_ENDED = campaigns_pb2.CAMPAIGN_CHANGE_ENDED


class Manager:
    """Somebody who runs promotions, in short words."""

    def __init__(self, stub: Stub) -> None:
        self.campaigns = stub.campaigns

    async def create(self, *, draft: bool = False, **fields: object) -> campaign_pb2.Campaign:
        request = campaigns_pb2.CreateCampaignRequest(campaign=campaign(**fields), draft=draft)
        return (await self.campaigns.CreateCampaign(request)).campaign

    async def get(self, campaign_id: str) -> campaign_pb2.Campaign:
        request = campaigns_pb2.GetCampaignRequest(campaign_id=campaign_id)
        return (await self.campaigns.GetCampaign(request)).campaign

    async def start(self, campaign_id: str, note: str = "") -> campaign_pb2.Campaign:
        request = campaigns_pb2.StartCampaignRequest(campaign_id=campaign_id, note=note)
        return (await self.campaigns.StartCampaign(request)).campaign

    async def pause(self, campaign_id: str, note: str = "") -> campaign_pb2.Campaign:
        request = campaigns_pb2.PauseCampaignRequest(campaign_id=campaign_id, note=note)
        return (await self.campaigns.PauseCampaign(request)).campaign

    async def end(self, campaign_id: str, note: str = "") -> campaign_pb2.Campaign:
        request = campaigns_pb2.EndCampaignRequest(campaign_id=campaign_id, note=note)
        return (await self.campaigns.EndCampaign(request)).campaign

    async def update(self, edited: campaign_pb2.Campaign, revision: int = 0, note: str = "") -> campaign_pb2.Campaign:
        request = campaigns_pb2.UpdateCampaignRequest(
            campaign=edited, expected_revision=revision or edited.revision, note=note
        )
        return (await self.campaigns.UpdateCampaign(request)).campaign

    async def revisions(self, campaign_id: str) -> list[campaigns_pb2.CampaignRevision]:
        """Oldest first."""
        request = campaigns_pb2.ListCampaignRevisionsRequest(campaign_id=campaign_id)
        return list((await self.campaigns.ListCampaignRevisions(request)).revisions)[::-1]


@pytest.fixture
def manager(vouchers: Stub) -> Manager:
    return Manager(vouchers)


# Life ----------------------------------------------------------------------------------------------------------------


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


# Edits ---------------------------------------------------------------------------------------------------------------


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


# Lists ---------------------------------------------------------------------------------------------------------------


async def listed(manager: Manager, states: Sequence[int], page_size: int = 2, pages_max: int = 1000) -> list[str]:
    """The ids of all campaigns in these states, page by page."""
    ids: list[str] = []
    token = ""
    for _ in range(pages_max):
        request = campaigns_pb2.ListCampaignsRequest(states=states, page_size=page_size, page_token=token)
        response = await manager.campaigns.ListCampaigns(request)
        assert len(response.campaigns) <= page_size
        ids += [each.campaign_id for each in response.campaigns]
        token = response.next_page_token
        if not token:
            break
    return ids


async def test_list_gives_every_campaign_once_newest_first(manager: Manager) -> None:
    ids = [(await manager.create(draft=number % 2 == 0)).campaign_id for number in range(5)]
    found = await listed(manager, [DRAFT, ACTIVE], page_size=2, pages_max=3)
    assert found[:5] == ids[::-1]
    assert (await listed(manager, [], page_size=500))[:5] == ids[::-1]


async def test_list_by_state_gives_those_only(manager: Manager) -> None:
    ended = await manager.end((await manager.create()).campaign_id)
    draft = await manager.create(draft=True)
    assert (await listed(manager, [DRAFT], pages_max=1))[0] == draft.campaign_id
    found = await listed(manager, [ENDED], page_size=500)
    assert ended.campaign_id in found
    assert draft.campaign_id not in found


async def test_page_token_of_another_list_refused(manager: Manager) -> None:
    for _ in range(2):
        await manager.create(draft=True)
    request = campaigns_pb2.ListCampaignsRequest(states=[DRAFT], page_size=1)
    token = (await manager.campaigns.ListCampaigns(request)).next_page_token
    for states, wrong in (([ACTIVE], token), ([], token), ([DRAFT], token[:-4]), ([DRAFT], "nonsense")):
        async with refused("INVALID_PAGE_TOKEN", grpc.StatusCode.INVALID_ARGUMENT):
            await manager.campaigns.ListCampaigns(
                campaigns_pb2.ListCampaignsRequest(states=states, page_size=1, page_token=wrong)
            )


async def test_revisions_are_listed_page_by_page(manager: Manager) -> None:
    campaign_id = (await manager.create()).campaign_id
    for name in ("pause", "start", "pause", "end"):
        await getattr(manager, name)(campaign_id)
    numbers: list[int] = []
    token = ""
    while len(numbers) < 5:
        request = campaigns_pb2.ListCampaignRevisionsRequest(campaign_id=campaign_id, page_size=2, page_token=token)
        response = await manager.campaigns.ListCampaignRevisions(request)
        numbers += [revision.revision for revision in response.revisions]
        token = response.next_page_token
    assert (numbers, token) == ([5, 4, 3, 2, 1], "")


@pytest.mark.parametrize("states", [[0], [9], [DRAFT, DRAFT]])
async def test_list_of_states_that_are_none_refused(manager: Manager, states: list[int]) -> None:
    async with refused("INVALID_REQUEST"):
        await manager.campaigns.ListCampaigns(campaigns_pb2.ListCampaignsRequest(states=states))
