"""Settings of the sandbox payment provider, all with the prefix SANDBOX_."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.runtime.settings import Settings


class SandboxSettings(Settings):
    """Where it listens, what it knows of its one merchant, and where it writes."""

    model_config = SettingsConfigDict(env_prefix="SANDBOX_")

    # host:port; port 0 takes a free one, which is logged.
    address: str = "127.0.0.1:8090"
    # Base of the pay pages' addresses; empty: the listener's own.
    public_url: str = ""
    # SQLite file with everything that has happened.
    journal: Path = Path(".quittance/sandbox.sqlite3")
    # What the merchant sends as bearer token; empty refuses everybody.
    api_key: str = Field("", repr=False)
    # Webhooks are signed with it, once with each of several separated by commas; empty: none are sent.
    webhook_secret: str = Field("", repr=False)
    webhook_url: str = "http://127.0.0.1:8080/webhooks/sandbox"
    webhook_timeout_s: float = Field(10.0, gt=0)
    # Pause before the second try; it doubles with each try up to the longest.
    webhook_retry_s: float = Field(0.5, gt=0)
    webhook_retry_longest_s: float = Field(30.0, gt=0)
