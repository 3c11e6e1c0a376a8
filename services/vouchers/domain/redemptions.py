"""Redemptions: one use of a voucher by one customer for one order, and what it is worth."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.vouchers.domain.kinds import EffectKind, RedemptionState


class LineDiscount(NamedTuple):
    """What is taken off a line that was worth `amount_minor` after the vouchers before; minor units."""

    line_number: int
    amount_minor: int
    discount_minor: int


class Credit(NamedTuple):
    """Credits for the ledger to grant; `expires_at` None: never."""

    amount_minor: int
    priority: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Benefit:
    """What a redemption gives: a discount with its inputs, or credits. `effect_minor` is the effect's amount."""

    effect: EffectKind
    effect_minor: int
    discount_minor: int = 0
    lines: tuple[LineDiscount, ...] = ()
    credit: Credit | None = None


class Terms(NamedTuple):
    """The fields of a redeem request that its repetition must have equal; the lines and the stack as digests."""

    order_id: UUID
    currency: str
    lines: bytes
    redemptions: bytes


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

    @property
    def updated_at(self) -> datetime:
        """When its state last changed."""
        return self.rolled_back_at or self.confirmed_at or self.kept_at or self.created_at

    def keep(self, now: datetime) -> "Redemption":
        """The redemption when its credit stays with the customer."""
        return replace(self, state=RedemptionState.KEPT, kept_at=now)

    def confirm(self, now: datetime) -> "Redemption":
        """The redemption when its order is placed."""
        return replace(self, state=RedemptionState.CONFIRMED, confirmed_at=now)

    def roll_back(self, now: datetime) -> "Redemption":
        """The redemption when it is undone."""
        return replace(self, state=RedemptionState.ROLLED_BACK, rolled_back_at=now)

    def as_first_answered(self) -> "Redemption":
        """The redemption as it stood when it was made: what a repeated request is answered with."""
        if self.state is RedemptionState.IN_WALLET:
            return self
        return replace(self, state=RedemptionState.RESERVED, kept_at=None, confirmed_at=None, rolled_back_at=None)


@dataclass(frozen=True, slots=True)
class RolledBack:
    """How many redemptions counted as a use until they were undone."""

    uses_returned: int
