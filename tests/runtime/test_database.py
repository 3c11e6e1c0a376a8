"""What callers see when the database fails."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from services.runtime.database import Connection, Pool, in_transaction, open_pool, ping, reading
from services.runtime.errors import DatabaseUnavailable, ServiceError
from services.runtime.ids import new_id
from services.runtime.settings import DatabaseSettings
from tests.runtime.toy_unit import SCHEMA, LabelRude


@pytest.fixture(autouse=True)
async def _schema(pool: Pool) -> None:
    await pool.execute(SCHEMA)


@pytest.fixture
async def nowhere() -> AsyncIterator[Pool]:
    """A pool of a database that is not there."""
    settings = DatabaseSettings(address="127.0.0.1:0", database_url="postgresql://nobody@127.0.0.1:1/nothing")
    async with open_pool(settings, "runtime-tests") as opened:
        yield opened


async def put(connection: Connection, box_id: UUID, label: str = "plain") -> None:
    await connection.execute("insert into box values ($1, 1, $2, 1)", box_id, label)


async def test_open_pool_database_not_there_opens_all_the_same(nowhere: Pool) -> None:
    with pytest.raises(DatabaseUnavailable):
        await ping(nowhere)


async def test_reading_broken_statement_is_a_bug_and_not_the_database(pool: Pool) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        async with reading(pool) as connection:
            await connection.execute("select * from no_such_table")


async def test_reading_connection_killed_is_unavailable(pool: Pool) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with reading(pool) as connection:
            await pool.execute("select pg_terminate_backend($1)", connection.get_server_pid())
            await connection.execute("select 1")
    await ping(pool)


@pytest.mark.parametrize("sqlstate", ["08006", "25006", "40001", "53100", "53300", "55P03", "57P01", "57P03", "58030"])
async def test_reading_states_of_a_database_that_cannot_answer_now_are_unavailable(pool: Pool, sqlstate: str) -> None:
    """Appendix A of PostgreSQL's manual."""
    with pytest.raises(DatabaseUnavailable):
        async with reading(pool) as connection:
            await connection.execute(f"do $$ begin raise exception using errcode = '{sqlstate}'; end $$")


async def test_jsonb_goes_both_ways(pool: Pool) -> None:
    value = {"a": [1, "ö", None]}
    assert await pool.fetchval("select $1::jsonb", value) == value
    assert await pool.fetchval("select array_agg(x) from unnest($1::jsonb[]) x", [value, 1]) == [value, 1]


async def test_in_transaction_connection_killed_runs_again(pool: Pool) -> None:
    box_id, attempts = new_id(), []

    async def work(connection: Connection) -> str:
        attempts.append(connection.get_server_pid())
        await put(connection, box_id)
        if len(attempts) == 1:
            await pool.execute("select pg_terminate_backend($1)", connection.get_server_pid())
        return "done"

    assert await in_transaction(pool, work) == "done"
    assert len(attempts) == 2
    assert await pool.fetchval("select count(*) from box") == 1


async def test_in_transaction_lost_race_looks_again(pool: Pool) -> None:
    box_id = new_id()

    async def work(connection: Connection) -> str:
        if await connection.fetchval("select true from box where box_id = $1", box_id):
            return "theirs"
        await put(pool, box_id)  # type: ignore[arg-type]
        await put(connection, box_id)
        return "ours"

    assert await in_transaction(pool, work) == "theirs"


async def test_in_transaction_named_constraint_is_the_named_error(pool: Pool) -> None:
    def named(constraint: str) -> ServiceError | None:
        return LabelRude(box_id=new_id()) if constraint == "box_label_is_polite" else None

    with pytest.raises(LabelRude):
        await in_transaction(pool, lambda connection: put(connection, new_id(), "rude"), error_for_constraint=named)


async def test_in_transaction_refusal_rolls_back(pool: Pool) -> None:
    async def work(connection: Connection) -> None:
        await put(connection, new_id())
        raise LabelRude(box_id=new_id())

    with pytest.raises(LabelRude):
        await in_transaction(pool, work)
    assert await pool.fetchval("select count(*) from box") == 0


async def test_in_transaction_database_not_there_is_unavailable(nowhere: Pool) -> None:
    async with asyncio.timeout(60):
        with pytest.raises(DatabaseUnavailable):
            await in_transaction(nowhere, lambda connection: put(connection, new_id()))
