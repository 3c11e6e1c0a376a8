"""The ledger's clearing accounts of a provider, over all books: the one activity that reads a stream."""

from typing import TYPE_CHECKING

import grpc
from temporalio import activity

from orchestrator.activities import failure_of
from orchestrator.order_requests import CLEARING
from orchestrator.refund_steps import READ_CLEARING
from quittance.checkout.v1 import payment_workflows_pb2
from quittance.ledger.v1 import proof_pb2

if TYPE_CHECKING:
    from quittance.ledger.v1.proof_pb2_grpc import ProofServiceAsyncStub

_WITHIN_S = 30.0


class ClearingBalances:
    """The activity, with the worker's own stub."""

    def __init__(self, proof: "ProofServiceAsyncStub") -> None:
        self._proof = proof

    @activity.defn(name=READ_CLEARING.activity)
    async def read(
        self, request: payment_workflows_pb2.ReadClearingRequest
    ) -> payment_workflows_pb2.ReadClearingResponse:
        """What came through the accounts is on their debit side, so what is held is the balance below zero."""
        account = CLEARING.format(provider=request.provider)
        sums = []
        try:
            asked = proof_pb2.TrialBalanceRequest(account=account)
            async for page in self._proof.TrialBalance(asked, timeout=_WITHIN_S):
                sums += [
                    payment_workflows_pb2.ClearingSum(currency=row.currency, cleared_minor=-row.posted_minor)
                    for row in page.rows
                ]
        except grpc.aio.AioRpcError as error:
            raise failure_of(error) from error
        return payment_workflows_pb2.ReadClearingResponse(sums=sums)
