"""Reports: what has become of a campaign's redemptions, all of one moment."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.vouchers.domain.campaigns import Campaign

# A campaign with more codes than this is not reported code by code.
CODES_REPORTED_MAX = 100


@dataclass(frozen=True, slots=True)
class ReportedCode:
    """The uses of one code; `code` None: it is a generated one, `uses_max` None: no limit of its own."""

    voucher_id: UUID
    code: str | None = field(repr=False)
    uses: int
    uses_max: int | None


@dataclass(frozen=True, slots=True)
class CampaignReport:
    """A campaign with its counters, and its codes where they were asked for and are few enough."""

    campaign: Campaign
    codes: Sequence[ReportedCode]
    reported_at: datetime

    @property
    def left_minor(self) -> int | None:
        """What is left of the budget, in minor units; None without one."""
        budget_minor = self.campaign.rules.budget_minor
        return None if budget_minor is None else budget_minor - self.campaign.usage.spent_minor
