"""Every refusal of the vouchers; reasons and metadata as in protos/quittance/vouchers/v1/errors.proto.

A field `voucher` holds a masked code or a voucher's id, never a code: a code is as good as money.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.runtime.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound

# Who refuses: the ErrorInfo domain of this service.
DOMAIN = "vouchers.quittance"


@dataclass(eq=False)
class CampaignNotFound(NotFound):
    """No campaign with this id."""

    reason = "CAMPAIGN_NOT_FOUND"
    text = "campaign {campaign_id} does not exist"
    campaign_id: UUID


@dataclass(eq=False)
class VoucherNotFound(NotFound):
    """No voucher with this code or id."""

    reason = "VOUCHER_NOT_FOUND"
    text = "voucher {voucher} does not exist"
    voucher: str


@dataclass(eq=False)
class CodeTaken(AlreadyExists):
    """Another voucher has this code, perhaps in other letters' case or with other dashes."""

    reason = "CODE_TAKEN"
    text = "code {voucher} belongs to another voucher"
    voucher: str


@dataclass(eq=False)
class CampaignExistsWithDifferentField(AlreadyExists):
    """The campaign's id is taken by another content."""

    reason = "CAMPAIGN_EXISTS_WITH_DIFFERENT_FIELD"
    text = "campaign {campaign_id} exists with a different {field}"
    campaign_id: UUID
    field: str


@dataclass(eq=False)
class VoucherExistsWithDifferentField(AlreadyExists):
    """The voucher's id is taken by another content."""

    reason = "VOUCHER_EXISTS_WITH_DIFFERENT_FIELD"
    text = "voucher {voucher_id} exists with a different {field}"
    voucher_id: UUID
    field: str


@dataclass(eq=False)
class InvalidWindow(InvalidArgument):
    """A campaign's end is not after its start."""

    reason = "INVALID_WINDOW"
    text = "a campaign that starts {start_time} cannot end {end_time}"
    start_time: datetime
    end_time: datetime


@dataclass(eq=False)
class VoucherExhausted(FailedPrecondition):
    """The code's uses are all taken."""

    reason = "VOUCHER_EXHAUSTED"
    text = "voucher {voucher_id} is used {uses} of {uses_max} times"
    voucher_id: UUID
    uses: int
    uses_max: int


@dataclass(eq=False)
class CampaignExhausted(FailedPrecondition):
    """The campaign's uses are all taken."""

    reason = "CAMPAIGN_EXHAUSTED"
    text = "campaign {campaign_id} is used {uses} of {uses_max} times"
    campaign_id: UUID
    uses: int
    uses_max: int


@dataclass(eq=False)
class CustomerLimitReached(FailedPrecondition):
    """This customer's uses of the campaign are all taken."""

    reason = "CUSTOMER_LIMIT_REACHED"
    text = "this customer has used campaign {campaign_id} {uses} of {uses_max} times"
    campaign_id: UUID
    uses: int
    uses_max: int


@dataclass(eq=False)
class CampaignNotStarted(FailedPrecondition):
    """The campaign has not begun."""

    reason = "CAMPAIGN_NOT_STARTED"
    text = "campaign {campaign_id} starts {start_time}"
    campaign_id: UUID
    start_time: datetime


@dataclass(eq=False)
class CampaignEnded(FailedPrecondition):
    """The campaign is over."""

    reason = "CAMPAIGN_ENDED"
    text = "campaign {campaign_id} ended {end_time}"
    campaign_id: UUID
    end_time: datetime


@dataclass(eq=False)
class CurrencyMismatch(FailedPrecondition):
    """The voucher is in another currency than the order."""

    reason = "CURRENCY_MISMATCH"
    text = "voucher {voucher_id} is in {currency}, the order in {order_currency}"
    voucher_id: UUID
    currency: str
    order_currency: str


@dataclass(eq=False)
class OrderBelowMinimum(FailedPrecondition):
    """The order is smaller than the campaign asks; amounts in minor units."""

    reason = "ORDER_BELOW_MINIMUM"
    text = "campaign {campaign_id} asks for an order of {order_minimum_minor}, this one comes to {subtotal_minor}"
    campaign_id: UUID
    subtotal_minor: int
    order_minimum_minor: int


@dataclass(eq=False)
class VoucherRepeated(InvalidArgument):
    """One voucher or redemption stands twice in a request; `repeated` is its id."""

    reason = "VOUCHER_REPEATED"
    text = "{repeated} stands twice in the request"
    repeated: UUID


@dataclass(eq=False)
class RollbackInProgress(Aborted):
    """What stands in the way is this customer's own reservation, which another order is about to keep or give back."""

    reason = "ROLLBACK_IN_PROGRESS"
    text = "voucher {voucher_id} is reserved by another order of this customer, try again"
    retry_after_s = 1.0
    voucher_id: UUID


@dataclass(eq=False)
class RedemptionNotFound(NotFound):
    """No redemption with this id."""

    reason = "REDEMPTION_NOT_FOUND"
    text = "redemption {redemption_id} does not exist"
    redemption_id: UUID


@dataclass(eq=False)
class RedemptionExistsWithDifferentField(AlreadyExists):
    """The redemption's id is taken by another content, or belongs to another customer or voucher."""

    reason = "REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD"
    text = "redemption {redemption_id} exists with a different {field}"
    redemption_id: UUID
    field: str


@dataclass(eq=False)
class RedemptionAlreadyUndone(FailedPrecondition):
    """The redemption was rolled back, perhaps before it arrived."""

    reason = "REDEMPTION_ALREADY_UNDONE"
    text = "redemption {redemption_id} is undone"
    redemption_id: UUID


@dataclass(eq=False)
class RedemptionAlreadyConfirmed(FailedPrecondition):
    """The redemption belongs to a placed order, so it cannot be rolled back."""

    reason = "REDEMPTION_ALREADY_CONFIRMED"
    text = "redemption {redemption_id} is confirmed"
    redemption_id: UUID


@dataclass(eq=False)
class RedemptionKept(FailedPrecondition):
    """The pay page was handed over, so this credit stays with the customer."""

    reason = "REDEMPTION_KEPT"
    text = "redemption {redemption_id} is kept by its customer"
    redemption_id: UUID
