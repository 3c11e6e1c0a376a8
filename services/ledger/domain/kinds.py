"""The closed sets of words that the ledger stores; the text is what stands in the database."""

import enum


class TransferKind(enum.StrEnum):
    """What a transfer does to its two accounts."""

    POSTED = "posted"
    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    REVERSAL = "reversal"


class CreditCategory(enum.StrEnum):
    """Where credits came from."""

    PROMOTIONAL = "promotional"
    PAID = "paid"


class GrantState(enum.StrEnum):
    """Whether a grant is closed, and by what; what becomes free of a closed grant is passed on at once."""

    LIVE = "live"
    EXPIRED = "expired"  # its expiry was written
    REVOKED = "revoked"


class HoldState(enum.StrEnum):
    """Life cycle of a hold: held, then one of the others for ever."""

    HELD = "held"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


class CommandKind(enum.StrEnum):
    """What an id stands for."""

    TRANSACTION = "transaction"
    GRANT = "grant"
    HOLD = "hold"
    REFUND = "refund"
    EXPIRY = "expiry"  # of a grant, or of a transaction's hold


class CommandState(enum.StrEnum):
    """What has become of the command under an id."""

    LIVE = "live"  # in effect, can be undone
    DONE = "done"  # in effect for good
    UNDONE = "undone"
    TOMBSTONE = "tombstone"  # undone before it came
