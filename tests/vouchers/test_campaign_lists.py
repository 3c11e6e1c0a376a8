"""Lists of campaigns and of their revisions."""

from collections.abc import Sequence

import grpc
import pytest

from quittance.vouchers.v1 import campaigns_pb2
from tests.vouchers.manager import Manager
from tests.vouchers.requests import (
    ACTIVE,
    DRAFT,
    ENDED,
    refused,
)


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
