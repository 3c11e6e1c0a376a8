"""Results about wallets to messages."""

from quittance.ledger.v1 import ledger_pb2
from services.ledger.domain.kinds import CreditCategory
from services.ledger.domain.results import Refund, RevokedGrant
from services.ledger.domain.wallet import Balances, NextExpiry, StatementEntry, StatementView, WalletView
from services.ledger.servicer.encode import KINDS, grant
from services.runtime.times import timestamp_of


def wallet(view: WalletView) -> ledger_pb2.GetWalletResponse:
    """A wallet with its grants."""
    return ledger_pb2.GetWalletResponse(
        balance_minor=view.total.balance_minor,
        held_minor=view.total.held_minor,
        available_minor=view.total.available_minor,
        grants=[grant(one) for one in view.grants],
        promotional=_balances(view.by_category[CreditCategory.PROMOTIONAL]),
        paid=_balances(view.by_category[CreditCategory.PAID]),
        next_expiry=_next_expiry(view.next_expiry) if view.next_expiry is not None else None,
    )


def statement(view: StatementView) -> ledger_pb2.GetStatementResponse:
    """A page of a statement."""
    return ledger_pb2.GetStatementResponse(
        opening_balance_minor=view.opening_minor,
        entries=[_entry(entry) for entry in view.entries],
        closing_balance_minor=view.closing_minor,
        next_page_token=view.next_page_token,
    )


def revoked(result: RevokedGrant) -> ledger_pb2.RevokeGrantResponse:
    """What a revocation did."""
    return ledger_pb2.RevokeGrantResponse(
        reversed_minor=result.reversed_minor, spent_minor=result.spent_minor, held_minor=result.held_minor
    )


def refund(result: Refund) -> ledger_pb2.RefundCreditsResponse:
    """A refund with its parts."""
    parts = [
        ledger_pb2.RefundPart(
            grant_id=str(part.grant_id),
            amount_minor=part.amount_minor,
            returned_to_grant_id=str(part.returned_to_grant_id or ""),
        )
        for part in result.parts
    ]
    return ledger_pb2.RefundCreditsResponse(
        refund=ledger_pb2.Refund(
            refund_id=str(result.refund_id),
            hold_id=str(result.hold_id),
            amount_minor=result.amount_minor,
            parts=parts,
            create_time=timestamp_of(result.created_at),
        )
    )


def _balances(balances: Balances) -> ledger_pb2.CategoryBalance:
    return ledger_pb2.CategoryBalance(
        balance_minor=balances.balance_minor,
        held_minor=balances.held_minor,
        available_minor=balances.available_minor,
    )


def _next_expiry(expiry: NextExpiry) -> ledger_pb2.NextExpiry:
    return ledger_pb2.NextExpiry(expire_time=timestamp_of(expiry.expires_at), amount_minor=expiry.amount_minor)


def _entry(entry: StatementEntry) -> ledger_pb2.StatementEntry:
    return ledger_pb2.StatementEntry(
        sequence=entry.seq,
        transaction_id=str(entry.transaction_id),
        kind=KINDS[entry.kind],
        grant_id=str(entry.grant_id),
        counter_account=entry.counter_code,
        change_minor=entry.change_minor,
        balance_minor=entry.balance_minor,
        reason=entry.reason,
        create_time=timestamp_of(entry.created_at),
    )
