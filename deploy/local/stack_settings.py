"""Addresses, credentials and environments of a local stack's processes."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.ports import free_port, is_port_free
from deploy.local.postgres import SERVICES
from deploy.local.secret import derived_password

# Where each process listens: the setting and its default.
ADDRESSES = {
    "ledger": ("LEDGER_ADDRESS", 9051),
    "vouchers": ("VOUCHERS_ADDRESS", 9052),
    "checkout": ("CHECKOUT_ADDRESS", 9053),
    "orchestrator": ("ORCHESTRATOR_ADDRESS", 9054),
    "checkout_http": ("CHECKOUT_HTTP_ADDRESS", 8080),
    "sandbox": ("SANDBOX_ADDRESS", 8090),
}
# What the stack itself starts is on loopback always: only the port is a setting.
PORTS = {
    "postgres": ("POSTGRES_PORT", 9432),
    "temporal": ("TEMPORAL_PORT", 7233),
    "temporal_ui": ("TEMPORAL_UI_PORT", 8233),
}
DATABASE_OWNER = "MIGRATION_DATABASE_URL"
LOCAL_DEFAULTS = {"LOG_FORMAT": "console", "TEMPORAL_NAMESPACE": "default", "TEMPORAL_TASK_QUEUE": "quittance"}
# A stop takes seconds, also while somebody waits for an answer; a restart is noticed at once.
PREFIXES = ("LEDGER", "VOUCHERS", "CHECKOUT", "ORCHESTRATOR")
QUICK = {"DRAIN_GRACE_S": "2", "READINESS_INTERVAL_S": "0.25"}

# How variables with credentials end: of databases, and of payment providers.
CREDENTIALS = ("DATABASE_URL", "_API_KEY", "_SECRET")

# How variables begin that are for a Temporal elsewhere, which its own program may be set to; ours has neither.
ANOTHER_TEMPORAL = ("TEMPORAL_TLS", "TEMPORAL_API_KEY")


class PortTaken(Exception):
    """Somebody else listens where one of our processes has to; the message names the setting that moves ours."""


class SettingMissing(Exception):
    """The settings for PostgreSQL name some databases but not all; the message says which are missing."""


@dataclass
class StackSettings:
    """Settings of one stack: our own environment's, where `ports` and `free_ports` do not say otherwise."""

    directory: Path
    ports: Mapping[str, int] = field(default_factory=dict)
    free_ports: bool = False
    addresses: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Settle every address once: each process has to know those of the others."""
        known = ADDRESSES | PORTS
        unknown = self.ports.keys() - known.keys()
        if unknown:
            raise KeyError(f"no process listens on {sorted(unknown)}; there are {sorted(known)}")
        self.addresses = {name: self._address(name) for name in known}

    def port(self, name: str) -> int:
        """The port of `name`."""
        return int(self.addresses[name].rpartition(":")[2])

    def check_ports(self, names: Iterable[str]) -> None:
        """Refuse to start where others listen: they would answer for our processes. Raises PortTaken."""
        for name in names:
            host, _, port = self.addresses[name].rpartition(":")
            if not is_port_free(int(port), host):
                setting = (ADDRESSES | PORTS)[name][0]
                raise PortTaken(f"{self.addresses[name]} is in use; another address for {name} is set by {setting}")

    def external_databases(self) -> dict[str, str]:
        """The URLs of another PostgreSQL, by setting; empty when there are none. Raises SettingMissing."""
        names = [f"{service.upper()}_{kind}" for service in SERVICES for kind in ("DATABASE_URL", DATABASE_OWNER)]
        given = {name: os.environ[name] for name in names if os.environ.get(name)}
        missing = [name for name in names if name not in given]
        if given and missing:
            raise SettingMissing(f"another PostgreSQL needs all of its settings; missing: {', '.join(missing)}")
        return given

    def environment(self, name: str, databases: Mapping[str, str]) -> dict[str, str]:
        """The environment of the process `name`: of the credentials it gets its own only."""
        pays = name in ("checkout", "sandbox")
        others = CREDENTIALS[:1] if pays else CREDENTIALS
        inherited = {
            variable: value
            for variable, value in os.environ.items()
            if not variable.endswith(others) and not variable.startswith(ANOTHER_TEMPORAL)
        }
        addresses = {variable: self.addresses[listener] for listener, (variable, _) in ADDRESSES.items()}
        environment = LOCAL_DEFAULTS | self._quick() | inherited | addresses
        environment["TEMPORAL_ADDRESS"] = self.addresses["temporal"]
        if name in SERVICES:
            own = f"{name.upper()}_DATABASE_URL"
            environment[own] = databases[own]
        if pays:
            environment |= self._sandbox()
        return environment

    def migration_environment(self, databases: Mapping[str, str], service: str) -> dict[str, str]:
        """The environment of a migration: the owner's URL, and the role that the service runs as."""
        prefix = service.upper()
        role = urlsplit(databases[f"{prefix}_DATABASE_URL"]).username or ""
        own = {f"{prefix}_{DATABASE_OWNER}": databases[f"{prefix}_{DATABASE_OWNER}"], f"{prefix}_APP_ROLE": role}
        return dict(os.environ) | own

    def _address(self, name: str) -> str:
        if name in self.ports or self.free_ports:
            return f"127.0.0.1:{self.ports.get(name) or free_port()}"
        if name in PORTS:
            variable, port = PORTS[name]
            return f"127.0.0.1:{os.environ.get(variable, port)}"
        variable, port = ADDRESSES[name]
        return os.environ.get(variable, f"127.0.0.1:{port}")

    def _quick(self) -> dict[str, str]:
        return {f"{prefix}_{name}": value for prefix in PREFIXES for name, value in QUICK.items()}

    def _sandbox(self) -> dict[str, str]:
        """What checkout and the sandbox provider have to agree on."""
        secret_file = self.directory / "sandbox-secret"
        return {
            "PAYMENT_PROVIDER": os.environ.get("PAYMENT_PROVIDER", "sandbox"),
            "SANDBOX_URL": f"http://{self.addresses['sandbox']}",
            "SANDBOX_API_KEY": derived_password(secret_file, "api key"),
            "SANDBOX_WEBHOOK_SECRET": derived_password(secret_file, "webhook"),
            "SANDBOX_WEBHOOK_URL": f"http://{self.addresses['checkout_http']}/webhooks/sandbox",
            "SANDBOX_JOURNAL": str(self.directory / "sandbox.sqlite3"),
        }
