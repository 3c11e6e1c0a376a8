"""Which orders have no workflow that goes on: the one activity that asks Temporal itself."""

import asyncio
from collections.abc import Iterable

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.order_steps import FIND_ABANDONED
from quittance.checkout.v1 import order_workflow_pb2

_CLOSED = frozenset(WorkflowExecutionStatus) - {
    WorkflowExecutionStatus.RUNNING,
    WorkflowExecutionStatus.CONTINUED_AS_NEW,
}


class AbandonedOrders:
    """The activity, with the worker's own client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn(name=FIND_ABANDONED.activity)
    async def find(
        self, request: order_workflow_pb2.FindAbandonedOrdersRequest
    ) -> order_workflow_pb2.FindAbandonedOrdersResponse:
        """Lists of workflows lag behind: what is missing there is asked for one by one."""
        running = await self._listed(request.order_ids) if len(request.order_ids) > 1 else set()
        doubtful = [order_id for order_id in request.order_ids if order_id not in running]
        is_gone = await asyncio.gather(*(self._is_gone(order_id) for order_id in doubtful))
        return order_workflow_pb2.FindAbandonedOrdersResponse(
            order_ids=[order_id for order_id, gone in zip(doubtful, is_gone, strict=True) if gone]
        )

    async def _listed(self, order_ids: Iterable[str]) -> set[str]:
        """Those that are listed as running; the ids come from checkout's own rows."""
        wanted = ", ".join(f"'order-{order_id}'" for order_id in order_ids)
        query = f"WorkflowId IN ({wanted}) AND ExecutionStatus = 'Running'"
        return {each.id.removeprefix("order-") async for each in self._client.list_workflows(query)}

    async def _is_gone(self, order_id: str) -> bool:
        try:
            described = await self._client.get_workflow_handle(f"order-{order_id}").describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return True
            raise
        return described.status in _CLOSED
