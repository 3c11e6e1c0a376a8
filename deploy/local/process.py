"""One process under supervision: started, watched, restarted when it dies by itself, stopped in order."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.local.process_record import ProcessRecord
from deploy.local.readiness import Readiness

LINES_SHOWN = 20
RESTART_DELAY_FIRST_S = 0.1
RESTART_DELAY_MAX_S = 5.0
STEADY_AFTER_S = 30.0
POLL_EVERY_S = 0.05
DEATHS_MAX_BEFORE_READY = 3


class NotReady(Exception):
    """A process did not become ready; the message carries the end of its log."""


class Process:
    """A command that has to run as long as the stack does.

    It writes straight into its log file, so that a death of the supervisor does not disturb it. After an end that
    nobody asked for it is started again, at once at first, then after growing pauses.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        is_ready: Readiness,
        record: ProcessRecord,
        log: Path,
        stop_timeout_s: float = 8.0,
    ) -> None:
        """`environment` is complete: nothing is inherited. `stop_timeout_s`: from SIGTERM to SIGKILL."""
        self.name = name
        self.environment = dict(environment)
        self.log = log
        self._command = command
        self._is_ready = is_ready
        self._record = record
        self._stop_timeout_s = stop_timeout_s
        self._child: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._deaths = 0

    @property
    def pid(self) -> int | None:
        """The running process's id, or None."""
        return self._child.pid if self._child and self._child.returncode is None else None

    async def start(self) -> None:
        """Start it and keep it running. Returns at once; see `wait_ready`. Does nothing when it is kept already."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep_running(await self._spawn()), name=f"keep {self.name}")

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until it is ready for work. Raises NotReady: the time is over, or it dies again and again."""
        deadline = time.monotonic() + timeout_s
        deaths_before = self._deaths
        while self.pid is None or not await self._is_ready():
            died = self._deaths - deaths_before
            if died >= DEATHS_MAX_BEFORE_READY:
                raise NotReady(f"{self.name} died {died} times:\n{self._log_end()}")
            if time.monotonic() > deadline:
                raise NotReady(f"{self.name} was not ready within {timeout_s:.0f} s:\n{self._log_end()}")
            await asyncio.sleep(POLL_EVERY_S)

    async def stop(self) -> None:
        """Ask it to end (SIGTERM), insist after a while (SIGKILL). Does nothing when it does not run."""
        await self._stop_keeping()
        if self._child is None or self.pid is None:
            return
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._child.wait(), self._stop_timeout_s)
        except TimeoutError:
            self._note("did not stop in time and is killed")
            self._signal(signal.SIGKILL)
            await self._child.wait()
        self._record.remove(self.name)

    async def kill(self, *, stay_down: bool = False) -> None:
        """Kill it with SIGKILL as a crash would; it comes back, unless it has to `stay_down` until `start`."""
        if stay_down:
            await self._stop_keeping()
        if self._child is not None and self.pid is not None:
            self._signal(signal.SIGKILL)
            await self._child.wait()

    async def _stop_keeping(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None

    async def _keep_running(self, child: asyncio.subprocess.Process) -> None:
        delay_s = RESTART_DELAY_FIRST_S
        while True:
            started = time.monotonic()
            status = await child.wait()
            self._deaths += 1
            self._record.remove(self.name)
            if time.monotonic() - started > STEADY_AFTER_S:
                delay_s = RESTART_DELAY_FIRST_S
            self._note(f"ended with status {status}; starts again in {delay_s:.1f} s")
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RESTART_DELAY_MAX_S)
            child = await self._spawn()

    async def _spawn(self) -> asyncio.subprocess.Process:
        with self.log.open("ab") as output:
            # A session of its own: the terminal's Ctrl-C is for the supervisor alone, who stops all in order.
            child = await asyncio.create_subprocess_exec(
                *self._command,
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._child = child
        self._record.add(self.name, child.pid)
        return child

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(number)

    def _note(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(f"[supervisor] {self.name} {text}\n")

    def _log_end(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LINES_SHOWN:])
