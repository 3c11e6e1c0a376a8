"""Which lines of an order a campaign and its effect are for."""

from services.vouchers.domain.campaigns import CampaignRules
from services.vouchers.domain.commands import OrderLine
from services.vouchers.domain.effects import BuyGetEffect, Effect, FreeItemEffect, ProductSelection
from services.vouchers.domain.redemptions import BOUGHT, DISCOUNTED


def is_eligible(rules: CampaignRules, line: OrderLine) -> bool:
    """Whether the campaign is for the line's product: included, or nothing is; and not excluded."""
    included, excluded = rules.included_products, rules.excluded_products
    if included and not included.selects(line.product_id, line.categories):
        return False
    return not (excluded and excluded.selects(line.product_id, line.categories))


def role_of(rules: CampaignRules, line: OrderLine) -> int:
    """What the line is for the effect: discounted, bought, both, or 0 when it has no part in it."""
    return _role(rules.effect, line) if is_eligible(rules, line) else 0


def _role(effect: Effect, line: OrderLine) -> int:
    match effect:
        case FreeItemEffect(products=products):
            return DISCOUNTED if _selects(products, line, if_empty=False) else 0
        case BuyGetEffect(buy_products=buy, get_products=get):
            is_bought = _selects(buy, line, if_empty=True)
            is_got = _selects(get, line, if_empty=is_bought)
            return BOUGHT * is_bought + DISCOUNTED * is_got
        case _:
            return DISCOUNTED


def _selects(products: ProductSelection, line: OrderLine, *, if_empty: bool) -> bool:
    return products.selects(line.product_id, line.categories) if products else if_empty
