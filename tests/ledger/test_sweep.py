"""A sweep that meets what cannot be ended: it goes on with the rest, says so, and tries again."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from prometheus_client import REGISTRY

from deploy.local.postgres import EmbeddedPostgres
from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.ledger.sweeps import SWEEP_COMMANDS_MAX
from services.runtime.migrations import migrate_up, migrations_of
from tests.ledger.proving import DAY_S, served, verify
from tests.ledger.requests import Customer, in_days, post
from tests.ledger.test_expiry import until

DATABASE = "ledger_sweep"
STUCK = SWEEP_COMMANDS_MAX + 5


@pytest.fixture
async def administrator(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    """Of a new database."""
    await asyncio.to_thread(postgres.create_database, DATABASE, "ledger")
    await migrate_up(postgres.url(DATABASE, "ledger_owner"), migrations_of("ledger"), "ledger_app")
    connection = await asyncpg.connect(postgres.superuser_url(DATABASE))
    yield connection
    await connection.close()
    await asyncio.to_thread(postgres.drop_database, DATABASE)


def refused_count() -> float:
    name, labels = "quittance_ledger_expiries_refused_total", {"reason": "AMOUNT_OUT_OF_RANGE"}
    return REGISTRY.get_sample_value(name, labels) or 0


async def fill_breakage(administrator: asyncpg.Connection, by_minor: int) -> None:
    """Puts the sum of breakage where it is almost out of range, or back; a book shows by its stamp that it changed."""
    statement = f"UPDATE accounts SET posted_minor = posted_minor + {by_minor} WHERE code = 'breakage'"
    await administrator.execute(f"{statement} AND currency = 'OMR'")
    await administrator.execute("UPDATE books SET stamp = stamp + 1")


async def give_what_expires(ledger: LedgerServiceStub) -> tuple[Customer, Customer]:
    """Many grants of one currency that will be stuck, and behind them grants of another and a transaction's hold."""
    stuck, free = Customer("OMR"), Customer("USD")
    free.owner_id = stuck.owner_id
    await ledger.PostTransactions(post(stuck.transaction(("clearing:card", "breakage", 1))))
    grants = [stuck.grant(100, expire_time=in_days(1 / DAY_S)) for _ in range(STUCK)]
    await ledger.GrantCreditsBatch(ledger_pb2.GrantCreditsBatchRequest(grants=grants))
    for _ in range(3):
        await ledger.GrantCredits(free.grant(7, expire_time=in_days(1.2 / DAY_S)))
    hold = free.transaction(("clearing:card", "till", 9))
    hold.transfers[0].kind = ledger_pb2.TRANSFER_KIND_HOLD
    hold.transfers[0].expire_time.CopyFrom(in_days(1.2 / DAY_S))
    await ledger.PostTransactions(post(hold))
    return stuck, free


async def test_expiries_that_are_refused_do_not_keep_others_from_being_written(
    postgres: EmbeddedPostgres, administrator: asyncpg.Connection
) -> None:
    """More of them than one round takes, all before the others, in the same book; L4."""
    url, room = postgres.url(DATABASE, "ledger_app"), 2**63 - 60
    refused_before = refused_count()
    async with served(url, sweep_interval_s=0) as server:
        stuck, free = await give_what_expires(server.ledger)
        await fill_breakage(administrator, room)
    async with served(url, sweep_interval_s=0.05) as server:

        async def others_are_over() -> bool:
            wallet = await server.ledger.GetWallet(free.wallet())
            till = await server.ledger.GetAccount(free.account("clearing:card"))
            return (wallet.balance_minor, till.account.held_minor) == (0, 0)

        await until(others_are_over)
        assert (await server.ledger.GetWallet(stuck.wallet())).balance_minor == STUCK * 100
        # Each was tried once and is left alone for a while, however often the sweep comes by.
        await asyncio.sleep(0.5)
        assert refused_count() - refused_before == STUCK
        assert REGISTRY.get_sample_value("quittance_ledger_expiries_stuck") == STUCK
    await fill_breakage(administrator, -room)
    async with served(url, sweep_interval_s=0.05) as server:

        async def all_is_over() -> bool:
            return (await server.ledger.GetWallet(stuck.wallet())).balance_minor == 0

        await until(all_is_over)
        assert (await verify(server.proof)).findings == []
