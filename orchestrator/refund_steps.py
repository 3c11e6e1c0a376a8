"""The steps of refunds and of reconciliation: one line each, named after the service and the RPC that they call."""

from datetime import timedelta

from orchestrator.order_steps import first_refused_transaction
from orchestrator.steps import Step
from quittance.checkout.v1 import payment_workflows_pb2 as workflows
from quittance.checkout.v1 import payments_pb2 as payments
from quittance.ledger.v1 import ledger_pb2 as ledger

REQUEST_REFUND = Step(
    "payments.RequestRefund",
    payments.RequestRefundRequest,
    payments.RequestRefundResponse,
    "Write down that all of it goes back",
)
READ_REFUND = Step(
    "payments.ReadRefund",
    payments.ReadRefundRequest,
    payments.ReadRefundResponse,
    "Read the refund and how its order stands",
)
BOOK_RECEIPT = Step(
    "ledger.PostTransactions",
    ledger.PostTransactionsRequest,
    ledger.PostTransactionsResponse,
    "Book the money that pays no order",
    refusal_within=first_refused_transaction,
)
MAKE_REFUND = Step(
    "payments.MakeRefund",
    payments.MakeRefundRequest,
    payments.MakeRefundResponse,
    "Have the payment provider give the money back",
    calls_provider=True,
)
BOOK_REFUND = Step(
    "ledger.PostTransactions",
    ledger.PostTransactionsRequest,
    ledger.PostTransactionsResponse,
    "Book the refund",
    refusal_within=first_refused_transaction,
)
REVERSE_REFUND = Step(
    "ledger.PostTransactions",
    ledger.PostTransactionsRequest,
    ledger.PostTransactionsResponse,
    "Take the booking of a refund back that has failed",
    refusal_within=first_refused_transaction,
)
COMPLETE_REFUND = Step(
    "payments.CompleteRefund",
    payments.CompleteRefundRequest,
    payments.CompleteRefundResponse,
    "Mark the refund as booked",
)
RECONCILE_PROVIDER = Step(
    "payments.ReconcileProvider",
    payments.ReconcileProviderRequest,
    payments.ReconcileProviderResponse,
    "Compare the provider's lists with ours, and apply what was missed",
    calls_provider=True,
    # A page of a list has a hundred payments and takes a good part of a second; a busy shop has hundreds of pages.
    attempt=timedelta(minutes=10),
)
READ_HOLDINGS = Step(
    "payments.ReadHoldings",
    payments.ReadHoldingsRequest,
    payments.ReadHoldingsResponse,
    "Sum up what the provider should hold for us",
)
READ_CLEARING = Step(
    "proof.ReadClearing",
    workflows.ReadClearingRequest,
    workflows.ReadClearingResponse,
    "Sum up the ledger's clearing accounts of the provider",
)
REPORT_CLEARING = Step(
    "payments.ReportClearing",
    payments.ReportClearingRequest,
    payments.ReportClearingResponse,
    "Write down what the ledger and checkout disagree about",
)

REFUND_STEPS = tuple(value for value in globals().values() if isinstance(value, Step) and value is not READ_CLEARING)
