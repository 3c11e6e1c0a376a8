"""Vouchers of their own for these tests: migrated database, servers in this process, real channels."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import grpc
import pytest

from deploy.local.postgres import EmbeddedPostgres
from services.runtime.migrations import migrate_up, migrations_of
from services.vouchers.main import VouchersSettings, serving
from tests.vouchers.manager import Manager
from tests.vouchers.requests import Shop, Stub
from tests.vouchers.soundness import assert_vouchers_sound

DATABASE = "vouchers_tests"


@pytest.fixture(scope="session")
async def vouchers_database(postgres: EmbeddedPostgres) -> AsyncIterator[EmbeddedPostgres]:
    """The migrated database; sound whatever the tests did."""
    await asyncio.to_thread(postgres.create_database, DATABASE, "vouchers")
    await migrate_up(postgres.url(DATABASE, "vouchers_owner"), migrations_of("vouchers"), "vouchers_app")
    yield postgres
    connection = await asyncpg.connect(postgres.url(DATABASE, "vouchers_owner"))
    await assert_vouchers_sound(connection)
    await connection.close()
    await asyncio.to_thread(postgres.drop_database, DATABASE)


@pytest.fixture(scope="session")
def vouchers_settings(vouchers_database: EmbeddedPostgres) -> VouchersSettings:
    url = vouchers_database.url(DATABASE, "vouchers_app")
    return VouchersSettings(database_url=url, address="127.0.0.1:0", log_level="WARNING", verify_interval_s=0)


@asynccontextmanager
async def connected(settings: VouchersSettings) -> AsyncIterator[Stub]:
    """A server with these settings and a client of it."""
    async with serving(settings) as server, grpc.aio.insecure_channel(server.address) as channel:
        yield Stub(channel)


@pytest.fixture(scope="session")
async def vouchers(vouchers_settings: VouchersSettings) -> AsyncIterator[Stub]:
    async with connected(vouchers_settings) as stub:
        yield stub


@pytest.fixture(scope="session")
async def second_vouchers(
    vouchers_settings: VouchersSettings,
) -> AsyncIterator[Stub]:
    """Another server on the same database."""
    async with connected(vouchers_settings) as stub:
        yield stub


@pytest.fixture
def shop(vouchers: Stub) -> Shop:
    return Shop(vouchers)


@pytest.fixture
def manager(vouchers: Stub) -> Manager:
    return Manager(vouchers)


@pytest.fixture
async def owner_connection(vouchers_database: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(vouchers_database.url(DATABASE, "vouchers_owner"))
    yield connection
    await connection.close()


@pytest.fixture
async def app_connection(vouchers_database: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(vouchers_database.url(DATABASE, "vouchers_app"))
    yield connection
    await connection.close()
