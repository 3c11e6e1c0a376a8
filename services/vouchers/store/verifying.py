"""Reads what is verified at a time, a campaign or what belongs to none, and hands it to the checks; in one snapshot."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any
from uuid import UUID

from services.runtime.database import Connection, Record
from services.runtime.findings import FINDINGS_OF_A_KIND_MAX, Collector
from services.runtime.sql import Query
from services.vouchers.domain.discount_check import check_discount
from services.vouchers.domain.findings import (
    Finding,
    FindingKind,
    VerifiedCampaign,
    Verifying,
)
from services.vouchers.store.rows import redemption_of
from services.vouchers.store.statements import queries

# Rows read at a time. In the service's own process a page is some milliseconds in which nothing else is answered.
PAGE_ROWS = 500

Checks = Sequence[tuple[FindingKind, Query]]
# What needs no arithmetic of ours is asked of the database, which spills to its disk what does not fit into memory.
_CHECKS: Checks = (
    (FindingKind.CAMPAIGN_COUNTER_DIFFERS, queries.verify_campaign_counters),
    (FindingKind.CAMPAIGN_SPENT_DIFFERS, queries.verify_campaign_spent),
    (FindingKind.CODES_DIFFER, queries.verify_codes),
    (FindingKind.VOUCHER_USES_DIFFER, queries.verify_voucher_uses),
    (FindingKind.LIMIT_EXCEEDED, queries.verify_limits),
    (FindingKind.CUSTOMER_LIMIT_EXCEEDED, queries.verify_customer_limits),
    (FindingKind.EFFECT_DIFFERS, queries.verify_effects),
    (FindingKind.STATE_DIFFERS, queries.verify_states),
    (FindingKind.MOMENTS_DIFFER, queries.verify_moments),
    (FindingKind.RESERVATION_OVERDUE, queries.verify_overdue),
    (FindingKind.WALLET_ANSWER_UNFOUNDED, queries.verify_wallet_answers),
    (FindingKind.TOMBSTONE_DIFFERS, queries.verify_tombstones),
    (FindingKind.CAMPAIGN_DIFFERS, queries.verify_redemptions_campaign),
    (FindingKind.REVISION_GAP, queries.verify_revision_gaps),
    (FindingKind.REVISION_DIFFERS, queries.verify_revision_differs),
)
_CHECKS_OF_ALL: Checks = (
    (FindingKind.CAMPAIGN_DIFFERS, queries.verify_unowned),
    (FindingKind.STACK_DIFFERS, queries.verify_stacks),
)

Event = Verifying | Finding | VerifiedCampaign


class CampaignVerification:
    """One campaign, on a connection whose transaction is a repeatable-read snapshot; None: what belongs to none."""

    def __init__(self, connection: Connection, campaign_id: UUID | None) -> None:
        self._connection = connection
        self._campaign_id = campaign_id
        self._redemptions = 0
        self.collector = Collector[FindingKind, Finding](Finding, campaign_id)

    async def run(self) -> AsyncGenerator[Event, None]:
        """Progress after each page, findings as they are found, and in the end what came out."""
        if self._campaign_id is None:
            await self._check_all()
        else:
            async for event in self._walk(self._campaign_id):
                yield event
            await self._check_campaign(self._campaign_id)
        for finding in self.collector.take_new():
            yield finding
        yield self._result()

    async def _walk(self, campaign_id: UUID) -> AsyncGenerator[Event, None]:
        """Every redemption once: what is computed from it here."""
        statement = queries.walk_redemptions.text
        cursor = await self._connection.cursor(statement, campaign_id)
        while page := await cursor.fetch(PAGE_ROWS):
            for record in page:
                self._check_discount(record)
            self._redemptions += len(page)
            yield Verifying(len(page))
            for finding in self.collector.take_new():
                yield finding

    def _check_discount(self, record: Record) -> None:
        if record["lines"] is None:
            return
        redemption = redemption_of(record)
        difference = check_discount(redemption)
        if difference is not None:
            subject = f"redemption {redemption.redemption_id}"
            self.collector.add(FindingKind.DISCOUNT_DIFFERS, subject, *difference)

    async def _check_campaign(self, campaign_id: UUID) -> None:
        for kind, query in _CHECKS:
            self._note(kind, await query(self._connection, campaign_id, FINDINGS_OF_A_KIND_MAX))
        period = (await queries.read_period(self._connection, campaign_id))["period"]
        values = (campaign_id, FINDINGS_OF_A_KIND_MAX, period)
        found = await queries.verify_customer_period_limits(self._connection, *values)
        self._note(FindingKind.CUSTOMER_LIMIT_EXCEEDED, found)

    async def _check_all(self) -> None:
        self._redemptions = (await queries.count_unowned(self._connection))["redemptions"]
        for kind, query in _CHECKS_OF_ALL:
            self._note(kind, await query(self._connection, FINDINGS_OF_A_KIND_MAX))

    def _note(self, kind: FindingKind, records: Sequence[Any]) -> None:
        for record in records:
            values = (record["subject"], record["expected"], record["found"], record["difference"])
            self.collector.add(kind, *values)
        if records:
            self.collector.count_only(kind, records[0]["total"] - len(records))

    def _result(self) -> VerifiedCampaign:
        found = self.collector.count
        left_out = found - len(self.collector.kept)
        return VerifiedCampaign(self._campaign_id, self._redemptions, found, left_out)
