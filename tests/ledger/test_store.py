"""The store: what `decide` decided is what PostgreSQL holds and gives back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings

from deploy.local.postgres import EmbeddedPostgres
from services.ledger.domain.books import book_of
from services.ledger.domain.commands import AnyCommand
from services.ledger.domain.decide import decide
from services.ledger.domain.records import Book
from services.ledger.domain.state import Changes, State
from services.ledger.main import LedgerSettings
from services.ledger.store.ledger_store import BookCountDiffers, LedgerStore
from services.ledger.store.proof_store import ProofStore
from services.ledger.store.wallets import read_wallet
from services.runtime.database import Connection, Pool, open_pool
from services.runtime.ids import new_id
from services.runtime.migrations import migrate_up, migrations_of
from tests.ledger.plans import World, split_groups, without_places
from tests.ledger.soundness import assert_ledger_sound

# Later than any clock: the books' time is what the test says.
START = datetime(2100, 1, 1, tzinfo=UTC)
DATABASE = "ledger_worlds"


class Worlds:
    """A database whose books tell the time that they are given; worlds follow each other in time."""

    def __init__(self, store: LedgerStore, connection: Connection) -> None:
        self.store = store
        self.connection = connection
        self.start = START

    def next_world(self) -> World:
        self.start += timedelta(days=100)
        return World(base=new_id(), start=self.start)

    async def run(self, commands: Sequence[AnyCommand], now: datetime) -> Sequence[object]:
        async with self.connection.transaction():
            await self.connection.execute("UPDATE books SET last_at = $1 WHERE book_id < 2", now)
            return await self.store.commit_group(self.connection, commands)


@pytest.fixture(scope="session")
async def worlds(postgres: EmbeddedPostgres) -> AsyncIterator[Worlds]:
    await asyncio.to_thread(postgres.create_database, DATABASE, "ledger")
    owner_url = postgres.url(DATABASE, "ledger_owner")
    await migrate_up(owner_url, migrations_of("ledger"), "ledger_app")
    settings = LedgerSettings(database_url=owner_url)
    async with open_pool(settings, "ledger-tests") as pool, pool.acquire() as connection:
        store = LedgerStore(pool, settings.books)
        await store.check()
        yield Worlds(store, connection)
        await assert_ledger_sound(connection)
        proof = ProofStore(pool, settings.books)
        for book_id in (0, 1):
            _, findings = await proof.verify_due_book(book_id, timedelta(0)) or (None, ["not verified"])
            assert list(findings) == []
    await asyncio.to_thread(postgres.drop_database, DATABASE)


@pytest.fixture(scope="session")
async def pool(ledger_settings: LedgerSettings) -> AsyncIterator[Pool]:
    async with open_pool(ledger_settings, "ledger-tests") as opened:
        yield opened


@settings(max_examples=120)
@given(split_groups())
async def test_commit_of_any_groups_agrees_with_decide_in_memory(
    worlds: Worlds, planned: list[list[dict[str, Any]]]
) -> None:
    """Whatever a group needs to see is loaded, whatever it changed is written; a day goes by after each group."""
    world = worlds.next_world()
    state = State(books={book_id: Book(book_id, 1, 1, world.start) for book_id in (0, 1)})
    for day, plans in enumerate(planned):
        commands, now = [world.command(plan) for plan in plans], world.start + timedelta(days=day)
        state.changes = Changes()
        for book in state.books.values():
            book.now = now
        expected = [without_places(outcome) for outcome in decide(commands, state)]
        assert [without_places(outcome) for outcome in await worlds.run(commands, now)] == expected
    await assert_wallets_read_as_they_are(worlds, state)


async def assert_wallets_read_as_they_are(worlds: Worlds, state: State) -> None:
    """Reads find every grant with something left, and nothing else."""
    for (book_id, owner_id, currency), grants in state.wallets.items():
        left = {grant.grant_id: grant.view() for grant in grants if grant.account.posted_minor > 0}
        wallet = await read_wallet(worlds.connection, book_id, owner_id, currency)
        assert {grant.grant_id: grant for grant in wallet.grants} == left


async def test_book_of_a_customer_never_changes() -> None:
    """Stored data depends on it: these values may not be edited."""
    owners = ["00000000-0000-0000-0000-000000000000", "0190a5e4-0000-7000-8000-000000000001"]
    assert [book_of(UUID(owner), 16) for owner in owners] == [14, 2]


async def test_check_with_another_number_of_books_is_refused(ledger_settings: LedgerSettings, pool: Pool) -> None:
    await LedgerStore(pool, ledger_settings.books).check()
    wrong = LedgerStore(pool, ledger_settings.books + 1)
    with pytest.raises(BookCountDiffers):
        await wrong.check()
    with pytest.raises(BookCountDiffers):
        await wrong.read_wallet(0, new_id(), "OMR")
