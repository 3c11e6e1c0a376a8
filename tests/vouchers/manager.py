"""Somebody who runs promotions."""

from quittance.vouchers.v1 import campaign_pb2, campaigns_pb2
from tests.vouchers.requests import (
    Stub,
    campaign,
)


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
