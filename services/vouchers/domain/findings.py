"""What a verification finds."""

import enum
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.runtime.ids import fingerprint


class FindingKind(enum.StrEnum):
    """What is wrong; each is explained in the proto."""

    CAMPAIGN_COUNTER_DIFFERS = "campaign_counter_differs"
    CAMPAIGN_SPENT_DIFFERS = "campaign_spent_differs"
    CODES_DIFFER = "codes_differ"
    VOUCHER_USES_DIFFER = "voucher_uses_differ"
    LIMIT_EXCEEDED = "limit_exceeded"
    CUSTOMER_LIMIT_EXCEEDED = "customer_limit_exceeded"
    DISCOUNT_DIFFERS = "discount_differs"
    EFFECT_DIFFERS = "effect_differs"
    STATE_DIFFERS = "state_differs"
    MOMENTS_DIFFER = "moments_differ"
    RESERVATION_OVERDUE = "reservation_overdue"
    WALLET_ANSWER_UNFOUNDED = "wallet_answer_unfounded"
    TOMBSTONE_DIFFERS = "tombstone_differs"
    STACK_DIFFERS = "stack_differs"
    CAMPAIGN_DIFFERS = "campaign_differs"
    REVISION_GAP = "revision_gap"
    REVISION_DIFFERS = "revision_differs"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong in a campaign; `campaign_id` None: in what belongs to none.

    difference: what stays the same when a counter that is wrong goes on moving, so that it stays one finding; None:
    the expected and the found value say it.
    """

    kind: FindingKind
    campaign_id: UUID | None
    subject: str
    expected: str
    found: str
    difference: int | None = None

    @property
    def digest(self) -> bytes:
        """What tells it from all other findings; also where its list page begins."""
        details = (self.expected, self.found) if self.difference is None else (self.difference,)
        return fingerprint(str(self.campaign_id or ""), self.kind.value, self.subject, details)


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """A finding, and when it was seen."""

    finding: Finding
    digest: bytes
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class Verifying:
    """How far one campaign is: redemptions verified since the last such message."""

    redemptions: int


@dataclass(frozen=True, slots=True)
class VerifiedCampaign:
    """What came out of one campaign; `findings` counts those left out too."""

    campaign_id: UUID | None
    redemptions: int
    findings: int
    findings_left_out: int
