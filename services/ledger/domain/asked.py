"""What was asked for, as it is compared when its id comes again, and when it is verified that rows still say so.

The fingerprints are stored with the commands. The order and form of the fields may therefore never change.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.runtime.ids import fingerprint

# Owner, currency and reason: what every request names.
Who = tuple[UUID, str, str]
GrantFields = tuple[object, ...]


def grant_fields(
    grant_id: UUID,
    amount_minor: int,
    category: str,
    priority: int,
    expires_at: datetime | None,
    source_code: str,
    effective_at: datetime | None,
) -> GrantFields:
    """Of credits; expires_at None is never, effective_at None at once."""
    # At the end and only when it is there: grants that do not name it keep the fingerprints that are stored.
    begin = () if effective_at is None else (effective_at,)
    return grant_id, amount_minor, category, priority, expires_at, source_code, *begin


def fingerprint_of_grant(who: Who, fields: GrantFields) -> bytes:
    """Of credits for an owner."""
    return fingerprint("grant", *who, fields)


def fingerprint_of_hold(
    who: Who, target_minor: int, born_held: Sequence[GrantFields], credit_code: str, expires_at: datetime
) -> bytes:
    """Of a reservation, with the grants that are to be born held, in the order of the request."""
    return fingerprint("hold", *who, target_minor, list(born_held), credit_code, expires_at)


def fingerprint_of_refund(who: Who, hold_id: UUID, amount_minor: int, grace_days: int) -> bytes:
    """Of captured credits that go back."""
    return fingerprint("refund", *who, hold_id, amount_minor, grace_days)
