"""What accepted commands and reads are answered with: snapshots that nothing changes afterwards."""

from collections.abc import Sequence
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


class ListedTransfer(NamedTuple):
    """A transfer with what its account ids stand for."""

    transfer: Transfer
    debit_code: str
    credit_code: str
    currency: str


@dataclass(frozen=True, slots=True)
class PostedTransaction:
    """A transaction in effect."""

    transaction_id: UUID
    transfers: Sequence[Transfer]
    created_at: datetime


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


@dataclass(frozen=True, slots=True)
class RevokedGrant:
    """What an undone grant took back; 0 when it had not come yet."""

    reversed_minor: int


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
class ReleasedHold:
    """What an undone hold freed, and what of it went back to where grants born held came from."""

    released_minor: int
    reversed_minor: int
