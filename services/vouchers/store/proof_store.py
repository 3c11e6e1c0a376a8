"""What proving the vouchers asks of their database: verifications and what they found."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from uuid import UUID

from services.runtime.database import Connection, Pool, Record, in_transaction, reading, snapshot
from services.vouchers.domain.findings import Finding, FindingKind, StoredFinding, VerifiedCampaign
from services.vouchers.domain.paging import Place
from services.vouchers.errors.campaigns import CampaignNotFound
from services.vouchers.store.statements import columns, queries
from services.vouchers.store.verifying import CampaignVerification, Event

# What stands for "no campaign" where a campaign's id would.
_NO_CAMPAIGN = UUID(int=0)


class ProofStore:
    """Its pool is one of its own, patient with long statements: what proves must not slow down what serves."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def campaigns(self, wanted: Sequence[UUID] = ()) -> dict[UUID | None, int]:
        """The wanted campaigns, or all and what belongs to none: about how many redemptions each has.

        Raises CAMPAIGN_NOT_FOUND.
        """
        async with reading(self._pool) as connection:
            records = await queries.list_units(connection, wanted)
        known: dict[UUID | None, int] = {record["campaign_id"]: record["redemptions"] for record in records}
        for campaign_id in wanted:
            if campaign_id not in known:
                raise CampaignNotFound(campaign_id=campaign_id)
        return known if wanted else known | {None: 0}

    async def verify(self, campaign_id: UUID | None) -> AsyncGenerator[Event, None]:
        """Verifies one campaign in one snapshot and stores what was found, once it has been seen to its end."""
        async with snapshot(self._pool) as connection:
            verification = CampaignVerification(connection, campaign_id)
            async with aclosing(verification.run()) as events:
                async for event in events:
                    if isinstance(event, VerifiedCampaign):
                        result = event
                    else:
                        yield event
        await self._store(result, verification.collector.kept)
        yield result

    async def verify_due(
        self, campaign_id: UUID | None, interval: timedelta
    ) -> tuple[VerifiedCampaign, list[Finding]] | None:
        """Verifies a campaign unless another process does or has within the interval; the findings are the new ones."""
        async with snapshot(self._pool) as connection:
            turn = await queries.lock_verification(connection, campaign_id or _NO_CAMPAIGN, interval)
            if turn["is_done"] or not turn["is_locked"]:
                return None
            verification = CampaignVerification(connection, campaign_id)
            async with aclosing(verification.run()) as events:
                async for event in events:
                    if isinstance(event, VerifiedCampaign):
                        result = event
            # Before the lock goes: the next one to have it sees that the campaign has been verified.
            return result, await self._store(result, verification.collector.kept)

    async def due(self, interval: timedelta) -> list[UUID | None]:
        """Campaigns that nobody has verified within the interval; None for what belongs to none."""
        async with reading(self._pool) as connection:
            records = await queries.list_due_units(connection, interval, _NO_CAMPAIGN)
        return [_campaign_id(record) for record in records]

    async def list_findings(self, below: Place, only_open: bool, count_max: int) -> list[StoredFinding]:
        """Newest first seen first, those below this place in the list."""
        async with reading(self._pool) as connection:
            records = await queries.list_findings(connection, below.moment, below.item_id.bytes, only_open, count_max)
        return [_stored_finding(record) for record in records]

    async def _store(self, result: VerifiedCampaign, findings: Sequence[Finding]) -> list[Finding]:
        """Stores the findings once, and that the campaign was verified; those that nobody had found before."""
        unit = result.campaign_id or _NO_CAMPAIGN

        async def work(connection: Connection) -> list[Finding]:
            record = await queries.upsert_verification(connection, unit, result.redemptions, result.findings)
            if not findings:
                return []
            by_digest = {finding.digest: finding for finding in findings}
            rows = [_finding_row(unit, digest, finding) for digest, finding in by_digest.items()]
            stored = await queries.upsert_findings(connection, *columns(rows), record["verified_at"])
            return [by_digest[row["digest"]] for row in stored if row["is_new"]]

        return await in_transaction(self._pool, work)


def _finding_row(unit: UUID, digest: bytes, finding: Finding) -> tuple[object, ...]:
    return unit, digest, finding.kind, finding.subject, finding.expected, finding.found


def _campaign_id(record: Record) -> UUID | None:
    unit: UUID = record["unit"]
    return None if unit == _NO_CAMPAIGN else unit


def _stored_finding(record: Record) -> StoredFinding:
    kind = FindingKind(record["kind"])
    finding = Finding(kind, _campaign_id(record), record["subject"], record["expected"], record["found"])
    return StoredFinding(finding, record["digest"], record["first_seen_at"], record["last_seen_at"])
