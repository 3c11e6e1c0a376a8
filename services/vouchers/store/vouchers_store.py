"""What redemptions ask of the database: groups of commands committed, assessments, reads."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.runtime.database import Connection, Pool, reading, snapshot
from services.runtime.errors import ServiceError
from services.vouchers.domain.assessments import assess_stack
from services.vouchers.domain.code_guessing import GuessLimit, is_guess
from services.vouchers.domain.commands import AnyCommand, AnyResult, Basket, ExpireRedemptions, RedemptionReference
from services.vouchers.domain.decide import decide
from services.vouchers.domain.paging import Place
from services.vouchers.domain.qualify import qualified_campaigns
from services.vouchers.domain.redemptions import Redemption
from services.vouchers.domain.results import AssessedVoucher, QualifiedCampaign, RedemptionsOf
from services.vouchers.domain.state import Qualify, State
from services.vouchers.domain.vouchers import VoucherReference
from services.vouchers.errors.redemptions import RedemptionNotFound
from services.vouchers.store.codes_guessing import Turns, count_misses, load_guesses
from services.vouchers.store.load import FoundVouchers, find_vouchers, load, load_campaigns, load_rules, read_clock
from services.vouchers.store.rows import redemption_of
from services.vouchers.store.statements import queries
from services.vouchers.store.write import write

# Of vouchers that are assigned to a customer, and of listed campaigns, how many are looked at.
_QUALIFYING_MAX = 200
_LISTS = {
    RedemptionsOf.CUSTOMER: "list_redemptions_of_customer",
    RedemptionsOf.VOUCHER: "list_redemptions_of_voucher",
    RedemptionsOf.CAMPAIGN: "list_redemptions_of_campaign",
}


class VouchersStore:
    """The vouchers' database.

    qualify: evaluates campaigns' qualifications. guess_limit: of codes that customers try out.
    """

    def __init__(self, pool: Pool, qualify: Qualify, guess_limit: GuessLimit) -> None:
        self._pool = pool
        self._qualify = qualify
        self._guess_limit = guess_limit
        self._turns = Turns()

    async def check(self) -> None:
        """Raises what the database says when it is not there or its tables are not."""
        async with reading(self._pool) as connection:
            await queries.check_tables(connection)

    async def commit_group(
        self, connection: Connection, commands: Sequence[AnyCommand]
    ) -> Sequence[AnyResult | ServiceError]:
        """Locks the campaigns, loads, decides, writes."""
        state, now = await load(connection, commands, self._guess_limit)
        state.qualify = self._qualify
        outcomes = decide(commands, state, now)
        await write(connection, state, now)
        return outcomes

    def error_for_constraint(self, constraint: str, command: AnyCommand) -> ServiceError | None:
        """None: `decide` refuses by name all that the constraints forbid, so that a violation is a bug."""

    async def assess(self, references: Sequence[VoucherReference], basket: Basket) -> list[AssessedVoucher]:
        """What the vouchers would do for the basket, at one moment; no lock, so it may turn out otherwise.

        Raises TOO_MANY_ATTEMPTS. Codes of one customer are looked at one request after the other, so that many at once
        are no way around the limit.
        """
        if not any(is_guess(reference) for reference in references):
            return await self._assess(references, basket)
        async with self._turns.of(basket.customer_id):
            return await self._assess(references, basket)

    async def _assess(self, references: Sequence[VoucherReference], basket: Basket) -> list[AssessedVoucher]:
        customer_id = basket.customer_id
        async with snapshot(self._pool) as connection:
            found = await find_vouchers(connection, references)
            state, now = await self._rules_for(connection, found, basket)
            guessers = [customer_id] if any(is_guess(reference) for reference in references) else []
            state.guesses = await load_guesses(connection, self._guess_limit, guessers, now)
        state.guesses.check(customer_id, references, now)
        if any(is_guess(reference) and reference not in found for reference in references):
            await count_misses(self._pool, self._guess_limit, customer_id, references, found, now)
        assessments = dict(assess_stack(references, basket, state, now))
        return [
            AssessedVoucher(reference, state.find_voucher(reference), assessments[place])
            for place, reference in enumerate(references)
        ]

    async def qualify_campaigns(self, basket: Basket) -> list[QualifiedCampaign]:
        """What the basket could use without a code being typed, the highest value first; as `assess`."""
        async with snapshot(self._pool) as connection:
            records = await queries.find_usable_vouchers(connection, basket.customer_id, _QUALIFYING_MAX)
            found = {
                VoucherReference(None, record["voucher_id"]): (record["voucher_id"], record["campaign_id"])
                for record in records
            }
            state, now = await self._rules_for(connection, found, basket)
        return qualified_campaigns(basket, state, now)

    async def read_redemption(self, redemption_id: UUID) -> Redemption:
        """The redemption as it stands. Raises REDEMPTION_NOT_FOUND, also for a tombstone."""
        async with reading(self._pool) as connection:
            record = await queries.find_redemption(connection, redemption_id)
        if record is None:
            raise RedemptionNotFound(redemption_id=redemption_id)
        return redemption_of(record)

    async def list_redemptions(self, of: RedemptionsOf, owner_id: UUID, below: Place, limit: int) -> list[Redemption]:
        """The newest below a place, of a customer, a voucher or a campaign."""
        async with reading(self._pool) as connection:
            records = await getattr(queries, _LISTS[of])(connection, owner_id, *below, limit)
        return [redemption_of(record) for record in records]

    async def find_due(self, limit: int) -> list[ExpireRedemptions]:
        """Reservations past their expiry, one command each, the oldest first."""
        async with reading(self._pool) as connection:
            records = await queries.list_due_redemptions(connection, limit)
        return [
            ExpireRedemptions(
                redemptions=(
                    RedemptionReference(record["redemption_id"], VoucherReference(None, record["voucher_id"])),
                )
            )
            for record in records
        ]

    async def _rules_for(self, connection: Connection, found: FoundVouchers, basket: Basket) -> tuple[State, datetime]:
        now = await read_clock(connection)
        customers = {(campaign_id, basket.customer_id) for _, campaign_id in found.values()}
        campaigns = await load_campaigns(connection, found)
        state = await load_rules(connection, found, campaigns, customers, now)
        state.qualify = self._qualify
        return state, now
