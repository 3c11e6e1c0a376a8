"""Campaigns: an effect, a window and limits that codes share."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from services.vouchers.domain.kinds import EffectKind
from services.vouchers.errors import CampaignExistsWithDifferentField, InvalidWindow


@dataclass(frozen=True, slots=True)
class CreditGrantEffect:
    """Gives credits. Lower `priority` burns first; they expire `valid_days` after the redemption, 0: never."""

    kind: ClassVar[EffectKind] = EffectKind.CREDIT_GRANT

    amount_minor: int
    currency: str
    priority: int
    valid_days: int


@dataclass(frozen=True, slots=True)
class AmountOffEffect:
    """Takes a fixed amount off the order, at most what is left of its subtotal."""

    kind: ClassVar[EffectKind] = EffectKind.AMOUNT_OFF

    amount_minor: int
    currency: str


Effect = CreditGrantEffect | AmountOffEffect


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCampaign:
    """A campaign asked for; a limit or moment that is None does not exist.

    Redeemable from `starts_at` on, no more from `ends_at` on. `order_minimum_minor` is in the effect's currency.
    Raises INVALID_WINDOW when it would not end after its start.
    """

    campaign_id: UUID
    name: str
    effect: Effect
    uses_max: int | None
    uses_per_customer_max: int
    starts_at: datetime | None
    ends_at: datetime | None
    order_minimum_minor: int

    def __post_init__(self) -> None:
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            raise InvalidWindow(start_time=self.starts_at, end_time=self.ends_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign(NewCampaign):
    """A campaign in effect and how often it is used."""

    uses: int
    created_at: datetime


# What must be equal when the id comes again: attribute, and the request's name for it.
_COMPARED = (
    ("name", "name"),
    ("effect", "effect"),
    ("uses_max", "uses_max"),
    ("uses_per_customer_max", "uses_per_customer_max"),
    ("starts_at", "start_time"),
    ("ends_at", "end_time"),
    ("order_minimum_minor", "order_minimum_minor"),
)


def check_same_campaign(stored: Campaign, asked: NewCampaign) -> None:
    """Raises CAMPAIGN_EXISTS_WITH_DIFFERENT_FIELD when the stored campaign is not the one asked for."""
    for attribute, field in _COMPARED:
        if getattr(stored, attribute) != getattr(asked, attribute):
            raise CampaignExistsWithDifferentField(campaign_id=asked.campaign_id, field=field)
