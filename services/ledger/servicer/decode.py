"""Messages to commands. The messages' shape has been checked by the rules in their protos."""

from datetime import datetime
from functools import lru_cache
from uuid import UUID

from quittance.ledger.v1 import ledger_pb2
from services.ledger.domain.books import book_of
from services.ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    GrantCredits,
    GrantOrder,
    HoldCredits,
    OpenAccount,
    PostTransaction,
    RefundCredits,
    ReleaseHold,
    RevokeGrant,
    Target,
    TransferOrder,
)
from services.ledger.domain.kinds import CreditCategory, TransferKind
from services.ledger.domain.paging import Statement, TransferList
from services.ledger.domain.results import AccountPlace
from services.ledger.domain.searching import TransactionList
from services.ledger.servicer.plain import read_names, read_plain
from services.runtime.errors import InvalidRequest
from services.runtime.ids import parse_id
from services.runtime.times import parse_time
from services.runtime.validation import ALL_VIOLATIONS_BYTES_MAX, check_shape
from services.runtime.wire_ids import wire_id

_CATEGORIES = {
    ledger_pb2.CREDIT_CATEGORY_PROMOTIONAL: CreditCategory.PROMOTIONAL,
    ledger_pb2.CREDIT_CATEGORY_PAID: CreditCategory.PAID,
}
_KINDS = {
    ledger_pb2.TRANSFER_KIND_UNSPECIFIED: TransferKind.POSTED,
    ledger_pb2.TRANSFER_KIND_POSTED: TransferKind.POSTED,
    ledger_pb2.TRANSFER_KIND_HOLD: TransferKind.HOLD,
    ledger_pb2.TRANSFER_KIND_CAPTURE: TransferKind.CAPTURE,
    ledger_pb2.TRANSFER_KIND_RELEASE: TransferKind.RELEASE,
    ledger_pb2.TRANSFER_KIND_REVERSAL: TransferKind.REVERSAL,
}
_KINDS_WITH_TARGET = (TransferKind.CAPTURE, TransferKind.RELEASE, TransferKind.REVERSAL)
# In one request; more would not fit into a message of usual size.
TRANSFERS_MAX = 8000
REFUND_GRACE_DAYS_DEFAULT = 30
_OWNERS_REMEMBERED = 100_000


class Decoder:
    """Makes commands; knows the number of books, because the owner decides where a command goes."""

    def __init__(self, book_count: int) -> None:
        self._book_count = book_count
        self.owner = lru_cache(maxsize=_OWNERS_REMEMBERED)(self._owner)
        self._place = lru_cache(maxsize=_OWNERS_REMEMBERED)(self._place_of)

    def transactions(
        self, request: ledger_pb2.PostTransactionsRequest | ledger_pb2.StreamTransactionsRequest
    ) -> list[PostTransaction]:
        """The transactions of one request. Raises INVALID_REQUEST."""
        commands = read_plain(request.transactions, self._place)
        if not commands:
            check_shape(request, only_first=request.ByteSize() > ALL_VIOLATIONS_BYTES_MAX)
            commands = [self._transaction(message) for message in request.transactions]
        if sum([len(command.transfers) for command in commands]) > TRANSFERS_MAX:
            raise InvalidRequest(field="transactions", rule="transfers_max")
        return commands

    def _transaction(self, message: ledger_pb2.Transaction) -> PostTransaction:
        owner_id, book_id = self.owner(message.owner_id)
        return PostTransaction(
            book_id,
            owner_id,
            message.currency,
            message.reason,
            parse_id(message.transaction_id, "transaction_id"),
            [_transfer(transfer) for transfer in message.transfers],
            dict(message.metadata) or None,
        )

    def open_account(self, request: ledger_pb2.OpenAccountRequest) -> OpenAccount:
        """OpenAccount."""
        owner_id, book_id = self.owner(request.owner_id)
        return OpenAccount(
            book_id=book_id,
            owner_id=owner_id,
            currency=request.currency,
            reason="",
            code=request.account,
            floor_minor=request.floor_minor if request.HasField("floor_minor") else None,
        )

    def close_account(self, request: ledger_pb2.CloseAccountRequest) -> CloseAccount:
        """CloseAccount."""
        owner_id, book_id = self.owner(request.owner_id)
        return CloseAccount(
            book_id=book_id, owner_id=owner_id, currency=request.currency, reason="", code=request.account
        )

    def account_place(self, message: ledger_pb2.AccountName | ledger_pb2.GetAccountRequest) -> AccountPlace:
        """Where an account is."""
        return AccountPlace(self.owner(message.owner_id)[1], message.account, message.currency)

    def account_places(self, request: ledger_pb2.GetBalancesRequest) -> list[AccountPlace]:
        """Where accounts are. Raises INVALID_REQUEST."""
        places = read_names(request.accounts, self._place)
        if not places or len(places) > TRANSFERS_MAX:
            check_shape(request, only_first=request.ByteSize() > ALL_VIOLATIONS_BYTES_MAX)
            places = [self.account_place(each) for each in request.accounts]
        return places

    def transaction_list(self, request: ledger_pb2.ListTransactionsRequest) -> TransactionList:
        """What ListTransactions lists. Raises INVALID_REQUEST."""
        _, book_id = self.owner(request.owner_id)
        return TransactionList(
            book_id=book_id,
            currency=request.currency,
            account_code=request.account,
            reason=request.reason,
            metadata_key=request.metadata_key,
            metadata_value=request.metadata_value,
            from_time=parse_time(request.from_time, "from_time") if request.HasField("from_time") else None,
            until_time=parse_time(request.until_time, "until_time") if request.HasField("until_time") else None,
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
            allow_partial=request.allow_partial,
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

    def refund_credits(self, request: ledger_pb2.RefundCreditsRequest) -> RefundCredits:
        """RefundCredits."""
        owner_id, book_id = self.owner(request.owner_id)
        return RefundCredits(
            book_id=book_id,
            owner_id=owner_id,
            currency=request.currency,
            reason=request.reason,
            refund_id=parse_id(request.refund_id, "refund_id"),
            hold_id=parse_id(request.hold_id, "hold_id"),
            amount_minor=request.amount_minor,
            grace_days=request.refund_grace_days or REFUND_GRACE_DAYS_DEFAULT,
        )

    def statement(self, request: ledger_pb2.GetStatementRequest) -> Statement:
        """What GetStatement shows. Raises INVALID_REQUEST."""
        owner_id, book_id = self.owner(request.owner_id)
        from_at = parse_time(request.from_time, "from_time") if request.HasField("from_time") else None
        to_at = parse_time(request.to_time, "to_time") if request.HasField("to_time") else None
        if from_at is not None and to_at is not None and from_at > to_at:
            raise InvalidRequest(field="to_time", rule="not_before_from_time")
        return Statement(book_id, owner_id, request.currency, from_at, to_at)

    def transfer_list(self, request: ledger_pb2.ListTransfersRequest) -> TransferList:
        """What ListTransfers lists."""
        owner_id, book_id = self.owner(request.owner_id)
        return TransferList(book_id, owner_id, request.currency, request.account)

    def _place_of(self, text: str) -> tuple[UUID, int] | None:
        owner_id = wire_id(text)
        return None if owner_id is None else (owner_id, book_of(owner_id, self._book_count))

    def _owner(self, text: str) -> tuple[UUID, int]:
        owner_id = parse_id(text, "owner_id")
        return owner_id, book_of(owner_id, self._book_count)


def _transfer(message: ledger_pb2.TransferRequest) -> TransferOrder:
    kind = _KINDS[message.kind]
    order = TransferOrder(message.debit_account, message.credit_account, message.amount_minor, kind)
    if message.HasField("expire_time"):
        order = order._replace(expires_at=_expires_at(message))
    if kind in _KINDS_WITH_TARGET:
        return order._replace(target=_target(message))
    if not order.debit_code or not order.credit_code:
        raise InvalidRequest(field="debit_account" if not order.debit_code else "credit_account", rule="required")
    _require_amount(order.amount_minor > 0)
    if message.target_transaction_id:
        raise InvalidRequest(field="target_transaction_id", rule="only_with_target_kinds")
    return order


def _expires_at(message: ledger_pb2.TransferRequest) -> datetime:
    if message.kind != ledger_pb2.TRANSFER_KIND_HOLD:
        raise InvalidRequest(field="transfers.expire_time", rule="only_with_hold")
    return parse_time(message.expire_time, "transfers.expire_time")


def _target(message: ledger_pb2.TransferRequest) -> Target:
    if message.debit_account or message.credit_account:
        raise InvalidRequest(field="debit_account", rule="empty_with_target")
    _require_amount((message.amount_minor == 0) == (message.kind == ledger_pb2.TRANSFER_KIND_RELEASE))
    return Target(parse_id(message.target_transaction_id, "target_transaction_id"), message.target_index)


def _require_amount(is_right: bool) -> None:
    if not is_right:
        raise InvalidRequest(field="amount_minor", rule="amount_of_kind")


def _grant(message: ledger_pb2.GrantRequest, field: str) -> GrantOrder:
    expires_at = parse_time(message.expire_time, f"{field}.expire_time") if message.HasField("expire_time") else None
    effective_at = _effective_at(message, f"{field}.effective_time")
    if expires_at is not None and effective_at is not None and effective_at >= expires_at:
        raise InvalidRequest(field=f"{field}.effective_time", rule="before_expire_time")
    return GrantOrder(
        grant_id=parse_id(message.grant_id, f"{field}.grant_id"),
        amount_minor=message.amount_minor,
        category=_CATEGORIES[message.category],
        priority=message.priority,
        expires_at=expires_at,
        source_code=message.source_account,
        effective_at=effective_at,
    )


def _effective_at(message: ledger_pb2.GrantRequest, field: str) -> datetime | None:
    return parse_time(message.effective_time, field) if message.HasField("effective_time") else None
