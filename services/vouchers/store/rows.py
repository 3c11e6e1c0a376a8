"""Rows to values and back."""

import json

from services.runtime.database import Record
from services.vouchers.domain.campaigns import AmountOffEffect, Campaign, CreditGrantEffect, Effect, NewCampaign
from services.vouchers.domain.kinds import EffectKind, RedemptionState
from services.vouchers.domain.redemptions import Benefit, Credit, LineDiscount, Redemption, Terms
from services.vouchers.domain.vouchers import Voucher


def campaign_of(row: Record) -> Campaign:
    """The campaign in a row of its table."""
    return Campaign(
        campaign_id=row["campaign_id"],
        name=row["name"],
        effect=_effect_of(row),
        uses_max=row["uses_max"],
        uses_per_customer_max=row["uses_per_customer_max"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        order_minimum_minor=row["order_minimum_minor"],
        uses=row["uses"],
        created_at=row["created_at"],
    )


def campaign_columns(campaign: NewCampaign) -> tuple[object, ...]:
    """The values of `insert_campaign`."""
    effect = campaign.effect
    credit = (effect.priority, effect.valid_days) if isinstance(effect, CreditGrantEffect) else (None, None)
    return (
        campaign.campaign_id,
        campaign.name,
        effect.kind,
        effect.amount_minor,
        effect.currency,
        *credit,
        campaign.uses_max,
        campaign.uses_per_customer_max,
        campaign.starts_at,
        campaign.ends_at,
        campaign.order_minimum_minor,
    )


def voucher_of(row: Record) -> Voucher:
    """The voucher in a row of its table."""
    return Voucher(
        voucher_id=row["voucher_id"],
        campaign_id=row["campaign_id"],
        code=row["code"],
        uses_max=row["uses_max"],
        uses=row["uses"],
        created_at=row["created_at"],
    )


def redemption_of(row: Record) -> Redemption:
    """The redemption in a row of its table."""
    state = RedemptionState(row["state"])
    return Redemption(
        redemption_id=row["redemption_id"],
        customer_id=row["customer_id"],
        voucher_id=row["voucher_id"],
        campaign_id=row["campaign_id"],
        state=state,
        terms=None if state is RedemptionState.TOMBSTONE else _terms_of(row),
        benefit=None if row["effect"] is None else _benefit_of(row),
        expires_at=row["expires_at"],
        created_at=row["created_at"],
        kept_at=row["kept_at"],
        confirmed_at=row["confirmed_at"],
        rolled_back_at=row["rolled_back_at"],
    )


def redemption_columns(redemption: Redemption) -> tuple[object, ...]:
    """The values of one row of `insert_redemptions`."""
    return (
        redemption.redemption_id,
        redemption.customer_id,
        redemption.voucher_id,
        redemption.campaign_id,
        redemption.state,
        *(redemption.terms or (None,) * len(Terms._fields)),
        *_benefit_columns(redemption.benefit),
        redemption.expires_at,
        redemption.created_at,
        redemption.kept_at,
        redemption.confirmed_at,
        redemption.rolled_back_at,
    )


def moved_columns(redemption: Redemption) -> tuple[object, ...]:
    """The values of one row of `move_redemptions`."""
    return (
        redemption.redemption_id,
        redemption.state,
        redemption.kept_at,
        redemption.confirmed_at,
        redemption.rolled_back_at,
    )


def _effect_of(row: Record) -> Effect:
    amount_minor, currency = row["effect_minor"], row["currency"]
    if row["effect"] == EffectKind.CREDIT_GRANT:
        return CreditGrantEffect(amount_minor, currency, row["credit_priority"], row["credit_valid_days"])
    return AmountOffEffect(amount_minor, currency)


def _terms_of(row: Record) -> Terms:
    return Terms(row["order_id"], row["currency"], row["lines_digest"], row["redemptions_digest"])


def _benefit_of(row: Record) -> Benefit:
    effect, amount_minor = EffectKind(row["effect"]), row["effect_minor"]
    if effect is EffectKind.CREDIT_GRANT:
        credit = Credit(amount_minor, row["credit_priority"], row["credit_expires_at"])
        return Benefit(effect, amount_minor, credit=credit)
    lines = tuple(LineDiscount(*line) for line in row["lines"])
    return Benefit(effect, amount_minor, discount_minor=row["discount_minor"], lines=lines)


def _benefit_columns(benefit: Benefit | None) -> tuple[object, ...]:
    """Effect, its amount, discount, lines, and a credit's priority and expiry."""
    if benefit is None:
        return (None,) * 6
    fixed = (benefit.effect, benefit.effect_minor, benefit.discount_minor)
    if benefit.credit is None:
        return (*fixed, json.dumps(benefit.lines), None, None)
    return (*fixed, None, benefit.credit.priority, benefit.credit.expires_at)
