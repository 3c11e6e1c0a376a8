"""`quittance ledger statement`."""

import argparse

from rich.table import Table

from deploy.cli.console import ledger_channel, out
from deploy.cli.paging import pages_of
from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.runtime.times import timestamp_of

PAGE_SIZE = 500


async def print_statement(options: argparse.Namespace) -> int:
    """Prints every entry with the balance after it, between an opening and a closing balance."""
    request = ledger_pb2.GetStatementRequest(
        owner_id=str(options.owner_id),
        currency=options.currency,
        from_time=timestamp_of(options.from_time),
        to_time=timestamp_of(options.to_time),
        page_size=PAGE_SIZE,
    )
    table = Table("time", "what", "grant", "other side", "reason", "change", "balance")
    async with ledger_channel() as channel:
        pages = [page async for page in pages_of(LedgerServiceStub(channel).GetStatement, request)]
    table.add_row("", "opening balance", "", "", "", "", f"{pages[0].opening_balance_minor:,}")
    for page in pages:
        _add_entries(table, page)
    table.add_row("", "closing balance", "", "", "", "", f"{pages[-1].closing_balance_minor:,}")
    out.print(table)
    return 0


def _add_entries(table: Table, response: ledger_pb2.GetStatementResponse) -> None:
    for entry in response.entries:
        kind = ledger_pb2.TransferKind.Name(entry.kind).removeprefix("TRANSFER_KIND_").lower()
        words = (entry.create_time.ToJsonString(), kind, entry.grant_id, entry.counter_account, entry.reason)
        table.add_row(*words, f"{entry.change_minor:+,}", f"{entry.balance_minor:,}")
