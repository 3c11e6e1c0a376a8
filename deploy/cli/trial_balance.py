"""`quittance ledger trial-balance`."""

import argparse

from rich.table import Table

from deploy.cli.console import ledger_channel, out
from quittance.ledger.v1 import proof_pb2
from quittance.ledger.v1.proof_pb2_grpc import ProofServiceStub


async def print_trial_balance(options: argparse.Namespace) -> int:
    """Prints the sums of all accounts; 1 when debits and credits of a currency differ."""
    table = Table("currency", "account", "accounts", "debit", "credit", "held")
    request = proof_pb2.TrialBalanceRequest(currency=options.currency, account=options.account)
    differs = False
    async with ledger_channel() as channel:
        async for response in ProofServiceStub(channel).TrialBalance(request):
            for row in response.rows:
                debit, credit = max(-row.posted_minor, 0), max(row.posted_minor, 0)
                amounts = (row.accounts, debit, credit, row.held_minor)
                table.add_row(row.currency, row.account, *(f"{amount:,}" for amount in amounts))
            for total in response.totals:
                table.add_section()
                table.add_row(total.currency, "total", "", f"{total.debit_minor:,}", f"{total.credit_minor:,}", "")
                differs = differs or (not options.account and total.debit_minor != total.credit_minor)
    out.print(table)
    return 1 if differs else 0
