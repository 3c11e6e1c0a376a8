"""How long an order takes, and how many there are in a second, next to workflows that do nothing.

Everything is real and on this machine: PostgreSQL with fsync, Temporal's server, all services. Callers wait for the
answer that a shop waits for. Next to each order stand bare workflows with as many empty steps, on the same server,
started and waited for in the same way: with local activities, with normal ones, with none; and with local ones that
are what a step is at least, a call that stores a row.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial

from deploy.local.stack import Stack
from tests.bench.bare_workflows import LOCAL, NORMAL, STORING, BareWorkflows, bare_workflows
from tests.bench.conditions import conditions_of
from tests.bench.cpu import cpu_seconds
from tests.bench.measuring import Action, CallersAction, latencies, rates
from tests.bench.order_callers import COMPENSATED, PAID_PART_PLACED, PAY_PAGE, OrderCallers
from tests.bench.registry import Row, benchmark
from tests.bench.rows import latency_row, rate_row
from tests.bench.running_stack import running_stack
from tests.shop import Shop

# Bounded: with one caller by samples or by time, whichever comes first, with many by time.
WARM_UP = 10
SAMPLES = 80
SAMPLES_WITHIN_S = 35.0
CALLERS = (16, 64)
SLICES = 2
SLICE_S = 2.5

CREDIT_ORDER = "credit order: placed"
# Steps of the order's workflow up to the answer, side-by-side ones counted as one.
CREDIT_ORDER_STEPS = 6
PAY_PAGE_STEPS = 4

PAID_ORDER = "paid order: placed"
REFUSED_ORDER = "refused order and the provider's switch"
WHOLE_ORDER = "order with everything: placed"

EMPTY = "empty workflow"
KINDS = (LOCAL, STORING, NORMAL)


@benchmark("orders")
async def measure() -> Sequence[Row]:
    """On Temporal's development server, whose history is an SQLite file."""
    async with running_stack() as stack:
        return await measure_on(stack, {})


async def measure_on(stack: Stack, more_conditions: Mapping[str, object]) -> Sequence[Row]:
    """Latencies with one caller, then rates with many."""
    async with AsyncExitStack() as exits:
        shop = await exits.enter_async_context(Shop(stack))
        bare = await exits.enter_async_context(bare_workflows(stack.address("temporal"), stack.address("checkout")))
        conditions = {**await conditions_of(stack), **more_conditions}
        orders = OrderCallers(shop)
        await orders.invite(max(CALLERS))
        return [*await _latency_rows(orders, bare, conditions), *await _rate_rows(stack, orders, bare, conditions)]


def _bare(steps: int, kind: str) -> str:
    return f"bare, {steps} {kind} steps"


async def _latency_rows(orders: OrderCallers, bare: BareWorkflows, conditions: Mapping[str, object]) -> list[Row]:
    actions: dict[str, Action] = {
        CREDIT_ORDER: orders.by_credits,
        PAID_ORDER: orders.by_payment,
        WHOLE_ORDER: orders.by_everything,
        REFUSED_ORDER: orders.refused,
        EMPTY: partial(bare.run, 0),
    }
    for steps in (CREDIT_ORDER_STEPS, PAY_PAGE_STEPS):
        actions |= {_bare(steps, kind): partial(bare.run, steps, kind) for kind in KINDS}
    measured = await latencies(actions, warm_up=WARM_UP, samples=SAMPLES, within_s=SAMPLES_WITHIN_S)
    compared = [
        *((CREDIT_ORDER, _bare(CREDIT_ORDER_STEPS, kind)) for kind in KINDS),
        (CREDIT_ORDER, EMPTY),
        *((PAY_PAGE, _bare(PAY_PAGE_STEPS, kind)) for kind in KINDS),
        (PAY_PAGE, EMPTY),
        (PAID_ORDER, EMPTY),
        (COMPENSATED, PAID_PART_PLACED),
    ]
    return [latency_row(name, reference, measured, conditions) for name, reference in compared]


def _called(bare: BareWorkflows, steps: int, kind: str) -> CallersAction:
    async def run(_caller: int) -> None:
        await bare.run(steps, kind)

    return run


async def _rate_rows(
    stack: Stack, orders: OrderCallers, bare: BareWorkflows, conditions: Mapping[str, object]
) -> list[Row]:
    references = {_bare(CREDIT_ORDER_STEPS, kind): (CREDIT_ORDER_STEPS, kind) for kind in KINDS} | {EMPTY: (0, LOCAL)}
    actions: dict[str, CallersAction] = {CREDIT_ORDER: orders.by_credits}
    actions |= {name: _called(bare, *what) for name, what in references.items()}
    rows = []
    in_slices = {**conditions, "slices": SLICES, "slice_s": SLICE_S}
    for callers in CALLERS:
        measured = await rates(
            actions, callers=callers, slices=SLICES, slice_s=SLICE_S, cpu_seconds=partial(cpu_seconds, stack)
        )
        rows += [rate_row(CREDIT_ORDER, reference, measured, callers, in_slices) for reference in references]
    return rows
