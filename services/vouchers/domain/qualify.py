"""What an order could use without a code being typed."""

from datetime import datetime

from services.vouchers.domain.assessments import assess_stack
from services.vouchers.domain.commands import Basket
from services.vouchers.domain.redemptions import Benefit
from services.vouchers.domain.results import QualifiedCampaign
from services.vouchers.domain.state import State

QUALIFIED_MAX = 100


def qualified_campaigns(basket: Basket, state: State, now: datetime) -> list[QualifiedCampaign]:
    """Of the vouchers in the state, those that would be accepted alone, the highest value first."""
    qualified = []
    for reference, voucher_id in state.voucher_ids.items():
        ((_, assessment),) = assess_stack([reference], basket, state, now)
        if isinstance(assessment, Benefit):
            voucher = state.vouchers[voucher_id]
            campaign = state.campaigns[voucher.campaign_id]
            qualified.append(QualifiedCampaign(campaign, voucher, assessment))
    qualified.sort(key=lambda one: (-one.benefit.value_minor, one.campaign.campaign_id))
    return qualified[:QUALIFIED_MAX]
