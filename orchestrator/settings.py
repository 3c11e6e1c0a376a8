"""Settings of the worker process."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.runtime.settings import Settings


class OrchestratorSettings(Settings):
    """ORCHESTRATOR_… for its own, and the addresses that it shares with the other processes."""

    model_config = SettingsConfigDict(env_prefix="ORCHESTRATOR_")

    # host:port of gRPC health, the only thing served here.
    address: str = "127.0.0.1:9054"
    ledger_address: str = Field("127.0.0.1:9051", validation_alias="LEDGER_ADDRESS")
    vouchers_address: str = Field("127.0.0.1:9052", validation_alias="VOUCHERS_ADDRESS")
    checkout_address: str = Field("127.0.0.1:9053", validation_alias="CHECKOUT_ADDRESS")
    temporal_address: str = Field("127.0.0.1:7233", validation_alias="TEMPORAL_ADDRESS")
    temporal_namespace: str = Field("default", validation_alias="TEMPORAL_NAMESPACE")
    temporal_task_queue: str = Field("quittance", validation_alias="TEMPORAL_TASK_QUEUE")
    # Workflows kept in memory; more are replayed from their history when they go on.
    cached_workflows_max: int = Field(1000, ge=0)
    # Steps worked on at once, local and normal ones each.
    concurrent_steps_max: int = Field(200, ge=1)
