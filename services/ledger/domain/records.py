"""The rows of a book as `decide` works on them; they point to each other and are changed in place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.ledger.domain.kinds import CommandKind, CommandState, CreditCategory, GrantState, HoldState
from services.ledger.domain.results import GrantView, HoldView, PartView, PostedTransaction, RevokedGrant, Transfer

# A row's place in every table: its book and the id within it.
Key = tuple[int, UUID]

GRANT_CODE_PREFIX = "grant:"
# Where credits go that expire; one account per book and currency.
BREAKAGE_CODE = "breakage"


@dataclass(slots=True, eq=False)
class Book:
    """The unit of locking and order; `now` was read under its lock and is never before its last time."""

    book_id: int
    next_seq: int
    next_account_id: int
    now: datetime
    # Another one after every change, whoever made it.
    stamp: int = 0
    is_changed: bool = False


@dataclass(slots=True, eq=False)
class Account:
    """Sums in minor units: posted is credits minus debits; held is set aside of it. No floor: may go below zero."""

    book_id: int
    account_id: int
    code: str
    currency: str
    owner_id: UUID | None
    floor_minor: int | None
    posted_minor: int
    held_minor: int
    # When it was closed to new movements.
    closed_at: datetime | None = None
    # When it was opened, for one opened by this group; nobody asks the others.
    opened_at: datetime | None = None

    @property
    def available_minor(self) -> int:
        """What is not set aside."""
        return self.posted_minor - self.held_minor


@dataclass(slots=True, eq=False)
class Movement:
    """A transaction's transfer that others may end or take back. Left: what of it can still be, in minor units."""

    transfer: Transfer
    debit: Account
    credit: Account
    left_minor: int


@dataclass(slots=True, eq=False)
class TransferExpiry:
    """When a transaction's hold expires; one that never does has none. `seq` is the transfer's."""

    book_id: int
    seq: int
    transaction_id: UUID
    expires_at: datetime
    # When the hold was captured, released or has expired.
    ended_at: datetime | None = None
    is_new: bool = False


@dataclass(slots=True, eq=False)
class Grant:
    """Credits given once; what is left of them stands in their account."""

    book_id: int
    grant_id: UUID
    account: Account
    owner_id: UUID
    currency: str
    category: CreditCategory
    priority: int
    amount_minor: int
    effective_at: datetime
    expires_at: datetime | None
    source: Account
    hold_id: UUID | None  # the hold it was born held with
    created_at: datetime
    state: GrantState = GrantState.LIVE
    # What of it went to breakage.
    expired_minor: int = 0
    # What its revocation did; None until it is revoked.
    revoked: RevokedGrant | None = None
    # Since when nothing has been left in it, as stored; None while something was.
    empty_since: datetime | None = None
    is_new: bool = False

    @property
    def key(self) -> Key:
        """Its place in every table."""
        return self.book_id, self.grant_id

    def has_expired(self, now: datetime) -> bool:
        """Whether its expiry has come, written or not."""
        return self.expires_at is not None and self.expires_at <= now

    def is_usable(self, now: datetime) -> bool:
        """Whether a new hold may take from it: something is left, it has begun and its expiry has not come."""
        return self.account.available_minor > 0 and self.effective_at <= now and not self.has_expired(now)

    def view_when_made(self) -> GrantView:
        """The grant as its maker was told."""
        return self._view(self.amount_minor, 0)

    def view(self) -> GrantView:
        """The grant as it stands."""
        return self._view(self.account.posted_minor, self.account.held_minor)

    def _view(self, balance_minor: int, held_minor: int) -> GrantView:
        return GrantView(
            grant_id=self.grant_id,
            granted_minor=self.amount_minor,
            balance_minor=balance_minor,
            held_minor=held_minor,
            category=self.category,
            priority=self.priority,
            effective_at=self.effective_at,
            expires_at=self.expires_at,
            source_code=self.source.code,
            created_at=self.created_at,
        )


@dataclass(slots=True, eq=False)
class HoldPart:
    """What a hold set aside in one grant."""

    grant: Grant
    held_minor: int
    captured_minor: int = 0
    refunded_minor: int = 0


@dataclass(slots=True, eq=False)
class Hold:
    """A reservation; parts in burn order."""

    book_id: int
    hold_id: UUID
    owner_id: UUID
    currency: str
    credit: Account
    target_minor: int
    expires_at: datetime
    reason: str
    created_at: datetime
    parts: list[HoldPart] = field(default_factory=list)
    state: HoldState = HoldState.HELD
    # Whether its release took back the grants born held; None until it is released.
    reverse_born_held: bool | None = None
    ended_at: datetime | None = None
    is_new: bool = False

    @property
    def key(self) -> Key:
        """Its place in every table."""
        return self.book_id, self.hold_id

    @property
    def held_minor(self) -> int:
        """What was set aside in all."""
        return sum(part.held_minor for part in self.parts)

    @property
    def captured_minor(self) -> int:
        """What was spent in all."""
        return sum(part.captured_minor for part in self.parts)

    @property
    def refunded_minor(self) -> int:
        """What was given back in all."""
        return sum(part.refunded_minor for part in self.parts)

    @property
    def born_held_minor(self) -> int:
        """What of it came from grants born held."""
        return sum(part.held_minor for part in self.parts if self.bore(part.grant))

    def bore(self, grant: Grant) -> bool:
        """Whether the grant was born held with this hold."""
        return grant.hold_id == self.hold_id

    def view_when_made(self) -> HoldView:
        """The hold as its maker was told."""
        parts = [PartView(part.grant.grant_id, part.held_minor, 0, self.bore(part.grant)) for part in self.parts]
        return HoldView(self.hold_id, HoldState.HELD, self.held_minor, 0, parts, self.expires_at)

    def view(self) -> HoldView:
        """The hold as it stands."""
        parts = [
            PartView(part.grant.grant_id, part.held_minor, part.captured_minor, self.bore(part.grant))
            for part in self.parts
        ]
        return HoldView(self.hold_id, self.state, self.held_minor, self.captured_minor, parts, self.expires_at)


@dataclass(slots=True, eq=False)
class CommandRecord:
    """What is known under one id. A tombstone has no fingerprint: nobody knows what the command would have been."""

    book_id: int
    command_id: UUID
    kind: CommandKind
    owner_id: UUID
    currency: str
    fingerprint: bytes | None
    state: CommandState
    first_seq: int | None
    transfer_count: int
    created_at: datetime
    # The first answer, for a transaction; grants and holds answer from their own rows.
    posted: PostedTransaction | None = None
    is_new: bool = False
    # Of a transaction.
    reason: str | None = None
    metadata: Mapping[str, str] | None = None

    @property
    def key(self) -> Key:
        """Its place in every table."""
        return self.book_id, self.command_id
