"""A ledger for one benchmark: PostgreSQL and server processes of its own, and loads on it."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local.ports import free_port
from deploy.local.postgres import EmbeddedPostgres
from services.runtime.migrations import migrate_up, migrations_of
from tests.bench.http2 import connect
from tests.bench.report import BUILD

_START_TIMEOUT_S = 30
# A million accounts fit into its memory, and it does not write its whole cache to disk every minute: as a database of
# that size is run.
_OF_POSTGRES = {"shared_buffers": "2GB", "max_wal_size": "8GB"}


@dataclass(frozen=True)
class Shape:
    """What callers do. kind: post, stream or balances. size: transfers or balances in a message."""

    kind: str
    callers: int
    size: int
    is_hot: bool = False


class LedgerUnderTest:
    """One database, one address, one process or several behind it."""

    def __init__(self, postgres: EmbeddedPostgres, address: str, server: "subprocess.Popen[bytes]") -> None:
        self.postgres = postgres
        self._address = address
        self._server = psutil.Process(server.pid)

    @property
    def address(self) -> str:
        """host:port."""
        return self._address

    async def rate(self, shape: Shape, *, owners: int, accounts: int, seconds: float) -> float:
        """Transfers or balances a second. `accounts`: codes of each book, over which owners are spread."""
        words = (shape.kind, shape.callers, shape.size, "hot" if shape.is_hot else "random", owners, accounts, seconds)
        load = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.ledger_load", self._address, *(str(word) for word in words)),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await load.communicate()
        if load.returncode != 0:
            raise RuntimeError(f"the load of {shape} failed")
        done: Mapping[str, float] = json.loads(said)
        return done["count"] / done["seconds"]

    def memory_mb(self) -> float:
        """Of the largest server process."""
        return max(process.memory_info().rss for process in [self._server, *self._server.children()]) / 1e6


@asynccontextmanager
async def running_ledger(processes: int = 1) -> AsyncIterator[LedgerUnderTest]:
    """Below build/, not in the system's temporary folder: that may be memory, where a sync costs nothing."""
    BUILD.mkdir(exist_ok=True)
    async with AsyncExitStack() as exits:
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=BUILD)))
        postgres = EmbeddedPostgres(directory, settings=_OF_POSTGRES)
        exits.callback(postgres.remove)
        await asyncio.to_thread(postgres.start)
        await migrate_up(postgres.url("ledger", "ledger_owner"), migrations_of("ledger"), "ledger_app")
        address = f"127.0.0.1:{free_port()}"
        server = exits.enter_context(_server(postgres, address, processes))
        exits.callback(server.terminate)
        await _until_it_answers(address)
        yield LedgerUnderTest(postgres, address, server)


def _server(postgres: EmbeddedPostgres, address: str, processes: int) -> "subprocess.Popen[bytes]":
    settings = {
        "LEDGER_DATABASE_URL": postgres.url("ledger"),
        "LEDGER_ADDRESS": address,
        "LEDGER_PROCESSES": str(processes),
        "LOG_LEVEL": "WARNING",
    }
    return subprocess.Popen([sys.executable, "-m", "services.ledger.main"], env={**os.environ, **settings})


async def _until_it_answers(address: str) -> None:
    async with asyncio.timeout(_START_TIMEOUT_S):
        while True:
            try:
                (await connect(address)).close()
            except (OSError, socket.gaierror):
                await asyncio.sleep(0.1)
            else:
                return
