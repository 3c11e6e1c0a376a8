"""What an operator can say to a workflow that has stuck steps; the same for every workflow."""

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from orchestrator.patience import Patience
from quittance.checkout.v1 import order_workflow_pb2


class Resolvable:
    """A workflow of this kind sets `_patience`; it takes the update "resolve"."""

    _patience: Patience

    @workflow.update
    def resolve(self, update: order_workflow_pb2.ResolveUpdate) -> None:
        """What a stuck step was refused for has been removed: it is tried again at once."""
        self._patience.retry_now()

    @resolve.validator
    def _validate_resolve(self, update: order_workflow_pb2.ResolveUpdate) -> None:
        if update.resolution != order_workflow_pb2.RESOLUTION_RETRY:
            raise ApplicationError("say what is to be done: RETRY", type="UNKNOWN_RESOLUTION", non_retryable=True)
        if not self._patience.stuck:
            raise ApplicationError("no step is stuck", type="NOTHING_STUCK", non_retryable=True)
