"""ProofService: decode, call, encode."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from uuid import UUID

import grpc

from quittance.vouchers.v1 import proof_pb2, proof_pb2_grpc
from services.runtime.ids import parse_id
from services.vouchers.domain.findings import Finding, FindingKind, StoredFinding, VerifiedCampaign, Verifying
from services.vouchers.domain.paging import PAGE_SIZE_DEFAULT, Place, page_of, place_of
from services.vouchers.store.proof_store import ProofStore

Context = grpc.aio.ServicerContext[Any, Any]

_KINDS = {kind: proof_pb2.FindingKind.Value(f"FINDING_KIND_{kind.name}") for kind in FindingKind}
_FINDINGS_LIST = "findings"


class ProofServicer(proof_pb2_grpc.ProofServiceServicer):
    """Handlers of ProofService; their contract is written in the proto."""

    def __init__(self, store: ProofStore) -> None:
        self._store = store

    async def Verify(
        self, request: proof_pb2.VerifyRequest, context: Context
    ) -> AsyncIterator[proof_pb2.VerifyResponse]:
        """Campaign after campaign."""
        wanted = [parse_id(campaign_id, "campaign_ids") for campaign_id in request.campaign_ids]
        campaigns = await self._store.campaigns(wanted)
        done, total = 0, sum(campaigns.values())
        for campaign_id in campaigns:
            async with aclosing(self._store.verify(campaign_id)) as events:
                async for event in events:
                    if isinstance(event, Verifying):
                        done += event.redemptions
                        progress = proof_pb2.VerifyProgress(redemptions_done=done, redemptions_total=max(total, done))
                        yield proof_pb2.VerifyResponse(progress=progress)
                    elif isinstance(event, Finding):
                        yield proof_pb2.VerifyResponse(finding=_finding(event))
                    else:
                        yield proof_pb2.VerifyResponse(campaign=_campaign(event))

    async def ListFindings(
        self, request: proof_pb2.ListFindingsRequest, context: Context
    ) -> proof_pb2.ListFindingsResponse:
        """A read of one finding more than the page has, to know whether there is a next page."""
        size = request.page_size or PAGE_SIZE_DEFAULT
        below = place_of(request.page_token, _FINDINGS_LIST, request.only_open)
        found = await self._store.list_findings(below, request.only_open, size + 1)
        page, next_page_token = page_of(found, size, _place, _FINDINGS_LIST, request.only_open)
        return proof_pb2.ListFindingsResponse(
            findings=[_stored_finding(stored) for stored in page], next_page_token=next_page_token
        )


def _place(stored: StoredFinding) -> Place:
    return Place(stored.first_seen_at, UUID(bytes=stored.digest))


def _finding(finding: Finding) -> proof_pb2.Finding:
    return proof_pb2.Finding(
        kind=_KINDS[finding.kind],
        campaign_id=str(finding.campaign_id or ""),
        subject=finding.subject,
        expected=finding.expected,
        found=finding.found,
    )


def _stored_finding(stored: StoredFinding) -> proof_pb2.Finding:
    message = _finding(stored.finding)
    message.first_seen_time.FromDatetime(stored.first_seen_at)
    message.last_seen_time.FromDatetime(stored.last_seen_at)
    return message


def _campaign(verified: VerifiedCampaign) -> proof_pb2.VerifiedCampaign:
    return proof_pb2.VerifiedCampaign(
        campaign_id=str(verified.campaign_id or ""),
        redemptions=verified.redemptions,
        findings=verified.findings,
        findings_left_out=verified.findings_left_out,
    )
