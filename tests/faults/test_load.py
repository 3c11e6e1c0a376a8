"""Many orders at once while workers are away or die: none is lost, none happens twice (S-1, S-2, S-3, S-7).

The sizes here fit into every run; `make load` has 5,000 orders in the backlog, and a minute with a kill every 10 s.
"""

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from temporalio.client import Client

from deploy.local.ports import free_port
from deploy.local.process import Process
from deploy.local.process_record import ProcessRecord
from deploy.local.readiness import grpc_says_serving
from deploy.local.stack import Stack
from services.runtime.payloads import data_converter
from tests.faults.crowd import (
    ORDERS,
    Crowd,
    all_at,
    ask_once,
    ask_until_answered,
    assert_all_ended_once,
    until_all_ended,
)
from tests.shop import Shop

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Size:
    """How much load there is, and how long it may take to be worked off."""

    backlog: int
    in_pieces: int
    kill_every_s: float
    kills: int
    within_s: float


FULL = os.environ.get("QUITTANCE_LOAD") == "full"
SIZE = Size(5_000, 1_500, 10, 6, 1_500) if FULL else Size(200, 150, 2.5, 3, 240)
CALLERS = 100
# Enough for Temporal to have the order, never enough for an answer that nobody gives.
GIVE_UP_AFTER_S = 3.0
WORKERS_SLOTS = 16


@dataclass(frozen=True)
class Business:
    """A stack of its own, because it counts everything that is there."""

    stack: Stack
    shop: Shop
    temporal: Client


@pytest.fixture
async def business(tmp_path: Path) -> AsyncIterator[Business]:
    async with Stack(tmp_path / "stack", free_ports=True, headless=True) as stack:
        await stack.start()
        temporal = await Client.connect(stack.address("temporal"), data_converter=data_converter)
        async with Shop(stack) as shop:
            yield Business(stack, shop, temporal)


@asynccontextmanager
async def second_worker(stack: Stack, folder: Path) -> AsyncIterator[Process]:
    """Beside the stack's own; it comes back by itself when it is killed."""
    address = f"127.0.0.1:{free_port()}"
    environment = stack.settings.environment("orchestrator", stack.databases)
    worker = Process(
        "second-orchestrator",
        [sys.executable, "-m", "orchestrator.main"],
        environment=environment | {"ORCHESTRATOR_ADDRESS": address, "PYTHONUNBUFFERED": "1"},
        is_ready=grpc_says_serving(address),
        record=ProcessRecord(folder),
        log=folder / "worker.log",
    )
    await worker.start()
    try:
        await worker.wait_ready(60)
        yield worker
    finally:
        await worker.stop()


async def test_backlog_made_while_no_worker_is_there_is_worked_off_without_loss(
    business: Business, dice: random.Random
) -> None:
    """Callers get DEADLINE_EXCEEDED and the orders happen all the same; who asks again gets the order's answer."""
    crowd = await Crowd.of(business.shop, SIZE.backlog, dice)
    await business.stack.kill("orchestrator", stay_down=True)
    started = time.monotonic()
    async with asyncio.timeout(SIZE.within_s):
        await _fill_backlog(business, crowd)
    print(f"\n{SIZE.backlog} orders without a worker: {time.monotonic() - started:.0f} s")

    started = time.monotonic()
    await business.stack.restart("orchestrator")
    await until_all_ended(business.temporal, SIZE.within_s)
    took_s = time.monotonic() - started
    answers = await all_at(CALLERS, crowd.requests, lambda request: ask_until_answered(business.shop, request, 30))
    ends = await assert_all_ended_once(business.stack, business.temporal, crowd, answers)
    print(f"worked off in {took_s:.0f} s, {SIZE.backlog / took_s:.0f} a second: {dict(ends)}")


async def _fill_backlog(business: Business, crowd: Crowd) -> None:
    """On a busy machine a caller's time may be up before Temporal has heard of the order: then he asks again."""
    missing = list(crowd.requests)
    while missing:
        answers = await all_at(CALLERS, missing, lambda request: ask_once(business.shop, request, GIVE_UP_AFTER_S))
        assert Counter(answers.values()) == {"DEADLINE_EXCEEDED": len(missing)}
        # Until the list of workflows has the last ones.
        await asyncio.sleep(1)
        known = {workflow.id async for workflow in business.temporal.list_workflows(ORDERS)}
        missing = [request for request in missing if f"order-{request.order_id}" not in known]


async def test_orders_while_workers_are_killed_again_and_again_all_end_and_none_twice(
    business: Business, dice: random.Random, tmp_path: Path
) -> None:
    """Two workers, of which a chosen one is killed every few seconds, in the middle of whatever it does."""
    crowd = await Crowd.of(business.shop, SIZE.in_pieces, dice)
    async with second_worker(business.stack, tmp_path) as second:
        placing = asyncio.create_task(
            all_at(WORKERS_SLOTS, crowd.requests, lambda request: ask_until_answered(business.shop, request, 20))
        )
        started = time.monotonic()
        busy_kills = 0
        for _ in range(SIZE.kills):
            await asyncio.sleep(SIZE.kill_every_s)
            busy_kills += not placing.done()
            if dice.random() < 0.5:
                await business.stack.kill("orchestrator")
            else:
                await second.kill()
        async with asyncio.timeout(SIZE.within_s):
            answers = await placing
        await until_all_ended(business.temporal, SIZE.within_s)
        took_s = time.monotonic() - started
        ends = await assert_all_ended_once(business.stack, business.temporal, crowd, answers)
    assert busy_kills > 0
    print(f"\n{SIZE.in_pieces} orders with {busy_kills} kills in {took_s:.0f} s: {dict(ends)}")
