"""Migrations: up is what the code expects, down takes everything back, and the app's role has what it needs only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest

from deploy.local.postgres import SERVICES, EmbeddedPostgres
from services.runtime.migrations import migrate_down, migrate_up, migrations_of
from tests.contracts.schema import schema_of

# What the migrations' own bookkeeping leaves in an empty database.
BOOKKEEPING = "quittance_migrations"

FORBIDDEN = ("delete from {}", "truncate {} cascade", "drop table {} cascade", "alter table {} disable trigger all")

ONE_TRANSFER = """
insert into transfers values
    (1, 1, gen_random_uuid(), 'posted', 1, 2, 1, -1, 0, 1, 0, 'test', clock_timestamp())
"""


@dataclass(frozen=True)
class Database:
    """An empty database of one service."""

    service: str
    owner_url: str
    app_url: str
    superuser_url: str

    async def up(self) -> None:
        await migrate_up(self.owner_url, migrations_of(self.service), f"{self.service}_app")

    async def down(self) -> None:
        migrations = migrations_of(self.service)
        await migrate_down(self.owner_url, migrations, f"{self.service}_app", steps=len(migrations))

    async def schema(self) -> list[str]:
        async with connected(self.superuser_url) as connection:
            return await schema_of(connection)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture(params=SERVICES)
async def database(request: pytest.FixtureRequest, postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    service = request.param
    name = f"contract_{service}"
    await asyncio.to_thread(postgres.create_database, name, service)
    urls = (postgres.url(name, f"{service}_owner"), postgres.url(name, f"{service}_app"), postgres.superuser_url(name))
    yield Database(service, *urls)
    await asyncio.to_thread(postgres.drop_database, name)


async def test_migrations_up_down_up_give_the_same_schema(database: Database) -> None:
    before = await database.schema()
    await database.up()
    first = await database.schema()
    await database.down()
    left = [line for line in await database.schema() if BOOKKEEPING not in line]
    await database.up()
    assert first != before
    assert left == before
    assert await database.schema() == first


async def test_app_role_owns_nothing_and_makes_nothing(database: Database) -> None:
    await database.up()
    async with connected(database.app_url) as app:
        owned = await app.fetch("select relname from pg_class where relowner = current_user::regrole")
        assert [row["relname"] for row in owned] == []
        for statement in ("create table mine (a int)", "create schema mine", "create temporary table mine (a int)"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(f"update {BOOKKEEPING} set name = ''")


async def test_app_role_cannot_delete_truncate_or_alter(database: Database) -> None:
    """Out of a bug's or an intruder's reach: to delete rows, to drop a table, to switch its triggers off."""
    await database.up()
    async with connected(database.app_url) as app:
        tables = await app.fetch("select tablename from pg_tables where schemaname = 'public'")
        assert tables
        for (table,) in tables:
            for statement in FORBIDDEN:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await app.execute(statement.format(table))


CHANGES = ("update transfers set amount_minor = 2", "delete from transfers", "truncate transfers")


@pytest.mark.parametrize("database", ["ledger"], indirect=True)
@pytest.mark.parametrize("statement", CHANGES)
async def test_posted_transfer_is_never_changed_by_anybody(database: Database, statement: str) -> None:
    """L1: not by the app's role, not by the tables' owner, not by an administrator who plays replica."""
    await database.up()
    async with connected(database.app_url) as app:
        await app.execute(ONE_TRANSFER)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(statement)
    async with connected(database.owner_url) as owner:
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute(statement)
    async with connected(database.superuser_url) as administrator:
        await administrator.execute("set session_replication_role = replica")
        with pytest.raises(asyncpg.RestrictViolationError):
            await administrator.execute(statement)
        assert await administrator.fetchval("select amount_minor from transfers") == 1
