"""`quittance vouchers campaigns` and `quittance vouchers report`."""

import argparse
from collections.abc import Iterable

from rich.table import Table

from deploy.cli.console import out, vouchers_channel
from deploy.cli.paging import pages_of
from quittance.vouchers.v1 import campaign_pb2, campaigns_pb2
from quittance.vouchers.v1.campaigns_pb2_grpc import CampaignsServiceStub

PAGE_SIZE = 500
_PREFIX = "CAMPAIGN_STATE_"
STATES = ("draft", "active", "paused", "ended")
_COUNTERS = ("reserved", "kept", "confirmed", "rolled_back", "expired", "restored", "uses")


async def print_campaigns(options: argparse.Namespace) -> int:
    """Lists campaigns."""
    states = [campaign_pb2.CampaignState.Value(f"{_PREFIX}{state.upper()}") for state in options.state]
    table = Table("campaign", "name", "state", "revision", "uses", "of", "spent", "budget")
    request = campaigns_pb2.ListCampaignsRequest(states=states, page_size=PAGE_SIZE)
    async with vouchers_channel() as channel:
        pages = pages_of(CampaignsServiceStub(channel).ListCampaigns, request)
        for campaign in [campaign async for page in pages for campaign in page.campaigns]:
            limits = (campaign.uses, campaign.uses_max or None, campaign.spent_minor, campaign.budget_minor or None)
            numbers = ("" if number is None else f"{number:,}" for number in limits)
            table.add_row(
                *(campaign.campaign_id, campaign.name, _state(campaign.state), str(campaign.revision), *numbers)
            )
    out.print(table)
    return 0


async def print_report(options: argparse.Namespace) -> int:
    """Prints a campaign's report."""
    async with vouchers_channel() as channel:
        request = campaigns_pb2.GetCampaignReportRequest(campaign_id=str(options.campaign_id), with_codes=options.codes)
        response = await CampaignsServiceStub(channel).GetCampaignReport(request)
    report = response.report
    table = Table("campaign", report.campaign_id)
    table.add_row("state", _state(report.state))
    table.add_row("codes issued", f"{report.codes_issued:,}")
    for name in _COUNTERS:
        table.add_row(name.replace("_", " "), f"{getattr(report, name):,}")
    table.add_row(f"spent, {report.currency} minor units", f"{report.spent_minor:,}")
    if report.budget_minor:
        table.add_row("budget", f"{report.budget_minor:,}")
        table.add_row("left", f"{report.left_minor:,}")
    out.print(table)
    if options.codes:
        _print_codes(response.codes)
    return 0


def _print_codes(codes: Iterable[campaigns_pb2.CodeUses]) -> None:
    table = Table("voucher", "code", "uses", "of")
    for code in codes:
        table.add_row(
            code.voucher_id, code.masked_code, f"{code.uses:,}", f"{code.uses_max:,}" if code.uses_max else ""
        )
    out.print(table)


def _state(state: campaign_pb2.CampaignState.ValueType) -> str:
    return campaign_pb2.CampaignState.Name(state).removeprefix(_PREFIX).lower()
