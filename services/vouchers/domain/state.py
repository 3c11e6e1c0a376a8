"""What one group of commands sees and changes: the working copy of the rows that were loaded for it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from services.vouchers.domain.campaigns import Campaign
from services.vouchers.domain.code_guessing import Guesses
from services.vouchers.domain.commands import Basket
from services.vouchers.domain.kinds import COUNTED, REPORTED, RedemptionState
from services.vouchers.domain.redemptions import Redemption
from services.vouchers.domain.vouchers import Voucher, VoucherReference

# A campaign and a customer.
CustomerKey = tuple[UUID, UUID]
# Whether a qualification holds for a basket; None: it cannot be evaluated.
Qualify = Callable[[str, Basket], bool | None]


@dataclass(slots=True)
class CustomerUses:
    """One customer's counted redemptions in one campaign, by voucher and state.

    `moments` is when they were made, of campaigns with a limit per period only: at least those within the period.
    """

    by_voucher: dict[tuple[UUID, RedemptionState], int] = field(default_factory=dict)
    moments: dict[datetime, int] = field(default_factory=dict)

    def total(self) -> int:
        """All of them."""
        return sum(self.by_voucher.values())

    def of(self, voucher_id: UUID, state: RedemptionState) -> int:
        """Those of one voucher in one state."""
        return self.by_voucher.get((voucher_id, state), 0)

    def count(self, redemption: Redemption, voucher_id: UUID, step: int, *, with_moment: bool) -> None:
        """One use more, or less."""
        used_as, moment = (voucher_id, redemption.state), redemption.created_at
        self.by_voucher[used_as] = self.by_voucher.get(used_as, 0) + step
        if with_moment:
            self.moments[moment] = self.moments.get(moment, 0) + step

    def has_reserved(self) -> bool:
        """Whether an order of the customer is still open, or being undone."""
        return any(state is RedemptionState.RESERVED and uses > 0 for (_, state), uses in self.by_voucher.items())

    def within(self, period: timedelta, now: datetime) -> int:
        """Those made after the beginning of the period that ends now."""
        return sum(uses for moment, uses in self.moments.items() if moment > now - period)


# Only ever read.
_NO_USES = CustomerUses()


@dataclass(slots=True)
class Changes:
    """The rows to write, as they stand when the whole group is decided."""

    redemptions_made: dict[UUID, Redemption] = field(default_factory=dict)
    redemptions_moved: dict[UUID, Redemption] = field(default_factory=dict)
    # Whose counters are to be stored; every campaign with a row to write, because its last time moves on.
    vouchers: set[UUID] = field(default_factory=set)
    campaigns: set[UUID] = field(default_factory=set)


def _cannot_evaluate(_: str, __: Basket) -> None:
    """Of a state that was made without a way to evaluate qualifications."""


@dataclass(slots=True)
class State:
    """All that was loaded for a group; every command changes it for those after it.

    `voucher_ids` lacks references to vouchers that do not exist.
    """

    voucher_ids: dict[VoucherReference, UUID] = field(default_factory=dict)
    vouchers: dict[UUID, Voucher] = field(default_factory=dict)
    campaigns: dict[UUID, Campaign] = field(default_factory=dict)
    redemptions: dict[UUID, Redemption] = field(default_factory=dict)
    customer_uses: dict[CustomerKey, CustomerUses] = field(default_factory=dict)
    changes: Changes = field(default_factory=Changes)
    qualify: Qualify = _cannot_evaluate
    guesses: Guesses = field(default_factory=Guesses)

    def find_voucher(self, reference: VoucherReference) -> Voucher | None:
        """The voucher that is named, or None."""
        voucher_id = self.voucher_ids.get(reference)
        return None if voucher_id is None else self.vouchers[voucher_id]

    def uses_of(self, campaign_id: UUID, customer_id: UUID) -> CustomerUses:
        """The customer's uses of the campaign; empty when there are none."""
        return self.customer_uses.get((campaign_id, customer_id), _NO_USES)

    def put(self, redemption: Redemption) -> None:
        """Adds a redemption or moves the one with its id on. The counters follow: this is the one place that counts."""
        before = self.redemptions.get(redemption.redemption_id)
        if before is redemption:
            return
        self._note(redemption, is_new=before is None)
        if before is not None:
            self._count(before, -1)
        self._count(redemption, +1)
        self.redemptions[redemption.redemption_id] = redemption

    def _note(self, redemption: Redemption, *, is_new: bool) -> None:
        redemption_id = redemption.redemption_id
        if is_new or redemption_id in self.changes.redemptions_made:
            self.changes.redemptions_made[redemption_id] = redemption
        else:
            self.changes.redemptions_moved[redemption_id] = redemption
        if redemption.campaign_id is not None:
            self.changes.campaigns.add(redemption.campaign_id)

    def _count(self, redemption: Redemption, step: int) -> None:
        voucher_id, campaign_id, benefit = redemption.voucher_id, redemption.campaign_id, redemption.benefit
        if redemption.state not in REPORTED or voucher_id is None or campaign_id is None or benefit is None:
            return
        is_counted = redemption.state in COUNTED
        campaign = self.campaigns[campaign_id]
        usage = campaign.usage.counting(redemption.state, step, step * benefit.value_minor if is_counted else 0)
        self.campaigns[campaign_id] = replace(campaign, usage=usage)
        if is_counted:
            self._count_use(redemption, voucher_id, campaign, step)

    def _count_use(self, redemption: Redemption, voucher_id: UUID, campaign: Campaign, step: int) -> None:
        voucher = self.vouchers[voucher_id]
        self.vouchers[voucher_id] = replace(voucher, uses=voucher.uses + step)
        self.changes.vouchers.add(voucher_id)
        customer = (campaign.campaign_id, redemption.customer_id)
        uses = self.customer_uses.get(customer)
        if uses is None:
            uses = self.customer_uses[customer] = CustomerUses()
        uses.count(redemption, voucher_id, step, with_moment=campaign.rules.period_days is not None)
