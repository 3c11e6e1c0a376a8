"""The ledger's process."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from quittance.ledger.v1.ledger_pb2_grpc import add_LedgerServiceServicer_to_server
from quittance.ledger.v1.proof_pb2_grpc import add_ProofServiceServicer_to_server
from services.ledger.domain.commands import AnyCommand, AnyResult
from services.ledger.errors import DOMAIN
from services.ledger.proofs import Proofs
from services.ledger.servicer.proof import ProofServicer
from services.ledger.servicer.servicer import LedgerServicer
from services.ledger.store.ledger_store import LedgerStore
from services.ledger.store.proof_store import ProofStore
from services.ledger.sweeps import Sweeper
from services.runtime.background import repeating
from services.runtime.database import open_pool
from services.runtime.group_commit import GroupCommit
from services.runtime.processes import run_processes
from services.runtime.server import Server, Service, run
from services.runtime.settings import DatabaseSettings

# A check of one book as a whole may take this long.
PROOF_COMMAND_TIMEOUT_S = 3600.0
# How often a process looks for books whose verification is due.
VERIFY_LOOK_S = 60.0


class LedgerSettings(DatabaseSettings):
    """LEDGER_DATABASE_URL, LEDGER_ADDRESS and so on."""

    model_config = SettingsConfigDict(env_prefix="LEDGER_")

    address: str = "127.0.0.1:9051"
    # Processes behind the address; more than one when an event loop is the limit.
    processes: int = Field(1, ge=1)
    # How many books the data is split into: fixed by the first start on a database, refused when it differs later.
    books: int = Field(16, ge=1, le=4096)
    # Commands in one transaction at most.
    group_commands_max: int = Field(2000, ge=1)
    # Transactions at once, each for its share of the books: the process works for one while the database works for
    # another. Fewer commands than this share a transaction, whatever their books.
    groups_in_flight_max: int = Field(4, ge=1)
    group_commands_min: int = Field(100, ge=1)
    # How often holds and grants whose expiry has come are ended; 0: never by this process.
    sweep_interval_s: float = Field(1.0, ge=0)
    # How often finished transfers are sealed, and how many at most under one seal; 0 seconds: never by this process.
    seal_interval_s: float = Field(60.0, ge=0)
    seal_transfers_max: int = Field(10_000, ge=1)
    # How long after its last verification a book is verified again; 0: never by this process.
    verify_interval_s: float = Field(86_400.0, ge=0)


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
            lane_of=lambda command: command.book_id,
            lane_min=settings.group_commands_min,
            acquire_timeout_s=settings.acquire_timeout_s,
        ) as group:
            servicer = LedgerServicer(group, store, settings.books)
            service = Service("quittance.ledger.v1.LedgerService", add_LedgerServiceServicer_to_server, servicer)
            sweeper = Sweeper(store, group)
            async with proving(settings) as proof, repeating("sweep", settings.sweep_interval_s, sweeper.sweep):
                services = [service, proof]
                async with Server(settings, domain=DOMAIN, services=services, ready=store.check) as server:
                    yield server


@asynccontextmanager
async def proving(settings: LedgerSettings) -> AsyncIterator[Service]:
    """Seals and verifications in the background, and the service that answers for them.

    On connections of their own: a long statement of theirs neither takes one away from a call nor ends at its limit.
    """
    own = settings.model_copy(update={"pool_size_max": 4, "command_timeout_s": PROOF_COMMAND_TIMEOUT_S})
    async with open_pool(own, "ledger-proof") as pool:
        store = ProofStore(pool, settings.books)
        proofs = Proofs(store, settings.seal_transfers_max, timedelta(seconds=settings.verify_interval_s))
        look_s = min(settings.verify_interval_s, VERIFY_LOOK_S)
        async with (
            repeating("seal", settings.seal_interval_s, proofs.seal),
            repeating("verify", look_s, proofs.verify),
        ):
            yield Service("quittance.ledger.v1.ProofService", add_ProofServiceServicer_to_server, ProofServicer(store))


async def serve(settings: LedgerSettings) -> None:
    """Serves until the process is told to stop."""
    async with serving(settings) as server:
        await server.run_until_signal()


def main() -> None:
    """Settings from the environment, then serve."""
    settings = LedgerSettings()
    if settings.processes > 1:
        sys.exit(run_processes("services.ledger.main", settings, settings.processes))
    run(lambda: serve(settings), settings)


if __name__ == "__main__":
    main()
