"""Money that came for an order which is gone, or is not what was asked for, goes back by itself. Never revived.

step             where
request refund   checkout: all that is left of the receipt
give back        giving_back.py: book, refund, book
"""

from uuid import UUID

from temporalio import workflow

from orchestrator import refund_steps as steps
from orchestrator.concurrency import shielded
from orchestrator.giving_back import give_back
from orchestrator.operator_updates import Resolvable
from orchestrator.patience import HistoryFull, Patience
from orchestrator.refund_workflow import result_of
from orchestrator.steps import StepRefused
from orchestrator.story import show_stuck
from quittance.checkout.v1 import payment_workflows_pb2, payments_pb2
from services.runtime.ids import derived_id

# Nothing is left of the receipt: somebody has given it back at the provider's dashboard.
_NOTHING_LEFT = "REFUND_EXCEEDS_PAYMENT"


@workflow.defn(name="LatePaymentWorkflow")
class LatePaymentWorkflow(Resolvable):
    """One receipt that no order stands for; its workflow id is "late-payment-<provider>-<payment id>".

    When somebody gives a part of it back at the provider's dashboard first, the provider refuses to give back all of
    it. The rest is another workflow's, with "-<what is left>" in its id.
    """

    @workflow.init
    def __init__(self, receipt: payment_workflows_pb2.LatePaymentInput) -> None:
        self._patience = Patience(on_change=lambda: show_stuck(self._patience))

    @workflow.run
    async def run(self, receipt: payment_workflows_pb2.LatePaymentInput) -> payment_workflows_pb2.RefundWorkflowResult:
        """What became of the money. Cancelling it changes nothing."""
        try:
            return await shielded(self._return(receipt))
        except HistoryFull:
            # What has been done is in the rows.
            workflow.continue_as_new(receipt)

    async def _return(
        self, receipt: payment_workflows_pb2.LatePaymentInput
    ) -> payment_workflows_pb2.RefundWorkflowResult:
        name = f"late refund {receipt.provider} {receipt.provider_payment_id}"
        if receipt.left_minor:
            name += f" {receipt.left_minor}"
        asked = payments_pb2.RequestRefundRequest(
            refund_id=str(derived_id(UUID(receipt.order_id), name)),
            order_id=receipt.order_id,
            provider=receipt.provider,
            provider_payment_id=receipt.provider_payment_id,
            reason="payment.unwanted",
        )
        try:
            refund = (await self._patience.insist(steps.REQUEST_REFUND, asked, unless=_NOTHING_LEFT)).refund
        except StepRefused:
            return payment_workflows_pb2.RefundWorkflowResult(is_refunded=True)
        return result_of(await give_back(refund.refund_id, self._patience))
