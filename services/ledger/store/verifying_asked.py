"""Whether grants, holds and refunds still say what was asked for: their rows make the fingerprint of the command."""

from collections.abc import Callable, Iterator
from itertools import islice, product

from services.ledger.domain.asked import (
    GrantFields,
    Who,
    fingerprint_of_grant,
    fingerprint_of_hold,
    fingerprint_of_refund,
    grant_fields,
)
from services.ledger.domain.findings import Finding, FindingKind
from services.ledger.store.statements import queries
from services.runtime.database import Connection, Record
from services.runtime.findings import Collector
from services.runtime.pacing import Pace
from services.runtime.sql import Query

# Those that a row can stand for, the likeliest first.
_Fingerprints = Callable[[Record], Iterator[bytes]]

_PAGE_ROWS = 250
# Of the requests that one hold can stand for.
_POSSIBLE_MAX = 1024


async def check_asked(
    connection: Connection, book_id: int, collector: Collector[FindingKind, Finding], pace: Pace
) -> None:
    """All of one book, in the connection's transaction."""
    for kind, query, fingerprints_of in _CHECKS:
        cursor = await connection.cursor(query.text, book_id)
        is_more = True
        while is_more:
            async with pace.piece():
                page = await cursor.fetch(_PAGE_ROWS)
                _check_page(page, kind, fingerprints_of, collector)
            is_more = len(page) > 0


def _check_page(
    page: list[Record], kind: FindingKind, fingerprints_of: _Fingerprints, collector: Collector[FindingKind, Finding]
) -> None:
    for record in page:
        stored = record["fingerprint"]
        if stored not in fingerprints_of(record):
            found = next(fingerprints_of(record))
            subject = f"{record['subject']}, what was asked for"
            collector.add(kind, subject, f"fingerprint {stored.hex()}", f"fingerprint {found.hex()}")


def _of_grant(record: Record) -> Iterator[bytes]:
    for fields in _grant(record["asked"]):
        yield fingerprint_of_grant(_who(record), fields)


def _of_hold(record: Record) -> Iterator[bytes]:
    possible = product(*(_grant(grant) for grant in record["born_held"]))
    for born_held in islice(possible, _POSSIBLE_MAX):
        values = (record["target_minor"], born_held, record["credit_code"], record["expires_at"])
        yield fingerprint_of_hold(_who(record), *values)


def _of_refund(record: Record) -> Iterator[bytes]:
    yield fingerprint_of_refund(_who(record), record["hold_id"], record["amount_minor"], record["grace_days"])


def _who(record: Record) -> Who:
    return record["owner_id"], record["currency"], record["reason"]


def _grant(row: Record) -> list[GrantFields]:
    """What may have been asked for: who wants a grant to begin at once may also name the moment at which it is made."""
    grant_id, amount_minor, category, priority, expires_at, source_code, effective_at, created_at = row
    values = (grant_id, amount_minor, category, priority, expires_at, source_code)
    named = grant_fields(*values, effective_at)
    return [named] if effective_at != created_at else [grant_fields(*values, None), named]


_CHECKS: tuple[tuple[FindingKind, Query, _Fingerprints], ...] = (
    (FindingKind.GRANT_DIFFERS, queries.walk_asked_grants, _of_grant),
    (FindingKind.HOLD_DIFFERS, queries.walk_asked_holds, _of_hold),
    (FindingKind.REFUND_DIFFERS, queries.walk_asked_refunds, _of_refund),
)
