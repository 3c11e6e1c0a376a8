"""Campaigns: messages to rules and back."""

from collections.abc import Iterable
from uuid import UUID

from quittance.money.v1 import money_pb2
from quittance.vouchers.v1 import campaign_pb2
from services.runtime.ids import parse_id
from services.runtime.times import parse_time, timestamp_of
from services.vouchers.domain.campaigns import USES_PER_CUSTOMER_DEFAULT, Campaign, CampaignRules
from services.vouchers.domain.effects import (
    BASIS_POINTS_ALL,
    AmountOffEffect,
    BuyGetEffect,
    CheapestFreeEffect,
    CreditGrantEffect,
    Effect,
    FreeItemEffect,
    PercentOffEffect,
    ProductSelection,
)
from services.vouchers.domain.kinds import CampaignState, Stacking, UseRule

STATES = {
    CampaignState.DRAFT: campaign_pb2.CAMPAIGN_STATE_DRAFT,
    CampaignState.ACTIVE: campaign_pb2.CAMPAIGN_STATE_ACTIVE,
    CampaignState.PAUSED: campaign_pb2.CAMPAIGN_STATE_PAUSED,
    CampaignState.ENDED: campaign_pb2.CAMPAIGN_STATE_ENDED,
}
STACKING = {
    Stacking.COMBINABLE: campaign_pb2.STACKING_COMBINABLE,
    Stacking.EXCLUSIVE: campaign_pb2.STACKING_EXCLUSIVE,
}
_USE_RULES = {UseRule.KEEP: campaign_pb2.USE_RULE_KEEP, UseRule.RESTORE: campaign_pb2.USE_RULE_RESTORE}
_STACKING_ASKED = {number: stacking for stacking, number in STACKING.items()}
_USE_RULES_ASKED = {number: rule for rule, number in _USE_RULES.items()}


def campaign_rules(message: campaign_pb2.Campaign) -> CampaignRules:
    """All that somebody decides of a campaign. Raises INVALID_REQUEST, INVALID_WINDOW."""
    return CampaignRules(
        name=message.name,
        effect=_effect(message),
        uses_max=message.uses_max or None,
        uses_per_customer_max=message.uses_per_customer_max or USES_PER_CUSTOMER_DEFAULT,
        uses_per_period_max=message.uses_per_period_max or None,
        period_days=message.period_days or None,
        budget_minor=message.budget_minor or None,
        starts_at=parse_time(message.start_time, "campaign.start_time") if message.HasField("start_time") else None,
        ends_at=parse_time(message.end_time, "campaign.end_time") if message.HasField("end_time") else None,
        order_minimum_minor=message.order_minimum_minor,
        included_products=_selection(message.included_products, "campaign.included_products"),
        excluded_products=_selection(message.excluded_products, "campaign.excluded_products"),
        included_customer_ids=_ids(message.included_customer_ids, "campaign.included_customer_ids"),
        excluded_customer_ids=_ids(message.excluded_customer_ids, "campaign.excluded_customer_ids"),
        first_order_only=message.first_order_only,
        qualification=message.qualification,
        stacking=_STACKING_ASKED.get(message.stacking, Stacking.COMBINABLE),
        stacking_priority=message.stacking_priority,
        on_refund=_USE_RULES_ASKED.get(message.on_refund, UseRule.KEEP),
        on_cancel=_USE_RULES_ASKED.get(message.on_cancel, UseRule.RESTORE),
        listed=message.listed,
    )


def campaign(stored: Campaign) -> campaign_pb2.Campaign:
    """A campaign as it stands."""
    message = rules_message(stored.campaign_id, stored.rules)
    message.uses = stored.usage.uses
    message.spent_minor = stored.usage.spent_minor
    message.state = STATES[stored.state]
    message.revision = stored.revision
    message.create_time.FromDatetime(stored.created_at)
    return message


def rules_message(campaign_id: UUID, rules: CampaignRules) -> campaign_pb2.Campaign:
    """A campaign without what becomes of it."""
    message = campaign_pb2.Campaign(
        campaign_id=str(campaign_id),
        name=rules.name,
        uses_max=rules.uses_max or 0,
        uses_per_customer_max=rules.uses_per_customer_max,
        uses_per_period_max=rules.uses_per_period_max or 0,
        period_days=rules.period_days or 0,
        budget_minor=rules.budget_minor or 0,
        start_time=timestamp_of(rules.starts_at),
        end_time=timestamp_of(rules.ends_at),
        order_minimum_minor=rules.order_minimum_minor,
        included_products=_selected(rules.included_products),
        excluded_products=_selected(rules.excluded_products),
        included_customer_ids=sorted(map(str, rules.included_customer_ids)),
        excluded_customer_ids=sorted(map(str, rules.excluded_customer_ids)),
        first_order_only=rules.first_order_only,
        qualification=rules.qualification,
        stacking=STACKING[rules.stacking],
        stacking_priority=rules.stacking_priority,
        on_refund=_USE_RULES[rules.on_refund],
        on_cancel=_USE_RULES[rules.on_cancel],
        listed=rules.listed,
    )
    _add_effect(message, rules.effect)
    return message


def _effect(message: campaign_pb2.Campaign) -> Effect:
    match message.WhichOneof("effect"):
        case "credit_grant":
            grant = message.credit_grant
            return CreditGrantEffect(grant.amount.amount_minor, grant.amount.currency, grant.priority, grant.valid_days)
        case "amount_off":
            return AmountOffEffect(message.amount_off.amount.amount_minor, message.amount_off.amount.currency)
        case "percent_off":
            percent = message.percent_off
            return PercentOffEffect(percent.basis_points, percent.currency, percent.ceiling_minor)
        case "free_item":
            item = message.free_item
            products = _selection(item.products, "campaign.free_item.products")
            return FreeItemEffect(products, item.pieces_max or 1, item.currency)
        case "cheapest_free":
            cheapest, pieces = message.cheapest_free, message.cheapest_free.pieces or 1
            return CheapestFreeEffect(pieces, cheapest.pieces_min or pieces + 1, cheapest.currency)
        case _:
            return _buy_get(message.buy_get)


def _buy_get(message: campaign_pb2.BuyGetEffect) -> BuyGetEffect:
    return BuyGetEffect(
        buy_products=_selection(message.buy_products, "campaign.buy_get.buy_products"),
        buy_pieces=message.buy_pieces,
        get_products=_selection(message.get_products, "campaign.buy_get.get_products"),
        get_pieces=message.get_pieces,
        basis_points=message.basis_points or BASIS_POINTS_ALL,
        times_max=message.times_max,
        currency=message.currency,
    )


def _add_effect(message: campaign_pb2.Campaign, effect: Effect) -> None:
    match effect:
        case CreditGrantEffect(amount_minor, currency, priority, valid_days):
            amount = money_pb2.Money(amount_minor=amount_minor, currency=currency)
            grant = campaign_pb2.CreditGrantEffect(amount=amount, priority=priority, valid_days=valid_days)
            message.credit_grant.CopyFrom(grant)
        case AmountOffEffect(amount_minor, currency):
            amount = money_pb2.Money(amount_minor=amount_minor, currency=currency)
            message.amount_off.CopyFrom(campaign_pb2.AmountOffEffect(amount=amount))
        case PercentOffEffect(basis_points, currency, ceiling_minor):
            percent = campaign_pb2.PercentOffEffect(
                basis_points=basis_points, currency=currency, ceiling_minor=ceiling_minor
            )
            message.percent_off.CopyFrom(percent)
        case FreeItemEffect(products, pieces_max, currency):
            item = campaign_pb2.FreeItemEffect(products=_selected(products), pieces_max=pieces_max, currency=currency)
            message.free_item.CopyFrom(item)
        case CheapestFreeEffect(pieces, pieces_min, currency):
            cheapest = campaign_pb2.CheapestFreeEffect(pieces=pieces, pieces_min=pieces_min, currency=currency)
            message.cheapest_free.CopyFrom(cheapest)
        case BuyGetEffect():
            message.buy_get.CopyFrom(_buy_get_message(effect))


def _buy_get_message(effect: BuyGetEffect) -> campaign_pb2.BuyGetEffect:
    return campaign_pb2.BuyGetEffect(
        buy_products=_selected(effect.buy_products),
        buy_pieces=effect.buy_pieces,
        get_products=_selected(effect.get_products),
        get_pieces=effect.get_pieces,
        basis_points=effect.basis_points,
        times_max=effect.times_max,
        currency=effect.currency,
    )


def _selection(message: campaign_pb2.ProductSelection, field: str) -> ProductSelection:
    return ProductSelection(_ids(message.product_ids, f"{field}.product_ids"), frozenset(message.categories))


def _selected(products: ProductSelection) -> campaign_pb2.ProductSelection | None:
    if not products:
        return None
    return campaign_pb2.ProductSelection(
        product_ids=sorted(map(str, products.product_ids)), categories=sorted(products.categories)
    )


def _ids(texts: Iterable[str], field: str) -> frozenset[UUID]:
    return frozenset(parse_id(text, field) for text in texts)
