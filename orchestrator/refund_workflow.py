"""A refund that is written down, ours or the provider's, is carried out and booked; giving_back.py has the steps."""

from temporalio import workflow

from orchestrator.concurrency import shielded
from orchestrator.giving_back import give_back
from orchestrator.operator_updates import Resolvable
from orchestrator.patience import HistoryFull, Patience
from orchestrator.story import show_stuck
from quittance.checkout.v1 import payment_workflows_pb2, payments_pb2


@workflow.defn(name="RefundWorkflow")
class RefundWorkflow(Resolvable):
    """One refund; its workflow id is "refund-<refund id>"."""

    @workflow.init
    def __init__(self, request: payment_workflows_pb2.RefundWorkflowInput) -> None:
        self._patience = Patience(on_change=lambda: show_stuck(self._patience))

    @workflow.run
    async def run(
        self, request: payment_workflows_pb2.RefundWorkflowInput
    ) -> payment_workflows_pb2.RefundWorkflowResult:
        """Always ends with a result: a refund that the provider refuses is a finding, no failure of its workflow."""
        try:
            refund = await shielded(give_back(request.refund_id, self._patience))
        except HistoryFull:
            # What has been done is in the rows.
            workflow.continue_as_new(request)
        return result_of(refund)


def result_of(refund: payments_pb2.Refund) -> payment_workflows_pb2.RefundWorkflowResult:
    """What became of a refund."""
    return payment_workflows_pb2.RefundWorkflowResult(
        refund_id=refund.refund_id, is_refunded=refund.state == payments_pb2.REFUND_STATE_REFUNDED
    )
