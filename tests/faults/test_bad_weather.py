"""Payments while webhooks come twice, late or never, providers misbehave and processes die (P1, P3, P4, P-1 to P-6).

300 payments in every run; `make chaos` has 20,000, or as many as `PAYMENTS=…` says.
"""

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest
from temporalio.client import WorkflowFailureError

from quittance.checkout.v1 import checkout_pb2
from tests.faults.payers import Payer, plan_of
from tests.faults.payment_books import assert_no_difference, unfinished
from tests.faults.repairing import sweep
from tests.faults.tills import Till, tills_of
from tests.orchestrator.payment_stack import PaymentStack
from tests.payments.fakes.deliveries import Weather
from tests.payments.fakes.faults import Faults
from tests.shop import fresh_id

pytestmark = pytest.mark.slow

PAYMENTS = int(os.environ.get("QUITTANCE_CHAOS", "300"))
WEATHER = Weather(duplicated=0.3, reordered=0.3, lost=0.05)
# Calls of the providers' APIs that are answered badly.
FAULTS = 0.02
AT_ONCE = 64 if PAYMENTS <= 1_000 else 128
VICTIMS = ("checkout", "orchestrator")
# How long they live between two kills, once both are up again.
LIVES_S = (4.0, 12.0) if PAYMENTS <= 1_000 else (10.0, 30.0)
# Far more than anything takes: only a hang ends it.
WITHIN_S = 240 + PAYMENTS
CLEAR_UP_WITHIN_S = 300 + PAYMENTS // 20
TELL_EVERY_S = 30.0


@pytest.fixture
async def stack(tmp_path: Path, dice: random.Random) -> AsyncIterator[PaymentStack]:
    """One of its own, because it counts everything that is there. Without proxies: they would take half the machine."""
    async with PaymentStack(tmp_path, seed=dice.getrandbits(32), weather=WEATHER, proxied=()) as started:
        yield started


async def test_payments_in_bad_weather_leave_no_difference(stack: PaymentStack, dice: random.Random) -> None:
    """What the providers have taken and given back is what orders and ledger say, to the last minor unit."""
    tills = tills_of(stack)
    for till in tills.values():
        till.double.faults = Faults(dice_of(dice))
        till.double.faults.rate = FAULTS
    plan, victims = plan_of(dice_of(dice), PAYMENTS), dice_of(dice)
    run = Run(stack, tills, await stack.shop.order(fresh_id(), use_credits=False))
    killing = asyncio.create_task(kill_now_and_then(stack, victims, run))
    telling = asyncio.create_task(tell_now_and_then(run))
    try:
        async with asyncio.timeout(WITHIN_S):
            await run.all(plan)
    finally:
        for task in (killing, telling):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    run.tell()
    await clear_up(stack, tills)
    ends = await assert_no_difference(stack, tills, run.habits)
    assert run.kills, "nothing was killed while there were payments"
    print(f"all ended, no difference after {run.seconds():.0f} s: {dict(ends)}")


def dice_of(dice: random.Random) -> random.Random:
    """Dice of their own, for what goes on at the same time as other things."""
    return random.Random(dice.getrandbits(32))


class Run:
    """The visits so far. Only so many customers are there at once, so that memory stays flat however many come."""

    def __init__(
        self, stack: PaymentStack, tills: Mapping[str, Till], template: checkout_pb2.PlaceOrderRequest
    ) -> None:
        self._stack = stack
        self._tills = tills
        self._template = template
        self._started = time.monotonic()
        # Of each order's customer.
        self.habits: dict[str, str] = {}
        self.ended = 0
        self.kills: Counter[str] = Counter()

    async def all(self, plan: Iterator[Payer]) -> None:
        """Every customer of the plan, so many at once."""
        async with asyncio.TaskGroup() as visits:
            for _ in range(AT_ONCE):
                visits.create_task(self._one_after_the_other(plan))

    async def _one_after_the_other(self, plan: Iterator[Payer]) -> None:
        for payer in plan:
            self.habits[payer.order_id] = payer.habit
            await payer.visit(self._stack, self._tills[payer.provider], self._template)
            self.ended += 1

    def seconds(self) -> float:
        return time.monotonic() - self._started

    def tell(self) -> None:
        """One line of progress."""
        a_second = self.ended / self.seconds()
        print(f"\n{self.ended:,} of {PAYMENTS:,} payments, {a_second:.1f} a second, killed: {dict(self.kills)}", end="")


async def kill_now_and_then(stack: PaymentStack, dice: random.Random, run: Run) -> None:
    """Until it is cancelled."""
    while True:
        await asyncio.sleep(dice.uniform(*LIVES_S))
        victim = dice.choice(VICTIMS)
        await stack.running.stack.kill(victim, stay_down=True)
        run.kills[victim] += 1
        # At once: what dies often is started after ever longer pauses when it is left to itself.
        await stack.running.stack.restart(victim)


async def tell_now_and_then(run: Run) -> None:
    """Until it is cancelled."""
    while True:
        await asyncio.sleep(TELL_EVERY_S)
        run.tell()


async def clear_up(stack: PaymentStack, tills: Mapping[str, Till]) -> None:
    """The sky is clear again; what the schedules do in the next quarter of an hour is done now, until nothing is left.

    Then a reconciliation finds nothing more.
    """
    for victim in VICTIMS:
        # It may have been killed a moment ago.
        await stack.running.stack.restart(victim)
    for till in tills.values():
        till.double.faults.rate = 0.0
        await till.double.deliveries.settle()
    async with asyncio.timeout(CLEAR_UP_WITHIN_S):
        await stack.reconcile()
        while left := await unfinished(stack.running.stack):
            print(f"\nstill unfinished: {left}", end="")
            with contextlib.suppress(WorkflowFailureError):
                await sweep(stack.running)
            await asyncio.sleep(1)
        result = await stack.reconcile()
    assert [(each.missed, each.findings) for each in result.providers] == [(0, 0)] * len(result.providers)
    print()
