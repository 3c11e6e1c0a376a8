"""Temporal's development server with its UI, tuned so that an order takes milliseconds instead of half a second."""

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.api.workflowservice.v1.service_pb2_grpc import WorkflowServiceStub

from deploy.local.ports import free_port
from deploy.local.temporal_cli import TemporalUnavailable, find_temporal

__all__ = ["TemporalServer", "TemporalUnavailable"]

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
POLL_EVERY_S = 0.05

# A write-ahead log, flushed at checkpoints: a killed server loses nothing, a machine that loses power may lose its last
# moments of history. Twice the workflows a second. For production, Temporal has its own databases.
FAST_AND_DURABLE_ENOUGH = ("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL")

DYNAMIC_CONFIGURATION = {
    # The server has one shard, whose three queues are read 20 times a second by default: 50 ms for every hop of a
    # workflow, ten hops for an order.
    "history.transferProcessorMaxPollRPS": "5000",
    "history.timerProcessorMaxPollRPS": "5000",
    "history.visibilityProcessorMaxPollRPS": "5000",
    # A step that a worker asks for may be handed to the same worker in the answer, without a way through a queue.
    "system.enableActivityEagerExecution": "true",
    "system.enableEagerWorkflowStart": "true",
    # Four partitions, the default, are for many servers; here a task may wait in one while the poller asks another.
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    # Calls a second, in all and for the one namespace: far above what one machine reaches, so that a backlog or a
    # benchmark is worked off at the speed of the machine and nobody is told RESOURCE_EXHAUSTED.
    "frontend.rps": "50000",
    "frontend.namespaceRPS": "50000",
    "history.rps": "100000",
    "matching.rps": "100000",
    # Lists and counts of workflows: 10 a second by default, which a repair or the UI's pages alone use up.
    "frontend.namespaceRPS.visibility": "1000",
    # Calls that wait at once: every caller of an order waits for its first answer, every poller for a task.
    "frontend.namespaceCount": "10000",
    # Reads and writes of the database a second.
    "frontend.persistenceMaxQPS": "100000",
    "history.persistenceMaxQPS": "100000",
    "matching.persistenceMaxQPS": "100000",
}


@dataclass
class TemporalServer:
    """One development server on loopback; every port that is 0 becomes a free one at construction.

    `database` is the file that keeps all workflows (None: in memory, lost at the stop), `log` the file for what the
    server says. Every method blocks; from a coroutine call it through `asyncio.to_thread`.
    """

    port: int = 0
    ui_port: int = 0
    headless: bool = False
    database: Path | None = None
    log: Path | None = None
    namespace: str = "default"
    # Keys of Temporal's dynamic configuration, beside ours or instead of them.
    dynamic_configuration: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Settle the ports, which others must know before the start."""
        self.port = self.port or free_port()
        self.ui_port = self.ui_port or free_port()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Host and port of the frontend."""
        return f"127.0.0.1:{self.port}"

    @property
    def ui_url(self) -> str | None:
        """Where a browser finds the UI."""
        return None if self.headless else f"http://127.0.0.1:{self.ui_port}"

    def command(self) -> list[str]:
        """The command line that runs the server in the foreground. Raises TemporalUnavailable."""
        command = [str(find_temporal()), "server", "start-dev", "--ip", "127.0.0.1", "--port", str(self.port)]
        command += ["--headless"] if self.headless else ["--ui-port", str(self.ui_port)]
        command += ["--namespace", self.namespace, "--log-level", "error"]
        if self.database is not None:
            command += ["--db-filename", str(self.database), *FAST_AND_DURABLE_ENOUGH]
        for key, value in {**DYNAMIC_CONFIGURATION, **self.dynamic_configuration}.items():
            command += ["--dynamic-config-value", f"{key}={value}"]
        return command

    def environment(self) -> dict[str, str]:
        """Our environment without Temporal's variables: they are settings of clients and would confuse the server."""
        return {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}

    def is_ready(self) -> bool:
        """Whether the server answers and has its namespace. What orders need there, the set-up command makes."""
        with grpc.insecure_channel(self.address) as channel:
            frontend = WorkflowServiceStub(channel)
            try:
                frontend.DescribeNamespace(DescribeNamespaceRequest(namespace=self.namespace), timeout=1)
            except grpc.RpcError:
                return False
        return True

    def start(self) -> None:
        """Start the server and wait until it is ready. Raises TemporalUnavailable."""
        output = self.log.open("wb") if self.log else subprocess.DEVNULL
        self.process = subprocess.Popen(
            self.command(),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise TemporalUnavailable(f"Temporal's server did not start on port {self.port}{self._log_end()}")
            time.sleep(POLL_EVERY_S)

    def stop(self) -> None:
        """Stop the server; the database file keeps all workflows. Does nothing when it is not running."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """Kill the server with SIGKILL, as a crash would; `start` brings it back on the same port."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _log_end(self) -> str:
        if self.log is None:
            return ""
        return ":\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
