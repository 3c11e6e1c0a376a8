"""`quittance vouchers verify` and `quittance vouchers findings`."""

import argparse
from collections.abc import Iterable

from deploy.cli.console import out, progress_bar, vouchers_channel
from deploy.cli.paging import pages_of
from quittance.vouchers.v1 import proof_pb2
from quittance.vouchers.v1.proof_pb2_grpc import ProofServiceStub

PAGE_SIZE = 500


async def verify_vouchers(options: argparse.Namespace) -> int:
    """Verifies campaigns with a progress bar; 1 when something was found."""
    request = proof_pb2.VerifyRequest(campaign_ids=map(str, options.campaign))
    campaigns: list[proof_pb2.VerifiedCampaign] = []
    findings: list[proof_pb2.Finding] = []
    async with vouchers_channel() as channel:
        with progress_bar() as bar:
            task = bar.add_task("verifying", total=None)
            async for response in ProofServiceStub(channel).Verify(request):
                if response.HasField("progress"):
                    progress = response.progress
                    bar.update(task, completed=progress.redemptions_done, total=progress.redemptions_total)
                elif response.HasField("finding"):
                    findings.append(response.finding)
                else:
                    campaigns.append(response.campaign)
    _print_findings(findings)
    found = sum(campaign.findings for campaign in campaigns)
    left_out = sum(campaign.findings_left_out for campaign in campaigns)
    redemptions = sum(campaign.redemptions for campaign in campaigns)
    count = sum(bool(campaign.campaign_id) for campaign in campaigns)
    not_shown = f" ({left_out:,} not shown)" if left_out else ""
    out.print(f"{count:,} campaigns, {redemptions:,} redemptions, {found:,} findings{not_shown}")
    return 1 if found else 0


async def print_voucher_findings(options: argparse.Namespace) -> int:
    """Lists stored findings; 1 when there are any."""
    request = proof_pb2.ListFindingsRequest(only_open=not options.all, page_size=PAGE_SIZE)
    async with vouchers_channel() as channel:
        pages = pages_of(ProofServiceStub(channel).ListFindings, request)
        findings = [finding async for page in pages for finding in page.findings]
    _print_findings(findings)
    out.print(f"{len(findings)} findings")
    return 1 if findings else 0


def _print_findings(findings: Iterable[proof_pb2.Finding]) -> None:
    for finding in findings:
        kind = proof_pb2.FindingKind.Name(finding.kind).removeprefix("FINDING_KIND_")
        where = f"campaign {finding.campaign_id}" if finding.campaign_id else "no campaign"
        text = f"{kind} {where}: {finding.subject}: expected {finding.expected}, found {finding.found}"
        if finding.HasField("first_seen_time"):
            first, last = finding.first_seen_time.ToJsonString(), finding.last_seen_time.ToJsonString()
            text = f"{text} (first seen {first}, last seen {last})"
        out.print(text, markup=False)
