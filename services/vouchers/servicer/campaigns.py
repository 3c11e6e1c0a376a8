"""CampaignsService: decode, call, encode."""

from typing import Any
from uuid import UUID

import grpc

from quittance.vouchers.v1 import campaigns_pb2, campaigns_pb2_grpc
from services.runtime.ids import parse_id
from services.vouchers.domain.campaign_life import CampaignChange, CampaignEdit, CampaignRevision
from services.vouchers.domain.campaigns import Campaign, NewCampaign
from services.vouchers.domain.kinds import CampaignState
from services.vouchers.domain.paging import PAGE_SIZE_DEFAULT, Place, page_of, place_of
from services.vouchers.domain.reports import CampaignReport, ReportedCode
from services.vouchers.domain.vouchers import mask_code
from services.vouchers.qualification import check_qualification
from services.vouchers.servicer import campaign_messages
from services.vouchers.store.campaigns_store import CampaignsStore

Context = grpc.aio.ServicerContext[Any, Any]

_CAMPAIGNS_LIST, _REVISIONS_LIST = "campaigns", "campaign revisions"
_STATES_ASKED = {number: state for state, number in campaign_messages.STATES.items()}
_CHANGES = {change: campaigns_pb2.CampaignChange.Value(f"CAMPAIGN_CHANGE_{change.name}") for change in CampaignChange}


class CampaignsServicer(campaigns_pb2_grpc.CampaignsServiceServicer):
    """Handlers of CampaignsService; their contract is written in the proto."""

    def __init__(self, store: CampaignsStore) -> None:
        self._store = store

    async def CreateCampaign(
        self, request: campaigns_pb2.CreateCampaignRequest, context: Context
    ) -> campaigns_pb2.CreateCampaignResponse:
        """A transaction of its own."""
        asked = NewCampaign(
            campaign_id=parse_id(request.campaign.campaign_id, "campaign.campaign_id"),
            rules=campaign_messages.campaign_rules(request.campaign),
            state=CampaignState.DRAFT if request.draft else CampaignState.ACTIVE,
        )
        check_qualification(asked.rules.qualification)
        campaign = await self._store.create(asked)
        return campaigns_pb2.CreateCampaignResponse(campaign=campaign_messages.campaign(campaign))

    async def GetCampaign(
        self, request: campaigns_pb2.GetCampaignRequest, context: Context
    ) -> campaigns_pb2.GetCampaignResponse:
        """A read."""
        campaign = await self._store.read(parse_id(request.campaign_id, "campaign_id"))
        return campaigns_pb2.GetCampaignResponse(campaign=campaign_messages.campaign(campaign))

    async def UpdateCampaign(
        self, request: campaigns_pb2.UpdateCampaignRequest, context: Context
    ) -> campaigns_pb2.UpdateCampaignResponse:
        """A transaction of its own."""
        edit = CampaignEdit(
            campaign_id=parse_id(request.campaign.campaign_id, "campaign.campaign_id"),
            rules=campaign_messages.campaign_rules(request.campaign),
            expected_revision=request.expected_revision,
            note=request.note,
        )
        check_qualification(edit.rules.qualification)
        campaign = await self._store.edit(edit)
        return campaigns_pb2.UpdateCampaignResponse(campaign=campaign_messages.campaign(campaign))

    async def StartCampaign(
        self, request: campaigns_pb2.StartCampaignRequest, context: Context
    ) -> campaigns_pb2.StartCampaignResponse:
        """A transaction of its own."""
        campaign = await self._change(request, CampaignChange.STARTED)
        return campaigns_pb2.StartCampaignResponse(campaign=campaign_messages.campaign(campaign))

    async def PauseCampaign(
        self, request: campaigns_pb2.PauseCampaignRequest, context: Context
    ) -> campaigns_pb2.PauseCampaignResponse:
        """A transaction of its own."""
        campaign = await self._change(request, CampaignChange.PAUSED)
        return campaigns_pb2.PauseCampaignResponse(campaign=campaign_messages.campaign(campaign))

    async def EndCampaign(
        self, request: campaigns_pb2.EndCampaignRequest, context: Context
    ) -> campaigns_pb2.EndCampaignResponse:
        """A transaction of its own."""
        campaign = await self._change(request, CampaignChange.ENDED)
        return campaigns_pb2.EndCampaignResponse(campaign=campaign_messages.campaign(campaign))

    async def ListCampaigns(
        self, request: campaigns_pb2.ListCampaignsRequest, context: Context
    ) -> campaigns_pb2.ListCampaignsResponse:
        """A read of one campaign more than the page has, to know whether there is a next page."""
        size = request.page_size or PAGE_SIZE_DEFAULT
        states = sorted(_STATES_ASKED[state] for state in request.states)
        names = [state.value for state in states]
        below = place_of(request.page_token, _CAMPAIGNS_LIST, *names)
        found = await self._store.list_campaigns(states, below, size + 1)
        page, next_page_token = page_of(found, size, _place, _CAMPAIGNS_LIST, *names)
        campaigns = [campaign_messages.campaign(campaign) for campaign in page]
        return campaigns_pb2.ListCampaignsResponse(campaigns=campaigns, next_page_token=next_page_token)

    async def ListCampaignRevisions(
        self, request: campaigns_pb2.ListCampaignRevisionsRequest, context: Context
    ) -> campaigns_pb2.ListCampaignRevisionsResponse:
        """A read of one revision more than the page has, to know whether there is a next page."""
        size = request.page_size or PAGE_SIZE_DEFAULT
        campaign_id = parse_id(request.campaign_id, "campaign_id")
        below = place_of(request.page_token, _REVISIONS_LIST, campaign_id)
        found = await self._store.list_revisions(campaign_id, below.item_id.int, size + 1)
        page, next_page_token = page_of(found, size, _revision_place, _REVISIONS_LIST, campaign_id)
        return campaigns_pb2.ListCampaignRevisionsResponse(
            revisions=[_revision(revision) for revision in page], next_page_token=next_page_token
        )

    async def GetCampaignReport(
        self, request: campaigns_pb2.GetCampaignReportRequest, context: Context
    ) -> campaigns_pb2.GetCampaignReportResponse:
        """A read."""
        campaign_id = parse_id(request.campaign_id, "campaign_id")
        report = await self._store.report(campaign_id, with_codes=request.with_codes)
        return campaigns_pb2.GetCampaignReportResponse(
            report=_report(report), codes=[_code_uses(code) for code in report.codes]
        )

    async def _change(
        self,
        request: campaigns_pb2.StartCampaignRequest
        | campaigns_pb2.PauseCampaignRequest
        | campaigns_pb2.EndCampaignRequest,
        change: CampaignChange,
    ) -> Campaign:
        return await self._store.change(parse_id(request.campaign_id, "campaign_id"), change, request.note)


def _place(campaign: Campaign) -> Place:
    return Place(campaign.created_at, campaign.campaign_id)


def _revision_place(revision: CampaignRevision) -> Place:
    """Numbers tell revisions apart, also those of one moment."""
    return Place(revision.changed_at, UUID(int=revision.campaign.revision))


def _revision(revision: CampaignRevision) -> campaigns_pb2.CampaignRevision:
    message = campaigns_pb2.CampaignRevision(
        revision=revision.campaign.revision,
        change=_CHANGES[revision.change],
        note=revision.note,
        campaign=campaign_messages.campaign(revision.campaign),
    )
    message.change_time.FromDatetime(revision.changed_at)
    return message


def _report(report: CampaignReport) -> campaigns_pb2.CampaignReport:
    campaign = report.campaign
    usage = campaign.usage._asdict()
    message = campaigns_pb2.CampaignReport(
        campaign_id=str(campaign.campaign_id),
        state=campaign_messages.STATES[campaign.state],
        codes_issued=campaign.codes,
        uses=campaign.usage.uses,
        currency=campaign.rules.effect.currency,
        budget_minor=campaign.rules.budget_minor or 0,
        left_minor=report.left_minor or 0,
        **usage,
    )
    message.report_time.FromDatetime(report.reported_at)
    return message


def _code_uses(code: ReportedCode) -> campaigns_pb2.CodeUses:
    return campaigns_pb2.CodeUses(
        voucher_id=str(code.voucher_id),
        masked_code="" if code.code is None else mask_code(code.code),
        uses=code.uses,
        uses_max=code.uses_max or 0,
    )
