"""Every refusal of the ledger; reasons and metadata as in protos/quittance/ledger/v1/errors.proto."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.runtime.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound

# Who refuses: the ErrorInfo domain of this service.
DOMAIN = "ledger.quittance"


@dataclass(eq=False)
class SameAccount(InvalidArgument):
    """A transfer from an account to itself."""

    reason = "SAME_ACCOUNT"
    text = "debit and credit account are both {account}"
    account: str


@dataclass(eq=False)
class AccountReserved(InvalidArgument):
    """A grant account is named where only a system account may stand."""

    reason = "ACCOUNT_RESERVED"
    text = "account {account} belongs to a customer's grant and moves only with it"
    account: str


@dataclass(eq=False)
class InvalidPageToken(InvalidArgument):
    """The token was not made by this list."""

    reason = "INVALID_PAGE_TOKEN"
    text = "page token {page_token} was not made by this list"
    page_token: str


@dataclass(eq=False)
class AmountOutOfRange(FailedPrecondition):
    """A sum would leave the range of 64-bit integers."""

    reason = "AMOUNT_OUT_OF_RANGE"
    text = "the sum of account {account} would leave the range of amounts"
    account: str


@dataclass(eq=False)
class InsufficientFunds(FailedPrecondition):
    """The debit account would fall below its floor."""

    reason = "INSUFFICIENT_FUNDS"
    text = "account {account} has {available_minor} available, {amount_minor} are asked for"
    account: str
    available_minor: int
    amount_minor: int


@dataclass(eq=False)
class ExpireTimePassed(FailedPrecondition):
    """An expiry is not after the book's time."""

    reason = "EXPIRE_TIME_PASSED"
    text = "{field} is in the past: {expire_time}"
    field: str
    expire_time: datetime


@dataclass(eq=False)
class TransactionExistsWithDifferentField(AlreadyExists):
    """The transaction's id is taken by something else."""

    reason = "TRANSACTION_EXISTS_WITH_DIFFERENT_FIELD"
    text = "transaction {transaction_id} exists with a different {field}"
    transaction_id: UUID
    field: str


@dataclass(eq=False)
class TransactionNotFound(NotFound):
    """No transaction with this id in the owner's book."""

    reason = "TRANSACTION_NOT_FOUND"
    text = "transaction {transaction_id} does not exist"
    transaction_id: UUID


@dataclass(eq=False)
class TransferNotFound(NotFound):
    """The target of a capture, release or reversal is not there."""

    reason = "TRANSFER_NOT_FOUND"
    text = "transaction {transaction_id} made no transfer {index} in this currency"
    transaction_id: UUID
    index: int


@dataclass(eq=False)
class TransferKindUnsuitable(FailedPrecondition):
    """The target cannot be ended or taken back in this way."""

    reason = "TRANSFER_KIND_UNSUITABLE"
    text = "transfer {index} of transaction {transaction_id} is of kind {kind}"
    transaction_id: UUID
    index: int
    kind: str


@dataclass(eq=False)
class TransferAlreadyEnded(FailedPrecondition):
    """The hold was captured or released, or has expired."""

    reason = "TRANSFER_ALREADY_ENDED"
    text = "hold {index} of transaction {transaction_id} has ended"
    transaction_id: UUID
    index: int


@dataclass(eq=False)
class AmountExceedsTransfer(FailedPrecondition):
    """More is to be captured or reversed than is left."""

    reason = "AMOUNT_EXCEEDS_TRANSFER"
    text = "of transfer {index} of transaction {transaction_id} {left_minor} are left, {amount_minor} are asked for"
    transaction_id: UUID
    index: int
    left_minor: int
    amount_minor: int


@dataclass(eq=False)
class AccountNotFound(NotFound):
    """No account with this code and currency in the owner's book."""

    reason = "ACCOUNT_NOT_FOUND"
    text = "account {account} in {currency} does not exist"
    account: str
    currency: str


@dataclass(eq=False)
class AccountClosed(FailedPrecondition):
    """The account takes no new movements."""

    reason = "ACCOUNT_CLOSED"
    text = "account {account} is closed"
    account: str


@dataclass(eq=False)
class AccountNotEmpty(FailedPrecondition):
    """An account with something in it is not closed."""

    reason = "ACCOUNT_NOT_EMPTY"
    text = "account {account} has {posted_minor}, of which {held_minor} are set aside"
    account: str
    posted_minor: int
    held_minor: int


@dataclass(eq=False)
class AccountExistsWithDifferentField(AlreadyExists):
    """The account is open with another content."""

    reason = "ACCOUNT_EXISTS_WITH_DIFFERENT_FIELD"
    text = "account {account} exists with a different {field}"
    account: str
    field: str


@dataclass(eq=False)
class GrantExistsWithDifferentField(AlreadyExists):
    """The grant's id is taken by something else."""

    reason = "GRANT_EXISTS_WITH_DIFFERENT_FIELD"
    text = "grant {grant_id} exists with a different {field}"
    grant_id: UUID
    field: str


@dataclass(eq=False)
class GrantAlreadyUndone(FailedPrecondition):
    """The grant was revoked, perhaps before it arrived."""

    reason = "GRANT_ALREADY_UNDONE"
    text = "grant {grant_id} is undone"
    grant_id: UUID


@dataclass(eq=False)
class GrantAlreadySpent(FailedPrecondition):
    """Part of the grant is spent or held."""

    reason = "GRANT_ALREADY_SPENT"
    text = (
        "of the {granted_minor} of grant {grant_id} only {available_minor} are left: {spent_minor} are spent, "
        "{held_minor} held"
    )
    grant_id: UUID
    granted_minor: int
    available_minor: int
    held_minor: int
    spent_minor: int


@dataclass(eq=False)
class HoldExistsWithDifferentField(AlreadyExists):
    """The hold's id is taken by something else, or the hold was ended with other values."""

    reason = "HOLD_EXISTS_WITH_DIFFERENT_FIELD"
    text = "hold {hold_id} exists with a different {field}"
    hold_id: UUID
    field: str


@dataclass(eq=False)
class HoldAlreadyUndone(FailedPrecondition):
    """The hold was released or has expired, perhaps before it arrived."""

    reason = "HOLD_ALREADY_UNDONE"
    text = "hold {hold_id} is undone"
    hold_id: UUID


@dataclass(eq=False)
class HoldNotFound(NotFound):
    """No hold with this id in the owner's book."""

    reason = "HOLD_NOT_FOUND"
    text = "hold {hold_id} does not exist"
    hold_id: UUID


@dataclass(eq=False)
class HoldAlreadyCaptured(FailedPrecondition):
    """The hold is spent."""

    reason = "HOLD_ALREADY_CAPTURED"
    text = "hold {hold_id} is captured"
    hold_id: UUID


@dataclass(eq=False)
class HoldAlreadyReleased(FailedPrecondition):
    """The hold was released, perhaps before it arrived."""

    reason = "HOLD_ALREADY_RELEASED"
    text = "hold {hold_id} is released"
    hold_id: UUID


@dataclass(eq=False)
class HoldExpired(FailedPrecondition):
    """The hold's expiry was written."""

    reason = "HOLD_EXPIRED"
    text = "hold {hold_id} has expired"
    hold_id: UUID


@dataclass(eq=False)
class CaptureExceedsHold(FailedPrecondition):
    """More is to be captured than is held."""

    reason = "CAPTURE_EXCEEDS_HOLD"
    text = "hold {hold_id} holds {held_minor}, {amount_minor} are to be captured"
    hold_id: UUID
    held_minor: int
    amount_minor: int


@dataclass(eq=False)
class BookNotFound(NotFound):
    """A book is named that the ledger was not set up with."""

    reason = "BOOK_NOT_FOUND"
    text = "there is no book {book_id}, only {book_count} of them from 0 on"
    book_id: int
    book_count: int


@dataclass(eq=False)
class RefundExistsWithDifferentField(AlreadyExists):
    """The refund's id is taken by something else."""

    reason = "REFUND_EXISTS_WITH_DIFFERENT_FIELD"
    text = "refund {refund_id} exists with a different {field}"
    refund_id: UUID
    field: str


@dataclass(eq=False)
class HoldNotCaptured(FailedPrecondition):
    """Nothing was spent by the hold."""

    reason = "HOLD_NOT_CAPTURED"
    text = "hold {hold_id} is {state}, not captured"
    hold_id: UUID
    state: str


@dataclass(eq=False)
class RefundExceedsCapture(FailedPrecondition):
    """More is to be given back than was spent and not given back yet."""

    reason = "REFUND_EXCEEDS_CAPTURE"
    text = (
        "of the {captured_minor} captured of hold {hold_id} {refunded_minor} are refunded, "
        "{amount_minor} more are asked for"
    )
    hold_id: UUID
    captured_minor: int
    refunded_minor: int
    amount_minor: int


@dataclass(eq=False)
class TimeNotPast(FailedPrecondition):
    """What was at a moment is known when it has passed."""

    reason = "TIME_NOT_PAST"
    text = "{field} has not come yet: {time}"
    field: str
    time: datetime
