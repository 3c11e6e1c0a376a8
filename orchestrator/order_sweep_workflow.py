"""Finds open orders whose workflow is gone and has each repaired. A schedule starts it again and again.

Orders come from checkout's own table, where none is ever missing. A sweep that fails has left nothing half done: the
next one begins anew.
"""

from collections.abc import Sequence
from datetime import timedelta

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import WorkflowAlreadyStartedError

from orchestrator import order_steps as steps
from orchestrator.order_repair_workflow import REPAIR_SUMMARY, OrderRepairWorkflow, repair_id_of
from orchestrator.order_story import ORDER_ID
from orchestrator.steps import require_step
from quittance.checkout.v1 import order_steps_pb2, order_workflow_pb2

_PAGE_SIZE = 100
# Temporal lets a workflow have 2,000 children that have not ended.
_REPAIRS_PER_RUN = 500
_STEP_WITHIN = timedelta(seconds=30)


@workflow.defn(name="OrderSweepWorkflow")
class OrderSweepWorkflow:
    """One look at all open orders."""

    @workflow.run
    async def run(self, request: order_workflow_pb2.SweepRequest) -> order_workflow_pb2.SweepResult:
        """What it found. Fails when checkout or Temporal cannot be asked."""
        found, page_token = request.found, request.page_token
        repairs_before = found.repairs_started
        while True:
            page = await require_step(
                steps.LIST_OPEN_ORDERS,
                order_steps_pb2.ListOpenOrdersRequest(
                    unchanged_for_s=request.unchanged_for_s, page_size=_PAGE_SIZE, page_token=page_token
                ),
                within=_STEP_WITHIN,
            )
            found.open_orders += len(page.order_ids)
            if page.order_ids:
                found.repairs_started += await _repair_abandoned(page.order_ids)
            page_token = page.next_page_token
            if not page_token:
                return found
            has_many = found.repairs_started - repairs_before >= _REPAIRS_PER_RUN
            if has_many or workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(
                    order_workflow_pb2.SweepRequest(
                        unchanged_for_s=request.unchanged_for_s, page_token=page_token, found=found
                    )
                )


async def _repair_abandoned(order_ids: Sequence[str]) -> int:
    """Starts the repair of each order without a workflow; answers how many."""
    asked = order_workflow_pb2.FindAbandonedOrdersRequest(order_ids=order_ids)
    abandoned = await require_step(steps.FIND_ABANDONED, asked, within=_STEP_WITHIN)
    started = [await _start_repair(order_id) for order_id in abandoned.order_ids]
    return started.count(True)


async def _start_repair(order_id: str) -> bool:
    """Whether it was started; False: it runs already."""
    try:
        await workflow.start_child_workflow(
            OrderRepairWorkflow.run,
            order_workflow_pb2.RepairRequest(order_id=order_id),
            id=repair_id_of(order_id),
            # It outlives this sweep.
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            search_attributes=TypedSearchAttributes([SearchAttributePair(ORDER_ID, order_id)]),
            static_summary=REPAIR_SUMMARY,
        )
    except WorkflowAlreadyStartedError:
        return False
    return True
