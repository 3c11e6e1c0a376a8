"""Campaigns in the database: made, changed under their lock with a revision each, listed, reported.

Each write is a transaction of its own. Redemptions of the campaign wait for it, and it for them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from services.runtime.database import Connection, Pool, Record, in_transaction, reading, snapshot
from services.vouchers.domain.campaign_life import (
    CampaignChange,
    CampaignEdit,
    CampaignRevision,
    CustomersUse,
    changed,
    check_same_creation,
    edited,
    limits_of_customers_fall,
)
from services.vouchers.domain.campaigns import Campaign, CampaignRules, NewCampaign
from services.vouchers.domain.kinds import CampaignState
from services.vouchers.domain.paging import Place
from services.vouchers.domain.reports import CODES_REPORTED_MAX, CampaignReport, ReportedCode
from services.vouchers.errors.campaigns import CampaignNotFound
from services.vouchers.store.campaign_rows import campaign_columns, campaign_of, rules_columns
from services.vouchers.store.load import read_clock
from services.vouchers.store.statements import queries

_REVISION_MAX = 2**31 - 1


class CampaignsStore:
    """The vouchers' database, as far as it is about campaigns."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(self, campaign: NewCampaign) -> Campaign:
        """The new campaign, or the one that this request made before, as it stands now.

        Raises CAMPAIGN_EXISTS_WITH_DIFFERENT_FIELD.
        """

        async def work(connection: Connection) -> Campaign:
            first = await queries.load_revision(connection, campaign.campaign_id, 1)
            if first is not None:
                check_same_creation(campaign_of(first), campaign)
                return await _load(connection, campaign.campaign_id)
            made = campaign_of(await queries.insert_campaign(connection, *campaign_columns(campaign)))
            await queries.insert_revision(connection, made.campaign_id, CampaignChange.CREATED, "")
            return made

        return await in_transaction(self._pool, work)

    async def change(self, campaign_id: UUID, change: CampaignChange, note: str) -> Campaign:
        """The campaign started, paused or ended, or as it was when it was so already.

        Raises CAMPAIGN_NOT_FOUND, CAMPAIGN_IS_FINAL, CAMPAIGN_IS_DRAFT.
        """

        async def work(connection: Connection) -> Campaign:
            now = await _lock(connection, campaign_id)
            before = await _load(connection, campaign_id)
            return await _write(connection, before, changed(before, change, now), change, note, now)

        return await in_transaction(self._pool, work)

    async def edit(self, edit: CampaignEdit) -> Campaign:
        """The campaign with its new rules, or as it stands now when this very edit was made before.

        Raises CAMPAIGN_NOT_FOUND, CAMPAIGN_CHANGED_MEANWHILE, CAMPAIGN_IS_FINAL, LIMIT_BELOW_USE, FIELD_IS_FIXED.
        """

        async def work(connection: Connection) -> Campaign:
            now = await _lock(connection, edit.campaign_id)
            before = await _load(connection, edit.campaign_id)
            made = await queries.load_revision(connection, edit.campaign_id, edit.expected_revision + 1)
            if edit.is_done_by(made and _revision_of(made)):
                return before
            used = await _customers_use(connection, before, edit.rules)
            after = edited(before, edit, used)
            return await _write(connection, before, after, CampaignChange.UPDATED, edit.note, now)

        return await in_transaction(self._pool, work)

    async def read(self, campaign_id: UUID) -> Campaign:
        """The campaign. Raises CAMPAIGN_NOT_FOUND."""
        async with reading(self._pool) as connection:
            return await _load(connection, campaign_id)

    async def list_campaigns(self, states: Sequence[CampaignState], below: Place, count_max: int) -> list[Campaign]:
        """Those in one of the states, or all when none is named; newest first, from below a place on."""
        async with reading(self._pool) as connection:
            records = await queries.list_campaigns(connection, states, *below, count_max)
        return [campaign_of(record) for record in records]

    async def list_revisions(self, campaign_id: UUID, below: int, count_max: int) -> list[CampaignRevision]:
        """The campaign's revisions below one, newest first. Raises CAMPAIGN_NOT_FOUND."""
        async with snapshot(self._pool) as connection:
            await _load(connection, campaign_id)
            records = await queries.list_revisions(connection, campaign_id, min(below, _REVISION_MAX), count_max)
        return [_revision_of(record) for record in records]

    async def report(self, campaign_id: UUID, *, with_codes: bool) -> CampaignReport:
        """The campaign and its codes at one moment. Raises CAMPAIGN_NOT_FOUND."""
        async with snapshot(self._pool) as connection:
            campaign = await _load(connection, campaign_id)
            is_wanted = with_codes and campaign.codes <= CODES_REPORTED_MAX
            records = await queries.list_few_codes(connection, campaign_id) if is_wanted else []
            now = await read_clock(connection)
        return CampaignReport(campaign, [_reported_code(record) for record in records], now)


async def _lock(connection: Connection, campaign_id: UUID) -> datetime:
    """The campaign's time, which its lock now keeps. Raises CAMPAIGN_NOT_FOUND."""
    for record in await queries.lock_campaigns(connection, [campaign_id]):
        now: datetime = record["now"]
        return now
    raise CampaignNotFound(campaign_id=campaign_id)


async def _load(connection: Connection, campaign_id: UUID) -> Campaign:
    for record in await queries.load_campaigns(connection, [campaign_id]):
        return campaign_of(record)
    raise CampaignNotFound(campaign_id=campaign_id)


async def _write(
    connection: Connection, before: Campaign, after: Campaign, change: CampaignChange, note: str, now: datetime
) -> Campaign:
    """Stores the campaign and its revision, unless nothing has changed."""
    if after is before:
        return before
    values = (after.campaign_id, after.state, after.revision, after.ended_at, now, *rules_columns(after.rules))
    stored = campaign_of(await queries.edit_campaign(connection, *values))
    await queries.insert_revision(connection, after.campaign_id, change, note)
    return stored


async def _customers_use(connection: Connection, campaign: Campaign, rules: CampaignRules) -> CustomersUse:
    """Counted only when a limit falls that it has to be compared with."""
    if not limits_of_customers_fall(campaign.rules, rules):
        return CustomersUse()
    record = await queries.most_used(connection, campaign.campaign_id, timedelta(days=rules.period_days or 0))
    return CustomersUse(record["in_all"], record["in_a_period"])


def _revision_of(record: Record) -> CampaignRevision:
    change = CampaignChange(record["change"])
    return CampaignRevision(change, record["note"], record["changed_at"], campaign_of(record))


def _reported_code(record: Record) -> ReportedCode:
    return ReportedCode(record["voucher_id"], record["code"], record["uses"], record["uses_max"])
