"""A whole stack for one benchmark: started with free ports, gone afterwards with all its data."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.local.stack import Stack
from tests.bench.report import BUILD


@asynccontextmanager
async def running_stack() -> AsyncIterator[Stack]:
    """Below build/, not in the system's temporary folder: that may be memory, where a sync costs nothing."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=BUILD) as directory:
        stack = Stack(Path(directory), free_ports=True, headless=True)
        try:
            await stack.start()
            yield stack
        finally:
            await stack.stop()
            await asyncio.to_thread(stack.postgres.remove)
