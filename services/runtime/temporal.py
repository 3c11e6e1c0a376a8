"""How a process reaches Temporal: where it is, over what, and as whom. The same settings for clients and workers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from pydantic import FilePath, ImportString, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from temporalio.client import Client
from temporalio.converter import PayloadCodec
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RetryConfig, RPCError, TLSConfig

from services.runtime.background import repeating
from services.runtime.payloads import converter_with

# A rotated key is read from its file again after this long.
_KEY_RENEWED_EVERY_S = 30.0

# What the SDK says of a connection that cannot be made, and what to do about it. The first that fits counts.
_CAUSES = (
    ("UnknownIssuer", "its certificate is none of TEMPORAL_TLS_SERVER_CA_CERT_PATH (without it, the system's)"),
    ("NotValidForName", "its certificate is for another name: see TEMPORAL_TLS_SERVER_NAME"),
    ("InvalidCertificate", "its certificate is not valid"),
    ("InvalidContentType", "it does not speak TLS: see TEMPORAL_TLS"),
    ("code: Unauthenticated", "it does not know the key: see TEMPORAL_API_KEY"),
    ("code: PermissionDenied", "the key may not be used for this: see TEMPORAL_API_KEY"),
    ("dns error", "its host name is unknown"),
    ("tcp connect error", "nobody listens there"),
    # Servers say nothing more precise to whom they do not trust.
    ("hyper::Error(", "it hangs up: see TEMPORAL_TLS, TEMPORAL_TLS_CLIENT_CERT_PATH"),
)


class TemporalUnreachable(Exception):
    """Temporal cannot be reached; the text says where and why, without credentials."""


class TemporalSettings(BaseSettings):
    """TEMPORAL_…: shared by all processes that speak to Temporal, and named as its own program names them."""

    # Errors never show values: among them are keys.
    model_config = SettingsConfigDict(env_prefix="TEMPORAL_", hide_input_in_errors=True, extra="ignore")

    # host:port of the frontend.
    address: str = "127.0.0.1:7233"
    namespace: str = "default"
    task_queue: str = "quittance"

    tls: bool = False
    # PEM files: whom to trust (default: whom the system trusts), and who we are (default: nobody in particular).
    tls_server_ca_cert_path: FilePath | None = None
    tls_client_cert_path: FilePath | None = None
    tls_client_key_path: FilePath | None = None
    # The name that the server's certificate is for, where it is not the address's host.
    tls_server_name: str = ""
    # As text, or in a file, which is read again while the process runs.
    api_key: SecretStr | None = None
    api_key_file: FilePath | None = None
    # "package.module:Class" of a PayloadCodec, which is made without arguments.
    payload_codec: ImportString[type[PayloadCodec]] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        files = (self.tls_server_ca_cert_path, self.tls_client_cert_path, self.tls_client_key_path)
        if any((*files, self.tls_server_name, self.api_key, self.api_key_file)) and not self.tls:
            raise ValueError("certificates and API keys need TEMPORAL_TLS=true")
        if bool(self.tls_client_cert_path) is not bool(self.tls_client_key_path):
            raise ValueError("TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH need one another")
        if self.api_key and self.api_key_file:
            raise ValueError("TEMPORAL_API_KEY and TEMPORAL_API_KEY_FILE are two names for one thing")
        return self

    def read_api_key(self) -> str | None:
        """The key as it is now. Raises OSError: the file has gone."""
        if self.api_key_file is not None:
            return self.api_key_file.read_text().strip()
        return self.api_key.get_secret_value() if self.api_key else None

    def tls_config(self) -> TLSConfig | bool:
        """What the SDK wants to know of TLS. Raises OSError: a file has gone."""
        if not self.tls:
            return False
        return TLSConfig(
            server_root_ca_cert=_content(self.tls_server_ca_cert_path),
            domain=self.tls_server_name or None,
            client_cert=_content(self.tls_client_cert_path),
            client_private_key=_content(self.tls_client_key_path),
        )


@asynccontextmanager
async def temporal_client(
    settings: TemporalSettings,
    *,
    lazy: bool = False,
    retries: RetryConfig | None = None,
    runtime: Runtime | None = None,
) -> AsyncIterator[Client]:
    """A client whose API key follows its file. `lazy`: it connects when first used.

    Raises TemporalUnreachable on entering.
    """
    client = await _connect(settings, lazy=lazy, retries=retries, runtime=runtime)

    async def renew_key() -> None:
        client.api_key = settings.read_api_key()

    every_s = _KEY_RENEWED_EVERY_S if settings.api_key_file else 0
    async with repeating("renew_temporal_api_key", every_s, renew_key):
        yield client


def runtime_with_metrics(address: str) -> Runtime | None:
    """The SDK's machinery, its metrics served at `address` (host:port) under names as Prometheus wants them.

    To be made once in a process. Empty: no metrics, and None, which stands for the machinery that all share.
    """
    if not address:
        return None
    prometheus = PrometheusConfig(
        bind_address=address, counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True
    )
    return Runtime(telemetry=TelemetryConfig(metrics=prometheus))


def why_unreachable(error: Exception) -> str:
    """What went wrong, in a few words that name a setting where one helps; never a credential."""
    if isinstance(error, RPCError):
        return error.status.name
    said = str(error)
    return next((cause for sign, cause in _CAUSES if sign in said), said)


async def _connect(
    settings: TemporalSettings, *, lazy: bool, retries: RetryConfig | None, runtime: Runtime | None
) -> Client:
    try:
        return await Client.connect(
            settings.address,
            namespace=settings.namespace,
            tls=settings.tls_config(),
            api_key=settings.read_api_key(),
            data_converter=converter_with(settings.payload_codec() if settings.payload_codec else None),
            retry_config=retries,
            runtime=runtime,
            lazy=lazy,
        )
    except (RuntimeError, RPCError, OSError) as error:
        raise TemporalUnreachable(f"Temporal at {settings.address}: {why_unreachable(error)}") from error


def _content(path: Path | None) -> bytes | None:
    return path.read_bytes() if path is not None else None
