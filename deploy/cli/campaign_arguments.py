"""The arguments of the commands about campaigns and their proof."""

import argparse
from typing import TYPE_CHECKING
from uuid import UUID

from deploy.cli.campaigns import STATES, print_campaigns, print_report
from deploy.cli.verifying_vouchers import print_voucher_findings, verify_vouchers

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it


def add_campaign_commands(commands: "_Commands") -> None:
    """`quittance vouchers campaigns`, `report`, `verify` and `findings`."""
    listing = commands.add_parser("campaigns", help="list campaigns, newest first")
    listing.add_argument("--state", action="append", default=[], choices=STATES, help="only these; repeatable")
    listing.set_defaults(run=print_campaigns)
    report = commands.add_parser("report", help="what has become of a campaign's redemptions")
    report.add_argument("campaign_id", type=UUID, metavar="CAMPAIGN", help="the campaign's id")
    report.add_argument("--codes", action="store_true", help="code by code, if there are at most 100")
    report.set_defaults(run=print_report)
    verifying = commands.add_parser("verify", help="recompute every counter and discount, name what does not fit")
    verifying.add_argument(
        "--campaign", type=UUID, action="append", default=[], metavar="ID", help="only this one; repeatable"
    )
    verifying.set_defaults(run=verify_vouchers)
    findings = commands.add_parser("findings", help="list what verifications have found")
    findings.add_argument("--all", action="store_true", help="also what the newest verification no longer finds")
    findings.set_defaults(run=print_voucher_findings)
