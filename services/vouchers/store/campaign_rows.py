"""Campaigns: rows to values and back."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from services.runtime.database import Record
from services.vouchers.domain.campaigns import Campaign, CampaignRules, NewCampaign, Usage
from services.vouchers.domain.effects import (
    AmountOffEffect,
    BuyGetEffect,
    CheapestFreeEffect,
    CreditGrantEffect,
    Effect,
    FreeItemEffect,
    PercentOffEffect,
    ProductSelection,
)
from services.vouchers.domain.kinds import CampaignState, EffectKind, Stacking, UseRule

# The columns of `rules_columns`.
RULES_COLUMNS = (
    *("name", "effect", "currency", "effect_parameters", "uses_max", "uses_per_customer_max", "uses_per_period_max"),
    *("period_days", "budget_minor", "starts_at", "ends_at", "order_minimum_minor", "included_product_ids"),
    *("included_categories", "excluded_product_ids", "excluded_categories", "included_customer_ids"),
    *("excluded_customer_ids", "first_order_only", "qualification", "stacking", "stacking_priority", "on_refund"),
    *("on_cancel", "listed"),
)
_EFFECTS: Mapping[EffectKind, type[Effect]] = {
    EffectKind.CREDIT_GRANT: CreditGrantEffect,
    EffectKind.AMOUNT_OFF: AmountOffEffect,
    EffectKind.PERCENT_OFF: PercentOffEffect,
    EffectKind.FREE_ITEM: FreeItemEffect,
    EffectKind.CHEAPEST_FREE: CheapestFreeEffect,
    EffectKind.BUY_GET: BuyGetEffect,
}


def campaign_of(row: Record) -> Campaign:
    """The campaign in a row of its table."""
    return Campaign(
        campaign_id=row["campaign_id"],
        rules=rules_of(row),
        state=CampaignState(row["state"]),
        created_at=row["created_at"],
        revision=row["revision"],
        ended_at=row["ended_at"],
        codes=row["codes"],
        usage=Usage(*(row[name] for name in Usage._fields)),
    )


def rules_of(row: Record) -> CampaignRules:
    """The rules in a row with RULES_COLUMNS."""
    return CampaignRules(
        name=row["name"],
        effect=_effect_of(EffectKind(row["effect"]), row["currency"], row["effect_parameters"]),
        uses_max=row["uses_max"],
        uses_per_customer_max=row["uses_per_customer_max"],
        uses_per_period_max=row["uses_per_period_max"],
        period_days=row["period_days"],
        budget_minor=row["budget_minor"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        order_minimum_minor=row["order_minimum_minor"],
        included_products=_selection(row["included_product_ids"], row["included_categories"]),
        excluded_products=_selection(row["excluded_product_ids"], row["excluded_categories"]),
        included_customer_ids=frozenset(row["included_customer_ids"]),
        excluded_customer_ids=frozenset(row["excluded_customer_ids"]),
        first_order_only=row["first_order_only"],
        qualification=row["qualification"],
        stacking=Stacking(row["stacking"]),
        stacking_priority=row["stacking_priority"],
        on_refund=UseRule(row["on_refund"]),
        on_cancel=UseRule(row["on_cancel"]),
        listed=row["listed"],
    )


def rules_columns(rules: CampaignRules) -> tuple[object, ...]:
    """The values of RULES_COLUMNS."""
    return (
        rules.name,
        rules.effect.kind,
        rules.effect.currency,
        _effect_parameters(rules.effect),
        rules.uses_max,
        rules.uses_per_customer_max,
        rules.uses_per_period_max,
        rules.period_days,
        rules.budget_minor,
        rules.starts_at,
        rules.ends_at,
        rules.order_minimum_minor,
        sorted(rules.included_products.product_ids),
        sorted(rules.included_products.categories),
        sorted(rules.excluded_products.product_ids),
        sorted(rules.excluded_products.categories),
        sorted(rules.included_customer_ids),
        sorted(rules.excluded_customer_ids),
        rules.first_order_only,
        rules.qualification,
        rules.stacking,
        rules.stacking_priority,
        rules.on_refund,
        rules.on_cancel,
        rules.listed,
    )


def campaign_columns(campaign: NewCampaign) -> tuple[object, ...]:
    """The values of `insert_campaign`."""
    return (campaign.campaign_id, campaign.state, *rules_columns(campaign.rules))


def _effect_parameters(effect: Effect) -> dict[str, object]:
    parameters: dict[str, object] = dict(effect.parameters)
    match effect:
        case FreeItemEffect():
            parameters["products"] = _selected(effect.products)
        case BuyGetEffect():
            parameters |= {
                "buy_products": _selected(effect.buy_products),
                "get_products": _selected(effect.get_products),
            }
    return parameters


def _effect_of(kind: EffectKind, currency: str, parameters: Mapping[str, Any]) -> Effect:
    """Numbers by their names; products are written as an object."""
    fields: dict[str, Any] = {
        name: _selection(map(UUID, value["product_ids"]), value["categories"]) if isinstance(value, dict) else value
        for name, value in parameters.items()
    }
    return _EFFECTS[kind](currency=currency, **fields)


def _selection(product_ids: Iterable[UUID], categories: Iterable[str]) -> ProductSelection:
    return ProductSelection(frozenset(product_ids), frozenset(categories))


def _selected(products: ProductSelection) -> dict[str, list[str]]:
    return {
        "product_ids": sorted(str(product_id) for product_id in products.product_ids),
        "categories": sorted(products.categories),
    }
