"""The vouchers' process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from quittance.vouchers.v1.vouchers_pb2_grpc import add_VouchersServiceServicer_to_server
from services.runtime.database import open_pool
from services.runtime.group_commit import GroupCommit
from services.runtime.server import Server, Service, run
from services.runtime.settings import DatabaseSettings
from services.vouchers.domain.commands import AnyCommand, AnyResult
from services.vouchers.errors import DOMAIN
from services.vouchers.servicer.servicer import VouchersServicer
from services.vouchers.store.vouchers_store import VouchersStore


class VouchersSettings(DatabaseSettings):
    """VOUCHERS_DATABASE_URL, VOUCHERS_ADDRESS and so on."""

    model_config = SettingsConfigDict(env_prefix="VOUCHERS_")

    address: str = "127.0.0.1:9052"
    # Commands in one transaction at most.
    group_commands_max: int = Field(1000, ge=1)
    # Transactions at once. Each locks its campaigns, so more than one helps only when the callers' campaigns differ.
    groups_in_flight_max: int = Field(1, ge=1)


@asynccontextmanager
async def serving(settings: VouchersSettings) -> AsyncIterator[Server]:
    """The server, from its first call taken to its last one answered."""
    async with open_pool(settings, "vouchers") as pool:
        store = VouchersStore(pool)
        async with GroupCommit[AnyCommand, AnyResult](
            pool,
            store,
            name="vouchers",
            group_max=settings.group_commands_max,
            inflight_max=settings.groups_in_flight_max,
            acquire_timeout_s=settings.acquire_timeout_s,
        ) as group:
            servicer = VouchersServicer(group, store)
            service = Service("quittance.vouchers.v1.VouchersService", add_VouchersServiceServicer_to_server, servicer)
            async with Server(settings, domain=DOMAIN, services=[service], ready=store.check) as server:
                yield server


async def serve(settings: VouchersSettings) -> None:
    """Serves until the process is told to stop."""
    async with serving(settings) as server:
        await server.run_until_signal()


def main() -> None:
    """Settings from the environment, then serve."""
    settings = VouchersSettings()
    run(lambda: serve(settings), settings)


if __name__ == "__main__":
    main()
