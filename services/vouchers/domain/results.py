"""What reads are answered with."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.vouchers.domain.assessments import Assessment
from services.vouchers.domain.campaigns import Campaign
from services.vouchers.domain.redemptions import Redemption
from services.vouchers.domain.vouchers import Voucher, VoucherReference


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
