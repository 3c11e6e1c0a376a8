"""Redemptions: one use of a voucher by one customer for one order, and what it is worth."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.vouchers.domain.effects import Parameters
from services.vouchers.domain.kinds import EffectKind, RedemptionState, RestoreCause

# What a line is for a discount; the numbers stand in the database, and 0 is a line that has no part in it.
DISCOUNTED = 1  # pieces of it may be taken off
BOUGHT = 2  # pieces of it count as bought, for others to be taken off
BOTH = DISCOUNTED | BOUGHT


class DiscountLine(NamedTuple):
    """A line as a discount is computed on it: what the vouchers before left of it, in minor units."""

    amount_minor: int
    quantity: int
    role: int


class LineDiscount(NamedTuple):
    """What is taken off a line that was worth `amount_minor` after the vouchers before; minor units."""

    line_number: int
    amount_minor: int
    discount_minor: int
    quantity: int = 1
    role: int = DISCOUNTED

    @property
    def line(self) -> DiscountLine:
        """The line as it was before."""
        return DiscountLine(self.amount_minor, self.quantity, self.role)


class Credit(NamedTuple):
    """Credits for the ledger to grant; `expires_at` None: never."""

    amount_minor: int
    priority: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Benefit:
    """What a redemption gives: a discount with its inputs, or credits. `revision` is that of the campaign then."""

    effect: EffectKind
    revision: int
    parameters: Parameters = field(default_factory=dict)
    discount_minor: int = 0
    lines: tuple[LineDiscount, ...] = ()
    credit: Credit | None = None

    @property
    def value_minor(self) -> int:
        """What it takes from the campaign's budget."""
        return self.discount_minor if self.credit is None else self.credit.amount_minor


class Terms(NamedTuple):
    """The fields of a redeem request that its repetition must have equal; lists as digests, None: not given."""

    order_id: UUID
    currency: str
    lines: bytes
    redemptions: bytes
    facts: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redemption:
    """What is stored under a redemption's id.

    A tombstone has no terms and no expiry, and no voucher either when it named one that does not exist. Only
    redemptions that reserved something have a benefit.
    """

    redemption_id: UUID
    customer_id: UUID
    voucher_id: UUID | None
    campaign_id: UUID | None
    state: RedemptionState
    terms: Terms | None = None
    benefit: Benefit | None = None
    expires_at: datetime | None = None
    created_at: datetime
    kept_at: datetime | None = None
    confirmed_at: datetime | None = None
    rolled_back_at: datetime | None = None
    expired_at: datetime | None = None
    restored_at: datetime | None = None
    restore_cause: RestoreCause | None = None

    @property
    def updated_at(self) -> datetime:
        """When its state last changed."""
        undone_at = self.rolled_back_at or self.expired_at or self.restored_at
        return undone_at or self.confirmed_at or self.kept_at or self.created_at

    @property
    def is_credit(self) -> bool:
        """Whether it gives credits."""
        return self.benefit is not None and self.benefit.credit is not None

    def keep(self, now: datetime) -> "Redemption":
        """The redemption when its credit stays with the customer."""
        return replace(self, state=RedemptionState.KEPT, kept_at=now)

    def confirm(self, now: datetime) -> "Redemption":
        """The redemption when its order is placed."""
        return replace(self, state=RedemptionState.CONFIRMED, confirmed_at=now)

    def roll_back(self, now: datetime) -> "Redemption":
        """The redemption when it is undone."""
        return replace(self, state=RedemptionState.ROLLED_BACK, rolled_back_at=now)

    def expire(self, now: datetime) -> "Redemption":
        """The redemption when nobody has ended it before its expiry."""
        return replace(self, state=RedemptionState.EXPIRED, expired_at=now)

    def restore(self, cause: RestoreCause, now: datetime) -> "Redemption":
        """The redemption when its placed order is given back."""
        return replace(self, state=RedemptionState.RESTORED, restored_at=now, restore_cause=cause)

    def as_first_answered(self) -> "Redemption":
        """The redemption as it stood when it was made: what a repeated request is answered with.

        Of one that is in effect: what is undone is not answered again.
        """
        if self.state is RedemptionState.IN_WALLET:
            return self
        return replace(self, state=RedemptionState.RESERVED, kept_at=None, confirmed_at=None)


@dataclass(frozen=True, slots=True)
class RolledBack:
    """How many redemptions counted as a use until they were undone."""

    uses_returned: int
