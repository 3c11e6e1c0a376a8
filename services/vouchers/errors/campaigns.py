"""Refusals of what is asked of campaigns."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.runtime.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound


@dataclass(eq=False)
class CampaignNotFound(NotFound):
    """No campaign with this id."""

    reason = "CAMPAIGN_NOT_FOUND"
    text = "campaign {campaign_id} does not exist"
    campaign_id: UUID


@dataclass(eq=False)
class CampaignExistsWithDifferentField(AlreadyExists):
    """The campaign's id is taken by another content."""

    reason = "CAMPAIGN_EXISTS_WITH_DIFFERENT_FIELD"
    text = "campaign {campaign_id} exists with a different {field}"
    campaign_id: UUID
    field: str


@dataclass(eq=False)
class InvalidWindow(InvalidArgument):
    """A campaign's end is not after its start."""

    reason = "INVALID_WINDOW"
    text = "a campaign that starts {start_time} cannot end {end_time}"
    start_time: datetime
    end_time: datetime


@dataclass(eq=False)
class InvalidQualification(InvalidArgument):
    """A qualification that cannot be used.

    `cause` is syntax, name, function, comprehensions, evaluation or type; `found` is what was found there.
    """

    reason = "INVALID_QUALIFICATION"
    text = "the qualification cannot be used, {cause}: {found}"
    cause: str
    found: str


@dataclass(eq=False)
class CampaignChangedMeanwhile(Aborted):
    """The campaign was changed since the revision that an edit is based on; both are counted from 1."""

    reason = "CAMPAIGN_CHANGED_MEANWHILE"
    text = "campaign {campaign_id} is at revision {revision}, not {expected_revision}"
    campaign_id: UUID
    revision: int
    expected_revision: int


@dataclass(eq=False)
class CampaignIsFinal(FailedPrecondition):
    """The campaign was ended, so it can be neither edited nor started nor paused."""

    reason = "CAMPAIGN_IS_FINAL"
    text = "campaign {campaign_id} was ended {ended_time}"
    campaign_id: UUID
    ended_time: datetime


@dataclass(eq=False)
class LimitBelowUse(FailedPrecondition):
    """A limit would be lower than what is used of it already; `field` is the limit's name in the request."""

    reason = "LIMIT_BELOW_USE"
    text = "campaign {campaign_id} cannot have {field} {limit}: {used} are used"
    campaign_id: UUID
    field: str
    limit: int
    used: int


@dataclass(eq=False)
class FieldIsFixed(FailedPrecondition):
    """Kind or currency of an effect that redemptions were made with cannot be changed; `field` is which."""

    reason = "FIELD_IS_FIXED"
    text = "campaign {campaign_id} has redemptions, its {field} cannot be changed"
    campaign_id: UUID
    field: str
