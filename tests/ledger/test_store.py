"""The store: what `decide` decided is what PostgreSQL holds and gives back."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings

from services.ledger.domain.books import book_of
from services.ledger.domain.decide import decide
from services.ledger.domain.records import Book
from services.ledger.domain.state import Changes, State
from services.ledger.main import LedgerSettings
from services.ledger.store.ledger_store import BookCountDiffers, LedgerStore
from services.runtime.database import Pool, open_pool
from services.runtime.ids import new_id
from tests.ledger.plans import World, split_groups, without_moments

# So far away that no expiry of these worlds comes while the tests run.
START = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
async def pool(ledger_settings: LedgerSettings) -> AsyncIterator[Pool]:
    async with open_pool(ledger_settings, "ledger-tests") as opened:
        yield opened


@settings(max_examples=80)
@given(split_groups())
async def test_commit_of_any_groups_agrees_with_decide_in_memory(
    pool: Pool, ledger_settings: LedgerSettings, planned: list[list[dict[str, Any]]]
) -> None:
    """Whatever a group needs to see is loaded, whatever it changed is written."""
    world, store = World(base=new_id(), start=START), LedgerStore(pool, ledger_settings.books)
    state = State(books={book_id: Book(book_id, 1, 1, datetime.now(UTC)) for book_id in (0, 1)})
    async with pool.acquire() as connection:
        for plans in planned:
            commands = [world.command(plan) for plan in plans]
            state.changes = Changes()
            for book in state.books.values():
                book.now = datetime.now(UTC)
            expected = [without_moments(outcome) for outcome in decide(commands, state)]
            async with connection.transaction():
                outcomes = await store.commit_group(connection, commands)
            assert [without_moments(outcome) for outcome in outcomes] == expected


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
