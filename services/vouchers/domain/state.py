"""What one group of commands sees and changes: the working copy of the rows that were loaded for it."""

from collections import Counter
from dataclasses import dataclass, field, replace
from uuid import UUID

from services.vouchers.domain.campaigns import Campaign
from services.vouchers.domain.kinds import COUNTED, RedemptionState
from services.vouchers.domain.redemptions import Redemption
from services.vouchers.domain.vouchers import Voucher, VoucherReference

# A campaign and a customer.
CustomerKey = tuple[UUID, UUID]
# One customer's counted redemptions in one campaign, by voucher and state.
CustomerUses = Counter[tuple[UUID, RedemptionState]]


@dataclass(slots=True)
class Changes:
    """The rows to write, as they stand when the whole group is decided."""

    redemptions_made: dict[UUID, Redemption] = field(default_factory=dict)
    redemptions_moved: dict[UUID, Redemption] = field(default_factory=dict)
    # Whose counters are to be stored; every campaign with a row to write, because its last time moves on.
    vouchers: set[UUID] = field(default_factory=set)
    campaigns: set[UUID] = field(default_factory=set)


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

    def find_voucher(self, reference: VoucherReference) -> Voucher | None:
        """The voucher that is named, or None."""
        voucher_id = self.voucher_ids.get(reference)
        return None if voucher_id is None else self.vouchers[voucher_id]

    def uses_of(self, campaign_id: UUID, customer_id: UUID) -> CustomerUses:
        """The customer's uses of the campaign; empty when there are none."""
        return self.customer_uses.get((campaign_id, customer_id)) or Counter()

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
        voucher_id, campaign_id = redemption.voucher_id, redemption.campaign_id
        if redemption.state not in COUNTED or voucher_id is None or campaign_id is None:
            return
        voucher, campaign = self.vouchers[voucher_id], self.campaigns[campaign_id]
        self.vouchers[voucher_id] = replace(voucher, uses=voucher.uses + step)
        self.campaigns[campaign_id] = replace(campaign, uses=campaign.uses + step)
        customer_uses = self.customer_uses.setdefault((campaign_id, redemption.customer_id), Counter())
        customer_uses[voucher_id, redemption.state] += step
        self.changes.vouchers.add(voucher_id)
