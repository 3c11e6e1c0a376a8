"""Writes what a group of commands changed: arrays, one statement per table, only for tables that changed."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from services.runtime.database import Connection
from services.vouchers.domain.campaigns import Campaign
from services.vouchers.domain.redemptions import Redemption
from services.vouchers.domain.state import State
from services.vouchers.domain.vouchers import Voucher
from services.vouchers.store.codes_guessing import write_misses
from services.vouchers.store.rows import moved_columns, redemption_columns
from services.vouchers.store.statements import columns, queries


async def write(connection: Connection, state: State, now: datetime) -> None:
    """New redemptions, changes of those that were there, and the counters that follow from both."""
    changes = state.changes
    await _write_made(connection, changes.redemptions_made.values())
    await _write_moved(connection, changes.redemptions_moved.values())
    await _write_voucher_uses(connection, changes.vouchers, state.vouchers)
    await _write_campaigns(connection, changes.campaigns, state.campaigns, now)
    await write_misses(connection, state.guesses)


async def _write_made(connection: Connection, redemptions: Iterable[Redemption]) -> None:
    rows = [redemption_columns(redemption) for redemption in redemptions]
    if rows:
        await queries.insert_redemptions(connection, *columns(rows))


async def _write_moved(connection: Connection, redemptions: Iterable[Redemption]) -> None:
    rows = [moved_columns(redemption) for redemption in redemptions]
    if rows:
        await queries.move_redemptions(connection, *columns(rows))


async def _write_voucher_uses(connection: Connection, ids: Iterable[UUID], vouchers: Mapping[UUID, Voucher]) -> None:
    rows = [(voucher_id, vouchers[voucher_id].uses) for voucher_id in ids]
    if rows:
        await queries.update_voucher_uses(connection, *columns(rows))


async def _write_campaigns(
    connection: Connection, ids: Iterable[UUID], campaigns: Mapping[UUID, Campaign], now: datetime
) -> None:
    rows = [(campaign_id, *campaigns[campaign_id].usage) for campaign_id in ids]
    if rows:
        await queries.update_campaigns(connection, *columns(rows), now)
