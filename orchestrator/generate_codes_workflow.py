"""A batch of codes, from its order to its last code, as operators see it. Read it top to bottom.

    step            undo                                                where
    create batch    cancel it: what was made is off for ever            vouchers
    wait            -                                                   vouchers generates in the background

The voucher service would finish the batch without this workflow, which follows it and undoes it when it is cancelled.
"""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from orchestrator import code_steps as steps
from orchestrator.concurrency import shielded
from orchestrator.operator_updates import Resolvable
from orchestrator.patience import HistoryFull, Patience, end_run_when_long
from orchestrator.steps import StepRefused
from quittance.vouchers.v1 import codes_pb2

_LOOK_FIRST = timedelta(seconds=1)
_LOOK_MAX = timedelta(seconds=30)


@workflow.defn(name="GenerateCodesWorkflow")
class GenerateCodesWorkflow(Resolvable):
    """One batch; its workflow id is "codes-<batch id>"."""

    @workflow.init
    def __init__(self, request: codes_pb2.CreateCodeBatchRequest) -> None:
        self._batch_id = request.batch.batch_id
        self._patience = Patience(on_change=lambda: None)

    @workflow.run
    async def run(self, request: codes_pb2.CreateCodeBatchRequest) -> codes_pb2.CodeBatch:
        """The batch when it is complete, or when cancelling the workflow has cancelled it.

        Fails with the voucher service's reason when it refuses the batch, and with CODE_BATCH_FAILED when it cannot go
        on: started again with the same batch, it goes on where it was.
        """
        try:
            return await self._generate(request)
        except HistoryFull:
            workflow.continue_as_new(request)
        except StepRefused as refused:
            raise refused.as_failure() from refused
        except asyncio.CancelledError:
            cancelled = codes_pb2.CancelCodeBatchRequest(batch_id=self._batch_id)
            return (await shielded(self._patience.insist(steps.CANCEL_BATCH, cancelled))).batch

    async def _generate(self, request: codes_pb2.CreateCodeBatchRequest) -> codes_pb2.CodeBatch:
        batch = (await self._patience.persist(steps.CREATE_BATCH, request)).batch
        pause = _LOOK_FIRST
        while batch.state != codes_pb2.CODE_BATCH_STATE_COMPLETED:
            self._show(batch)
            if batch.state == codes_pb2.CODE_BATCH_STATE_FAILED:
                raise ApplicationError(batch.failure, type="CODE_BATCH_FAILED")
            if batch.state == codes_pb2.CODE_BATCH_STATE_CANCELLED:
                return batch
            end_run_when_long()
            await workflow.sleep(pause, summary=f"{batch.made:,} of {batch.code_count:,} codes are made")
            pause = min(2 * pause, _LOOK_MAX)
            asked = codes_pb2.GetCodeBatchRequest(batch_id=self._batch_id)
            batch = (await self._patience.persist(steps.READ_BATCH, asked)).batch
        self._show(batch)
        return batch

    def _show(self, batch: codes_pb2.CodeBatch) -> None:
        workflow.set_current_details(f"**{batch.made:,}** of {batch.code_count:,} codes are made.")
