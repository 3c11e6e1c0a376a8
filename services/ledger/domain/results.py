"""What accepted commands and reads are answered with: snapshots that nothing changes afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.ledger.domain.kinds import CreditCategory, HoldState, TransferKind


class Transfer(NamedTuple):
    """One row of the ledger, in the order of its columns. Amounts and sums in minor units, sums are those after it."""

    book_id: int
    seq: int
    transaction_id: UUID
    kind: TransferKind
    debit_account_id: int
    credit_account_id: int
    amount_minor: int
    debit_posted_minor: int
    debit_held_minor: int
    credit_posted_minor: int
    credit_held_minor: int
    reason: str
    created_at: datetime
    # Of a transaction's capture, release or reversal: the transfer that it ends or takes back.
    target_seq: int | None = None


class ListedTransfer(NamedTuple):
    """A transfer with what its account ids stand for; of a transaction's hold also when it expires, None is never."""

    transfer: Transfer
    debit_code: str
    credit_code: str
    currency: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class PostedTransaction:
    """A transaction in effect."""

    transaction_id: UUID
    transfers: Sequence[Transfer]
    created_at: datetime


class TransactionView(NamedTuple):
    """A transaction as it stands in the ledger."""

    transaction_id: UUID
    owner_id: UUID
    currency: str
    reason: str
    metadata: Mapping[str, str] | None
    first_seq: int
    transfer_count: int
    created_at: datetime


class AccountPlace(NamedTuple):
    """Where an account is."""

    book_id: int
    code: str
    currency: str


class AccountView(NamedTuple):
    """An account as it stands, sums in minor units."""

    code: str
    currency: str
    posted_minor: int
    held_minor: int
    floor_minor: int | None
    opened_at: datetime
    closed_at: datetime | None


class Balance(NamedTuple):
    """The sums of one account, in minor units."""

    posted_minor: int
    held_minor: int


@dataclass(frozen=True, slots=True)
class GrantView:
    """A grant and what was left of it at one moment."""

    grant_id: UUID
    granted_minor: int
    balance_minor: int
    held_minor: int
    category: CreditCategory
    priority: int
    effective_at: datetime
    expires_at: datetime | None
    source_code: str
    created_at: datetime

    @property
    def free_minor(self) -> int:
        """What is not held."""
        return self.balance_minor - self.held_minor


@dataclass(frozen=True, slots=True)
class RevokedGrant:
    """What an undone grant took back, 0 when it had not come yet; and what it could not take."""

    reversed_minor: int
    spent_minor: int = 0
    held_minor: int = 0


@dataclass(frozen=True, slots=True)
class PartView:
    """What a hold set aside in one grant, and what of it was spent."""

    grant_id: UUID
    held_minor: int
    captured_minor: int
    born_held: bool


@dataclass(frozen=True, slots=True)
class HoldView:
    """A hold at one moment, its parts in burn order."""

    hold_id: UUID
    state: HoldState
    held_minor: int
    captured_minor: int
    parts: Sequence[PartView]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RefundPart:
    """What one grant got back; the grant that has it now is None when it went on to the source of a revoked one."""

    grant_id: UUID
    amount_minor: int
    returned_to_grant_id: UUID | None


@dataclass(frozen=True, slots=True)
class Refund:
    """What was given back of a captured hold, in reverse burn order; never changed."""

    book_id: int
    refund_id: UUID
    hold_id: UUID
    amount_minor: int
    grace_days: int
    reason: str
    created_at: datetime
    parts: Sequence[RefundPart]

    @property
    def key(self) -> tuple[int, UUID]:
        """Its place in every table."""
        return self.book_id, self.refund_id


@dataclass(frozen=True, slots=True)
class Expired:
    """What the expiry of a hold or grant freed or moved to breakage; None: it had ended, or its time has not come."""

    amount_minor: int | None


@dataclass(frozen=True, slots=True)
class ReleasedHold:
    """What an undone hold freed, and what of it went back to where grants born held came from."""

    released_minor: int
    reversed_minor: int
