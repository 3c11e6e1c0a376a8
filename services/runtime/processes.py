"""Several processes of one service behind one address: when one event loop is the limit.

Each is the service as it is with one process. The kernel spreads connections, not calls, over those that listen on the
same port. The process that starts them answers no calls: it passes signals on and starts anew what died.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Mapping

import structlog

from services.runtime.logs import configure_logs
from services.runtime.settings import Settings

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

# Names the end of a pipe that closes when the parent is gone, however it went.
PARENT_PIPE = "QUITTANCE_PARENT_PIPE"
# A process that ends sooner would end again and again: something about it is wrong, and it is not started anew.
LIVED_MIN_S = 10.0


def run_processes(module: str, settings: Settings, count: int) -> int:
    """Runs `python -m module` so many times until a signal comes, and answers the exit code.

    1 when a process ended by itself soon after its start; the others are ended then. Each process gets the settings of
    this one, except that PROCESSES is 1 and that metrics, when they are on, are at the port, the next, and so on.
    """
    configure_logs(settings)
    return asyncio.run(_Processes(module, settings, count).run())


def parent_pipe() -> int | None:
    """The file that becomes readable when the parent is gone; None in a process without such a parent."""
    number = os.environ.get(PARENT_PIPE)
    return None if number is None else int(number)


class _Processes:
    """The processes of one service."""

    def __init__(self, module: str, settings: Settings, count: int) -> None:
        self._module = module
        self._settings = settings
        self._count = count
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Until a signal, or until one ended too soon."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        pipe, kept = os.pipe()
        with _reserved(self._settings.address) as held:
            address = f"{self._settings.address.rpartition(':')[0]}:{held.getsockname()[1]}"
            keeping = [asyncio.create_task(self._keep(number, address, pipe)) for number in range(self._count)]
            codes = await asyncio.gather(*keeping)
        os.close(pipe)
        os.close(kept)
        return max(codes)

    async def _keep(self, number: int, address: str, pipe: int) -> int:
        """Keeps one process running; answers 0 when it was asked to stop and did, else 1."""
        stopping = asyncio.create_task(self._stop.wait())
        while True:
            started_at = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", self._module), env=self._environment(number, address, pipe), pass_fds=(pipe,)
            )
            _log.info("process_started", number=number, pid=process.pid, address=address)
            ending = asyncio.create_task(process.wait())
            await asyncio.wait((stopping, ending), return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                return await self._ended(process)
            lived_s = round(time.monotonic() - started_at, 1)
            _log.error("process_died", number=number, pid=process.pid, code=process.returncode, lived_s=lived_s)
            if lived_s < LIVED_MIN_S:
                self._stop.set()
                return 1

    @staticmethod
    async def _ended(process: Process) -> int:
        if process.returncode is None:
            process.terminate()
        return 0 if await process.wait() == 0 else 1

    def _environment(self, number: int, address: str, pipe: int) -> Mapping[str, str]:
        prefix = self._settings.model_config.get("env_prefix", "")
        changed = {"ADDRESS": address, "REUSE_PORT": "true", "PROCESSES": "1"}
        host, _, port = self._settings.metrics_address.rpartition(":")
        if port and port != "0":
            changed["METRICS_ADDRESS"] = f"{host}:{int(port) + number}"
        return {**os.environ, **{prefix + name: value for name, value in changed.items()}, PARENT_PIPE: str(pipe)}


def _reserved(address: str) -> socket.socket:
    """The port, taken before any process has it: also when the setting is 0, and nobody else gets it in between."""
    host, _, port = address.rpartition(":")
    family, kind, protocol, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
    held = socket.socket(family, kind, protocol)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind(place)
    return held
