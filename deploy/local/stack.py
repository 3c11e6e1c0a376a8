"""Everything on one machine: PostgreSQL, Temporal, the services, the orchestrator and the sandbox provider."""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.console import LogFollower, OnLine
from deploy.local.postgres import SERVICES, EmbeddedPostgres
from deploy.local.postgres_process import PostgresProcess
from deploy.local.process import NotReady, Process
from deploy.local.readiness import Readiness, grpc_says_serving, http_answers_ok, in_thread
from deploy.local.stack_settings import ADDRESSES, DATABASE_OWNER, PORTS, StackSettings
from deploy.local.supervisor import Supervised, Supervisor
from deploy.local.temporal import TemporalServer

CHECKOUT = Path(__file__).resolve().parents[2]
DEFAULT_DIRECTORY = CHECKOUT / ".quittance"
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 6.0

# In the order of their stages: what is stopped first comes last.
MODULES = (
    {"ledger": "services.ledger.main", "vouchers": "services.vouchers.main"},
    {"checkout": "services.checkout.main", "sandbox": "deploy.local.sandbox_provider"},
    {"orchestrator": "orchestrator.main"},
)


class PreparationFailed(NotReady):
    """A service's migrations or Temporal's set-up did not run; the message carries what they said."""


class Stack:
    """One local stack, with all its data and logs below `directory`.

        async with Stack(tmp_path, free_ports=True) as stack:
            await stack.start()
            channel = grpc.aio.insecure_channel(stack.address("ledger"))

    Processes: postgres, temporal, ledger, vouchers, checkout, sandbox, orchestrator. `environment` gives settings to
    single processes by name. `on_line` gets the name and text of each line of their logs.
    """

    def __init__(
        self,
        directory: Path = DEFAULT_DIRECTORY,
        *,
        ports: Mapping[str, int] | None = None,
        free_ports: bool = False,
        headless: bool = False,
        environment: Mapping[str, Mapping[str, str]] | None = None,
        on_line: OnLine | None = None,
    ) -> None:
        """Nothing is touched or started before `start`. `ports` are named as in stack_settings; `headless`: no UI."""
        self.directory = directory.absolute()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs = self.directory / "logs"
        self.databases: dict[str, str] = {}
        self.settings = StackSettings(self.directory, ports or {}, free_ports)
        self.postgres = EmbeddedPostgres(self.directory, self.settings.port("postgres"))
        self.temporal = TemporalServer(
            self.settings.port("temporal"),
            self.settings.port("temporal_ui"),
            headless=headless,
            database=self.directory / "temporal.db",
            namespace=os.environ.get("TEMPORAL_NAMESPACE", "default"),
        )
        self._environment = {name: dict(settings) for name, settings in (environment or {}).items()}
        self._on_line = on_line
        self._follower: LogFollower | None = None
        self._following: asyncio.Task[None] | None = None
        self._supervisor = Supervisor(self.directory)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def address(self, name: str) -> str:
        """host:port of ledger, vouchers, checkout, orchestrator, checkout_http, sandbox, temporal, temporal_ui."""
        return self.settings.addresses[name]

    @property
    def temporal_ui_url(self) -> str | None:
        """Where a browser finds Temporal's UI."""
        return self.temporal.ui_url

    def database_url(self, service: str, *, owner: bool = False) -> str:
        """URL of a started stack's database, as the service's role or as the owner of its tables."""
        return self.databases[f"{service.upper()}_{DATABASE_OWNER if owner else 'DATABASE_URL'}"]

    def set_environment(self, name: str, environment: Mapping[str, str]) -> None:
        """Give one process more settings, for its next start."""
        self._environment.setdefault(name, {}).update(environment)

    def pid(self, name: str) -> int | None:
        """The process's id while it runs."""
        return self._supervisor.process(name).pid

    async def start(self) -> None:
        """Start everything and return when all of it is ready. On failure, all is stopped again.

        Raises AlreadyRunning, NotReady, PortTaken, PostgresUnavailable, SettingMissing, TemporalUnavailable.
        """
        await asyncio.to_thread(self._supervisor.open)
        try:
            self.settings.check_ports((ADDRESSES | PORTS).keys() - {"postgres"})
            self._start_logs()
            await self._start_foundation()
            await asyncio.gather(self._set_up_temporal(), *(self._migrate(service) for service in SERVICES))
            stages = [[self._process(name, module) for name, module in stage.items()] for stage in MODULES]
            await self._supervisor.start(stages, READY_TIMEOUT_S)
        except BaseExceptionGroup as failures:
            await self.stop()
            raise failures.exceptions[0] from failures
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop everything in reverse order; data stays. Does nothing when it is stopped."""
        await self._supervisor.stop()
        if self._follower is not None and self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
            self._follower.read_new_lines()
            self._follower = None

    async def kill(self, name: str, *, stay_down: bool = False) -> None:
        """Kill one process with SIGKILL. It comes back by itself, unless it has to `stay_down` until `restart`."""
        await self._supervisor.process(name).kill(stay_down=stay_down)

    async def restart(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        """Stop one process, give it more settings, start it and wait until it is ready. Raises NotReady."""
        process = self._supervisor.process(name)
        await process.stop()
        self.set_environment(name, environment or {})
        if isinstance(process, Process):
            process.environment.update(self._environment[name])
        await process.start()
        await process.wait_ready(READY_TIMEOUT_S)

    async def wait_ready(self, name: str, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until one process is ready, for example after `kill`. Raises NotReady."""
        await self._supervisor.process(name).wait_ready(timeout_s)

    def _start_logs(self) -> None:
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir()
        if self._on_line is not None:
            self._follower = LogFollower(self.logs, self._on_line)
            self._following = asyncio.create_task(self._follower.run(), name="follow logs")

    async def _start_foundation(self) -> None:
        command = await asyncio.to_thread(self.temporal.command)
        temporal = self._supervise("temporal", command, self.temporal.environment(), in_thread(self.temporal.is_ready))
        foundation: list[Sequence[Supervised]] = [[temporal]]
        self.databases = self.settings.external_databases()
        if not self.databases:
            foundation.insert(0, [PostgresProcess(self.postgres)])
        await self._supervisor.start(foundation, READY_TIMEOUT_S)
        self.databases = self.databases or self._embedded_databases()

    def _embedded_databases(self) -> dict[str, str]:
        app = {f"{service.upper()}_DATABASE_URL": self.postgres.url(service) for service in SERVICES}
        owner = {
            f"{service.upper()}_{DATABASE_OWNER}": self.postgres.url(service, f"{service}_owner")
            for service in SERVICES
        }
        return app | owner

    async def _set_up_temporal(self) -> None:
        environment = self.settings.environment("orchestrator", self.databases)
        await self._prepare(["orchestrator.setup"], environment | self._environment.get("orchestrator", {}))

    async def _migrate(self, service: str) -> None:
        environment = self.settings.migration_environment(self.databases, service)
        await self._prepare(["services.runtime.migrations", service, "up"], environment)

    async def _prepare(self, module: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run to its end what the processes need. Raises PreparationFailed."""
        preparation = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *module),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=CHECKOUT,
        )
        output, _ = await preparation.communicate()
        if preparation.returncode != 0:
            raise PreparationFailed(f"{' '.join(module)} failed:\n{output.decode(errors='replace')}")

    def _process(self, name: str, module: str) -> Process:
        environment = self.settings.environment(name, self.databases) | dict(self._environment.get(name, {}))
        is_ready = grpc_says_serving(self.address(name))
        if name == "sandbox":
            is_ready = http_answers_ok(f"http://{self.address('sandbox')}/healthz")
        return self._supervise(name, [sys.executable, "-m", module], environment, is_ready)

    def _supervise(self, name: str, command: list[str], environment: dict[str, str], is_ready: Readiness) -> Process:
        return Process(
            name,
            command,
            environment=environment | {"PYTHONUNBUFFERED": "1"},
            is_ready=is_ready,
            record=self._supervisor.record,
            log=self.logs / f"{name}.log",
            stop_timeout_s=STOP_TIMEOUT_S,
        )
