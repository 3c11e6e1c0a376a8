"""Under which conditions figures were taken: without these they cannot be compared with others."""

import os
import platform
import subprocess
from importlib.metadata import version

import asyncpg

from deploy.local.stack import Stack
from deploy.local.temporal_cli import find_temporal

_LIBRARIES = ("temporalio", "grpcio", "asyncpg", "uvloop")
_DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")
_SIZES = ("shared_buffers", "max_wal_size")


async def conditions_of(stack: Stack) -> dict[str, object]:
    """Machine, versions and the database's durability."""
    return {
        **await conditions_of_database(stack.database_url("ledger")),
        "temporal_server": _temporal_version(),
        "temporal_persistence": "SQLite in a file",
    }


async def conditions_of_database(url: str) -> dict[str, object]:
    """Machine, versions and durability, of what needs no more than a database."""
    connection = await asyncpg.connect(url)
    try:
        settings = {name: await connection.fetchval(f"show {name}") for name in (*_DURABILITY, *_SIZES)}
        postgres = await connection.fetchval("show server_version")
    finally:
        await connection.close()
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "platform": platform.platform(),
        "python": platform.python_version(),
        **{library: version(library) for library in _LIBRARIES},
        "postgresql": postgres,
        **settings,
    }


def _temporal_version() -> str:
    """What the program says of itself, in one line."""
    said = subprocess.run([find_temporal(), "--version"], capture_output=True, text=True, check=False).stdout
    return said.strip() or "unknown"
