"""One voucher offered for a basket: what the rules look at, and what they may answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.runtime.errors import ServiceError
from services.vouchers.domain.campaigns import Campaign
from services.vouchers.domain.commands import Basket
from services.vouchers.domain.redemptions import Benefit
from services.vouchers.domain.state import CustomerUses, Qualify
from services.vouchers.domain.vouchers import Voucher


@dataclass(frozen=True, slots=True)
class InWallet:
    """The customer keeps this voucher's credit from an earlier order: there is nothing to reserve."""


Assessment = Benefit | InWallet | ServiceError


# Not frozen, only because making frozen ones takes three times as long: nobody changes an offer.
@dataclass(slots=True, kw_only=True)
class Offer:
    """One voucher offered for a basket, and all that the rules look at.

    left: what the vouchers before this one leave of each line, in minor units.
    customer_uses: the customer's counted uses of the campaign, those of this very request excluded.
    stacked_uses, stacked_minor: uses and budget of the campaign that vouchers before this one take in the same request.
    before: the vouchers that are used before this one in the same request.
    exclusive_before: the one among them that is to be used alone.
    """

    voucher: Voucher
    campaign: Campaign
    basket: Basket
    left: Sequence[int]
    customer_uses: CustomerUses
    stacked_uses: int
    stacked_minor: int
    before: Sequence[UUID]
    exclusive_before: UUID | None
    qualify: Qualify
    now: datetime
