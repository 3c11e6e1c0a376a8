"""The worker process: polls Temporal and runs the workflows and their steps. `python -m orchestrator.main`."""

import asyncio
import functools
from datetime import timedelta

import structlog
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from orchestrator.activities import activities_for
from orchestrator.checkout_workflow import CheckoutWorkflow
from orchestrator.order_steps import ALL_STEPS
from orchestrator.order_story import SEARCH_ATTRIBUTES
from orchestrator.settings import OrchestratorSettings
from quittance.checkout.v1.order_steps_pb2_grpc import OrderStepsServiceStub
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from quittance.vouchers.v1.vouchers_pb2_grpc import VouchersServiceStub
from services.runtime.channels import open_channel
from services.runtime.payloads import data_converter
from services.runtime.server import Server, run

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

_RECONNECT_AFTER_S = 0.5


async def main(settings: OrchestratorSettings) -> None:
    """Serves health at once, so that the process may start before Temporal; takes work when Temporal is there."""
    connecting = asyncio.create_task(_connect(settings))

    async def ready() -> None:
        if not connecting.done():
            raise ConnectionError("Temporal has not answered yet")
        await _require_search_attributes(connecting.result(), settings.temporal_namespace)

    async with Server(settings, domain="orchestrator.quittance", ready=ready) as server:
        stopping = asyncio.create_task(server.run_until_signal())
        await asyncio.wait([connecting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if connecting.done():
            await _work(connecting.result(), settings, stopping)
        connecting.cancel()


async def _work(client: Client, settings: OrchestratorSettings, stopping: asyncio.Task[None]) -> None:
    """Works until asked to stop; steps in flight then get their time to finish."""
    async with (
        open_channel(settings.ledger_address) as ledger,
        open_channel(settings.vouchers_address) as vouchers,
        open_channel(settings.checkout_address) as checkout,
        Worker(
            client,
            task_queue=settings.temporal_task_queue,
            workflows=[CheckoutWorkflow],
            activities=activities_for(
                ALL_STEPS,
                {
                    "ledger": LedgerServiceStub(ledger),
                    "vouchers": VouchersServiceStub(vouchers),
                    "checkout": OrderStepsServiceStub(checkout),
                },
            ),
            # Half the processor time per order. Tests guard what the sandbox would: imports and replays.
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_cached_workflows=settings.cached_workflows_max,
            max_concurrent_activities=settings.concurrent_steps_max,
            max_concurrent_local_activities=settings.concurrent_steps_max,
            graceful_shutdown_timeout=timedelta(seconds=settings.drain_grace_s),
        ),
    ):
        _log.info("worker_started", task_queue=settings.temporal_task_queue)
        await stopping


async def _connect(settings: OrchestratorSettings) -> Client:
    while True:
        try:
            return await Client.connect(
                settings.temporal_address, namespace=settings.temporal_namespace, data_converter=data_converter
            )
        except (RuntimeError, RPCError):
            _log.info("waiting_for_temporal", address=settings.temporal_address)
            await asyncio.sleep(_RECONNECT_AFTER_S)


async def _require_search_attributes(client: Client, namespace: str) -> None:
    """An order's workflow fails on a search attribute that its namespace does not know: then take no orders."""
    known = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
    missing = SEARCH_ATTRIBUTES - set(known.custom_attributes)
    if missing:
        raise LookupError(f"search attributes are missing in namespace {namespace}: {', '.join(sorted(missing))}")


if __name__ == "__main__":
    worker_settings = OrchestratorSettings()
    run(functools.partial(main, worker_settings), worker_settings)
