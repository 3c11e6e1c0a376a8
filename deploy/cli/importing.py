"""`quittance ledger import-wallets`: balances of an older system become opening grants."""

import argparse
import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
from rich.progress import Progress, TaskID
from rich.table import Table

from deploy.cli.console import err, ledger_channel, out, progress_bar
from deploy.cli.legacy import Columns, CsvSource, Reader, RefusedRow, Source, TableSource, Wallet, grant_of
from deploy.cli.problems import UsageProblem
from quittance.ledger.v1 import ledger_pb2, proof_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from quittance.ledger.v1.proof_pb2_grpc import ProofServiceStub

if TYPE_CHECKING:
    from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceAsyncStub
    from quittance.ledger.v1.proof_pb2_grpc import ProofServiceAsyncStub

REASON = "wallet.imported"
GRANTS_PER_CALL = 1000
# While the ledger commits one call's grants, the next ones are on their way.
CALLS_AT_ONCE = 3
CALL_TIMEOUT_S = 60.0
# Pauses before a call is tried again; its ids make that safe.
RETRY_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
RETRIED = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}
)
_SOURCE = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)


@dataclass
class Sums:
    """What was read of one currency, in minor units."""

    wallets: int = 0
    empty: int = 0
    total_minor: int = 0


@dataclass
class Outcome:
    """What has become of the rows so far."""

    by_currency: dict[str, Sums] = field(default_factory=dict)
    refused: int = 0

    def refuse(self, line: int, user_id: str | None, why: str) -> None:
        """Says at once which row is not brought in."""
        self.refused += 1
        out.print(f"line {line}, user {user_id}: {why}", markup=False)

    def count(self, wallet: Wallet) -> None:
        """Adds a row that can be brought in."""
        sums = self.by_currency.setdefault(wallet.currency, Sums())
        sums.wallets += 1
        sums.empty += wallet.amount_minor == 0
        sums.total_minor += wallet.amount_minor


async def import_wallets(options: argparse.Namespace) -> int:
    """Reads, checks and grants; 1 when rows were refused or the totals differ."""
    source, reader = _source(options), _reader(options)
    outcome = Outcome()
    with progress_bar() as bar:
        task = bar.add_task("checking" if options.dry_run else "importing", total=await source.count())
        if options.dry_run:
            async for wallets in _checked(source, reader, outcome):
                bar.advance(task, len(wallets))
        else:
            async with ledger_channel() as channel:
                before = await _imported(ProofServiceStub(channel), options.source)
                await _Import(LedgerServiceStub(channel), options.source, outcome).run(source, reader, bar, task)
                after = await _imported(ProofServiceStub(channel), options.source)
    if options.dry_run:
        _print_dry(outcome)
        return 1 if outcome.refused else 0
    agrees = _print_compared(outcome, before, after)
    return 0 if agrees and not outcome.refused else 1


async def _checked(source: Source, reader: Reader, outcome: Outcome) -> AsyncIterator[list[Wallet | None]]:
    """One element per row, page by page; None for what is refused."""
    async for page in source.pages():
        wallets: list[Wallet | None] = []
        for row in page:
            try:
                wallets.append(reader.wallet(row))
            except RefusedRow as refusal:
                wallets.append(None)
                outcome.refuse(row.line, row.user_id, str(refusal))
        for wallet in wallets:
            if wallet is not None:
                outcome.count(wallet)
        yield wallets


class _Import:
    """Some calls at once, each of many grants."""

    def __init__(self, ledger: "LedgerServiceAsyncStub", source_name: str, outcome: Outcome) -> None:
        self._ledger = ledger
        self._source_name = source_name
        self._outcome = outcome
        self._free = asyncio.Semaphore(CALLS_AT_ONCE)

    async def run(self, source: Source, reader: Reader, bar: Progress, task: TaskID) -> None:
        """Grants everything that the source has. Raises what the ledger cannot be asked for."""
        try:
            async with asyncio.TaskGroup() as calls:
                async for page in _checked(source, reader, self._outcome):
                    await self._free.acquire()
                    wallets = [wallet for wallet in page if wallet is not None and wallet.amount_minor > 0]
                    calls.create_task(self._grant(wallets, len(page), bar, task))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _grant(self, wallets: Sequence[Wallet], row_count: int, bar: Progress, task: TaskID) -> None:
        try:
            if wallets:
                response = await self._call(self._request(wallets))
                for wallet, result in zip(wallets, response.results, strict=True):
                    if result.HasField("refusal"):
                        self._outcome.refuse(wallet.line, wallet.user_id, f"the ledger says {result.refusal.message}")
        finally:
            self._free.release()
        bar.advance(task, row_count)

    def _request(self, wallets: Sequence[Wallet]) -> ledger_pb2.GrantCreditsBatchRequest:
        return ledger_pb2.GrantCreditsBatchRequest(
            grants=[
                ledger_pb2.GrantCreditsRequest(
                    owner_id=str(wallet.owner_id),
                    currency=wallet.currency,
                    grant=ledger_pb2.GrantRequest(
                        grant_id=str(grant_of(self._source_name, wallet)),
                        amount_minor=wallet.amount_minor,
                        category=ledger_pb2.CREDIT_CATEGORY_PAID,
                        source_account=_account(self._source_name),
                    ),
                    reason=REASON,
                )
                for wallet in wallets
            ]
        )

    async def _call(self, request: ledger_pb2.GrantCreditsBatchRequest) -> ledger_pb2.GrantCreditsBatchResponse:
        for pause_s in RETRY_PAUSES_S:
            try:
                return await self._ledger.GrantCreditsBatch(request, timeout=CALL_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                if error.code() not in RETRIED:
                    raise
                err.print(f"{error.code().name}, trying again in {pause_s:g} s", markup=False)
            await asyncio.sleep(pause_s)
        return await self._ledger.GrantCreditsBatch(request, timeout=CALL_TIMEOUT_S)


def _source(options: argparse.Namespace) -> Source:
    """Raises UsageProblem."""
    if not _SOURCE.fullmatch(options.source):
        raise UsageProblem("--source takes up to 100 letters, digits, dots, hyphens and underscores")
    if bool(options.currency) == bool(options.currency_column):
        raise UsageProblem("one of --currency and --currency-column is needed")
    columns = Columns(options.id_column, options.balance_column, options.currency_column)
    if options.csv is not None:
        return CsvSource(options.csv, columns)
    return TableSource(options.from_url, options.table, columns)


def _reader(options: argparse.Namespace) -> Reader:
    """Raises UsageProblem."""
    if not 0 <= options.scale <= 18:
        raise UsageProblem("--scale is 0 to 18")
    if options.currency and not re.fullmatch("[A-Z]{3}", options.currency):
        raise UsageProblem("--currency is an ISO 4217 code, three capital letters")
    return Reader(options.scale, options.currency)


def _account(source_name: str) -> str:
    """The account that an import's grants come from. One for each source: its sum is what has been brought in."""
    return f"opening:{source_name}"


async def _imported(proof: "ProofServiceAsyncStub", source_name: str) -> dict[str, int]:
    """What the ledger says has been brought in from this source, in minor units by currency."""
    request = proof_pb2.TrialBalanceRequest(account=_account(source_name))
    return {row.currency: -row.posted_minor async for response in proof.TrialBalance(request) for row in response.rows}


def _print_dry(outcome: Outcome) -> None:
    table = Table("currency", "wallets", "of these empty", "total")
    for currency, sums in sorted(outcome.by_currency.items()):
        table.add_row(currency, f"{sums.wallets:,}", f"{sums.empty:,}", f"{sums.total_minor:,}")
    out.print(table)
    out.print(f"{outcome.refused:,} rows refused; nothing was changed")


def _print_compared(outcome: Outcome, before: Mapping[str, int], after: Mapping[str, int]) -> bool:
    """Whether the ledger now has, in every currency, the total that was read."""
    table = Table("currency", "wallets", "of these empty", "total read", "in the ledger before", "after", "difference")
    agrees = True
    for currency in sorted(outcome.by_currency.keys() | after.keys()):
        sums = outcome.by_currency.get(currency, Sums())
        difference = after.get(currency, 0) - sums.total_minor
        agrees = agrees and difference == 0
        amounts = (sums.wallets, sums.empty, sums.total_minor, before.get(currency, 0), after.get(currency, 0))
        table.add_row(currency, *(f"{amount:,}" for amount in amounts), f"{difference:+,}" if difference else "0")
    out.print(table)
    out.print(f"{outcome.refused:,} rows refused")
    return agrees
