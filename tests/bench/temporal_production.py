"""Temporal as in production: its four services on a PostgreSQL of their own, durable like ours."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.api.workflowservice.v1.service_pb2_grpc import WorkflowServiceStub

from deploy.local.ports import free_port
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.temporal import DYNAMIC_CONFIGURATION, TemporalServer, TemporalUnavailable
from tests.bench.temporal_programs import TemporalPrograms, find_programs

# Queues and caches of their own each; more are for more machines.
HISTORY_SHARDS = 4
_CONNECTIONS = {"maxConns": 40, "maxIdleConns": 40, "maxConnLifetime": "1h"}
_DATABASES = ("temporal", "temporal_visibility")
_VISIBILITY_VERSION = "1.14"
# The server makes much short-lived garbage and has memory to spare.
_GARBAGE_LATER = {"GOGC": "400"}


@dataclass
class ProductionTemporal(TemporalServer):
    """Like the development server, but on PostgreSQL. `postgres` is started and has its schema before `start`."""

    postgres: EmbeddedPostgres = field(kw_only=True)
    folder: Path = field(kw_only=True)
    programs: TemporalPrograms = field(default_factory=find_programs, init=False)

    def prepare(self) -> None:
        """Makes Temporal's databases. Raises TemporalUnavailable."""
        for database in _DATABASES:
            self.postgres.run_sql("postgres", f"CREATE DATABASE {database};")
        history, visibility = _DATABASES
        self._sql_tool(history, "setup-schema", "--version", "0.0")
        self._sql_tool(history, "update-schema", "--schema-name", "postgresql/v12/temporal")
        schema = str(self.programs.visibility_schema)
        self._sql_tool(visibility, "setup-schema", "--version", _VISIBILITY_VERSION, "--schema-file", schema)

    def command(self) -> list[str]:
        """The command line that runs all services in the foreground."""
        # JSON is YAML, too.
        dynamic = {key: [{"value": json.loads(value)}] for key, value in DYNAMIC_CONFIGURATION.items()}
        (self.folder / "dynamic.yaml").write_text(json.dumps(dynamic))
        (self.folder / "temporal.yaml").write_text(json.dumps(self._configuration()))
        configuration = str(self.folder / "temporal.yaml")
        return [str(self.programs.server), "--config-file", configuration, "--allow-no-auth", "start"]

    def environment(self) -> dict[str, str]:
        """Without Temporal's variables, and with more garbage before it is collected."""
        return super().environment() | _GARBAGE_LATER

    def is_ready(self) -> bool:
        """Whether the frontend answers; its namespace is made after that, by the set-up command."""
        with grpc.insecure_channel(self.address) as channel:
            try:
                WorkflowServiceStub(channel).GetSystemInfo(GetSystemInfoRequest(), timeout=1)
            except grpc.RpcError:
                return False
        return True

    def _configuration(self) -> dict[str, object]:
        # What is not named is on loopback at a port that is free.
        services = {
            name: {"rpc": {"grpcPort": port, "membershipPort": free_port(), "bindOnIP": "127.0.0.1"}}
            for name, port in (
                ("frontend", self.port),
                ("history", free_port()),
                ("matching", free_port()),
                ("worker", free_port()),
            )
        }
        cluster = {
            "enabled": True,
            "initialFailoverVersion": 1,
            "rpcName": "frontend",
            "rpcAddress": self.address,
        }
        return {
            "log": {"stdout": True, "level": "error"},
            "persistence": {
                "defaultStore": "history",
                "visibilityStore": "visibility",
                "numHistoryShards": HISTORY_SHARDS,
                "datastores": {
                    store: {"sql": self._store(database)}
                    for store, database in zip(("history", "visibility"), _DATABASES, strict=True)
                },
            },
            "global": {"membership": {"maxJoinDuration": "30s", "broadcastAddress": "127.0.0.1"}},
            "services": services,
            "clusterMetadata": {
                "enableGlobalNamespace": False,
                "failoverVersionIncrement": 10,
                "masterClusterName": "active",
                "currentClusterName": "active",
                "clusterInformation": {"active": cluster},
            },
            "dcRedirectionPolicy": {"policy": "noop"},
            "dynamicConfigClient": {"filepath": str(self.folder / "dynamic.yaml"), "pollInterval": "60s"},
        }

    def _store(self, database: str) -> dict[str, object]:
        return {
            "pluginName": "postgres12_pgx",
            "databaseName": database,
            "connectAddr": f"127.0.0.1:{self.postgres.port}",
            "connectProtocol": "tcp",
            "user": "postgres",
            "password": self.postgres.password("postgres"),
            **_CONNECTIONS,
        }

    def _sql_tool(self, database: str, *arguments: str) -> None:
        address = ("--endpoint", "127.0.0.1", "--port", str(self.postgres.port), "--user", "postgres")
        password = {"SQL_PASSWORD": self.postgres.password("postgres")}
        run = subprocess.run(
            [self.programs.sql_tool, *address, "--plugin", "postgres12_pgx", "--database", database, *arguments],
            env=self.environment() | password,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise TemporalUnavailable(f"Temporal's schema could not be made:\n{run.stdout}{run.stderr}")
