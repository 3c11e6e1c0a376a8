"""Why a voucher may not be used: the rules and limits of its campaign and its code."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.runtime.errors import Aborted, FailedPrecondition


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
class RollbackInProgress(Aborted):
    """What stands in the way is this customer's own reservation, which another order is about to keep or give back."""

    reason = "ROLLBACK_IN_PROGRESS"
    text = "voucher {voucher_id} is reserved by another order of this customer, try again"
    retry_after_s = 1.0
    voucher_id: UUID


@dataclass(eq=False)
class VoucherOfOtherCustomer(FailedPrecondition):
    """The code is assigned to another customer."""

    reason = "VOUCHER_OF_OTHER_CUSTOMER"
    text = "voucher {voucher_id} is for another customer"
    voucher_id: UUID


@dataclass(eq=False)
class CampaignPaused(FailedPrecondition):
    """The campaign is paused."""

    reason = "CAMPAIGN_PAUSED"
    text = "campaign {campaign_id} is paused"
    campaign_id: UUID


@dataclass(eq=False)
class CampaignIsDraft(FailedPrecondition):
    """The campaign was never started."""

    reason = "CAMPAIGN_IS_DRAFT"
    text = "campaign {campaign_id} is a draft"
    campaign_id: UUID


@dataclass(eq=False)
class CustomerNotEligible(FailedPrecondition):
    """The campaign is not for this customer; `cause` is excluded or not_included."""

    reason = "CUSTOMER_NOT_ELIGIBLE"
    text = "campaign {campaign_id} is not for this customer: {cause}"
    campaign_id: UUID
    cause: str


@dataclass(eq=False)
class CustomerFactsMissing(FailedPrecondition):
    """The campaign needs facts of the customer that the request lacks."""

    reason = "CUSTOMER_FACTS_MISSING"
    text = "campaign {campaign_id} needs facts of the customer"
    campaign_id: UUID


@dataclass(eq=False)
class NotFirstOrder(FailedPrecondition):
    """The campaign is for first orders only."""

    reason = "NOT_FIRST_ORDER"
    text = "campaign {campaign_id} is for first orders, this customer has placed {orders_placed}"
    campaign_id: UUID
    orders_placed: int


@dataclass(eq=False)
class NoEligibleProduct(FailedPrecondition):
    """No line of the order has a product that the campaign or its effect is for."""

    reason = "NO_ELIGIBLE_PRODUCT"
    text = "campaign {campaign_id} is for none of the order's products"
    campaign_id: UUID


@dataclass(eq=False)
class QualificationFailed(FailedPrecondition):
    """The campaign's qualification does not hold, or could not be evaluated; `cause` is false or error."""

    reason = "QUALIFICATION_FAILED"
    text = "the qualification of campaign {campaign_id} does not hold: {cause}"
    campaign_id: UUID
    cause: str


@dataclass(eq=False)
class NotCombinable(FailedPrecondition):
    """The voucher, or one before it in the same order, is to be used alone."""

    reason = "NOT_COMBINABLE"
    text = "voucher {voucher_id} cannot be combined: {exclusive_voucher_id} is to be used alone"
    voucher_id: UUID
    exclusive_voucher_id: UUID


@dataclass(eq=False)
class PeriodLimitReached(FailedPrecondition):
    """This customer's uses of the campaign within its period are all taken."""

    reason = "PERIOD_LIMIT_REACHED"
    text = "this customer has used campaign {campaign_id} {uses} of {uses_max} times in {period_days} days"
    campaign_id: UUID
    uses: int
    uses_max: int
    period_days: int


@dataclass(eq=False)
class PiecesMissing(FailedPrecondition):
    """The order has too few pieces of the right products."""

    reason = "PIECES_MISSING"
    text = "campaign {campaign_id} asks for {pieces_min} pieces, the order has {pieces}"
    campaign_id: UUID
    pieces: int
    pieces_min: int


@dataclass(eq=False)
class NothingToDiscount(FailedPrecondition):
    """Nothing would be taken off: the lines are free already, or the discount is less than one minor unit."""

    reason = "NOTHING_TO_DISCOUNT"
    text = "campaign {campaign_id} would take nothing off"
    campaign_id: UUID


@dataclass(eq=False)
class BudgetExhausted(FailedPrecondition):
    """The voucher is worth more than what is left of the campaign's budget; amounts in minor units."""

    reason = "BUDGET_EXHAUSTED"
    text = "{value_minor} is more than what is left of campaign {campaign_id}: {spent_minor} of {budget_minor} is spent"
    campaign_id: UUID
    value_minor: int
    spent_minor: int
    budget_minor: int
