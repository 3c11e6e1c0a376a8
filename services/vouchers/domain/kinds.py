"""The closed sets of words that the vouchers store; the text is what stands in the database."""

import enum


class EffectKind(enum.StrEnum):
    """What a redemption does."""

    CREDIT_GRANT = "credit_grant"
    AMOUNT_OFF = "amount_off"


class RedemptionState(enum.StrEnum):
    """What has become of the redemption under an id."""

    RESERVED = "reserved"
    KEPT = "kept"
    CONFIRMED = "confirmed"
    ROLLED_BACK = "rolled_back"
    IN_WALLET = "in_wallet"  # answered from a credit that its customer keeps: nothing was reserved, nothing to undo
    TOMBSTONE = "tombstone"  # rolled back before it came


# Those that count as a use of their voucher, its campaign and their customer.
COUNTED = frozenset({RedemptionState.RESERVED, RedemptionState.KEPT, RedemptionState.CONFIRMED})
UNDONE = frozenset({RedemptionState.ROLLED_BACK, RedemptionState.TOMBSTONE})
