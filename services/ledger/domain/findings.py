"""What a verification finds, and the list of it page by page."""

import base64
import binascii
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.ledger.domain.seals import Seal
from services.ledger.errors import InvalidPageToken
from services.runtime.ids import FINGERPRINT_LENGTH, fingerprint


class FindingKind(enum.StrEnum):
    """What is wrong; each is explained in the proto."""

    SEQUENCE_GAP = "sequence_gap"
    NEXT_SEQUENCE_DIFFERS = "next_sequence_differs"
    TIME_RUNS_BACKWARDS = "time_runs_backwards"
    SUM_AFTER_TRANSFER_DIFFERS = "sum_after_transfer_differs"
    ACCOUNT_SUM_DIFFERS = "account_sum_differs"
    ACCOUNT_MISSING = "account_missing"
    CURRENCIES_MIXED = "currencies_mixed"
    BELOW_FLOOR = "below_floor"
    CURRENCY_SUM_NOT_ZERO = "currency_sum_not_zero"
    HOLD_DIFFERS = "hold_differs"
    HOLD_PART_DIFFERS = "hold_part_differs"
    HOLD_PART_MISSING = "hold_part_missing"
    COMMAND_TRANSFERS_MISSING = "command_transfers_missing"
    COMMAND_MISSING = "command_missing"
    COMMAND_DIFFERS = "command_differs"
    REVERSED_TOO_MUCH = "reversed_too_much"
    SEAL_DIFFERS = "seal_differs"
    SEAL_CHAIN_BROKEN = "seal_chain_broken"
    KNOWN_SEAL_DIFFERS = "known_seal_differs"
    GRANT_DIFFERS = "grant_differs"
    REFUND_DIFFERS = "refund_differs"
    HOLD_ENDED_WRONGLY = "hold_ended_wrongly"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong in a book.

    difference: what stays the same when a sum that is wrong goes on moving, so that it stays one finding; None: the
    expected and the found value say it.
    """

    kind: FindingKind
    book_id: int
    subject: str
    expected: str
    found: str
    difference: int | None = None

    @property
    def digest(self) -> bytes:
        """What tells it from other findings of its kind about the same subject; also where its list page begins."""
        details = (self.expected, self.found) if self.difference is None else (self.difference,)
        return fingerprint(self.book_id, self.kind.value, self.subject, details)


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """A finding, and when it was seen."""

    finding: Finding
    digest: bytes
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class Verifying:
    """How far one book is: transfers verified since the last such message."""

    transfers: int


@dataclass(frozen=True, slots=True)
class VerifiedBook:
    """What came out of one book; `findings` counts those left out too."""

    book_id: int
    to_seq: int
    transfers: int
    accounts: int
    findings: int
    findings_left_out: int
    newest_seal: Seal | None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOMENT_LENGTH = 8
# Above all that is stored: where the first page begins.
START = (datetime(9999, 1, 1, tzinfo=UTC), b"")


def page_start(token: str, *fields: object) -> tuple[datetime, bytes]:
    """The first-seen time and digest below which the page of a list with these fields begins.

    Raises INVALID_PAGE_TOKEN.
    """
    if not token:
        return START
    try:
        content = base64.b64decode(token, altchars=b"-_", validate=True)
        moment = _EPOCH + timedelta(microseconds=int.from_bytes(content[:_MOMENT_LENGTH]))
    except (binascii.Error, ValueError, OverflowError):
        raise InvalidPageToken(page_token=token) from None
    digest = content[_MOMENT_LENGTH : _MOMENT_LENGTH + FINGERPRINT_LENGTH]
    if _token(moment, digest, fields) != token:
        raise InvalidPageToken(page_token=token)
    return moment, digest


def page_of(found: Sequence[StoredFinding], size: int, *fields: object) -> tuple[Sequence[StoredFinding], str]:
    """The page and the next one's token, from up to one finding more than the page has."""
    page = found[:size]
    return page, _token(page[-1].first_seen_at, page[-1].digest, fields) if len(found) > size else ""


def _token(first_seen_at: datetime, digest: bytes, fields: Sequence[object]) -> str:
    moment = ((first_seen_at - _EPOCH) // _MICROSECOND).to_bytes(_MOMENT_LENGTH)
    return base64.urlsafe_b64encode(moment + digest + fingerprint("findings", *fields)).decode()
