"""Batches of codes as workflows."""

import asyncio

from temporalio.client import WorkflowHandle

from orchestrator.generate_codes_workflow import GenerateCodesWorkflow
from quittance.vouchers.v1 import codes_pb2
from tests.faulty_stack import FaultyStack
from tests.shop import fresh_id

Generating = WorkflowHandle[GenerateCodesWorkflow, codes_pb2.CodeBatch]

# Started, begun, its first step done, and a wait begun: the batch is there and is being looked at.
_EVENTS_WHEN_FOLLOWED = 6


async def new_batch(stack: FaultyStack, count: int) -> codes_pb2.CreateCodeBatchRequest:
    """A batch of codes of a new campaign, to be generated."""
    reference = codes_pb2.GetVoucherRequest()
    reference.voucher.code = await stack.shop.credit_voucher(1_000)
    campaign_id = (await stack.shop.codes.GetVoucher(reference)).voucher.campaign_id
    batch = codes_pb2.CodeBatch(batch_id=fresh_id(), campaign_id=campaign_id, code_count=count, uses_max=1)
    return codes_pb2.CreateCodeBatchRequest(batch=batch)


async def start_generating(stack: FaultyStack, request: codes_pb2.CreateCodeBatchRequest) -> Generating:
    """Starts the batch's workflow."""
    return await stack.temporal.start_workflow(
        GenerateCodesWorkflow.run, request, id=f"codes-{request.batch.batch_id}", task_queue="quittance"
    )


async def until_followed(workflow: Generating) -> None:
    """Returns when the workflow waits for the batch."""
    async with asyncio.timeout(60):
        while (await workflow.describe()).history_length < _EVENTS_WHEN_FOLLOWED:
            await asyncio.sleep(0.05)
