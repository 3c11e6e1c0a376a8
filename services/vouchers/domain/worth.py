"""What a voucher that the rules let pass is worth, or why it is worth nothing."""

from datetime import timedelta

from services.runtime.errors import ServiceError
from services.vouchers.domain.discounts import discount_shares, missing_pieces
from services.vouchers.domain.effects import CreditGrantEffect, Discount
from services.vouchers.domain.offers import Offer
from services.vouchers.domain.redemptions import DISCOUNTED, Benefit, Credit, DiscountLine, LineDiscount
from services.vouchers.domain.rules import unless_reserved
from services.vouchers.domain.selection import role_of
from services.vouchers.errors.rules import BudgetExhausted, NoEligibleProduct, NothingToDiscount, PiecesMissing


def worth_of(offer: Offer) -> Benefit | ServiceError:
    """The benefit, if it fits into what is left of the campaign's budget: it is never cut."""
    effect = offer.campaign.rules.effect
    benefit = _credit(effect, offer) if isinstance(effect, CreditGrantEffect) else _discount(effect, offer)
    return benefit if isinstance(benefit, ServiceError) else _over_budget(benefit, offer) or benefit


def _credit(effect: CreditGrantEffect, offer: Offer) -> Benefit:
    expires_at = offer.now + timedelta(days=effect.valid_days) if effect.valid_days else None
    credit = Credit(effect.amount_minor, effect.priority, expires_at)
    return Benefit(effect.kind, offer.campaign.revision, credit=credit)


def _discount(effect: Discount, offer: Offer) -> Benefit | ServiceError:
    campaign, basket_lines, parameters = offer.campaign, offer.basket.lines, effect.parameters
    lines = [
        DiscountLine(left_minor, line.quantity, role_of(campaign.rules, line))
        for line, left_minor in zip(basket_lines, offer.left, strict=True)
    ]
    missing = missing_pieces(effect.kind, parameters, lines)
    if missing is not None:
        pieces, pieces_min = missing
        return PiecesMissing(campaign_id=campaign.campaign_id, pieces=pieces, pieces_min=pieces_min)
    if not any(line.role & DISCOUNTED for line in lines):
        return NoEligibleProduct(campaign_id=campaign.campaign_id)
    shares = discount_shares(effect.kind, parameters, lines)
    if not any(shares):
        return NothingToDiscount(campaign_id=campaign.campaign_id)
    discounts = tuple(
        [
            LineDiscount(line.line_number, left.amount_minor, share, left.quantity, left.role)
            for line, left, share in zip(basket_lines, lines, shares, strict=True)
        ]
    )
    return Benefit(effect.kind, campaign.revision, parameters, sum(shares), discounts)


def _over_budget(benefit: Benefit, offer: Offer) -> ServiceError | None:
    campaign, budget_minor = offer.campaign, offer.campaign.rules.budget_minor
    spent_minor = campaign.usage.spent_minor + offer.stacked_minor
    if budget_minor is None or spent_minor + benefit.value_minor <= budget_minor:
        return None
    refusal = BudgetExhausted(
        campaign_id=campaign.campaign_id,
        value_minor=benefit.value_minor,
        spent_minor=spent_minor,
        budget_minor=budget_minor,
    )
    return unless_reserved(offer, refusal)
