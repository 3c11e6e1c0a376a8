"""What has been in the ledger for long costs nothing: spent grants, and transactions of a busy account."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from deploy.local.postgres import EmbeddedPostgres
from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.runtime.migrations import migrate_up, migrations_of
from tests.ledger.proving import served
from tests.ledger.requests import Customer, in_days, post

DATABASE = "ledger_flat_costs"
BATCH = 1000
# Grants spent by one hold, so at one moment: a page that ends among them looks at all of these.
PER_HOLD = 25
# What reads and writes may look at more: some rows for each of those.
ROWS_MORE_MAX = 10 * PER_HOLD
Deed = Callable[[LedgerServiceStub, Customer], Awaitable[object]]


@pytest.fixture(scope="module")
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    await asyncio.to_thread(postgres.create_database, DATABASE, "ledger")
    await migrate_up(postgres.url(DATABASE, "ledger_owner"), migrations_of("ledger"), "ledger_app")
    yield DATABASE
    await asyncio.to_thread(postgres.drop_database, DATABASE)


@pytest.fixture(scope="module")
async def wallets(postgres: EmbeddedPostgres, database: str) -> tuple[Customer, Customer]:
    """One of ten spent grants and one of ten thousand; both with three more that are not."""
    short, long = Customer(), Customer()
    async with served(postgres.url(database, "ledger_app"), sweep_interval_s=0) as server:
        await spend(server.ledger, short, 10)
        for _ in range(10):
            await spend(server.ledger, long, BATCH)
        for customer in (short, long):
            for _ in range(3):
                await server.ledger.GrantCredits(customer.grant(100))
    owner = await asyncpg.connect(postgres.url(database, "ledger_owner"))
    await owner.execute("VACUUM ANALYZE")
    await owner.close()
    return short, long


async def spend(ledger: LedgerServiceStub, customer: Customer, count: int) -> None:
    """Gives so many grants and spends them, some by each hold."""
    grants = [customer.grant(1, expire_time=in_days(30)) for _ in range(count)]
    await ledger.GrantCreditsBatch(ledger_pb2.GrantCreditsBatchRequest(grants=grants))
    for amount_minor in [PER_HOLD] * (count // PER_HOLD) or [count]:
        hold = customer.hold(amount_minor)
        assert (await ledger.HoldCredits(hold)).hold.held_minor == amount_minor
        await ledger.CaptureHold(customer.capture(hold.hold_id, amount_minor))


async def rows_looked_at(url: str, owner_url: str, customer: Customer, deed: Deed) -> int:
    """By one server that does nothing else; what its connections did is counted for sure when they are closed."""

    async def count() -> int:
        connection = await asyncpg.connect(owner_url)
        looked_at = await connection.fetchval(
            "SELECT sum(t.seq_tup_read + coalesce(t.idx_tup_fetch, 0))"
            " + (SELECT sum(i.idx_tup_read) FROM pg_stat_user_indexes AS i) FROM pg_stat_user_tables AS t"
        )
        await connection.close()
        return int(looked_at)

    async def stable_count() -> int:
        last, now = -1, await count()
        while now != last:
            await asyncio.sleep(0.2)
            last, now = now, await count()
        return now

    before = await stable_count()
    async with served(url, sweep_interval_s=0) as server:
        await deed(server.ledger, customer)
    return await stable_count() - before


async def read_wallet(ledger: LedgerServiceStub, customer: Customer) -> None:
    wallet = await ledger.GetWallet(customer.wallet())
    assert (len(wallet.grants), wallet.balance_minor) == (3, 300)


async def list_transfers(ledger: LedgerServiceStub, customer: Customer) -> None:
    response = await ledger.ListTransfers(customer.transfers(page_size=20))
    assert (len(response.transfers), response.transfers[0].amount_minor) == (20, 100)
    assert bool(response.next_page_token)


async def hold_and_release(ledger: LedgerServiceStub, customer: Customer) -> None:
    hold = customer.hold(250)
    assert (await ledger.HoldCredits(hold)).hold.held_minor == 250
    await ledger.ReleaseHold(customer.release(hold.hold_id))


@pytest.mark.parametrize("deed", [read_wallet, list_transfers, hold_and_release])
async def test_wallet_with_ten_thousand_spent_grants_costs_what_a_short_one_costs(
    postgres: EmbeddedPostgres, database: str, wallets: tuple[Customer, Customer], deed: Deed
) -> None:
    urls = postgres.url(database, "ledger_app"), postgres.url(database, "ledger_owner")
    short, long = [await rows_looked_at(*urls, customer, deed) for customer in wallets]
    assert 0 < long <= short + ROWS_MORE_MAX, (short, long)


async def test_transfers_of_a_long_wallet_page_by_page_are_complete(
    postgres: EmbeddedPostgres, database: str, wallets: tuple[Customer, Customer]
) -> None:
    """Each transfer once, newest first, whatever the pages leave out of what they look at."""
    _, long = wallets
    async with served(postgres.url(database, "ledger_app"), sweep_interval_s=0) as server:
        listed, token = [], ""
        while True:
            page = await server.ledger.ListTransfers(long.transfers(page_size=997, page_token=token))
            listed += [each.sequence for each in page.transfers]
            token = page.next_page_token
            if not token:
                break
    owner = await asyncpg.connect(postgres.url(database, "ledger_owner"))
    rows = await owner.fetch(
        "SELECT t.seq FROM transfers AS t JOIN grants AS g ON g.book_id = t.book_id"
        " AND g.account_id IN (t.debit_account_id, t.credit_account_id) WHERE g.owner_id = $1 ORDER BY t.seq DESC",
        long.owner_id,
    )
    await owner.close()
    assert len(rows) > 30_000
    assert listed == [row["seq"] for row in rows]


async def list_transactions(ledger: LedgerServiceStub, customer: Customer) -> None:
    request = ledger_pb2.ListTransactionsRequest(
        owner_id=customer.owner_id, currency=customer.currency, account=f"shop:{customer.owner_id}", page_size=5
    )
    transactions = (await ledger.ListTransactions(request)).transactions
    assert [each.transfer_count for each in transactions] == [1, 1, 1, 500, 1]


async def test_transactions_of_a_busy_account_cost_what_those_of_a_quiet_one_cost(
    postgres: EmbeddedPostgres, database: str
) -> None:
    """However many the account has, and however many transfers one of them made."""
    quiet, busy = Customer(), Customer()
    urls = postgres.url(database, "ledger_app"), postgres.url(database, "ledger_owner")
    async with served(urls[0], sweep_interval_s=0) as server:
        for customer, count in ((quiet, 10), (busy, 5000)):
            movement = ("clearing:card", f"shop:{customer.owner_id}", 1)
            many = [customer.transaction(movement) for _ in range(count)]
            newest = [customer.transaction(*[movement] * transfers) for transfers in (500, 1, 1, 1)]
            await server.ledger.PostTransactions(post(*many, *newest))
    owner = await asyncpg.connect(urls[1])
    await owner.execute("VACUUM ANALYZE")
    await owner.close()
    few, more = [await rows_looked_at(*urls, customer, list_transactions) for customer in (quiet, busy)]
    assert 0 < more <= few + ROWS_MORE_MAX, (few, more)
