"""The benchmark of orders on a Temporal server with PostgreSQL persistence, as one would run it in production.

Figures of one server say nothing about another: only the ratios within one run do.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from deploy.local.postgres import EmbeddedPostgres
from tests.bench.orders import measure_on
from tests.bench.registry import Row, benchmark
from tests.bench.running_stack import new_stack
from tests.bench.temporal_production import ProductionTemporal
from tests.bench.temporal_programs import VERSION

CONDITIONS = {
    "temporal_server": f"Server {VERSION}, frontend, history, matching and worker in one process",
    "temporal_persistence": "PostgreSQL 18 of its own, fsync on",
}


@benchmark("production", is_long=True)
async def measure() -> Sequence[Row]:
    """Temporal's database is gone afterwards, too."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(new_stack())
        postgres = EmbeddedPostgres(stack.directory / "of-temporal")
        exits.callback(postgres.remove)
        # Nobody uses it once the stack is stopped, which comes first: callbacks run in reverse.
        exits.push_async_callback(stack.stop)
        temporal = ProductionTemporal(stack.settings.port("temporal"), postgres=postgres, folder=stack.directory)
        stack.temporal = temporal
        await asyncio.to_thread(postgres.start)
        await asyncio.to_thread(temporal.prepare)
        await stack.start()
        return await measure_on(stack, CONDITIONS)
