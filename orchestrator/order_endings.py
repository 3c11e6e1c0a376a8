"""How an order ends without being placed, and why."""

from google.rpc import code_pb2

from quittance.checkout.v1 import checkout_pb2, order_workflow_pb2
from quittance.errors.v1 import refusal_pb2


class OrderEnds(Exception):
    """The order is not going to be placed."""

    def __init__(self, order_state: checkout_pb2.OrderState.ValueType, refusal: refusal_pb2.Refusal) -> None:
        super().__init__(refusal.reason)
        self.order_state = order_state
        self.refusal = refusal

    @classmethod
    def of(cls, answer: order_workflow_pb2.OrderAnswer) -> "OrderEnds":
        """The end that was written down."""
        return cls(answer.order_state, answer.refusal)

    def as_answer(self) -> order_workflow_pb2.OrderAnswer:
        """The end, to be written down."""
        return order_workflow_pb2.OrderAnswer(order_state=self.order_state, refusal=self.refusal)


def failed(refusal: refusal_pb2.Refusal) -> OrderEnds:
    """A step of the order was refused."""
    return OrderEnds(checkout_pb2.ORDER_STATE_FAILED, refusal)


def cancelled(order_id: str) -> OrderEnds:
    """Somebody has cancelled the order."""
    return _ends(order_id, checkout_pb2.ORDER_STATE_CANCELLED, "ORDER_CANCELLED", code_pb2.ABORTED)


def declined(order_id: str) -> OrderEnds:
    """The customer's payment has failed for good."""
    return _ends(order_id, checkout_pb2.ORDER_STATE_FAILED, "PAYMENT_DECLINED", code_pb2.FAILED_PRECONDITION)


def expired(order_id: str) -> OrderEnds:
    """The customer has not paid in time."""
    return _ends(order_id, checkout_pb2.ORDER_STATE_EXPIRED, "PAYMENT_EXPIRED", code_pb2.FAILED_PRECONDITION)


def interrupted(order_id: str) -> OrderEnds:
    """The order's workflow was stopped from outside."""
    return _ends(order_id, checkout_pb2.ORDER_STATE_FAILED, "ORDER_INTERRUPTED", code_pb2.ABORTED)


def _ends(
    order_id: str, order_state: checkout_pb2.OrderState.ValueType, reason: str, status: code_pb2.Code.ValueType
) -> OrderEnds:
    refusal = refusal_pb2.Refusal(
        status=status,
        domain="checkout.quittance",
        reason=reason,
        metadata={"order_id": order_id},
        message=f"order {order_id}: {reason.replace('_', ' ').lower()}",
    )
    return OrderEnds(order_state, refusal)
