"""How money goes back, however long the provider takes: forward only, each step under an id derived from the refund.

step              where               why so
read              checkout            an order on its way decides first where its money lies
book the receipt  ledger              money that pays no order is unallocated before it goes back
make the refund   checkout, provider  until the provider says that it went through, or that it did not
book the refund   ledger              from where the money lies; what has failed is taken back, if it was booked
complete          checkout            the row says that nothing is left to be done
"""

from datetime import timedelta
from uuid import UUID

from temporalio import workflow

from orchestrator import refund_steps as steps
from orchestrator.order_requests import CLEARING, REVENUE, UNALLOCATED
from orchestrator.patience import Patience, end_run_when_long
from orchestrator.steps import StepRefused
from quittance.checkout.v1 import payments_pb2
from quittance.ledger.v1 import ledger_pb2
from services.runtime.ids import derived_id

# How long an order on its way, or a provider, is left alone before it is looked at again.
_LOOK_FIRST = timedelta(seconds=5)
_LOOK_MAX = timedelta(hours=1)


async def give_back(refund_id: str, patience: Patience) -> payments_pb2.Refund:
    """The refund, booked or failed for good. Raises HistoryFull; a new run goes on from the rows."""
    stored = await _read_settled(refund_id, patience)
    if stored.receipt.standing == payments_pb2.RECEIPT_STANDING_UNWANTED:
        await patience.insist(steps.BOOK_RECEIPT, _receipt_booking(stored))
    refund = await _made(stored.refund, patience)
    while not (refund := await _booked(stored, refund.state, patience)).is_completed:
        # The bank has sent it back while it was being booked.
        end_run_when_long()
    return refund


async def _read_settled(refund_id: str, patience: Patience) -> payments_pb2.ReadRefundResponse:
    pause = _LOOK_FIRST
    while True:
        stored = await patience.insist(steps.READ_REFUND, payments_pb2.ReadRefundRequest(refund_id=refund_id))
        is_applied = stored.receipt.standing == payments_pb2.RECEIPT_STANDING_APPLIED
        if not (is_applied and stored.is_order_in_flight):
            return stored
        end_run_when_long()
        await workflow.sleep(pause, summary="Wait for the order to be placed or to end")
        pause = min(2 * pause, _LOOK_MAX)


async def _made(refund: payments_pb2.Refund, patience: Patience) -> payments_pb2.Refund:
    pause = _LOOK_FIRST
    while refund.state == payments_pb2.REFUND_STATE_PENDING:
        asked = payments_pb2.MakeRefundRequest(refund_id=refund.refund_id)
        refund = (await patience.insist(steps.MAKE_REFUND, asked)).refund
        if refund.state == payments_pb2.REFUND_STATE_PENDING:
            end_run_when_long()
            await workflow.sleep(pause, summary="Wait for the provider to finish the refund")
            pause = min(2 * pause, _LOOK_MAX)
    return refund


async def _booked(
    stored: payments_pb2.ReadRefundResponse, state: payments_pb2.RefundState.ValueType, patience: Patience
) -> payments_pb2.Refund:
    """The refund as it stands after this state was booked; completed when it is still in this state."""
    if state == payments_pb2.REFUND_STATE_REFUNDED:
        await patience.insist(steps.BOOK_REFUND, _refund_booking(stored))
    else:
        await _take_booking_back(stored, patience)
    booked = payments_pb2.CompleteRefundRequest(
        order_id=stored.refund.order_id, refund_id=stored.refund.refund_id, booked_state=state
    )
    return (await patience.insist(steps.COMPLETE_REFUND, booked)).refund


async def _take_booking_back(stored: payments_pb2.ReadRefundResponse, patience: Patience) -> None:
    """Most refunds that fail were never booked: then there is nothing to take back."""
    booked_id = _booking_id(stored.refund)
    reversal = ledger_pb2.TransferRequest(
        kind=ledger_pb2.TRANSFER_KIND_REVERSAL,
        target_transaction_id=booked_id,
        amount_minor=stored.refund.amount_minor,
    )
    transaction = ledger_pb2.Transaction(
        transaction_id=str(derived_id(UUID(stored.refund.refund_id), "ledger.refund.reversal")),
        owner_id=stored.customer_id,
        currency=stored.refund.currency,
        transfers=[reversal],
        reason="refund.failed",
    )
    request = ledger_pb2.PostTransactionsRequest(transactions=[transaction])
    try:
        await patience.insist(steps.REVERSE_REFUND, request, unless="TRANSFER_NOT_FOUND")
    except StepRefused:
        return


def _receipt_booking(stored: payments_pb2.ReadRefundResponse) -> ledger_pb2.PostTransactionsRequest:
    receipt = stored.receipt
    name = f"receipt {receipt.provider} {receipt.provider_payment_id}"
    return _movement(
        stored,
        transaction_id=str(derived_id(UUID(stored.refund.order_id), name)),
        debit=CLEARING.format(provider=receipt.provider),
        credit=UNALLOCATED.format(provider=receipt.provider),
        amount_minor=receipt.amount_minor,
        reason="payment.unwanted",
    )


def _refund_booking(stored: payments_pb2.ReadRefundResponse) -> ledger_pb2.PostTransactionsRequest:
    """From revenue when the order was placed with the money, else from where it was put for the time being."""
    provider = stored.refund.provider
    is_applied = stored.receipt.standing == payments_pb2.RECEIPT_STANDING_APPLIED
    return _movement(
        stored,
        transaction_id=_booking_id(stored.refund),
        debit=REVENUE if is_applied else UNALLOCATED.format(provider=provider),
        credit=CLEARING.format(provider=provider),
        amount_minor=stored.refund.amount_minor,
        reason="payment.refunded",
    )


def _booking_id(refund: payments_pb2.Refund) -> str:
    return str(derived_id(UUID(refund.refund_id), "ledger.refund"))


def _movement(
    stored: payments_pb2.ReadRefundResponse,
    *,
    transaction_id: str,
    debit: str,
    credit: str,
    amount_minor: int,
    reason: str,
) -> ledger_pb2.PostTransactionsRequest:
    transaction = ledger_pb2.Transaction(
        transaction_id=transaction_id,
        owner_id=stored.customer_id,
        currency=stored.refund.currency,
        transfers=[ledger_pb2.TransferRequest(debit_account=debit, credit_account=credit, amount_minor=amount_minor)],
        reason=reason,
    )
    return ledger_pb2.PostTransactionsRequest(transactions=[transaction])
