"""The processes of one PostgreSQL cluster, found by the folder they work in rather than by a pid file alone."""

import contextlib
import signal
from pathlib import Path

import psutil

from deploy.local.process_table import signal_all, wait_until_gone

KILL_TIMEOUT_S = 10


def processes_of(data: Path) -> list[psutil.Process]:
    """All live PostgreSQL processes whose working directory is the cluster `data`, orphans of a crash included."""
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            if process.info["name"].startswith("postgres") and Path(process.cwd()) == data.resolve():
                found.append(process)
    return found


def postmaster_of(data: Path) -> psutil.Process | None:
    """The cluster's parent process, or None when it does not run."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    return next((process for process in processes_of(data) if process.pid == pid), None)


def kill_processes_of(data: Path) -> None:
    """Kill every process of the cluster with SIGKILL, as a crash would, and wait until they are gone."""
    processes = processes_of(data)
    signal_all(processes, signal.SIGKILL)
    wait_until_gone(processes, KILL_TIMEOUT_S)


def end_processes_of(data: Path, timeout_s: float) -> None:
    """End every process of the cluster: in order while its parent lives, by force after `timeout_s` or without it."""
    processes = processes_of(data)
    postmaster = postmaster_of(data)
    if postmaster is not None:
        signal_all([postmaster], signal.SIGINT)
        wait_until_gone(processes, timeout_s)
    kill_processes_of(data)
    # A pid file whose process is gone, or is another program's by now, would make PostgreSQL refuse to start.
    (data / "postmaster.pid").unlink(missing_ok=True)
