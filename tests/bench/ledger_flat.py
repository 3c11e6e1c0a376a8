"""Whether the ledger's rates stay what they are with a thousand times the accounts, and after millions of transfers.

Two ledgers take turns, so that noise hits both alike. Takes 20 minutes or so: run by its name only.
"""

import os
from collections.abc import Sequence
from statistics import mean
from uuid import UUID

import grpc

from quittance.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from services.ledger.domain.books import book_of
from services.runtime.ids import new_id
from tests.bench.conditions import conditions_of_database
from tests.bench.ledger import BATCHES, OWNERS, SINGLE
from tests.bench.ledger_load import owners
from tests.bench.ledger_server import LedgerUnderTest, Shape, running_ledger
from tests.bench.registry import Row, benchmark

BOOKS = 16
FEW, MANY = 62, 62_500
ROUNDS = 4
SLICE_S = 10
TRANSFERS = int(os.environ.get("QUITTANCE_BENCH_TRANSFERS", "10_000_000"))
_ACCOUNTS_A_CALL = 4000
_SHAPES = {"a transfer a call": SINGLE, "1,000 transfers a call": BATCHES}


@benchmark("ledger-flat", is_long=True)
async def measure() -> Sequence[Row]:
    """A thousand accounts next to a million, then next to a million after all those transfers; in turns."""
    async with running_ledger() as small, running_ledger() as large:
        conditions = await conditions_of_database(large.postgres.url("ledger"))
        await _open_accounts(large.address, MANY)
        begun = await _rates(small, large)
        rate = begun[large, BATCHES]
        await large.rate(BATCHES, owners=OWNERS, accounts=MANY, seconds=TRANSFERS / rate)
        later = await _rates(small, large)
        conditions = {**conditions, "slices": ROUNDS, "slice_s": SLICE_S, "server_memory_mb": round(large.memory_mb())}
    names = ("1,000,000 accounts", f"1,000,000 accounts, {TRANSFERS:,} transfers later")
    return [
        Row(f"{kind}, {name}", rates[large, shape], "/s", "1,000 accounts", rates[small, shape], conditions)
        for name, rates in zip(names, (begun, later), strict=True)
        for kind, shape in _SHAPES.items()
    ]


async def _rates(small: LedgerUnderTest, large: LedgerUnderTest) -> dict[tuple[LedgerUnderTest, Shape], float]:
    found: dict[tuple[LedgerUnderTest, Shape], list[float]] = {}
    for _ in range(ROUNDS):
        for shape in _SHAPES.values():
            for ledger, accounts in ((small, FEW), (large, MANY)):
                rate = await ledger.rate(shape, owners=OWNERS, accounts=accounts, seconds=SLICE_S)
                found.setdefault((ledger, shape), []).append(rate)
    return {what: mean(rates) for what, rates in found.items()}


async def _open_accounts(address: str, count: int) -> None:
    """So many in each book, by moving something from each to its neighbour."""
    owner_of_book = {book_of(UUID(owner), BOOKS): owner for owner in owners(OWNERS)}
    async with grpc.aio.insecure_channel(address) as channel:
        stub = ledger_pb2_grpc.LedgerServiceStub(channel)
        for owner in owner_of_book.values():
            for first in range(0, count, _ACCOUNTS_A_CALL):
                numbers = range(first, min(first + _ACCOUNTS_A_CALL, count) - 1, 2)
                transfers = [
                    ledger_pb2.TransferRequest(
                        debit_account=f"account:{number}", credit_account=f"account:{number + 1}", amount_minor=1
                    )
                    for number in numbers
                ]
                transaction = ledger_pb2.Transaction(
                    transaction_id=str(new_id()),
                    owner_id=owner,
                    currency="OMR",
                    transfers=transfers,
                    reason="bench.open",
                )
                await stub.PostTransactions(ledger_pb2.PostTransactionsRequest(transactions=[transaction]))
