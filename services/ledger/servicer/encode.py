"""Results to messages."""

from collections.abc import Iterable, Sequence

from quittance.errors.v1 import refusal_pb2
from quittance.ledger.v1 import ledger_pb2
from services.ledger.domain.kinds import CreditCategory, HoldState, TransferKind
from services.ledger.domain.results import (
    AccountView,
    GrantView,
    HoldView,
    ListedTransfer,
    PostedTransaction,
    TransactionView,
)
from services.ledger.errors import DOMAIN
from services.runtime.errors import ServiceError
from services.runtime.grpc_errors import refusal_message
from services.runtime.times import timestamp_of

KINDS = {
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


def transaction_results(
    asked: Sequence[ledger_pb2.Transaction],
    outcomes: Sequence[object],
    response: ledger_pb2.PostTransactionsResponse | ledger_pb2.StreamTransactionsResponse,
) -> None:
    """Adds one result per transaction; a refusal stands inside it. Adding in place takes half the time."""
    add = response.results.add
    for message, outcome in zip(asked, outcomes, strict=True):
        result = add(transaction_id=message.transaction_id)
        if isinstance(outcome, PostedTransaction):
            result.create_time.CopyFrom(timestamp_of(outcome.created_at))
            for transfer in outcome.transfers:
                result.transfers.add(
                    sequence=transfer.seq,
                    debit_posted_minor=transfer.debit_posted_minor,
                    credit_posted_minor=transfer.credit_posted_minor,
                    debit_held_minor=transfer.debit_held_minor,
                )
        elif isinstance(outcome, ServiceError):
            result.refusal.CopyFrom(refusal(outcome))


def balances(sums: Iterable[Iterable[int | None]]) -> ledger_pb2.GetBalancesResponse:
    """One balance each, in their order; none is 0."""
    response = ledger_pb2.GetBalancesResponse()
    add = response.balances.add
    for posted_minor, held_minor in sums:
        add(posted_minor=posted_minor, held_minor=held_minor)
    return response


def refusal(error: ServiceError) -> refusal_pb2.Refusal:
    """A refusal inside an answer."""
    return refusal_message(error, DOMAIN)


def transaction(view: TransactionView) -> ledger_pb2.PostedTransaction:
    """A transaction as lists show it."""
    return ledger_pb2.PostedTransaction(
        transaction_id=str(view.transaction_id),
        owner_id=str(view.owner_id),
        currency=view.currency,
        reason=view.reason,
        metadata=view.metadata or {},
        first_sequence=view.first_seq,
        transfer_count=view.transfer_count,
        create_time=timestamp_of(view.created_at),
    )


def account(view: AccountView) -> ledger_pb2.Account:
    """An account."""
    return ledger_pb2.Account(
        account=view.code,
        currency=view.currency,
        posted_minor=view.posted_minor,
        held_minor=view.held_minor,
        floor_minor=view.floor_minor,
        create_time=timestamp_of(view.opened_at),
        close_time=timestamp_of(view.closed_at),
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
        create_time=timestamp_of(view.created_at),
        expire_time=timestamp_of(view.expires_at),
        source_account=view.source_code,
        effective_time=timestamp_of(view.effective_at),
    )


def grant_result(grant_id: str, outcome: GrantView | ServiceError) -> ledger_pb2.GrantResult:
    """One element of GrantCreditsBatch's answer; a refusal stands inside it."""
    if isinstance(outcome, ServiceError):
        return ledger_pb2.GrantResult(grant_id=grant_id, refusal=refusal(outcome))
    return ledger_pb2.GrantResult(grant_id=grant_id, create_time=timestamp_of(outcome.created_at))


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
        expire_time=timestamp_of(view.expires_at),
    )


def transfer(listed: ListedTransfer) -> ledger_pb2.Transfer:
    """A transfer as lists show it."""
    row = listed.transfer
    return ledger_pb2.Transfer(
        sequence=row.seq,
        transaction_id=str(row.transaction_id),
        kind=KINDS[row.kind],
        debit_account=listed.debit_code,
        credit_account=listed.credit_code,
        amount_minor=row.amount_minor,
        currency=listed.currency,
        debit_posted_minor=row.debit_posted_minor,
        debit_held_minor=row.debit_held_minor,
        credit_posted_minor=row.credit_posted_minor,
        credit_held_minor=row.credit_held_minor,
        reason=row.reason,
        create_time=timestamp_of(row.created_at),
        target_sequence=row.target_seq or 0,
        expire_time=timestamp_of(listed.expires_at),
    )
