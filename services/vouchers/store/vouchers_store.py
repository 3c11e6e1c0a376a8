"""What the vouchers ask of their database: groups of commands committed, campaigns and codes made, reads."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from services.runtime.database import Connection, Pool, in_transaction, reading
from services.runtime.errors import ServiceError
from services.vouchers.domain.assessments import assess_stack
from services.vouchers.domain.campaigns import Campaign, NewCampaign, check_same_campaign
from services.vouchers.domain.commands import AnyCommand, AnyResult, Basket
from services.vouchers.domain.decide import decide
from services.vouchers.domain.results import AssessedVoucher, VoucherView
from services.vouchers.domain.vouchers import NewVoucher, Voucher, VoucherReference, check_same_voucher
from services.vouchers.errors import CampaignNotFound, CodeTaken, VoucherNotFound
from services.vouchers.store.load import find_vouchers, load, load_rules, read_clock
from services.vouchers.store.rows import campaign_columns, campaign_of, redemption_of, voucher_of
from services.vouchers.store.statements import queries
from services.vouchers.store.write import write

REDEMPTIONS_LISTED_MAX = 100


class VouchersStore:
    """The vouchers' database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def check(self) -> None:
        """Raises what the database says when it is not there or its tables are not."""
        async with reading(self._pool) as connection:
            await queries.check_tables(connection)

    async def commit_group(
        self, connection: Connection, commands: Sequence[AnyCommand]
    ) -> Sequence[AnyResult | ServiceError]:
        """Locks the campaigns, loads, decides, writes."""
        state, now = await load(connection, commands)
        outcomes = decide(commands, state, now)
        await write(connection, state, now)
        return outcomes

    def error_for_constraint(self, constraint: str, command: AnyCommand) -> ServiceError | None:
        """None: `decide` refuses by name all that the constraints forbid, so that a violation is a bug."""

    async def create_campaign(self, campaign: NewCampaign) -> Campaign:
        """The campaign as stored, or as it was stored before. Raises CAMPAIGN_EXISTS_WITH_DIFFERENT_FIELD."""

        async def work(connection: Connection) -> Campaign:
            for record in await queries.load_campaigns(connection, [campaign.campaign_id]):
                stored = campaign_of(record)
                check_same_campaign(stored, campaign)
                return stored
            return campaign_of(await queries.insert_campaign(connection, *campaign_columns(campaign)))

        return await in_transaction(self._pool, work)

    async def create_voucher(self, voucher: NewVoucher) -> Voucher:
        """The voucher as stored, or as it was stored before.

        Raises CAMPAIGN_NOT_FOUND, CODE_TAKEN, VOUCHER_EXISTS_WITH_DIFFERENT_FIELD.
        """

        async def work(connection: Connection) -> Voucher:
            if not await queries.lock_campaigns(connection, [voucher.campaign_id]):
                raise CampaignNotFound(campaign_id=voucher.campaign_id)
            for record in await queries.load_vouchers(connection, [voucher.voucher_id]):
                stored = voucher_of(record)
                check_same_voucher(stored, voucher)
                return stored
            reference = VoucherReference(voucher.code_normal, None)
            if await find_vouchers(connection, [reference]):
                raise CodeTaken(voucher=reference.shown)
            values = (voucher.voucher_id, voucher.campaign_id, voucher.code, voucher.code_normal, voucher.uses_max)
            return voucher_of(await queries.insert_voucher(connection, *values))

        return await in_transaction(self._pool, work)

    async def read_voucher(self, reference: VoucherReference) -> VoucherView:
        """The voucher at one moment. Raises VOUCHER_NOT_FOUND."""
        async with reading(self._pool) as connection, _one_moment(connection):
            state = await load_rules(connection, await find_vouchers(connection, [reference]), ())
            voucher = state.find_voucher(reference)
            if voucher is None:
                raise VoucherNotFound(voucher=reference.shown)
            records = await queries.list_redemptions(connection, voucher.voucher_id, REDEMPTIONS_LISTED_MAX)
        return VoucherView(voucher, state.campaigns[voucher.campaign_id], [redemption_of(record) for record in records])

    async def assess(self, references: Sequence[VoucherReference], basket: Basket) -> list[AssessedVoucher]:
        """What the vouchers would do for the basket, at one moment; no lock, so it may turn out otherwise."""
        async with reading(self._pool) as connection, _one_moment(connection):
            found = await find_vouchers(connection, references)
            now = await read_clock(connection)
            customers = {(campaign_id, basket.customer_id) for _, campaign_id in found.values()}
            state = await load_rules(connection, found, customers)
        assessments = assess_stack(references, basket, state, now)
        return [
            AssessedVoucher(reference, state.find_voucher(reference), assessment)
            for reference, assessment in zip(references, assessments, strict=True)
        ]


def _one_moment(connection: Connection) -> AbstractAsyncContextManager[object]:
    """A snapshot that all statements of a read share."""
    return connection.transaction(isolation="repeatable_read", readonly=True)
