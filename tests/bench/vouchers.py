"""How many redemptions of one hot code the vouchers do in a second, and how long one takes at a steady load.

Clients, server and database share the machine; everything is durable before it is answered. Measured in turns, so that
noise hits all figures alike. Next to them: PostgreSQL itself with a commit per redemption, and what callers ask for.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median

from tests.bench.conditions import conditions_of_database
from tests.bench.registry import Row, benchmark
from tests.bench.report import BUILD
from tests.bench.vouchers_references import References
from tests.bench.vouchers_server import Measured, VouchersUnderTest, running_vouchers

ROUNDS = 3
SLICE_S = 4
CALLERS = 64
PGBENCH_CLIENTS = (16, 64)
STEADY_RATE = 200
STEADY_S = 6
# What is asked of the service; and what others publish of theirs.
GOAL_RATE = 2000.0
GOAL_P95_MS = 50.0
PUBLISHED_P50_MS = 170.0

REDEEM, REDEEM_CONFIRM, VALIDATE = "redeem", "redeem_confirm", "validate"
SHAPES = (REDEEM, REDEEM_CONFIRM, VALIDATE)


@benchmark("vouchers")
async def measure() -> Sequence[Row]:
    """All shapes and references in turns."""
    async with running_vouchers() as vouchers:
        conditions = {
            **await conditions_of_database(vouchers.postgres.url("vouchers")),
            "rounds": ROUNDS,
            "slice_s": SLICE_S,
            "callers": CALLERS,
        }
        with tempfile.TemporaryDirectory(dir=BUILD) as directory:
            references = References(vouchers.postgres, Path(directory))
            await references.prepare()
            loads: dict[str, list[Measured]] = {}
            commits: list[float] = []
            for _ in range(ROUNDS):
                commits.append(await _pgbench(references))
                await _measure_vouchers(vouchers, loads)
    return [*_rates(loads, mean(commits), conditions), *_latencies(loads, conditions), *_costs(loads, conditions)]


async def _pgbench(references: References) -> float:
    """Of the better number of clients."""
    found = [await references.pgbench(clients=n, is_hot=True, seconds=SLICE_S) for n in PGBENCH_CLIENTS]
    return max(found)


async def _measure_vouchers(vouchers: VouchersUnderTest, loads: dict[str, list[Measured]]) -> None:
    code = await vouchers.hot_code()
    await vouchers.load(REDEEM, code, callers=CALLERS, seconds=0.5)
    for shape in SHAPES:
        loads.setdefault(shape, []).append(await vouchers.load(shape, code, callers=CALLERS, seconds=SLICE_S))
    steady = await vouchers.load(REDEEM, code, rate=STEADY_RATE, seconds=STEADY_S)
    loads.setdefault("steady", []).append(steady)


def _rates(loads: Mapping[str, Sequence[Measured]], commits: float, conditions: Mapping[str, object]) -> list[Row]:
    pgbench = "pgbench, a redemption a commit"
    compared = (
        ("redemptions of one code, 64 callers", REDEEM, pgbench, commits),
        ("the same next to what is asked for", REDEEM, "goal", GOAL_RATE),
        ("redeemed and confirmed, 64 callers", REDEEM_CONFIRM, pgbench, commits),
        ("validations of one code, 64 callers", VALIDATE, pgbench, commits),
    )
    return [
        Row(name, mean(measured.rate for measured in loads[shape]), "/s", reference, value, conditions)
        for name, shape, reference, value in compared
    ]


def _latencies(loads: Mapping[str, Sequence[Measured]], conditions: Mapping[str, object]) -> list[Row]:
    steady = loads["steady"]
    p50_ms, p95_ms = median(each.p50_ms for each in steady), median(each.p95_ms for each in steady)
    at = f"at {STEADY_RATE} a second"
    return [
        Row(f"a redemption {at}, median", p50_ms, "ms", "published by a peer", PUBLISHED_P50_MS, conditions),
        Row(f"a redemption {at}, p95", p95_ms, "ms", "goal", GOAL_P95_MS, conditions),
    ]


def _costs(loads: Mapping[str, Sequence[Measured]], conditions: Mapping[str, object]) -> list[Row]:
    """CPU time: the same on a busy machine."""
    return [
        Row(
            f"CPU of the server, {name}",
            _per_call_us(loads[shape], "server_cpu_s"),
            "us",
            "of PostgreSQL",
            _per_call_us(loads[shape], "postgres_cpu_s"),
            conditions,
        )
        for name, shape in (("a redemption", REDEEM), ("redeemed and confirmed", REDEEM_CONFIRM))
    ]


def _per_call_us(loads: Sequence[Measured], attribute: str) -> float:
    return 1e6 * sum(getattr(each, attribute) for each in loads) / sum(each.count for each in loads)
