"""Codes in the database: single ones, switches, and what is shown of one of them.

Each write is a transaction of its own. Where it locks both, the batch comes before its campaign; a redemption locks
campaigns only, and reads since when codes are off after that.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.runtime.database import Connection, Pool, in_transaction, snapshot
from services.vouchers.domain.code_batches import BatchState, CodeBatch
from services.vouchers.domain.code_changes import CodeChange, CodeScope, NewChange, check_same_change
from services.vouchers.domain.code_history import VoucherView
from services.vouchers.domain.vouchers import NewVoucher, Voucher, VoucherReference, check_same_voucher, unknown_voucher
from services.vouchers.errors.campaigns import CampaignNotFound
from services.vouchers.errors.codes import CodeBatchCancelled, CodeBatchNotFound, CodeTaken
from services.vouchers.store.campaign_rows import campaign_of
from services.vouchers.store.codes_rows import batch_of, change_of, shown_voucher_of
from services.vouchers.store.load import find_vouchers
from services.vouchers.store.rows import redemption_of
from services.vouchers.store.statements import queries

# Of a voucher's switches, how many are shown.
CHANGES_SHOWN_MAX = 100


class CodesStore:
    """The vouchers' database, as far as it is about codes one by one."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create_voucher(self, voucher: NewVoucher) -> Voucher:
        """The voucher as stored, or as it was stored before.

        Raises CAMPAIGN_NOT_FOUND, CODE_TAKEN, VOUCHER_EXISTS_WITH_DIFFERENT_FIELD.
        """

        async def work(connection: Connection) -> Voucher:
            await lock_campaign(connection, voucher.campaign_id)
            stored = await _show(connection, voucher.voucher_id)
            if stored is not None:
                check_same_voucher(stored[0], voucher)
                return stored[0]
            reference = VoucherReference(voucher.code_normal, None)
            if await find_vouchers(connection, [reference]):
                raise CodeTaken(voucher=reference.shown)
            made = await queries.insert_voucher(
                connection,
                *(voucher.voucher_id, voucher.campaign_id, voucher.code, voucher.code_normal, voucher.uses_max),
                *(voucher.customer_id, voucher.expires_at),
            )
            await queries.count_codes(connection, voucher.campaign_id, 1)
            return shown_voucher_of(made, None)

        return await in_transaction(self._pool, work)

    async def read_voucher(
        self, reference: VoucherReference, below: tuple[datetime, UUID], limit: int, *, with_changes: bool
    ) -> VoucherView:
        """The voucher at one moment, with so many of its redemptions below a place (time and id).

        Raises VOUCHER_NOT_FOUND, CODE_MISTYPED.
        """
        async with snapshot(self._pool) as connection:
            found = await find_vouchers(connection, [reference])
            shown = await _show(connection, found[reference][0]) if reference in found else None
            if shown is None:
                raise unknown_voucher(reference)
            voucher, batch = shown
            campaigns = await queries.load_campaigns(connection, [voucher.campaign_id])
            records = await queries.list_redemptions_of_voucher(connection, voucher.voucher_id, *below, limit)
            changes = await _changes_of(connection, voucher) if with_changes else None
        redemptions = [redemption_of(record) for record in records]
        return VoucherView(voucher, campaign_of(campaigns[0]), batch, redemptions, changes)

    async def change(self, asked: NewChange) -> CodeChange:
        """Switches codes on or off under their campaign's lock, so that no redemption overtakes it.

        Raises VOUCHER_NOT_FOUND, CODE_MISTYPED, CODE_BATCH_NOT_FOUND, CODE_BATCH_CANCELLED, CAMPAIGN_NOT_FOUND,
        CODE_CHANGE_EXISTS_WITH_DIFFERENT_FIELD.
        """

        async def work(connection: Connection) -> CodeChange:
            target_id, campaign_id = await _find_target(connection, asked)
            known = await queries.load_code_change(connection, asked.change_id)
            if known is not None:
                stored = change_of(known)
                check_same_change(stored, asked, target_id)
                return stored
            await _require_not_cancelled(connection, asked)
            now = await lock_campaign(connection, campaign_id)
            await _SWITCHES[asked.scope](connection, target_id, None if asked.is_active else now)
            values = (asked.change_id, asked.scope, target_id, campaign_id, asked.is_active, asked.note, now)
            return change_of(await queries.insert_code_change(connection, *values))

        return await in_transaction(self._pool, work)


_SWITCHES = {
    CodeScope.VOUCHER: queries.switch_voucher,
    CodeScope.BATCH: queries.switch_batch,
    CodeScope.CAMPAIGN: queries.switch_campaign,
}


async def lock_campaign(connection: Connection, campaign_id: UUID) -> datetime:
    """The time under the campaign's lock. Raises CAMPAIGN_NOT_FOUND."""
    for record in await queries.lock_campaigns(connection, [campaign_id]):
        now: datetime = record["now"]
        return now
    raise CampaignNotFound(campaign_id=campaign_id)


async def _find_target(connection: Connection, asked: NewChange) -> tuple[UUID, UUID]:
    """The target's id and its campaign's. A batch is locked."""
    if isinstance(asked.target, VoucherReference):
        found = await find_vouchers(connection, [asked.target])
        if asked.target not in found:
            raise unknown_voucher(asked.target)
        return found[asked.target]
    if asked.scope is CodeScope.CAMPAIGN:
        return asked.target, asked.target
    batch = batch_of(await queries.lock_batch(connection, asked.target))
    if batch is None:
        raise CodeBatchNotFound(batch_id=asked.target)
    return batch.batch_id, batch.campaign_id


async def _require_not_cancelled(connection: Connection, asked: NewChange) -> None:
    """What was cancelled is never switched on again."""
    if not asked.is_active or asked.scope is not CodeScope.BATCH:
        return
    batch = batch_of(await queries.read_batch(connection, asked.target))
    if batch is not None and batch.state is BatchState.CANCELLED:
        raise CodeBatchCancelled(batch_id=batch.batch_id)


async def _show(connection: Connection, voucher_id: UUID) -> tuple[Voucher, CodeBatch | None] | None:
    record = await queries.show_voucher(connection, voucher_id)
    if record is None:
        return None
    batch = batch_of(await queries.read_batch(connection, record["batch_id"])) if record["batch_id"] else None
    return shown_voucher_of(record, batch), batch


async def _changes_of(connection: Connection, voucher: Voucher) -> Sequence[CodeChange]:
    targets = [voucher.voucher_id, voucher.campaign_id, *([voucher.batch_id] if voucher.batch_id else [])]
    records = await queries.list_code_changes(connection, targets, voucher.created_at, CHANGES_SHOWN_MAX)
    return [change_of(record) for record in records]
