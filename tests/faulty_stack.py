"""A whole stack of real processes, with a fault proxy in front of each service that the worker calls."""

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

    def __init__(self, directory: Path) -> None:
        self.stack = Stack(directory, free_ports=True, headless=True)
        self.faults = FaultBoard()
        self._exits = AsyncExitStack()
        self.shop: Shop
        self.temporal: Client

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            proxies = {
                name: await exits.enter_async_context(FaultProxy(name, self.stack.address(name), self.faults))
                for name in SERVICES
            }
            self.stack.set_environment(
                "orchestrator", {f"{name.upper()}_ADDRESS": proxy.address for name, proxy in proxies.items()}
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
