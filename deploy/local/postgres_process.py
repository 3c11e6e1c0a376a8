"""The embedded PostgreSQL under supervision: the same verbs as a Process, for a server that starts by pg_ctl."""

import asyncio
import contextlib
import time

from deploy.local.postgres import EmbeddedPostgres, PostgresUnavailable
from deploy.local.process import NotReady

WATCH_EVERY_S = 0.25


class PostgresProcess:
    """Keeps the server running: started again when it has died by itself."""

    name = "postgres"

    def __init__(self, server: EmbeddedPostgres) -> None:
        """`server` is used by nobody else as long as this keeps it."""
        self.server = server
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The running server's process id, or None."""
        return self.server.pid

    async def start(self) -> None:
        """Start the server, wait until it answers, keep it running. Raises PostgresUnavailable."""
        if self._keeper is None:
            await asyncio.to_thread(self.server.start)
            self._keeper = asyncio.create_task(self._keep_running(), name="keep postgres")

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until the server runs. Raises NotReady."""
        deadline = time.monotonic() + timeout_s
        while not self.server.is_running():
            if time.monotonic() > deadline:
                raise NotReady(f"postgres did not run within {timeout_s:.0f} s; its log is {self.server.log}")
            await asyncio.sleep(WATCH_EVERY_S)

    async def stop(self) -> None:
        """Stop the server in order."""
        await self._stop_keeping()
        await asyncio.to_thread(self.server.stop)

    async def kill(self, *, stay_down: bool = False) -> None:
        """Kill it with SIGKILL as a crash would; it comes back, unless it has to `stay_down` until `start`."""
        if stay_down:
            await self._stop_keeping()
        await asyncio.to_thread(self.server.kill)

    async def _keep_running(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            if not self.server.is_running():
                with contextlib.suppress(PostgresUnavailable):
                    await asyncio.to_thread(self.server.start_server)

    async def _stop_keeping(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
