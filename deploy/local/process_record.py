"""A file that says which processes a stack has started, so that a stack that was killed leaves nothing running."""

import contextlib
import fcntl
import json
import os
import signal
from pathlib import Path
from typing import IO

import psutil

from deploy.local.process_table import signal_all, wait_until_gone

# Both numbers come from the same clock of the kernel; the file keeps fewer digits.
SAME_START_WITHIN_S = 0.01
END_TIMEOUT_S = 5.0


class AlreadyRunning(Exception):
    """Another stack uses this directory now."""


class ProcessRecord:
    """The processes of one directory's stack: name → pid and start time, held under a lock while the stack runs.

    A pid alone would not do: after a restart of the machine it may be anybody's.
    """

    def __init__(self, directory: Path) -> None:
        """`directory` exists; nothing is read or locked yet."""
        self._path = directory / "processes.json"
        self._lock_path = directory / "lock"
        self._lock: IO[str] | None = None
        self._processes: dict[str, dict[str, float]] = {}

    def acquire(self) -> None:
        """Take the directory for ourselves and end what a killed stack left. Raises AlreadyRunning."""
        lock = self._lock_path.open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise AlreadyRunning(f"a stack is running in {self._path.parent} already, as process {holder}") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        _end(self._left_behind())
        self._write()

    def release(self) -> None:
        """Let others use the directory."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def add(self, name: str, pid: int) -> None:
        """Write down a process that has just been started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._processes[name] = {"pid": pid, "started": psutil.Process(pid).create_time()}
            self._write()

    def remove(self, name: str) -> None:
        """Forget a process that has ended."""
        if self._processes.pop(name, None) is not None:
            self._write()

    def _left_behind(self) -> list[psutil.Process]:
        try:
            recorded = json.loads(self._path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return []
        found = []
        for entry in recorded.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(entry["pid"])
                if abs(process.create_time() - entry["started"]) < SAME_START_WITHIN_S:
                    found.append(process)
        return found

    def _write(self) -> None:
        unfinished = self._path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self._processes, indent=2) + "\n")
        unfinished.replace(self._path)


def _end(processes: list[psutil.Process]) -> None:
    signal_all(processes, signal.SIGTERM)
    if not wait_until_gone(processes, END_TIMEOUT_S):
        signal_all(processes, signal.SIGKILL)
        wait_until_gone(processes, END_TIMEOUT_S)
