"""What reads are asked for and answered with."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from services.vouchers.domain.campaigns import Campaign
from services.vouchers.domain.offers import Assessment
from services.vouchers.domain.redemptions import Benefit, Redemption
from services.vouchers.domain.vouchers import Voucher, VoucherReference


class RedemptionsOf(enum.Enum):
    """Whose redemptions are listed."""

    CUSTOMER = "customer_id"
    VOUCHER = "voucher_id"
    CAMPAIGN = "campaign_id"


@dataclass(frozen=True, slots=True)
class VoucherView:
    """A voucher with its campaign and its newest redemptions."""

    voucher: Voucher
    campaign: Campaign
    redemptions: Sequence[Redemption]


@dataclass(frozen=True, slots=True)
class AssessedVoucher:
    """What a voucher would do; `voucher` None: there is no such voucher."""

    reference: VoucherReference
    voucher: Voucher | None
    assessment: Assessment


@dataclass(frozen=True, slots=True)
class QualifiedCampaign:
    """What an order could use without a code being typed: a campaign, and the voucher to redeem."""

    campaign: Campaign
    voucher: Voucher
    benefit: Benefit
