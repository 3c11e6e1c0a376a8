"""The steps of orders: one line each, named after the service and the RPC that they call."""

from orchestrator.steps import Step
from quittance.checkout.v1 import order_steps_pb2 as checkout
from quittance.checkout.v1 import order_workflow_pb2
from quittance.errors.v1 import refusal_pb2
from quittance.ledger.v1 import ledger_pb2 as ledger
from quittance.vouchers.v1 import vouchers_pb2 as vouchers


def first_refused_transaction(response: ledger.PostTransactionsResponse) -> refusal_pb2.Refusal | None:
    """PostTransactions answers OK and tells each transaction's own outcome."""
    for result in response.results:
        if result.HasField("refusal"):
            return result.refusal
    return None


CREATE_ORDER = Step(
    "checkout.CreateOrder",
    checkout.CreateOrderRequest,
    checkout.CreateOrderResponse,
    "Store the order at list prices and take the customer's one slot",
)
SETTLE_PRICE = Step(
    "checkout.SettlePrice",
    checkout.SettlePriceRequest,
    checkout.SettlePriceResponse,
    "Compare what is to be paid with what the customer confirmed",
)
OPEN_PAYMENT_SESSION = Step(
    "checkout.OpenPaymentSession",
    checkout.OpenPaymentSessionRequest,
    checkout.OpenPaymentSessionResponse,
    "Open a pay page at the payment provider",
    calls_provider=True,
)
HAND_OVER = Step(
    "checkout.HandOver",
    checkout.HandOverRequest,
    checkout.HandOverResponse,
    "Hand the pay page over to the customer",
)
READ_PAYMENT = Step(
    "checkout.ReadPayment",
    checkout.ReadPaymentRequest,
    checkout.ReadPaymentResponse,
    "Look at the payment after a webhook",
)
POLL_PAYMENT = Step(
    "checkout.ReadPayment",
    checkout.ReadPaymentRequest,
    checkout.ReadPaymentResponse,
    "Ask the payment provider, in case a webhook was lost",
    calls_provider=True,
)
CLOSE_PAYMENT_SESSION = Step(
    "checkout.ClosePaymentSession",
    checkout.ClosePaymentSessionRequest,
    checkout.ClosePaymentSessionResponse,
    "UNDO: close the pay page",
    calls_provider=True,
)
BEGIN_SETTLING = Step(
    "checkout.BeginSettling",
    checkout.BeginSettlingRequest,
    checkout.BeginSettlingResponse,
    "PIVOT: from here on nothing is undone",
)
COMPLETE_ORDER = Step(
    "checkout.CompleteOrder",
    checkout.CompleteOrderRequest,
    checkout.CompleteOrderResponse,
    "Place the order",
)
END_ORDER = Step(
    "checkout.EndOrder",
    checkout.EndOrderRequest,
    checkout.EndOrderResponse,
    "UNDO: end the order and free the customer's slot",
)
HOLD_CREDITS = Step(
    "ledger.HoldCredits",
    ledger.HoldCreditsRequest,
    ledger.HoldCreditsResponse,
    "Grant the vouchers' credit and hold all credits to be used",
)
CAPTURE_HOLD = Step(
    "ledger.CaptureHold",
    ledger.CaptureHoldRequest,
    ledger.CaptureHoldResponse,
    "Spend the held credits",
)
RELEASE_HOLD = Step(
    "ledger.ReleaseHold",
    ledger.ReleaseHoldRequest,
    ledger.ReleaseHoldResponse,
    "UNDO: free the credits and reverse this order's grants",
)
FREE_HOLD = Step(
    "ledger.ReleaseHold",
    ledger.ReleaseHoldRequest,
    ledger.ReleaseHoldResponse,
    "Free the held credits; granted credits stay with the customer",
)
BOOK_PAYMENT = Step(
    "ledger.PostTransactions",
    ledger.PostTransactionsRequest,
    ledger.PostTransactionsResponse,
    "Book the customer's money and move it to revenue",
    refusal_within=first_refused_transaction,
)
REDEEM_VOUCHERS = Step(
    "vouchers.RedeemVouchers",
    vouchers.RedeemVouchersRequest,
    vouchers.RedeemVouchersResponse,
    "Reserve the vouchers",
)
KEEP_REDEMPTIONS = Step(
    "vouchers.KeepRedemptions",
    vouchers.KeepRedemptionsRequest,
    vouchers.KeepRedemptionsResponse,
    "Leave credit vouchers with the customer from here on",
)
CONFIRM_REDEMPTIONS = Step(
    "vouchers.ConfirmRedemptions",
    vouchers.ConfirmRedemptionsRequest,
    vouchers.ConfirmRedemptionsResponse,
    "Confirm the vouchers' redemptions",
)
ROLLBACK_REDEMPTIONS = Step(
    "vouchers.RollbackRedemptions",
    vouchers.RollbackRedemptionsRequest,
    vouchers.RollbackRedemptionsResponse,
    "UNDO: roll the vouchers' redemptions back",
)
READ_ORDER = Step(
    "checkout.ReadOrder",
    checkout.ReadOrderRequest,
    checkout.ReadOrderResponse,
    "Read how far the order came",
)
LIST_OPEN_ORDERS = Step(
    "checkout.ListOpenOrders",
    checkout.ListOpenOrdersRequest,
    checkout.ListOpenOrdersResponse,
    "List orders that are neither placed nor undone",
)

# The calls of services.
ALL_STEPS = tuple(value for value in globals().values() if isinstance(value, Step))

# No call of a service: the worker asks Temporal.
FIND_ABANDONED = Step(
    "orchestrator.FindAbandonedOrders",
    order_workflow_pb2.FindAbandonedOrdersRequest,
    order_workflow_pb2.FindAbandonedOrdersResponse,
    "Ask Temporal which of the orders have no workflow that goes on",
)
