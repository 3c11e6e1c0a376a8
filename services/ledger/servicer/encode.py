"""Results to messages."""

from datetime import datetime
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp

from quittance.ledger.v1 import ledger_pb2
from services.ledger.domain.kinds import CreditCategory, HoldState, TransferKind
from services.ledger.domain.results import GrantView, HoldView, ListedTransfer, PostedTransaction
from services.ledger.domain.wallet import WalletView
from services.ledger.errors import DOMAIN
from services.runtime.errors import ServiceError
from services.runtime.grpc_errors import refusal_message

_KINDS = {
    TransferKind.POSTED: ledger_pb2.TRANSFER_KIND_POSTED,
    TransferKind.HOLD: ledger_pb2.TRANSFER_KIND_HOLD,
    TransferKind.CAPTURE: ledger_pb2.TRANSFER_KIND_CAPTURE,
    TransferKind.RELEASE: ledger_pb2.TRANSFER_KIND_RELEASE,
    TransferKind.REVERSAL: ledger_pb2.TRANSFER_KIND_REVERSAL,
}
_CATEGORIES = {
    CreditCategory.PROMOTIONAL: ledger_pb2.CREDIT_CATEGORY_PROMOTIONAL,
    CreditCategory.PAID: ledger_pb2.CREDIT_CATEGORY_PAID,
}
_HOLD_STATES = {
    HoldState.HELD: ledger_pb2.HOLD_STATE_HELD,
    HoldState.CAPTURED: ledger_pb2.HOLD_STATE_CAPTURED,
    HoldState.RELEASED: ledger_pb2.HOLD_STATE_RELEASED,
    HoldState.EXPIRED: ledger_pb2.HOLD_STATE_EXPIRED,
}


def transaction_result(transaction_id: str, outcome: PostedTransaction | ServiceError) -> ledger_pb2.TransactionResult:
    """One element of PostTransactions' answer; a refusal stands inside it."""
    if isinstance(outcome, ServiceError):
        refusal = refusal_message(outcome, DOMAIN)
        return ledger_pb2.TransactionResult(transaction_id=transaction_id, refusal=refusal)
    transfers = [
        ledger_pb2.TransferResult(
            sequence=transfer.seq,
            debit_posted_minor=transfer.debit_posted_minor,
            credit_posted_minor=transfer.credit_posted_minor,
        )
        for transfer in outcome.transfers
    ]
    return ledger_pb2.TransactionResult(
        transaction_id=transaction_id, transfers=transfers, create_time=_timestamp(outcome.created_at)
    )


def grant(view: GrantView) -> ledger_pb2.Grant:
    """A grant."""
    return ledger_pb2.Grant(
        grant_id=str(view.grant_id),
        granted_minor=view.granted_minor,
        balance_minor=view.balance_minor,
        held_minor=view.held_minor,
        category=_CATEGORIES[view.category],
        priority=view.priority,
        create_time=_timestamp(view.effective_at),
        expire_time=_timestamp(view.expires_at) if view.expires_at is not None else None,
        source_account=view.source_code,
    )


def hold(view: HoldView) -> ledger_pb2.Hold:
    """A hold with its parts."""
    parts = [
        ledger_pb2.HoldPart(
            grant_id=str(part.grant_id),
            held_minor=part.held_minor,
            captured_minor=part.captured_minor,
            born_held=part.born_held,
        )
        for part in view.parts
    ]
    return ledger_pb2.Hold(
        hold_id=str(view.hold_id),
        state=_HOLD_STATES[view.state],
        held_minor=view.held_minor,
        captured_minor=view.captured_minor,
        parts=parts,
        expire_time=_timestamp(view.expires_at),
    )


def wallet(view: WalletView) -> ledger_pb2.GetWalletResponse:
    """A wallet with its grants."""
    return ledger_pb2.GetWalletResponse(
        balance_minor=view.balance_minor,
        held_minor=view.held_minor,
        available_minor=view.available_minor,
        grants=[grant(one) for one in view.grants],
    )


def transfer(listed: ListedTransfer) -> ledger_pb2.Transfer:
    """A transfer as lists show it."""
    row = listed.transfer
    return ledger_pb2.Transfer(
        sequence=row.seq,
        transaction_id=str(row.transaction_id),
        kind=_KINDS[row.kind],
        debit_account=listed.debit_code,
        credit_account=listed.credit_code,
        amount_minor=row.amount_minor,
        currency=listed.currency,
        debit_posted_minor=row.debit_posted_minor,
        debit_held_minor=row.debit_held_minor,
        credit_posted_minor=row.credit_posted_minor,
        credit_held_minor=row.credit_held_minor,
        reason=row.reason,
        create_time=_timestamp(row.created_at),
    )


# All results of one book in one group have the same time.
@lru_cache(maxsize=100)
def _timestamp(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
