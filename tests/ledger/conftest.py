"""A ledger of its own for these tests: PostgreSQL, migrated database, server in this process, real channel."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import grpc
import pytest

from deploy.local.postgres import EmbeddedPostgres
from quittance.ledger.v1 import ledger_pb2_grpc
from services.ledger.main import LedgerSettings, serving
from services.runtime.migrations import migrate_up, migrations_of
from tests.ledger.proving import assert_nothing_found
from tests.ledger.soundness import assert_ledger_sound

DATABASE = "ledger_tests"


@pytest.fixture(scope="session")
async def ledger_database(postgres: EmbeddedPostgres) -> AsyncIterator[EmbeddedPostgres]:
    """The migrated database; sound whatever the tests did."""
    await asyncio.to_thread(postgres.create_database, DATABASE, "ledger")
    await migrate_up(postgres.url(DATABASE, "ledger_owner"), migrations_of("ledger"), "ledger_app")
    yield postgres
    connection = await asyncpg.connect(postgres.url(DATABASE, "ledger_owner"))
    await assert_ledger_sound(connection)
    await connection.close()
    await assert_nothing_found(postgres.url(DATABASE, "ledger_app"), LedgerSettings.model_fields["books"].default)
    await asyncio.to_thread(postgres.drop_database, DATABASE)


@pytest.fixture(scope="session")
def ledger_settings(ledger_database: EmbeddedPostgres) -> LedgerSettings:
    url = ledger_database.url(DATABASE, "ledger_app")
    # Without sweeps: time ends nothing here unless a test lets it.
    return LedgerSettings(database_url=url, address="127.0.0.1:0", log_level="WARNING", sweep_interval_s=0)


@asynccontextmanager
async def connected(settings: LedgerSettings) -> AsyncIterator[ledger_pb2_grpc.LedgerServiceStub]:
    """A server with these settings and a client of it."""
    async with serving(settings) as server, grpc.aio.insecure_channel(server.address) as channel:
        yield ledger_pb2_grpc.LedgerServiceStub(channel)


@pytest.fixture(scope="session")
async def ledger(ledger_settings: LedgerSettings) -> AsyncIterator[ledger_pb2_grpc.LedgerServiceStub]:
    async with connected(ledger_settings) as stub:
        yield stub


@pytest.fixture(scope="session")
async def second_ledger(ledger_settings: LedgerSettings) -> AsyncIterator[ledger_pb2_grpc.LedgerServiceStub]:
    """Another server on the same database."""
    async with connected(ledger_settings) as stub:
        yield stub


@pytest.fixture
async def owner_connection(ledger_database: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(ledger_database.url(DATABASE, "ledger_owner"))
    yield connection
    await connection.close()


@pytest.fixture
async def app_connection(ledger_database: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(ledger_database.url(DATABASE, "ledger_app"))
    yield connection
    await connection.close()


@pytest.fixture
async def superuser_connection(ledger_database: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(ledger_database.superuser_url(DATABASE))
    yield connection
    await connection.close()
