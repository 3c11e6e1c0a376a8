"""`quittance payments findings` and `quittance payments reconcile`."""

import argparse
from datetime import UTC, datetime

from rich.table import Table

from deploy.cli.console import checkout_channel, out
from deploy.cli.paging import pages_of
from quittance.checkout.v1 import payments_pb2
from quittance.checkout.v1.payments_pb2_grpc import PaymentsServiceStub

PAGE_SIZE = 500
_DAY_S = 86_400


async def print_payment_findings(options: argparse.Namespace) -> int:
    """Lists what a person has to look at, oldest first; 1 when there is anything."""
    request = payments_pb2.ListPaymentFindingsRequest(page_size=PAGE_SIZE)
    async with checkout_channel() as channel:
        pages = pages_of(PaymentsServiceStub(channel).ListPaymentFindings, request)
        stored = [finding async for page in pages for finding in page.findings]
    since = options.since or datetime.min.replace(tzinfo=UTC)
    findings = [finding for finding in stored if finding.find_time.ToDatetime(UTC) >= since]
    for finding in findings:
        _print_finding(finding)
    out.print(f"{len(findings)} findings")
    return 1 if findings else 0


async def reconcile_payments(options: argparse.Namespace) -> int:
    """Compares providers, checkout and the ledger now; 1 when something was found."""
    request = payments_pb2.ReconcilePaymentsRequest(window_s=options.days * _DAY_S)
    table = Table("provider", "payments", "refunds", "missed", "findings")
    async with checkout_channel() as channel:
        response = await PaymentsServiceStub(channel).ReconcilePayments(request)
    for seen in response.providers:
        numbers = (seen.payments, seen.refunds, seen.missed, seen.findings)
        table.add_row(seen.provider, *(f"{number:,}" for number in numbers))
    out.print(table)
    return 1 if any(seen.findings for seen in response.providers) else 0


def _print_finding(finding: payments_pb2.PaymentFinding) -> None:
    order = f" order {finding.order_id}" if finding.order_id else ""
    details = ", ".join(f"{name} {value}" for name, value in sorted(finding.details.items()))
    found = finding.find_time.ToJsonString()
    out.print(f"{finding.kind} {finding.provider} {finding.subject}{order}: {details} (found {found})", markup=False)
