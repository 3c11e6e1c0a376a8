"""Campaigns: an effect, and the rules and limits that codes share."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.vouchers.domain.effects import NO_PRODUCTS, Effect, ProductSelection
from services.vouchers.domain.kinds import REPORTED, CampaignState, RedemptionState, Stacking, UseRule
from services.vouchers.errors.campaigns import CampaignExistsWithDifferentField, InvalidWindow

USES_PER_CUSTOMER_DEFAULT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignRules:
    """All that somebody decides of a campaign; a limit or moment that is None, and an empty list, do not exist.

    Redeemable from `starts_at` on, no more from `ends_at` on. Amounts are in minor units of the effect's currency.
    A customer's uses are limited for ever and, with `uses_per_period_max`, within any `period_days` times 24 hours.
    Raises INVALID_WINDOW when it would not end after its start.
    """

    name: str
    effect: Effect
    uses_max: int | None = None
    uses_per_customer_max: int = USES_PER_CUSTOMER_DEFAULT
    uses_per_period_max: int | None = None
    period_days: int | None = None
    budget_minor: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    order_minimum_minor: int = 0
    included_products: ProductSelection = NO_PRODUCTS
    excluded_products: ProductSelection = NO_PRODUCTS
    included_customer_ids: frozenset[UUID] = frozenset()
    excluded_customer_ids: frozenset[UUID] = frozenset()
    first_order_only: bool = False
    qualification: str = ""
    stacking: Stacking = Stacking.COMBINABLE
    stacking_priority: int = 0
    on_refund: UseRule = UseRule.KEEP
    on_cancel: UseRule = UseRule.RESTORE
    listed: bool = False

    def __post_init__(self) -> None:
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            raise InvalidWindow(start_time=self.starts_at, end_time=self.ends_at)


class Usage(NamedTuple):
    """How many redemptions of a campaign stand where, and what the counted ones are worth in minor units."""

    reserved: int = 0
    kept: int = 0
    confirmed: int = 0
    rolled_back: int = 0
    expired: int = 0
    restored: int = 0
    spent_minor: int = 0

    @property
    def uses(self) -> int:
        """The redemptions that count."""
        return self.reserved + self.kept + self.confirmed

    def counting(self, state: RedemptionState, step: int, value_minor: int) -> "Usage":
        """With one redemption more or less in a state; `value_minor` is what that adds to or takes from the worth."""
        counters = list(self)
        counters[_PLACES[state]] += step
        counters[-1] += value_minor
        return Usage._make(counters)


# Where a state's redemptions are counted; what they are worth comes last.
_PLACES = {state: Usage._fields.index(state) for state in REPORTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCampaign:
    """A campaign asked for, under an id that the caller made; `state` is draft or active."""

    campaign_id: UUID
    rules: CampaignRules
    state: CampaignState = CampaignState.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign(NewCampaign):
    """A campaign as it stands. `ended_at`: when somebody ended it, whatever its window says."""

    created_at: datetime
    revision: int = 1
    ended_at: datetime | None = None
    codes: int = 0
    usage: Usage = field(default_factory=Usage)


# What must be equal when the id comes again: attribute, and the request's name for it where that is another one.
_COMPARED = {name: name for name in CampaignRules.__dataclass_fields__} | {
    "starts_at": "start_time",
    "ends_at": "end_time",
}


def check_same_campaign(stored: CampaignRules, asked: NewCampaign) -> None:
    """Raises CAMPAIGN_EXISTS_WITH_DIFFERENT_FIELD when the rules first stored are not those asked for."""
    for attribute, name in _COMPARED.items():
        if getattr(stored, attribute) != getattr(asked.rules, attribute):
            raise CampaignExistsWithDifferentField(campaign_id=asked.campaign_id, field=name)
