"""Whether grants, holds and refunds still say what was asked for: their rows make the fingerprint of the command."""

from collections.abc import Callable
from uuid import UUID

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

_PAGE_ROWS = 250


async def check_asked(
    connection: Connection, book_id: int, collector: Collector[FindingKind, Finding], pace: Pace
) -> None:
    """All of one book, in the connection's transaction."""
    for kind, query, fingerprint_of_row in _CHECKS:
        cursor = await connection.cursor(query.text, book_id)
        is_more = True
        while is_more:
            async with pace.piece():
                page = await cursor.fetch(_PAGE_ROWS)
                _check_page(page, kind, fingerprint_of_row, collector)
            is_more = len(page) > 0


def _check_page(
    page: list[Record],
    kind: FindingKind,
    fingerprint_of_row: Callable[[Record], bytes],
    collector: Collector[FindingKind, Finding],
) -> None:
    for record in page:
        found = fingerprint_of_row(record)
        if found != record["fingerprint"]:
            subject = f"{record['subject']}, what was asked for"
            collector.add(kind, subject, f"fingerprint {record['fingerprint'].hex()}", f"fingerprint {found.hex()}")


def _of_grant(record: Record) -> bytes:
    return fingerprint_of_grant(_who(record), _grant(record["asked"]))


def _of_hold(record: Record) -> bytes:
    born_held = [_grant(grant) for grant in record["born_held"]]
    values = (record["target_minor"], born_held, record["credit_code"], record["expires_at"])
    return fingerprint_of_hold(_who(record), *values)


def _of_refund(record: Record) -> bytes:
    return fingerprint_of_refund(_who(record), _id(record["hold_id"]), record["amount_minor"], record["grace_days"])


def _who(record: Record) -> Who:
    return _id(record["owner_id"]), record["currency"], record["reason"]


def _grant(row: Record) -> GrantFields:
    grant_id, *others = row
    return grant_fields(_id(grant_id), *others)


def _id(value: UUID) -> UUID:
    """The driver's ids are of a type of their own, which no fingerprint knows."""
    return UUID(int=value.int)


_CHECKS: tuple[tuple[FindingKind, Query, Callable[[Record], bytes]], ...] = (
    (FindingKind.GRANT_DIFFERS, queries.walk_asked_grants, _of_grant),
    (FindingKind.HOLD_DIFFERS, queries.walk_asked_holds, _of_hold),
    (FindingKind.REFUND_DIFFERS, queries.walk_asked_refunds, _of_refund),
)
