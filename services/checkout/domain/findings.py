"""What a person has to look at, each once."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from services.runtime.errors import InvalidRequest

_TOKEN_LENGTH_MAX = 18


class FindingKind(enum.StrEnum):
    """What was found. The first five by themselves, the others by the reconciliation."""

    # Money of ours that pays no order; it goes back by itself.
    UNWANTED_PAYMENT = "UNWANTED_PAYMENT"
    # Money on the account that is not ours; it is left alone.
    FOREIGN_PAYMENT = "FOREIGN_PAYMENT"
    # Somebody gave money back without us.
    REFUND_MADE_AT_PROVIDER = "REFUND_MADE_AT_PROVIDER"
    # The provider gave back more than it took.
    REFUND_EXCEEDS_PAYMENT = "REFUND_EXCEEDS_PAYMENT"
    # The customer's bank disputes a payment.
    DISPUTE = "DISPUTE"
    # The provider has refused a refund of ours, or it failed later.
    REFUND_FAILED = "REFUND_FAILED"
    # A success at the provider that checkout had not heard of; it was applied when it was found.
    PAYMENT_MISSED = "PAYMENT_MISSED"
    # A refund at the provider that checkout had not heard of; it was applied when it was found.
    REFUND_MISSED = "REFUND_MISSED"
    # Checkout has a success that the provider does not have.
    PAYMENT_UNKNOWN_TO_PROVIDER = "PAYMENT_UNKNOWN_TO_PROVIDER"
    # Checkout and the provider disagree about an amount.
    AMOUNT_DIFFERS = "AMOUNT_DIFFERS"
    # The ledger's clearing account is not what the provider holds for us; `subject` is the currency.
    CLEARING_DIFFERS = "CLEARING_DIFFERS"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; kind, provider and subject together are its name."""

    kind: FindingKind
    provider: str
    subject: str
    order_id: UUID | None
    details: Mapping[str, str]


def clearing_finding(provider: str, currency: str, held_minor: tuple[int, int], cleared_minor: int) -> Finding:
    """The ledger's clearing account of a currency is not what the provider should hold, at least and at most."""
    least, most = held_minor
    details = {"held_min_minor": str(least), "held_max_minor": str(most), "cleared_minor": str(cleared_minor)}
    return Finding(FindingKind.CLEARING_DIFFERS, provider, currency, None, details)


def finding_number_of(page_token: str) -> int:
    """The finding behind which a page begins. Raises INVALID_REQUEST: it is no token of ours."""
    if not page_token:
        return 0
    if not (page_token.isascii() and page_token.isdigit() and len(page_token) <= _TOKEN_LENGTH_MAX):
        raise InvalidRequest(field="page_token", rule="a token from the response before")
    return int(page_token)


def token_of(number: int) -> str:
    """The token of the page that begins behind this finding."""
    return str(number)
