"""The reference: a workflow that does nothing, run by a worker of this process on the same Temporal server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

from temporalio import workflow
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

TASK_QUEUE = "bench-empty"


@workflow.defn(name="BenchEmptyWorkflow")
class EmptyWorkflow:
    """Ends at once."""

    @workflow.run
    async def run(self) -> None:
        """Nothing."""


@workflow.defn(name="BenchAnsweringWorkflow")
class AnsweringWorkflow:
    """Ends at once when it has answered an update."""

    def __init__(self) -> None:
        self._is_answered = False

    @workflow.run
    async def run(self) -> None:
        """Waits for the update, which comes with the start."""
        await workflow.wait_condition(lambda: self._is_answered)

    @workflow.update
    def answer(self) -> bool:
        """Answers."""
        self._is_answered = True
        return True


class EmptyWorkflows:
    """Runs empty workflows, one a call."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def run(self) -> None:
        """Start, and wait for the result."""
        await self._client.execute_workflow(EmptyWorkflow.run, id=f"bench-{uuid4()}", task_queue=TASK_QUEUE)

    async def run_by_update(self) -> None:
        """Start with an update, and wait for its answer: what PlaceOrder does."""
        start = WithStartWorkflowOperation(
            AnsweringWorkflow.run,
            id=f"bench-{uuid4()}",
            task_queue=TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        await self._client.execute_update_with_start_workflow(AnsweringWorkflow.answer, start_workflow_operation=start)


@asynccontextmanager
async def empty_workflows(client: Client) -> AsyncIterator[EmptyWorkflows]:
    """With their worker, which is set up like the orchestrator's."""
    worker = Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[EmptyWorkflow, AnsweringWorkflow],
        workflow_runner=UnsandboxedWorkflowRunner(),
        graceful_shutdown_timeout=timedelta(seconds=2),
    )
    async with worker:
        yield EmptyWorkflows(client)
