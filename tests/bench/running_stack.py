"""A whole stack for one benchmark: started with free ports, gone afterwards with all its data."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.local.stack import MODULES, Stack
from tests.bench.report import BUILD

# As in production: lines for people to read cost more to make.
_LOGS = {"LOG_FORMAT": "json"}


@asynccontextmanager
async def running_stack() -> AsyncIterator[Stack]:
    """Started, with Temporal's development server."""
    async with new_stack() as stack:
        await stack.start()
        yield stack


@asynccontextmanager
async def new_stack() -> AsyncIterator[Stack]:
    """To be started. Below build/, not in the system's temporary folder: that may be memory, where a sync is free."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=BUILD) as directory:
        environment = {name: _LOGS for stage in MODULES for name in stage}
        stack = Stack(Path(directory), free_ports=True, headless=True, environment=environment)
        try:
            yield stack
        finally:
            await stack.stop()
            await asyncio.to_thread(stack.postgres.remove)
