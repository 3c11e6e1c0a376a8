"""How many transfers and balances the ledger does in a second, next to PostgreSQL's own best.

Clients, server and database share the machine; everything is durable before it is answered. Measured in turns, so that
noise hits all figures alike.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from tests.bench.conditions import conditions_of_database
from tests.bench.ledger_references import References
from tests.bench.ledger_server import LedgerUnderTest, Shape, running_ledger
from tests.bench.registry import Row, benchmark
from tests.bench.report import BUILD

OWNERS = 1000
# In each of 16 books: a thousand in all.
ACCOUNTS = 62
ROUNDS = 2
SLICE_S = 4
PGBENCH_CLIENTS = (16, 64)
PROCESSES = int(os.environ.get("QUITTANCE_BENCH_LEDGER_PROCESSES", "1"))

SINGLE, SINGLE_HOT = Shape("post", 64, 1), Shape("post", 64, 1, is_hot=True)
STREAMS = Shape("stream", 16, 1)
BATCHES, BATCHES_HOT = Shape("post", 4, 1000), Shape("post", 4, 1000, is_hot=True)
READS, READS_BATCHED = Shape("balances", 64, 1), Shape("balances", 4, 1000)
SHAPES = (SINGLE, SINGLE_HOT, STREAMS, BATCHES, BATCHES_HOT, READS, READS_BATCHED)

PGBENCH = "pgbench, a movement a commit"
PGBENCH_HOT = "pgbench, one hot account"
SET_BASED = "one statement, 1,000 movements"


@benchmark("ledger")
async def measure() -> Sequence[Row]:
    """All shapes and references in turns."""
    async with running_ledger(PROCESSES) as ledger:
        conditions = {
            **await conditions_of_database(ledger.postgres.url("ledger")),
            "ledger_processes": PROCESSES,
            "slices": ROUNDS,
            "slice_s": SLICE_S,
        }
        with tempfile.TemporaryDirectory(dir=BUILD) as directory:
            references = References(ledger.postgres, Path(directory))
            await references.prepare()
            measured: dict[object, list[float]] = {}
            for _ in range(ROUNDS):
                await _measure_references(references, measured)
                await _measure_ledger(ledger, measured)
    rates = {what: mean(found) for what, found in measured.items()}
    return _rows(rates, conditions)


async def _measure_references(references: References, measured: dict[object, list[float]]) -> None:
    """Of pgbench the better number of clients."""
    for is_hot, name in ((False, PGBENCH), (True, PGBENCH_HOT)):
        found = [await references.pgbench(clients=n, is_hot=is_hot, seconds=SLICE_S) for n in PGBENCH_CLIENTS]
        measured.setdefault(name, []).append(max(found))
    measured.setdefault(SET_BASED, []).append(await references.set_based(SLICE_S))


async def _measure_ledger(ledger: LedgerUnderTest, measured: dict[object, list[float]]) -> None:
    for shape in SHAPES:
        rate = await ledger.rate(shape, owners=OWNERS, accounts=ACCOUNTS, seconds=SLICE_S)
        measured.setdefault(shape, []).append(rate)


def _rows(rates: Mapping[object, float], conditions: Mapping[str, object]) -> list[Row]:
    compared = (
        ("a transfer a call, 64 callers", SINGLE, PGBENCH, PGBENCH),
        ("a transfer a call, 64 callers, hot account", SINGLE_HOT, PGBENCH_HOT, PGBENCH_HOT),
        ("the same next to random accounts", SINGLE_HOT, "random accounts", SINGLE),
        ("a transfer a message, 16 streams", STREAMS, PGBENCH, PGBENCH),
        ("1,000 transfers a call", BATCHES, SET_BASED, SET_BASED),
        ("1,000 transfers a call, hot account", BATCHES_HOT, "random accounts", BATCHES),
        ("a balance a call, 64 callers", READS, PGBENCH, PGBENCH),
        ("1,000 balances a call", READS_BATCHED, SET_BASED, SET_BASED),
    )
    return [
        Row(
            name=name,
            value=rates[shape],
            unit="/s",
            reference=reference,
            reference_value=rates[key],
            conditions={**conditions, "callers": shape.callers, "in_a_message": shape.size},
        )
        for name, shape, reference, key in compared
    ]
