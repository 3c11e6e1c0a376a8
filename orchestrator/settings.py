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
    # host:port where Temporal's SDK shows its metrics of this worker; empty switches it off.
    temporal_metrics_address: str = ""

    # Workflows kept in memory, at some 120 KB each; more are replayed from their history when they go on.
    cached_workflows_max: int = Field(1000, ge=0)
    # Workflow tasks worked on at once. All share one processor, so more are of no use; each may wait for local steps.
    concurrent_workflow_tasks_max: int = Field(100, ge=2)
    # Steps worked on at once: local ones, which is most of them, and those that Temporal's UI shows as pending.
    concurrent_steps_max: int = Field(200, ge=1)
    concurrent_visible_steps_max: int = Field(200, ge=1)
    # Requests for work that are open at Temporal at once; each brings one task at a time.
    workflow_pollers_max: int = Field(5, ge=2)
    step_pollers_max: int = Field(5, ge=1)
    # When a worker has died, its workflows go to the others after this long.
    sticky_timeout_s: float = Field(5.0, gt=0)
