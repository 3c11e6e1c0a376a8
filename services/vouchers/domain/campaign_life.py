"""What is done to campaigns: started, paused, ended, edited. Each change is the next revision."""

import enum
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.vouchers.domain.campaigns import Campaign, CampaignRules, NewCampaign, check_same_campaign
from services.vouchers.domain.kinds import CampaignState
from services.vouchers.errors.campaigns import (
    CampaignChangedMeanwhile,
    CampaignExistsWithDifferentField,
    CampaignIsFinal,
    FieldIsFixed,
    LimitBelowUse,
)
from services.vouchers.errors.rules import CampaignIsDraft


class CampaignChange(enum.StrEnum):
    """What a revision changed; the text is what stands in the database."""

    CREATED = "created"
    UPDATED = "updated"
    STARTED = "started"
    PAUSED = "paused"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class CampaignRevision:
    """A campaign as it was after one change; its usage is that of today."""

    change: CampaignChange
    note: str
    changed_at: datetime
    campaign: Campaign


@dataclass(frozen=True, slots=True)
class CampaignEdit:
    """New rules for a campaign, made from those of a certain revision."""

    campaign_id: UUID
    rules: CampaignRules
    expected_revision: int
    note: str

    def is_done_by(self, revision: CampaignRevision | None) -> bool:
        """Whether this very edit made the revision after the one that it expected."""
        return (
            revision is not None
            and revision.change is CampaignChange.UPDATED
            and (revision.campaign.rules, revision.note) == (self.rules, self.note)
        )


@dataclass(frozen=True, slots=True)
class CustomersUse:
    """How often the customer who used a campaign most did so: in all, and within any period of the length asked for."""

    in_all: int = 0
    in_a_period: int = 0


def check_same_creation(first: Campaign, asked: NewCampaign) -> None:
    """Raises CAMPAIGN_EXISTS_WITH_DIFFERENT_FIELD when the first revision is not what is asked for."""
    check_same_campaign(first.rules, asked)
    if first.state is not asked.state:
        raise CampaignExistsWithDifferentField(campaign_id=asked.campaign_id, field="draft")


def changed(campaign: Campaign, change: CampaignChange, now: datetime) -> Campaign:
    """The campaign started, paused or ended; itself when it is so already.

    Raises CAMPAIGN_IS_FINAL, CAMPAIGN_IS_DRAFT.
    """
    match change:
        case CampaignChange.STARTED:
            return _started(campaign)
        case CampaignChange.PAUSED:
            return _paused(campaign)
        case CampaignChange.ENDED:
            return _ended(campaign, now)
    raise ValueError(f"a campaign is not {change} by itself")


def edited(campaign: Campaign, edit: CampaignEdit, used: CustomersUse) -> Campaign:
    """The campaign with the edit's rules; itself when they are its rules already.

    Raises CAMPAIGN_IS_FINAL, CAMPAIGN_CHANGED_MEANWHILE, FIELD_IS_FIXED, LIMIT_BELOW_USE.
    """
    _require_open(campaign)
    if campaign.revision != edit.expected_revision:
        raise CampaignChangedMeanwhile(
            campaign_id=campaign.campaign_id, revision=campaign.revision, expected_revision=edit.expected_revision
        )
    if campaign.rules == edit.rules:
        return campaign
    _require_same_effect(campaign, edit.rules)
    _require_limits(campaign, edit.rules, used)
    return replace(campaign, rules=edit.rules, revision=campaign.revision + 1)


def limits_of_customers_fall(before: CampaignRules, after: CampaignRules) -> bool:
    """Whether some customer's uses might not fit any more; only then do they have to be counted."""
    if after.uses_per_customer_max < before.uses_per_customer_max:
        return True
    if after.uses_per_period_max is None:
        return False
    is_same_period = after.period_days == before.period_days
    is_enough = before.uses_per_period_max is not None and after.uses_per_period_max >= before.uses_per_period_max
    return not (is_same_period and is_enough)


def _started(campaign: Campaign) -> Campaign:
    _require_open(campaign)
    return _in_state(campaign, CampaignState.ACTIVE)


def _paused(campaign: Campaign) -> Campaign:
    _require_open(campaign)
    if campaign.state is CampaignState.DRAFT:
        raise CampaignIsDraft(campaign_id=campaign.campaign_id)
    return _in_state(campaign, CampaignState.PAUSED)


def _ended(campaign: Campaign, now: datetime) -> Campaign:
    if campaign.state is CampaignState.ENDED:
        return campaign
    return replace(_in_state(campaign, CampaignState.ENDED), ended_at=now)


def _in_state(campaign: Campaign, state: CampaignState) -> Campaign:
    if campaign.state is state:
        return campaign
    return replace(campaign, state=state, revision=campaign.revision + 1)


def _require_open(campaign: Campaign) -> None:
    if campaign.ended_at is not None:
        raise CampaignIsFinal(campaign_id=campaign.campaign_id, ended_time=campaign.ended_at)


def _require_same_effect(campaign: Campaign, rules: CampaignRules) -> None:
    """What redemptions were made with is what budget and report count in."""
    usage = campaign.usage
    if not usage.uses + usage.rolled_back + usage.expired + usage.restored:
        return
    before, after = campaign.rules.effect, rules.effect
    if before.kind is not after.kind:
        raise FieldIsFixed(campaign_id=campaign.campaign_id, field="effect")
    if before.currency != after.currency:
        raise FieldIsFixed(campaign_id=campaign.campaign_id, field="currency")


def _require_limits(campaign: Campaign, rules: CampaignRules, used: CustomersUse) -> None:
    limits = (
        ("uses_max", rules.uses_max, campaign.usage.uses),
        ("uses_per_customer_max", rules.uses_per_customer_max, used.in_all),
        ("uses_per_period_max", rules.uses_per_period_max, used.in_a_period),
        ("budget_minor", rules.budget_minor, campaign.usage.spent_minor),
    )
    for field, limit, count in limits:
        if limit is not None and limit < count:
            raise LimitBelowUse(campaign_id=campaign.campaign_id, field=field, limit=limit, used=count)
