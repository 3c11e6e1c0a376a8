"""Reads what a group of commands needs to see, under the locks of its campaigns."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from services.runtime.database import Connection, Record
from services.vouchers.domain.code_guessing import GuessLimit
from services.vouchers.domain.commands import AnyCommand
from services.vouchers.domain.kinds import RedemptionState
from services.vouchers.domain.needs import customers_needed, guessers_needed, redemptions_needed, vouchers_needed
from services.vouchers.domain.state import CustomerKey, CustomerUses, State
from services.vouchers.domain.vouchers import VoucherReference
from services.vouchers.store.campaign_rows import campaign_of
from services.vouchers.store.codes_guessing import load_guesses, lock_guessers
from services.vouchers.store.rows import redemption_of, voucher_of
from services.vouchers.store.statements import columns, queries

# Voucher and campaign of each reference that leads somewhere.
FoundVouchers = dict[VoucherReference, tuple[UUID, UUID]]


async def load(
    connection: Connection, commands: Sequence[AnyCommand], guess_limit: GuessLimit
) -> tuple[State, datetime]:
    """Locks the commands' campaigns, then reads by later statements, which see all that committed during the wait.

    The state, and the group's time.
    """
    found = await find_vouchers(connection, vouchers_needed(commands))
    campaigns = await _lock_campaigns(connection, found)
    # Never before the last time of a campaign in the group.
    now = max([record["now"] for record in campaigns]) if campaigns else await read_clock(connection)
    offering, missing = guessers_needed(commands, found)
    await lock_guessers(connection, guess_limit, missing)
    wanted = customers_needed(commands, {reference: campaign_id for reference, (_, campaign_id) in found.items()})
    state = await load_rules(connection, found, campaigns, wanted, now)
    redemptions = await queries.load_redemptions(connection, list(redemptions_needed(commands)))
    state.guesses = await load_guesses(connection, guess_limit, offering, now)
    state.redemptions = {record["redemption_id"]: redemption_of(record) for record in redemptions}
    return state, now


async def find_vouchers(connection: Connection, references: Iterable[VoucherReference]) -> FoundVouchers:
    """Where the references lead. Never changes for a voucher, so that no lock is needed."""
    codes = [reference.code_normal for reference in references if reference.code_normal is not None]
    ids = [reference.voucher_id for reference in references if reference.voucher_id is not None]
    records = await queries.find_vouchers(connection, codes, ids)
    return {_reference_of(record): (record["voucher_id"], record["campaign_id"]) for record in records}


async def read_clock(connection: Connection) -> datetime:
    """The database's time."""
    record = await queries.read_clock(connection)
    now: datetime = record["now"]
    return now


async def load_campaigns(connection: Connection, found: FoundVouchers) -> Sequence[Record]:
    """The vouchers' campaigns, not locked."""
    if not found:
        return []
    records: list[Record] = await queries.load_campaigns(connection, _campaign_ids(found))
    return records


async def load_rules(
    connection: Connection,
    found: FoundVouchers,
    campaigns: Iterable[Record],
    customers: Collection[CustomerKey],
    now: datetime,
) -> State:
    """Vouchers, campaigns and customers' uses: all that an assessment looks at."""
    if not found:
        return State()
    voucher_ids = {reference: voucher_id for reference, (voucher_id, _) in found.items()}
    vouchers = await queries.load_vouchers(connection, list(set(voucher_ids.values())))
    return State(
        voucher_ids=voucher_ids,
        vouchers={record["voucher_id"]: voucher_of(record) for record in vouchers},
        campaigns={record["campaign_id"]: campaign_of(record) for record in campaigns},
        customer_uses=await _load_customer_uses(connection, customers, now) if customers else {},
    )


async def _lock_campaigns(connection: Connection, found: FoundVouchers) -> Sequence[Record]:
    """The vouchers' campaigns as they are once all are locked."""
    if not found:
        return []
    records: list[Record] = await queries.lock_campaigns(connection, _campaign_ids(found))
    return records


def _campaign_ids(found: FoundVouchers) -> list[UUID]:
    return sorted({campaign_id for _, campaign_id in found.values()})


async def _load_customer_uses(
    connection: Connection, customers: Iterable[CustomerKey], now: datetime
) -> dict[CustomerKey, CustomerUses]:
    loaded: dict[CustomerKey, CustomerUses] = {}
    for record in await queries.load_customer_uses(connection, *columns(customers), now):
        uses = loaded.setdefault((record["campaign_id"], record["customer_id"]), CustomerUses())
        uses.by_voucher[record["voucher_id"], RedemptionState(record["state"])] = record["uses"]
        for moment in record["moments"] or ():
            uses.moments[moment] = uses.moments.get(moment, 0) + 1
    return loaded


def _reference_of(record: Record) -> VoucherReference:
    if record["by_code"]:
        return VoucherReference(record["code_normal"], None)
    return VoucherReference(None, record["voucher_id"])
