"""Whether the ledger's rates stay what they are with a thousand times the accounts, and after millions of transfers.

Takes a quarter of an hour or so: run by its name only.
"""

import os
from collections.abc import Mapping, Sequence
from uuid import UUID

import grpc

from quittance.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from services.ledger.domain.books import book_of
from services.runtime.ids import new_id
from tests.bench.conditions import conditions_of_database
from tests.bench.ledger import BATCHES, OWNERS, SINGLE
from tests.bench.ledger_load import owners
from tests.bench.ledger_server import LedgerUnderTest, running_ledger
from tests.bench.registry import Row, benchmark

BOOKS = 16
FEW, MANY = 62, 62_500
SLICE_S = 10
TRANSFERS = int(os.environ.get("QUITTANCE_BENCH_TRANSFERS", "10_000_000"))
_ACCOUNTS_A_CALL = 4000


@benchmark("ledger-flat", is_long=True)
async def measure() -> Sequence[Row]:
    """A thousand accounts, a million, and a million after all those transfers."""
    async with running_ledger() as ledger:
        conditions = await conditions_of_database(ledger.postgres.url("ledger"))
        few = await _rates(ledger, FEW)
        await _open_accounts(ledger.address, MANY)
        many = await _rates(ledger, MANY)
        rate = await ledger.rate(BATCHES, owners=OWNERS, accounts=MANY, seconds=SLICE_S)
        await ledger.rate(BATCHES, owners=OWNERS, accounts=MANY, seconds=TRANSFERS / rate)
        later = await _rates(ledger, MANY)
        conditions = {**conditions, "slice_s": SLICE_S, "server_memory_mb": round(ledger.memory_mb())}
    return [
        *_rows("1,000,000 accounts", many, "1,000 accounts", few, conditions),
        *_rows(f"after {TRANSFERS:,} transfers", later, "1,000,000 accounts", many, conditions),
    ]


async def _rates(ledger: LedgerUnderTest, accounts: int) -> dict[str, float]:
    shapes = {"a transfer a call": SINGLE, "1,000 transfers a call": BATCHES}
    return {
        name: await ledger.rate(shape, owners=OWNERS, accounts=accounts, seconds=SLICE_S)
        for name, shape in shapes.items()
    }


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


def _rows(
    name: str,
    rates: Mapping[str, float],
    reference: str,
    references: Mapping[str, float],
    conditions: Mapping[str, object],
) -> list[Row]:
    return [
        Row(f"{shape}, {name}", rate, "/s", reference, references[shape], conditions) for shape, rate in rates.items()
    ]
