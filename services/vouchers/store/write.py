"""Writes what a group of commands changed: arrays, as few statements as there can be."""

from collections.abc import Iterable
from datetime import datetime

from services.runtime.database import Connection
from services.vouchers.domain.campaigns import Usage
from services.vouchers.domain.redemptions import Redemption
from services.vouchers.domain.state import State
from services.vouchers.store.codes_guessing import write_misses
from services.vouchers.store.rows import REDEMPTION_WIDTH, moved_columns, redemption_columns
from services.vouchers.store.statements import columns, columns_or_none, queries


async def write(connection: Connection, state: State, now: datetime) -> None:
    """New redemptions, changes of those that were there, and the counters that follow from both."""
    await _write_moved(connection, state.changes.redemptions_moved.values())
    await _write_changes(connection, state, now)
    await write_misses(connection, state.guesses)


async def _write_changes(connection: Connection, state: State, now: datetime) -> None:
    changes = state.changes
    made = [redemption_columns(redemption) for redemption in changes.redemptions_made.values()]
    used = [(voucher_id, state.vouchers[voucher_id].uses) for voucher_id in changes.vouchers]
    counted = [(campaign_id, *state.campaigns[campaign_id].usage) for campaign_id in changes.campaigns]
    if made or counted:
        arrays = (
            *columns_or_none(made, REDEMPTION_WIDTH),
            *columns_or_none(used, 2),
            *columns_or_none(counted, 1 + len(Usage._fields)),
        )
        await queries.write_changes(connection, *arrays, now)


async def _write_moved(connection: Connection, redemptions: Iterable[Redemption]) -> None:
    rows = [moved_columns(redemption) for redemption in redemptions]
    if rows:
        await queries.move_redemptions(connection, *columns(rows))
