"""LEDGER_PROCESSES: several processes behind one address."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import psutil

from deploy.local.ports import free_port
from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.ledger.main import LedgerSettings
from services.runtime.processes import LIVED_MIN_S
from tests.ledger.requests import Customer

# One connection each: connections are what is spread.
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


@asynccontextmanager
async def processes(settings: LedgerSettings, **environment: str) -> AsyncIterator[tuple[Process, str]]:
    """The parent, and the address."""
    address = f"127.0.0.1:{free_port()}"
    variables = {
        **os.environ,
        "LEDGER_DATABASE_URL": settings.database_url,
        "LEDGER_ADDRESS": address,
        "LEDGER_PROCESSES": "2",
        "LEDGER_BOOKS": str(settings.books),
        "LEDGER_DRAIN_GRACE_S": "1",
        "LEDGER_SWEEP_INTERVAL_S": "0",
        **environment,
    }
    parent = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.ledger.main", env=variables)
    try:
        yield parent, address
    finally:
        if parent.returncode is None:
            parent.kill()
            await parent.wait()


def children(parent: Process) -> list[psutil.Process]:
    return psutil.Process(parent.pid).children()


def listening(parent: Process, address: str) -> list[psutil.Process]:
    port = int(address.rpartition(":")[2])
    return [each for each in children(parent) if _count(each, port, psutil.CONN_LISTEN)]


def connections_of(process: psutil.Process, address: str) -> int:
    return _count(process, int(address.rpartition(":")[2]), psutil.CONN_ESTABLISHED)


def _count(process: psutil.Process, port: int, status: str) -> int:
    try:
        found = process.net_connections()
    except psutil.NoSuchProcess:
        return 0
    return sum(1 for each in found if each.status == status and each.laddr.port == port)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.05)


async def post(channel: grpc.aio.Channel) -> int:
    """How many transfers a transaction made."""
    request = ledger_pb2.PostTransactionsRequest(transactions=[Customer().transaction(("till", "sales", 1))])
    answer = await LedgerServiceStub(channel).PostTransactions(request, wait_for_ready=True)
    (result,) = answer.results
    return len(result.transfers)


async def post_over_many_connections(address: str) -> None:
    async with AsyncExitStack() as exits:
        for _ in range(10):
            channel = grpc.aio.insecure_channel(address, options=_OWN_CONNECTION)
            assert await post(await exits.enter_async_context(channel)) == 1


async def test_processes_share_one_address_and_both_serve(ledger_settings: LedgerSettings) -> None:
    async with processes(ledger_settings) as (parent, address), AsyncExitStack() as exits:
        await until(lambda: len(listening(parent, address)) == 2)
        channels = [
            await exits.enter_async_context(grpc.aio.insecure_channel(address, options=_OWN_CONNECTION))
            for _ in range(24)
        ]
        assert await asyncio.gather(*(post(channel) for channel in channels)) == [1] * 24
        taken = [connections_of(each, address) for each in listening(parent, address)]
        assert sum(taken) == 24
        assert min(taken) > 0


async def test_processes_told_to_stop_all_end_in_order(ledger_settings: LedgerSettings) -> None:
    async with processes(ledger_settings) as (parent, address):
        await until(lambda: len(listening(parent, address)) == 2)
        started = children(parent)
        parent.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await parent.wait() == 0
        assert not any(each.is_running() for each in started)


async def test_processes_one_killed_the_other_serves_and_it_is_started_anew(ledger_settings: LedgerSettings) -> None:
    async with processes(ledger_settings) as (parent, address):
        await until(lambda: len(listening(parent, address)) == 2)
        victim, survivor = listening(parent, address)
        # One that ends sooner is taken for broken.
        await asyncio.sleep(LIVED_MIN_S)
        victim.kill()
        await asyncio.to_thread(psutil.wait_procs, [victim], timeout=60)
        await post_over_many_connections(address)
        await until(lambda: len(listening(parent, address)) == 2)
        pids = {each.pid for each in listening(parent, address)}
        assert survivor.pid in pids
        assert victim.pid not in pids
        await post_over_many_connections(address)


async def test_processes_one_that_cannot_start_ends_all_with_an_error(ledger_settings: LedgerSettings) -> None:
    """The second one's metrics have the next port, which is taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        metrics = f"127.0.0.1:{taken.getsockname()[1] - 1}"
        async with processes(ledger_settings, LEDGER_METRICS_ADDRESS=metrics) as (parent, _), asyncio.timeout(30):
            assert await parent.wait() == 1


async def test_processes_parent_killed_the_others_end_too(ledger_settings: LedgerSettings) -> None:
    async with processes(ledger_settings) as (parent, address):
        await until(lambda: len(listening(parent, address)) == 2)
        orphans = children(parent)
        parent.kill()
        await until(lambda: not any(each.is_running() for each in orphans))
