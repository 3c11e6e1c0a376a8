"""The references: workflows of so many steps that do nothing, or store a row, on the same Temporal server.

They are started as PlaceOrder starts an order: together with an update whose answer is waited for. Their worker is a
process of its own, set up like the orchestrator's; it does nothing but this.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import uvloop
from temporalio import activity, workflow
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from quittance.checkout.v1 import checkout_pb2
from quittance.checkout.v1.checkout_pb2_grpc import CheckoutServiceStub
from services.runtime.channels import open_channel
from services.runtime.payloads import data_converter

if TYPE_CHECKING:
    from quittance.checkout.v1.checkout_pb2_grpc import CheckoutServiceAsyncStub

TASK_QUEUE = "bench-bare"
_STEP_LIMIT = timedelta(seconds=10)
_STOP_S = 10

# Kinds of steps.
LOCAL = "local"
NORMAL = "normal"
# A local step that is one call of one service, which stores one row: the least that a step of an order can be.
STORING = "storing"


@activity.defn(name="BenchNothing")
async def nothing() -> None:
    """An empty step."""


class Storing:
    """A step that stores a row."""

    def __init__(self, checkout: "CheckoutServiceAsyncStub") -> None:
        self._checkout = checkout

    @activity.defn(name="BenchStoreRow")
    async def store_row(self) -> None:
        """Calls checkout, which inserts one row and commits."""
        product = checkout_pb2.Product(product_id=str(uuid4()), name="A walk")
        await self._checkout.CreateProduct(checkout_pb2.CreateProductRequest(product=product), timeout=2)


@workflow.defn(name="BenchBareWorkflow")
class BareWorkflow:
    """So many empty steps, then the answer to whoever started it, then the end."""

    def __init__(self) -> None:
        self._is_done = False

    @workflow.run
    async def run(self, steps: int, kind: str) -> None:
        """One step after the other."""
        for _ in range(steps):
            if kind == NORMAL:
                await workflow.execute_activity("BenchNothing", start_to_close_timeout=_STEP_LIMIT)
            else:
                name = "BenchStoreRow" if kind == STORING else "BenchNothing"
                await workflow.execute_local_activity(name, start_to_close_timeout=_STEP_LIMIT)
        self._is_done = True
        await workflow.wait_condition(workflow.all_handlers_finished)

    @workflow.update
    async def answer(self) -> bool:
        """Answers when all steps are done."""
        await workflow.wait_condition(lambda: self._is_done)
        return True


class BareWorkflows:
    """Runs bare workflows, one a call."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def run(self, steps: int, kind: str = LOCAL) -> None:
        """Starts one and waits for its answer."""
        start = WithStartWorkflowOperation(
            BareWorkflow.run,
            args=[steps, kind],
            id=f"bench-{uuid4()}",
            task_queue=TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        await self._client.execute_update_with_start_workflow(BareWorkflow.answer, start_workflow_operation=start)


@asynccontextmanager
async def bare_workflows(address: str, checkout: str) -> AsyncIterator[BareWorkflows]:
    """With their worker process; its first workflows, which wait for it, are done."""
    client = await Client.connect(address, data_converter=data_converter)
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.bare_workflows", address, checkout), stdin=asyncio.subprocess.PIPE
    )
    try:
        workflows = BareWorkflows(client)
        for kind in (LOCAL, NORMAL, STORING):
            await workflows.run(1, kind)
        yield workflows
    finally:
        # The end of its input ends it, also when this process is killed.
        await asyncio.wait_for(worker.communicate(b""), _STOP_S)


async def _work(address: str, checkout: str) -> None:
    client = await Client.connect(address, data_converter=data_converter)
    async with (
        open_channel(checkout) as channel,
        Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[BareWorkflow],
            activities=[nothing, Storing(CheckoutServiceStub(channel)).store_row],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ),
    ):
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_work(*sys.argv[1:]))
