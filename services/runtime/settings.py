"""Settings from the environment. A process subclasses one of these and gives its prefix:

class ShelfSettings(DatabaseSettings):
    model_config = SettingsConfigDict(env_prefix="SHELF_")
"""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What every process has. LOG_LEVEL and LOG_FORMAT are shared, all else carries the process's prefix."""

    # Errors never show values: among them are connection strings.
    model_config = SettingsConfigDict(hide_input_in_errors=True, populate_by_name=True, extra="ignore")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", validation_alias="LOG_LEVEL")
    log_format: Literal["json", "console"] = Field("json", validation_alias="LOG_FORMAT")

    # host:port of the gRPC listener; port 0 takes a free one, which is logged.
    address: str
    # host:port of the Prometheus endpoint; empty switches it off.
    metrics_address: str = ""
    # Calls worked on at once; more are refused with OVERLOADED. Health and reflection are not counted.
    concurrent_calls_max: int = Field(2000, ge=1)
    # How long calls in flight may take to finish when the process is asked to stop.
    drain_grace_s: float = Field(10.0, ge=0)
    # Lets several processes share one port (SO_REUSEPORT).
    reuse_port: bool = False
    # How often readiness is checked again.
    readiness_interval_s: float = Field(3.0, gt=0)


class DatabaseSettings(Settings):
    """What a process with a database has in addition."""

    # postgresql:// URL of the role that the code runs as, never of the owner.
    database_url: str = Field(repr=False)
    pool_size_min: int = Field(0, ge=0)
    pool_size_max: int = Field(8, ge=1)
    # 0 behind a pooler in transaction mode, which breaks prepared statements.
    statement_cache_size: int = Field(256, ge=0)
    # Longest wait for a free connection, and for one statement.
    acquire_timeout_s: float = Field(5.0, gt=0)
    command_timeout_s: float = Field(30.0, gt=0)
