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
    text = "of the {granted_minor} of grant {grant_id} only {available_minor} are left"
    grant_id: UUID
    granted_minor: int
    available_minor: int


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
