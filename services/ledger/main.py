"""The ledger's process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from quittance.ledger.v1.ledger_pb2_grpc import add_LedgerServiceServicer_to_server
from services.ledger.domain.commands import AnyCommand, AnyResult
from services.ledger.errors import DOMAIN
from services.ledger.servicer.servicer import LedgerServicer
from services.ledger.store.ledger_store import LedgerStore
from services.runtime.database import open_pool
from services.runtime.group_commit import GroupCommit
from services.runtime.server import Server, Service, run
from services.runtime.settings import DatabaseSettings


class LedgerSettings(DatabaseSettings):
    """LEDGER_DATABASE_URL, LEDGER_ADDRESS and so on."""

    model_config = SettingsConfigDict(env_prefix="LEDGER_")

    address: str = "127.0.0.1:9051"
    # How many books the data is split into: fixed by the first start on a database, refused when it differs later.
    books: int = Field(16, ge=1, le=4096)
    # Commands in one transaction at most.
    group_commands_max: int = Field(2000, ge=1)
    # Transactions at once. Each locks its books, so more than one helps only when the callers' books differ.
    groups_in_flight_max: int = Field(1, ge=1)


@asynccontextmanager
async def serving(settings: LedgerSettings) -> AsyncIterator[Server]:
    """The server, from its first call taken to its last one answered."""
    async with open_pool(settings, "ledger") as pool:
        store = LedgerStore(pool, settings.books)
        async with GroupCommit[AnyCommand, AnyResult](
            pool,
            store,
            name="ledger",
            group_max=settings.group_commands_max,
            inflight_max=settings.groups_in_flight_max,
            acquire_timeout_s=settings.acquire_timeout_s,
        ) as group:
            servicer = LedgerServicer(group, store, settings.books)
            service = Service("quittance.ledger.v1.LedgerService", add_LedgerServiceServicer_to_server, servicer)
            async with Server(settings, domain=DOMAIN, services=[service], ready=store.check) as server:
                yield server


async def serve(settings: LedgerSettings) -> None:
    """Serves until the process is told to stop."""
    async with serving(settings) as server:
        await server.run_until_signal()


def main() -> None:
    """Settings from the environment, then serve."""
    settings = LedgerSettings()
    run(lambda: serve(settings), settings)


if __name__ == "__main__":
    main()
