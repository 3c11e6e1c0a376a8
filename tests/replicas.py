"""Two processes of one service over a PostgreSQL of their own, which are killed and started again."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc

from deploy.local.ports import free_port
from deploy.local.postgres import EmbeddedPostgres
from services.runtime.migrations import migrate_up, migrations_of

CALL_TIMEOUT_S = 3.0
# A caller comes again soon, and so does his connection.
RETRY_PAUSE_S = 0.05
RECONNECT = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]


class Replica:
    """One process, always at the same address."""

    def __init__(self, service: str, database_url: str, settings: dict[str, str]) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._service = service
        prefix = service.upper()
        places = {f"{prefix}_DATABASE_URL": database_url, f"{prefix}_ADDRESS": self.address}
        self._environment = {**os.environ, **places, "LOG_LEVEL": "ERROR", **settings}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", f"services.{self._service}.main"]
        self._process = subprocess.Popen(command, env=self._environment)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """After a SIGKILL."""
        self.kill()
        self.start()


@asynccontextmanager
async def two_replicas(
    directory: Path, service: str, **settings: str
) -> AsyncIterator[tuple[EmbeddedPostgres, list[Replica]]]:
    """Of a migrated database."""
    postgres = EmbeddedPostgres(directory)
    await asyncio.to_thread(postgres.start)
    replicas: list[Replica] = []
    try:
        await migrate_up(postgres.url(service, f"{service}_owner"), migrations_of(service), f"{service}_app")
        replicas += [Replica(service, postgres.url(service), settings) for _ in range(2)]
        for replica in replicas:
            replica.start()
        yield postgres, replicas
    finally:
        for replica in replicas:
            replica.kill()
        await asyncio.to_thread(postgres.remove)


@asynccontextmanager
async def channels_to(replicas: list[Replica]) -> AsyncIterator[list[grpc.aio.Channel]]:
    """One channel each, which comes back soon after its replica."""
    async with AsyncExitStack() as exits:
        channels = [grpc.aio.insecure_channel(replica.address, options=RECONNECT) for replica in replicas]
        yield [await exits.enter_async_context(channel) for channel in channels]


async def restart_database(postgres: EmbeddedPostgres) -> None:
    """After a SIGKILL."""
    await asyncio.to_thread(postgres.kill)
    await asyncio.to_thread(postgres.start_server)


async def kill_at_random(
    postgres: EmbeddedPostgres, replicas: list[Replica], dice: random.Random, for_s: float
) -> None:
    """Until the time is over; what was killed is started again."""
    end = asyncio.get_running_loop().time() + for_s
    while asyncio.get_running_loop().time() < end:
        await asyncio.sleep(dice.uniform(0.2, 0.8))
        if dice.random() < 0.4:
            await restart_database(postgres)
        else:
            await asyncio.to_thread(dice.choice(replicas).restart)


async def until(condition: Callable[[], bool]) -> None:
    """However slow the machine is: what has to be done is done before the callers stop. Only a hang makes it fail."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(RETRY_PAUSE_S)
