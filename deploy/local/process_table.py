"""Signals to processes that are not our children, and their end."""

import contextlib
import signal
import time
from collections.abc import Sequence

import psutil


def signal_all(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to each that still lives."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def wait_until_gone(processes: Sequence[psutil.Process], timeout_s: float) -> bool:
    """Wait for the end of all. True when it came in time."""
    deadline = time.monotonic() + timeout_s
    while any(is_alive(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs: a dead one that its parent has not yet collected does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
