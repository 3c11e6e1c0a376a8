"""Starts processes, keeps them running and stops them in reverse order."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from deploy.local.process_record import ProcessRecord


class Supervised(Protocol):
    """What the supervisor asks of a process."""

    name: str

    @property
    def pid(self) -> int | None:
        """The running process's id, or None."""

    async def start(self) -> None:
        """Start it and keep it running."""

    async def wait_ready(self, timeout_s: float) -> None:
        """Return when it is ready for work, raise when it is not in time."""

    async def stop(self) -> None:
        """Stop it in order."""

    async def kill(self, *, stay_down: bool = False) -> None:
        """Kill it with SIGKILL."""


class Supervisor:
    """The processes of one directory, in stages: what is stopped first was started last.

    A second supervisor on the same directory is refused; one that was killed with SIGKILL is cleaned up after.
    """

    def __init__(self, directory: Path) -> None:
        """`directory` exists."""
        self.record = ProcessRecord(directory)
        self._stages: list[Sequence[Supervised]] = []

    def open(self) -> None:
        """Take the directory and end what a killed run left there. Raises AlreadyRunning."""
        self.record.acquire()

    def process(self, name: str) -> Supervised:
        """The process called `name`. Raises KeyError."""
        for stage in self._stages:
            for process in stage:
                if process.name == name:
                    return process
        raise KeyError(f"the stack has no process {name!r}")

    async def start(self, stages: Sequence[Sequence[Supervised]], timeout_s: float) -> None:
        """Start all processes at once and wait until every one is ready. Raises NotReady and what a start raises."""
        self._stages += stages
        async with asyncio.TaskGroup() as group:
            for stage in stages:
                for process in stage:
                    group.create_task(_start(process, timeout_s))

    async def stop(self) -> None:
        """Stop the last stage first, each stage's processes side by side, and give the directory back."""
        try:
            while self._stages:
                await asyncio.gather(*(process.stop() for process in self._stages.pop()))
        finally:
            self.record.release()


async def _start(process: Supervised, timeout_s: float) -> None:
    await process.start()
    await process.wait_ready(timeout_s)
