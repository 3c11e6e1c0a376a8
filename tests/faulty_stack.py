"""A whole stack of real processes, with a fault proxy in front of each service that the worker calls."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import asyncpg
from temporalio.client import Client, WorkflowHandle

from deploy.local.stack import Stack
from orchestrator.checkout_workflow import CheckoutWorkflow
from quittance.checkout.v1 import order_workflow_pb2
from services.runtime.payloads import data_converter
from tests.faults.proxy import FaultBoard, FaultProxy
from tests.shop import Shop

SERVICES = ("ledger", "vouchers", "checkout")


class FaultyStack:
    """Started on entering. `faults` makes faults, `shop` is a caller, `stack` the processes."""

    def __init__(
        self,
        directory: Path,
        *,
        headless: bool = True,
        events_per_run: int | None = None,
        proxied: Sequence[str] = SERVICES,
    ) -> None:
        """`events_per_run`: how long a workflow's history may be until it is asked to go on in a new run. `proxied`:
        the services with a proxy; each takes its share of the machine.
        """
        self.stack = Stack(directory, free_ports=True, headless=headless)
        if events_per_run is not None:
            limit = "limit.historyCount.suggestContinueAsNew"
            self.stack.temporal.dynamic_configuration = {limit: str(events_per_run)}
        self.faults = FaultBoard()
        self._proxied = proxied
        # Of the fault proxies, by the service that is behind each.
        self.proxies: dict[str, str] = {}
        self._exits = AsyncExitStack()
        self.shop: Shop
        self.temporal: Client

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            proxies = {
                name: await exits.enter_async_context(FaultProxy(name, self.stack.address(name), self.faults))
                for name in self._proxied
            }
            self.proxies = {name: proxy.address for name, proxy in proxies.items()}
            self.stack.set_environment(
                "orchestrator", {f"{name.upper()}_ADDRESS": address for name, address in self.proxies.items()}
            )
            await exits.enter_async_context(self.stack)
            await self.stack.start()
            self.shop = await exits.enter_async_context(Shop(self.stack))
            self.temporal = await Client.connect(self.stack.address("temporal"), data_converter=data_converter)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    def workflow_of(self, order_id: str) -> WorkflowHandle[CheckoutWorkflow, order_workflow_pb2.OrderResult]:
        """The order's workflow."""
        return self.temporal.get_workflow_handle_for(CheckoutWorkflow.run, f"order-{order_id}")

    async def connect(self, database: str) -> asyncpg.Connection:
        """A connection to one of the three databases, as its owner."""
        return await asyncpg.connect(self.stack.database_url(database, owner=True))
