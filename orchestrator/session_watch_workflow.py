"""A pay page that its provider cannot close is looked at until the provider says how it has ended.

Its order goes on without it. What is paid there meanwhile is late, and goes back by itself.
"""

from datetime import timedelta

from temporalio import workflow

from orchestrator import order_steps as steps
from orchestrator.steps import StepRefused, try_step
from quittance.checkout.v1 import checkout_pb2, order_steps_pb2, payment_workflows_pb2

_LOOK_FIRST = timedelta(minutes=1)
_LOOK_MAX = timedelta(hours=1)
_LOOK_WITHIN = timedelta(minutes=1)


@workflow.defn(name="SessionWatchWorkflow")
class SessionWatchWorkflow:
    """One order's page; its workflow id is "watch-session-<order id>". Ending it has no effect."""

    @workflow.run
    async def run(self, session: payment_workflows_pb2.SessionWatchInput) -> payment_workflows_pb2.SessionWatchResult:
        """Returns when the payment has ended at the provider."""
        pause, looks = _LOOK_FIRST, 0
        while True:
            looks += 1
            if await _has_ended(session.order_id):
                return payment_workflows_pb2.SessionWatchResult(looks=looks)
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(session)
            await workflow.sleep(pause, summary="Leave the pay page alone for a while")
            pause = min(2 * pause, _LOOK_MAX)


async def _has_ended(order_id: str) -> bool:
    """False also when the provider cannot be asked just now: the next look will tell."""
    asked = order_steps_pb2.ReadPaymentRequest(order_id=order_id, refresh=True)
    try:
        read = await try_step(steps.POLL_PAYMENT, asked, give_up_at=workflow.now() + _LOOK_WITHIN)
    except StepRefused:
        return False
    return read.payment.state != checkout_pb2.PAYMENT_STATE_PENDING
