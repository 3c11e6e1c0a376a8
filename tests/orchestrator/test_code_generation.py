"""Codes by the thousand as a workflow: followed to their end, or undone (V8)."""

import asyncio

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from quittance.vouchers.v1 import codes_pb2
from tests.faulty_stack import FaultyStack
from tests.orchestrator.generating import new_batch, start_generating, until_followed
from tests.shop import fresh_id


async def read(stack: FaultyStack, batch_id: str) -> codes_pb2.CodeBatch:
    return (await stack.shop.codes.GetCodeBatch(codes_pb2.GetCodeBatchRequest(batch_id=batch_id))).batch


async def test_batch_is_followed_until_all_codes_are_made(stack: FaultyStack) -> None:
    request = await new_batch(stack, 45_000)
    workflow = await start_generating(stack, request)
    batch = await asyncio.wait_for(workflow.result(), 120)
    assert (batch.state, batch.made) == (codes_pb2.CODE_BATCH_STATE_COMPLETED, 45_000)
    # Started again it finds the batch as it is.
    assert (await (await start_generating(stack, request)).result()).made == 45_000


async def test_batch_whose_workflow_is_cancelled_is_cancelled(stack: FaultyStack) -> None:
    request = await new_batch(stack, 2_000_000)
    workflow = await start_generating(stack, request)
    await until_followed(workflow)
    await workflow.cancel()
    batch = await asyncio.wait_for(workflow.result(), 60)
    assert batch.state == codes_pb2.CODE_BATCH_STATE_CANCELLED
    assert (await read(stack, request.batch.batch_id)).state == codes_pb2.CODE_BATCH_STATE_CANCELLED


async def test_batch_that_is_refused_fails_with_the_reason(stack: FaultyStack) -> None:
    request = await new_batch(stack, 10)
    request.batch.campaign_id = fresh_id()
    workflow = await start_generating(stack, request)
    with pytest.raises(WorkflowFailureError) as failed:
        await asyncio.wait_for(workflow.result(), 60)
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "CAMPAIGN_NOT_FOUND"
