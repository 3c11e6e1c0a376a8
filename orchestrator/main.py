"""The worker process: polls Temporal and runs the workflows and their steps. `python -m orchestrator.main`."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.service import RPCError
from temporalio.worker import PollerBehaviorSimpleMaximum, UnsandboxedWorkflowRunner, Worker

from orchestrator.abandoned_orders import AbandonedOrders
from orchestrator.activities import activities_for
from orchestrator.checkout_workflow import CheckoutWorkflow
from orchestrator.clearing_balances import ClearingBalances
from orchestrator.code_steps import CODE_STEPS
from orchestrator.generate_codes_workflow import GenerateCodesWorkflow
from orchestrator.late_payment_workflow import LatePaymentWorkflow
from orchestrator.namespace import NotSetUp, require_search_attributes
from orchestrator.order_repair_workflow import OrderRepairWorkflow
from orchestrator.order_steps import ALL_STEPS
from orchestrator.order_sweep_workflow import OrderSweepWorkflow
from orchestrator.reconciliation_workflow import ReconciliationWorkflow
from orchestrator.refund_steps import REFUND_STEPS
from orchestrator.refund_workflow import RefundWorkflow
from orchestrator.session_watch_workflow import SessionWatchWorkflow
from orchestrator.settings import OrchestratorSettings
from quittance.checkout.v1.order_steps_pb2_grpc import OrderStepsServiceStub
from quittance.checkout.v1.payments_pb2_grpc import PaymentStepsServiceStub
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from quittance.ledger.v1.proof_pb2_grpc import ProofServiceStub
from quittance.vouchers.v1.codes_pb2_grpc import CodesServiceStub
from quittance.vouchers.v1.vouchers_pb2_grpc import VouchersServiceStub
from services.runtime.channels import open_channel
from services.runtime.server import Server, run
from services.runtime.temporal import (
    TemporalSettings,
    TemporalUnreachable,
    runtime_with_metrics,
    temporal_client,
    why_unreachable,
)

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

_TRY_AGAIN_AFTER_S = 0.5

WORKFLOWS = (
    *(CheckoutWorkflow, OrderRepairWorkflow, OrderSweepWorkflow, GenerateCodesWorkflow),
    *(RefundWorkflow, LatePaymentWorkflow, SessionWatchWorkflow, ReconciliationWorkflow),
)


async def main(settings: OrchestratorSettings, temporal: TemporalSettings) -> None:
    """Serves health at once, so that the process may start before Temporal; takes work when Temporal is set up."""
    async with AsyncExitStack() as exits:
        runtime = runtime_with_metrics(settings.temporal_metrics_address)
        connecting = asyncio.create_task(_connect_when_set_up(temporal, runtime, exits))

        async def ready() -> None:
            if not connecting.done():
                raise ConnectionError("Temporal has not answered yet, or is not set up")
            await connecting.result().service_client.check_health()

        async with Server(settings, domain="orchestrator.quittance", ready=ready) as server:
            stopping = asyncio.create_task(server.run_until_signal())
            await asyncio.wait([connecting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                await _work(connecting.result(), settings, temporal.task_queue, stopping)
            connecting.cancel()


async def _work(client: Client, settings: OrchestratorSettings, task_queue: str, stopping: asyncio.Task[None]) -> None:
    """Works until asked to stop; steps in flight then get their time to finish."""
    async with (
        open_channel(settings.ledger_address) as ledger,
        open_channel(settings.vouchers_address) as vouchers,
        open_channel(settings.checkout_address) as checkout,
    ):
        stubs = {
            "ledger": LedgerServiceStub(ledger),
            "vouchers": VouchersServiceStub(vouchers),
            "checkout": OrderStepsServiceStub(checkout),
            "payments": PaymentStepsServiceStub(checkout),
            "codes": CodesServiceStub(vouchers),
        }
        clearing = ClearingBalances(ProofServiceStub(ledger))
        async with _worker(client, settings, task_queue, stubs, clearing):
            _log.info("worker_started", task_queue=task_queue)
            await stopping


def _worker(
    client: Client,
    settings: OrchestratorSettings,
    task_queue: str,
    stubs: Mapping[str, object],
    clearing: ClearingBalances,
) -> Worker:
    return Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=[
            *activities_for((*ALL_STEPS, *REFUND_STEPS, *CODE_STEPS), stubs),
            AbandonedOrders(client).find,
            clearing.read,
        ],
        # Half the processor time per order. Tests guard what the sandbox would: imports and replays.
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=settings.cached_workflows_max,
        max_concurrent_workflow_tasks=settings.concurrent_workflow_tasks_max,
        max_concurrent_local_activities=settings.concurrent_steps_max,
        max_concurrent_activities=settings.concurrent_visible_steps_max,
        workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(settings.workflow_pollers_max),
        activity_task_poller_behavior=PollerBehaviorSimpleMaximum(settings.step_pollers_max),
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=settings.sticky_timeout_s),
        graceful_shutdown_timeout=timedelta(seconds=settings.drain_grace_s),
    )


async def _connect_when_set_up(temporal: TemporalSettings, runtime: Runtime | None, exits: AsyncExitStack) -> Client:
    """Tries until it gets through; every new obstacle is logged once."""
    obstacle = ""
    while True:
        try:
            async with AsyncExitStack() as attempt:
                client = await attempt.enter_async_context(temporal_client(temporal, runtime=runtime))
                await require_search_attributes(client)
                exits.push_async_exit(attempt.pop_all())
                return client
        except (TemporalUnreachable, NotSetUp, RPCError) as error:
            found = why_unreachable(error)
        if found != obstacle:
            obstacle = found
            _log.warning("waiting_for_temporal", address=temporal.address, cause=found)
        await asyncio.sleep(_TRY_AGAIN_AFTER_S)


if __name__ == "__main__":
    worker_settings, temporal_settings = OrchestratorSettings(), TemporalSettings()
    run(lambda: main(worker_settings, temporal_settings), worker_settings)
