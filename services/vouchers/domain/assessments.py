"""What a voucher would do for a basket, or why it would not. Validation and redemption ask the same functions."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.runtime.errors import ServiceError
from services.vouchers.domain.campaigns import AmountOffEffect, Campaign, CreditGrantEffect, Effect
from services.vouchers.domain.commands import Basket
from services.vouchers.domain.discounts import spread
from services.vouchers.domain.kinds import RedemptionState
from services.vouchers.domain.redemptions import Benefit, Credit, LineDiscount
from services.vouchers.domain.state import CustomerUses, State
from services.vouchers.domain.vouchers import Voucher, VoucherReference
from services.vouchers.errors import (
    CampaignEnded,
    CampaignExhausted,
    CampaignNotStarted,
    CurrencyMismatch,
    CustomerLimitReached,
    OrderBelowMinimum,
    RollbackInProgress,
    VoucherExhausted,
    VoucherNotFound,
    VoucherRepeated,
)


@dataclass(frozen=True, slots=True)
class InWallet:
    """The customer keeps this voucher's credit from an earlier order: there is nothing to reserve."""


Assessment = Benefit | InWallet | ServiceError


@dataclass(frozen=True, slots=True)
class Offer:
    """One voucher offered for a basket, and all that the rules look at.

    customer_uses: the customer's counted uses of the campaign, those of this very request excluded.
    stacked_uses: uses of the campaign that vouchers before this one take in the same request.
    """

    voucher: Voucher
    campaign: Campaign
    basket: Basket
    customer_uses: CustomerUses
    stacked_uses: int
    now: datetime


def assess_stack(
    references: Sequence[VoucherReference], basket: Basket, state: State, now: datetime
) -> Iterator[Assessment]:
    """One assessment per voucher, in the order asked; each is computed on what those before it leave."""
    left = [line.amount_minor for line in basket.lines]
    campaigns_stacked: Counter[UUID] = Counter()
    seen: set[UUID] = set()
    for reference in references:
        voucher = state.find_voucher(reference)
        if voucher is None:
            yield VoucherNotFound(voucher=reference.shown)
            continue
        if voucher.voucher_id in seen:
            yield VoucherRepeated(repeated=voucher.voucher_id)
            continue
        seen.add(voucher.voucher_id)
        campaign_id = voucher.campaign_id
        customer_uses = state.uses_of(campaign_id, basket.customer_id)
        stacked_uses = campaigns_stacked[campaign_id]
        offer = Offer(voucher, state.campaigns[campaign_id], basket, customer_uses, stacked_uses, now)
        assessment = assess(offer, left)
        if isinstance(assessment, Benefit):
            campaigns_stacked[campaign_id] += 1
            left = [line.amount_minor - line.discount_minor for line in assessment.lines] or left
        yield assessment


def assess(offer: Offer, left: Sequence[int]) -> Assessment:
    """The answer of the first rule that speaks, else what the voucher is worth on lines with so much left."""
    for rule in RULES:
        answer = rule(offer)
        if answer is not None:
            return answer
    return _benefit_of(offer.campaign.effect, offer.basket, left, offer.now)


def _not_started(offer: Offer) -> ServiceError | None:
    starts_at = offer.campaign.starts_at
    if starts_at is None or offer.now >= starts_at:
        return None
    return CampaignNotStarted(campaign_id=offer.campaign.campaign_id, start_time=starts_at)


def _ended(offer: Offer) -> ServiceError | None:
    ends_at = offer.campaign.ends_at
    if ends_at is None or offer.now < ends_at:
        return None
    return CampaignEnded(campaign_id=offer.campaign.campaign_id, end_time=ends_at)


def _other_currency(offer: Offer) -> ServiceError | None:
    currency = offer.campaign.effect.currency
    if currency == offer.basket.currency:
        return None
    return CurrencyMismatch(
        voucher_id=offer.voucher.voucher_id, currency=currency, order_currency=offer.basket.currency
    )


def _below_minimum(offer: Offer) -> ServiceError | None:
    campaign, subtotal_minor = offer.campaign, offer.basket.subtotal_minor
    if subtotal_minor >= campaign.order_minimum_minor:
        return None
    return OrderBelowMinimum(
        campaign_id=campaign.campaign_id,
        subtotal_minor=subtotal_minor,
        order_minimum_minor=campaign.order_minimum_minor,
    )


def _in_wallet(offer: Offer) -> InWallet | None:
    is_kept = offer.customer_uses[offer.voucher.voucher_id, RedemptionState.KEPT] > 0
    return InWallet() if is_kept else None


def _customer_limit(offer: Offer) -> ServiceError | None:
    uses = offer.customer_uses.total() + offer.stacked_uses
    uses_max = offer.campaign.uses_per_customer_max
    if uses < uses_max:
        return None
    if _reserved_in_campaign(offer):
        return RollbackInProgress(voucher_id=offer.voucher.voucher_id)
    return CustomerLimitReached(campaign_id=offer.campaign.campaign_id, uses=uses, uses_max=uses_max)


def _voucher_exhausted(offer: Offer) -> ServiceError | None:
    voucher = offer.voucher
    if voucher.uses_max is None or voucher.uses < voucher.uses_max:
        return None
    if offer.customer_uses[voucher.voucher_id, RedemptionState.RESERVED] > 0:
        return RollbackInProgress(voucher_id=voucher.voucher_id)
    return VoucherExhausted(voucher_id=voucher.voucher_id, uses=voucher.uses, uses_max=voucher.uses_max)


def _campaign_exhausted(offer: Offer) -> ServiceError | None:
    campaign = offer.campaign
    uses = campaign.uses + offer.stacked_uses
    if campaign.uses_max is None or uses < campaign.uses_max:
        return None
    if _reserved_in_campaign(offer):
        return RollbackInProgress(voucher_id=offer.voucher.voucher_id)
    return CampaignExhausted(campaign_id=campaign.campaign_id, uses=uses, uses_max=campaign.uses_max)


# The order is the order of precedence. A full limit that this customer's own reservation helps to fill is
# ROLLBACK_IN_PROGRESS: the order that it belongs to is about to be undone, or to put the credit into the wallet.
RULES: tuple[Callable[[Offer], ServiceError | InWallet | None], ...] = (
    # First, because a kept credit is the customer's also when its campaign is over (V1).
    _in_wallet,
    _not_started,
    _ended,
    _other_currency,
    _below_minimum,
    _customer_limit,
    _voucher_exhausted,
    _campaign_exhausted,
)


def _reserved_in_campaign(offer: Offer) -> bool:
    return any(state is RedemptionState.RESERVED and uses > 0 for (_, state), uses in offer.customer_uses.items())


def _benefit_of(effect: Effect, basket: Basket, left: Sequence[int], now: datetime) -> Benefit:
    match effect:
        case CreditGrantEffect():
            expires_at = now + timedelta(days=effect.valid_days) if effect.valid_days else None
            credit = Credit(effect.amount_minor, effect.priority, expires_at)
            return Benefit(effect.kind, effect.amount_minor, credit=credit)
        case AmountOffEffect():
            return discount_of(effect, [line.line_number for line in basket.lines], left)


def discount_of(effect: AmountOffEffect, line_numbers: Sequence[int], left: Sequence[int]) -> Benefit:
    """What the effect takes off lines with so much left: its amount, at most all of it, spread over the lines."""
    shares = spread(effect.amount_minor, left)
    lines = tuple(LineDiscount(*line) for line in zip(line_numbers, left, shares, strict=True))
    return Benefit(effect.kind, effect.amount_minor, discount_minor=sum(shares), lines=lines)
