"""Messages to commands. The messages' shape has been checked by the rules in their protos."""

from functools import lru_cache
from uuid import UUID

from quittance.ledger.v1 import ledger_pb2
from services.ledger.domain.books import book_of
from services.ledger.domain.commands import (
    CaptureHold,
    GrantCredits,
    GrantOrder,
    HoldCredits,
    PostTransaction,
    ReleaseHold,
    RevokeGrant,
    TransferOrder,
)
from services.ledger.domain.kinds import CreditCategory
from services.ledger.domain.paging import TransferList
from services.runtime.ids import parse_id
from services.runtime.times import parse_time

_CATEGORIES = {
    ledger_pb2.CREDIT_CATEGORY_PROMOTIONAL: CreditCategory.PROMOTIONAL,
    ledger_pb2.CREDIT_CATEGORY_PAID: CreditCategory.PAID,
}
_OWNERS_REMEMBERED = 10_000


class Decoder:
    """Makes commands; knows the number of books, because the owner decides where a command goes."""

    def __init__(self, book_count: int) -> None:
        self._book_count = book_count
        self.owner = lru_cache(maxsize=_OWNERS_REMEMBERED)(self._owner)

    def transaction(self, message: ledger_pb2.Transaction) -> PostTransaction:
        """One transaction of PostTransactions."""
        owner_id, book_id = self.owner(message.owner_id)
        return PostTransaction(
            book_id=book_id,
            owner_id=owner_id,
            currency=message.currency,
            reason=message.reason,
            transaction_id=parse_id(message.transaction_id, "transaction_id"),
            transfers=[
                TransferOrder(transfer.debit_account, transfer.credit_account, transfer.amount_minor)
                for transfer in message.transfers
            ],
        )

    def grant_credits(self, request: ledger_pb2.GrantCreditsRequest) -> GrantCredits:
        """GrantCredits. Raises INVALID_REQUEST."""
        owner_id, book_id = self.owner(request.owner_id)
        return GrantCredits(
            book_id=book_id,
            owner_id=owner_id,
            currency=request.currency,
            reason=request.reason,
            grant=_grant(request.grant, "grant"),
        )

    def revoke_grant(self, request: ledger_pb2.RevokeGrantRequest) -> RevokeGrant:
        """RevokeGrant."""
        owner_id, book_id = self.owner(request.owner_id)
        return RevokeGrant(
            book_id=book_id,
            owner_id=owner_id,
            currency=request.currency,
            reason=request.reason,
            grant_id=parse_id(request.grant_id, "grant_id"),
        )

    def hold_credits(self, request: ledger_pb2.HoldCreditsRequest) -> HoldCredits:
        """HoldCredits. Raises INVALID_REQUEST."""
        owner_id, book_id = self.owner(request.owner_id)
        return HoldCredits(
            book_id=book_id,
            owner_id=owner_id,
            currency=request.currency,
            reason=request.reason,
            hold_id=parse_id(request.hold_id, "hold_id"),
            target_minor=request.target_minor,
            born_held=[_grant(grant, "born_held_grants") for grant in request.born_held_grants],
            credit_code=request.credit_account,
            expires_at=parse_time(request.expire_time, "expire_time"),
        )

    def capture_hold(self, request: ledger_pb2.CaptureHoldRequest) -> CaptureHold:
        """CaptureHold."""
        owner_id, book_id = self.owner(request.owner_id)
        return CaptureHold(
            book_id=book_id,
            owner_id=owner_id,
            currency=request.currency,
            reason=request.reason,
            hold_id=parse_id(request.hold_id, "hold_id"),
            amount_minor=request.amount_minor,
        )

    def release_hold(self, request: ledger_pb2.ReleaseHoldRequest) -> ReleaseHold:
        """ReleaseHold."""
        owner_id, book_id = self.owner(request.owner_id)
        return ReleaseHold(
            book_id=book_id,
            owner_id=owner_id,
            currency=request.currency,
            reason=request.reason,
            hold_id=parse_id(request.hold_id, "hold_id"),
            reverse_born_held=request.reverse_born_held_grants,
        )

    def transfer_list(self, request: ledger_pb2.ListTransfersRequest) -> TransferList:
        """What ListTransfers lists."""
        owner_id, book_id = self.owner(request.owner_id)
        return TransferList(book_id, owner_id, request.currency, request.account)

    def _owner(self, text: str) -> tuple[UUID, int]:
        owner_id = parse_id(text, "owner_id")
        return owner_id, book_of(owner_id, self._book_count)


def _grant(message: ledger_pb2.GrantRequest, field: str) -> GrantOrder:
    expires_at = parse_time(message.expire_time, f"{field}.expire_time") if message.HasField("expire_time") else None
    return GrantOrder(
        grant_id=parse_id(message.grant_id, f"{field}.grant_id"),
        amount_minor=message.amount_minor,
        category=_CATEGORIES[message.category],
        priority=message.priority,
        expires_at=expires_at,
        source_code=message.source_account,
    )
