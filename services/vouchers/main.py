"""The vouchers' process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from quittance.vouchers.v1.campaigns_pb2_grpc import add_CampaignsServiceServicer_to_server
from quittance.vouchers.v1.codes_pb2_grpc import add_CodesServiceServicer_to_server
from quittance.vouchers.v1.proof_pb2_grpc import add_ProofServiceServicer_to_server
from quittance.vouchers.v1.vouchers_pb2_grpc import add_VouchersServiceServicer_to_server
from services.runtime.background import repeating
from services.runtime.database import Pool, open_pool
from services.runtime.group_commit import GroupCommit
from services.runtime.server import Server, Service, run
from services.runtime.settings import DatabaseSettings
from services.vouchers.code_making import CodeMaker
from services.vouchers.domain.code_guessing import GuessLimit
from services.vouchers.domain.commands import AnyCommand, AnyResult
from services.vouchers.errors import DOMAIN
from services.vouchers.proofs import Proofs
from services.vouchers.qualification import qualifies
from services.vouchers.servicer.campaigns import CampaignsServicer
from services.vouchers.servicer.codes import CodesServicer
from services.vouchers.servicer.proof import ProofServicer
from services.vouchers.servicer.servicer import VouchersServicer
from services.vouchers.store.campaigns_store import CampaignsStore
from services.vouchers.store.codes_batches import CodeBatchesStore
from services.vouchers.store.codes_store import CodesStore
from services.vouchers.store.proof_store import ProofStore
from services.vouchers.store.vouchers_store import VouchersStore
from services.vouchers.sweeps import Sweeper

# A check of one campaign as a whole may take this long.
PROOF_COMMAND_TIMEOUT_S = 3600.0
# How often misses that count no more are forgotten.
MISSES_LOOK_S = 60.0
# How often a process looks for campaigns whose verification is due.
VERIFY_LOOK_S = 60.0


class VouchersSettings(DatabaseSettings):
    """VOUCHERS_DATABASE_URL, VOUCHERS_ADDRESS and so on."""

    model_config = SettingsConfigDict(env_prefix="VOUCHERS_")

    address: str = "127.0.0.1:9052"
    # Commands in one transaction at most.
    group_commands_max: int = Field(1000, ge=1)
    # Transactions at once. Each locks its campaigns, so more than one helps only when the callers' campaigns differ.
    groups_in_flight_max: int = Field(1, ge=1)
    # How often reservations whose expiry has come are ended; 0: never by this process.
    sweep_interval_s: float = Field(1.0, ge=0)
    # How often a process looks for codes to generate; 0: never by this process.
    codes_interval_s: float = Field(0.5, ge=0)
    # So many different unknown codes may a customer offer within so many seconds; 0 codes: as many as he likes.
    guesses_max: int = Field(10, ge=0)
    guesses_window_s: float = Field(600.0, gt=0)
    # How long after its last verification a campaign is verified again; 0: never by this process.
    verify_interval_s: float = Field(86_400.0, ge=0)


@asynccontextmanager
async def serving(settings: VouchersSettings) -> AsyncIterator[Server]:
    """The server, from its first call taken to its last one answered."""
    async with open_pool(settings, "vouchers") as pool:
        guess_limit = GuessLimit(settings.guesses_max, timedelta(seconds=settings.guesses_window_s))
        store = VouchersStore(pool, qualifies, guess_limit)
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
            managing = CampaignsServicer(CampaignsStore(pool))
            campaigns = Service(
                "quittance.vouchers.v1.CampaignsService", add_CampaignsServiceServicer_to_server, managing
            )
            sweeper = Sweeper(store, group)
            async with (
                proving(settings) as proof,
                coding(settings, pool) as codes,
                repeating("sweep", settings.sweep_interval_s, sweeper.sweep),
            ):
                services = [service, campaigns, codes, proof]
                async with Server(settings, domain=DOMAIN, services=services, ready=store.check) as server:
                    yield server


@asynccontextmanager
async def coding(settings: VouchersSettings, pool: Pool) -> AsyncIterator[Service]:
    """Codes generated in the background, and the service that answers for them.

    Generating has connections of its own, so that it never takes one away from a call.
    """
    own = settings.model_copy(update={"pool_size_min": 0, "pool_size_max": 2})
    async with open_pool(own, "vouchers-codes") as making_pool:
        maker = CodeMaker(CodeBatchesStore(making_pool), settings.guesses_window_s)
        async with (
            repeating("codes", settings.codes_interval_s, maker.make),
            repeating("misses", MISSES_LOOK_S, maker.forget_misses),
        ):
            servicer = CodesServicer(CodesStore(pool), CodeBatchesStore(pool))
            yield Service("quittance.vouchers.v1.CodesService", add_CodesServiceServicer_to_server, servicer)


@asynccontextmanager
async def proving(settings: VouchersSettings) -> AsyncIterator[Service]:
    """Verifications in the background, and the service that answers for them.

    On connections of their own: a long statement of theirs neither takes one away from a call nor ends at its limit.
    """
    own = settings.model_copy(update={"pool_size_max": 4, "command_timeout_s": PROOF_COMMAND_TIMEOUT_S})
    async with open_pool(own, "vouchers-proof") as pool:
        store = ProofStore(pool)
        proofs = Proofs(store, timedelta(seconds=settings.verify_interval_s))
        async with repeating("verify", min(settings.verify_interval_s, VERIFY_LOOK_S), proofs.verify):
            servicer = ProofServicer(store)
            yield Service("quittance.vouchers.v1.ProofService", add_ProofServiceServicer_to_server, servicer)


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
