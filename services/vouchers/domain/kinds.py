"""The closed sets of words that the vouchers store; the text is what stands in the database."""

import enum


class EffectKind(enum.StrEnum):
    """What a redemption does."""

    CREDIT_GRANT = "credit_grant"
    AMOUNT_OFF = "amount_off"
    PERCENT_OFF = "percent_off"
    FREE_ITEM = "free_item"
    CHEAPEST_FREE = "cheapest_free"
    BUY_GET = "buy_get"


class CampaignState(enum.StrEnum):
    """Where a campaign stands; nothing can be redeemed unless it is active."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


class Stacking(enum.StrEnum):
    """Whether a voucher may be used together with others in one order."""

    COMBINABLE = "combinable"
    EXCLUSIVE = "exclusive"


class UseRule(enum.StrEnum):
    """What becomes of a discount's use when its placed order is given back."""

    KEEP = "keep"
    RESTORE = "restore"


class RestoreCause(enum.StrEnum):
    """Why the uses of a placed order are given back."""

    REFUND = "refund"
    CANCELLATION = "cancellation"
    DECISION = "decision"


class RedemptionState(enum.StrEnum):
    """What has become of the redemption under an id."""

    RESERVED = "reserved"
    KEPT = "kept"
    CONFIRMED = "confirmed"
    ROLLED_BACK = "rolled_back"
    EXPIRED = "expired"  # nobody ended the reservation before its expiry
    RESTORED = "restored"  # given back after its order was placed
    IN_WALLET = "in_wallet"  # answered from a credit that its customer keeps: nothing was reserved, nothing to undo
    TOMBSTONE = "tombstone"  # rolled back before it came


# Those that count as a use of their voucher, its campaign and their customer.
COUNTED = frozenset({RedemptionState.RESERVED, RedemptionState.KEPT, RedemptionState.CONFIRMED})
UNDONE = frozenset(
    {RedemptionState.ROLLED_BACK, RedemptionState.EXPIRED, RedemptionState.RESTORED, RedemptionState.TOMBSTONE}
)
# What a campaign's report counts: whatever was reserved once.
REPORTED = (*sorted(COUNTED), RedemptionState.ROLLED_BACK, RedemptionState.EXPIRED, RedemptionState.RESTORED)
