"""The rules that a voucher is looked at with, in their order of precedence."""

from collections.abc import Callable
from datetime import timedelta

from services.runtime.errors import ServiceError
from services.vouchers.domain.kinds import CampaignState, RedemptionState, Stacking
from services.vouchers.domain.offers import InWallet, Offer
from services.vouchers.domain.selection import is_eligible
from services.vouchers.errors.codes import VoucherDeactivated, VoucherExpired
from services.vouchers.errors.rules import (
    CampaignEnded,
    CampaignExhausted,
    CampaignIsDraft,
    CampaignNotStarted,
    CampaignPaused,
    CurrencyMismatch,
    CustomerFactsMissing,
    CustomerLimitReached,
    CustomerNotEligible,
    NoEligibleProduct,
    NotCombinable,
    NotFirstOrder,
    OrderBelowMinimum,
    PeriodLimitReached,
    QualificationFailed,
    RollbackInProgress,
    VoucherExhausted,
    VoucherOfOtherCustomer,
)


def _in_wallet(offer: Offer) -> InWallet | None:
    is_kept = offer.customer_uses.of(offer.voucher.voucher_id, RedemptionState.KEPT) > 0
    return InWallet() if is_kept else None


def _deactivated(offer: Offer) -> ServiceError | None:
    voucher = offer.voucher
    if voucher.deactivated_at is None:
        return None
    return VoucherDeactivated(voucher_id=voucher.voucher_id, deactivate_time=voucher.deactivated_at)


def _expired(offer: Offer) -> ServiceError | None:
    voucher = offer.voucher
    if voucher.expires_at is None or offer.now < voucher.expires_at:
        return None
    return VoucherExpired(voucher_id=voucher.voucher_id, expire_time=voucher.expires_at)


def _of_other_customer(offer: Offer) -> ServiceError | None:
    if offer.voucher.customer_id in (None, offer.basket.customer_id):
        return None
    return VoucherOfOtherCustomer(voucher_id=offer.voucher.voucher_id)


def _not_running(offer: Offer) -> ServiceError | None:
    campaign = offer.campaign
    if campaign.state is CampaignState.DRAFT:
        return CampaignIsDraft(campaign_id=campaign.campaign_id)
    if campaign.state is CampaignState.PAUSED:
        return CampaignPaused(campaign_id=campaign.campaign_id)
    return None


def _not_started(offer: Offer) -> ServiceError | None:
    starts_at = offer.campaign.rules.starts_at
    if starts_at is None or offer.now >= starts_at or offer.campaign.state is CampaignState.ENDED:
        return None
    return CampaignNotStarted(campaign_id=offer.campaign.campaign_id, start_time=starts_at)


def _ended(offer: Offer) -> ServiceError | None:
    """Ended by somebody, or by its window."""
    ends_at = offer.campaign.ended_at or offer.campaign.rules.ends_at
    if ends_at is None or (offer.now < ends_at and offer.campaign.state is not CampaignState.ENDED):
        return None
    return CampaignEnded(campaign_id=offer.campaign.campaign_id, end_time=ends_at)


def _other_currency(offer: Offer) -> ServiceError | None:
    currency = offer.campaign.rules.effect.currency
    if currency == offer.basket.currency:
        return None
    return CurrencyMismatch(
        voucher_id=offer.voucher.voucher_id, currency=currency, order_currency=offer.basket.currency
    )


def _below_minimum(offer: Offer) -> ServiceError | None:
    order_minimum_minor, subtotal_minor = offer.campaign.rules.order_minimum_minor, offer.basket.subtotal_minor
    if subtotal_minor >= order_minimum_minor:
        return None
    return OrderBelowMinimum(
        campaign_id=offer.campaign.campaign_id, subtotal_minor=subtotal_minor, order_minimum_minor=order_minimum_minor
    )


def _other_customers(offer: Offer) -> ServiceError | None:
    rules, customer_id = offer.campaign.rules, offer.basket.customer_id
    if customer_id in rules.excluded_customer_ids:
        return CustomerNotEligible(campaign_id=offer.campaign.campaign_id, cause="excluded")
    if rules.included_customer_ids and customer_id not in rules.included_customer_ids:
        return CustomerNotEligible(campaign_id=offer.campaign.campaign_id, cause="not_included")
    return None


def _not_first_order(offer: Offer) -> ServiceError | None:
    facts = offer.basket.facts
    if not offer.campaign.rules.first_order_only:
        return None
    if facts is None:
        return CustomerFactsMissing(campaign_id=offer.campaign.campaign_id)
    if facts.orders_placed == 0:
        return None
    return NotFirstOrder(campaign_id=offer.campaign.campaign_id, orders_placed=facts.orders_placed)


def _no_eligible_product(offer: Offer) -> ServiceError | None:
    if any(is_eligible(offer.campaign.rules, line) for line in offer.basket.lines):
        return None
    return NoEligibleProduct(campaign_id=offer.campaign.campaign_id)


def _not_qualified(offer: Offer) -> ServiceError | None:
    qualification = offer.campaign.rules.qualification
    if not qualification:
        return None
    holds = offer.qualify(qualification, offer.basket)
    if holds:
        return None
    return QualificationFailed(campaign_id=offer.campaign.campaign_id, cause="error" if holds is None else "false")


def _not_combinable(offer: Offer) -> ServiceError | None:
    voucher_id = offer.voucher.voucher_id
    if offer.exclusive_before is not None:
        return NotCombinable(voucher_id=voucher_id, exclusive_voucher_id=offer.exclusive_before)
    if offer.before and offer.campaign.rules.stacking is Stacking.EXCLUSIVE:
        return NotCombinable(voucher_id=voucher_id, exclusive_voucher_id=voucher_id)
    return None


def _customer_limit(offer: Offer) -> ServiceError | None:
    uses = offer.customer_uses.total() + offer.stacked_uses
    uses_max = offer.campaign.rules.uses_per_customer_max
    if uses < uses_max:
        return None
    return unless_reserved(
        offer, CustomerLimitReached(campaign_id=offer.campaign.campaign_id, uses=uses, uses_max=uses_max)
    )


def _period_limit(offer: Offer) -> ServiceError | None:
    """The period rolls: it is the time before this moment."""
    rules = offer.campaign.rules
    if rules.uses_per_period_max is None or rules.period_days is None:
        return None
    uses = offer.customer_uses.within(timedelta(days=rules.period_days), offer.now) + offer.stacked_uses
    if uses < rules.uses_per_period_max:
        return None
    refusal = PeriodLimitReached(
        campaign_id=offer.campaign.campaign_id,
        uses=uses,
        uses_max=rules.uses_per_period_max,
        period_days=rules.period_days,
    )
    return unless_reserved(offer, refusal)


def _voucher_exhausted(offer: Offer) -> ServiceError | None:
    voucher = offer.voucher
    if voucher.uses_max is None or voucher.uses < voucher.uses_max:
        return None
    if offer.customer_uses.of(voucher.voucher_id, RedemptionState.RESERVED) > 0:
        return RollbackInProgress(voucher_id=voucher.voucher_id)
    return VoucherExhausted(voucher_id=voucher.voucher_id, uses=voucher.uses, uses_max=voucher.uses_max)


def _campaign_exhausted(offer: Offer) -> ServiceError | None:
    campaign, uses_max = offer.campaign, offer.campaign.rules.uses_max
    uses = campaign.usage.uses + offer.stacked_uses
    if uses_max is None or uses < uses_max:
        return None
    return unless_reserved(offer, CampaignExhausted(campaign_id=campaign.campaign_id, uses=uses, uses_max=uses_max))


def unless_reserved(offer: Offer, refusal: ServiceError) -> ServiceError:
    """The refusal for a full limit, or ROLLBACK_IN_PROGRESS when this customer's own reservation helps to fill it.

    The order that the reservation belongs to is about to be undone, or to put the credit into the wallet.
    """
    if offer.customer_uses.has_reserved():
        return RollbackInProgress(voucher_id=offer.voucher.voucher_id)
    return refusal


# The order is the order of precedence.
RULES: tuple[Callable[[Offer], ServiceError | InWallet | None], ...] = (
    # First, because a kept credit is the customer's also when its campaign is over (V1).
    _in_wallet,
    _deactivated,
    _expired,
    _of_other_customer,
    _not_running,
    _not_started,
    _ended,
    _other_currency,
    _below_minimum,
    _other_customers,
    _not_first_order,
    _no_eligible_product,
    _not_qualified,
    _not_combinable,
    _customer_limit,
    _period_limit,
    _voucher_exhausted,
    _campaign_exhausted,
)
