"""A database of its own for the runtime's tests."""

from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from deploy.local.postgres import EmbeddedPostgres
from services.runtime.database import Pool, open_pool
from services.runtime.logs import describe_exception
from services.runtime.settings import DatabaseSettings


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> None:
    """The default rendering of tracebacks takes longer than most tests."""
    structlog.configure(processors=[describe_exception, structlog.processors.JSONRenderer()])


@pytest.fixture(scope="session")
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database for this package, as its owner."""
    postgres.create_database("runtime", "ledger")
    yield postgres.url("runtime", "ledger_owner")
    postgres.drop_database("runtime")


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    settings = DatabaseSettings(address="127.0.0.1:0", database_url=database_url)
    async with open_pool(settings, "runtime-tests") as opened:
        yield opened
