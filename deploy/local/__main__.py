"""`python -m deploy.local`: run the whole stack in the foreground until Ctrl-C."""

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
from pathlib import Path

from deploy.local.console import Console
from deploy.local.postgres import EmbeddedPostgres, PostgresUnavailable
from deploy.local.process import NotReady
from deploy.local.process_record import AlreadyRunning
from deploy.local.stack import DEFAULT_DIRECTORY, Stack
from deploy.local.stack_settings import PortTaken, SettingMissing
from deploy.local.supervisor import Supervisor
from deploy.local.temporal import TemporalUnavailable
from deploy.local.temporal_cli import find_temporal

EXPECTED_PROBLEMS = (AlreadyRunning, NotReady, PortTaken, PostgresUnavailable, SettingMissing, TemporalUnavailable)


def remove_data(directory: Path) -> None:
    """Delete all data of the stack in `directory`. Raises AlreadyRunning."""
    if directory.exists():
        supervisor = Supervisor(directory)
        supervisor.open()
        EmbeddedPostgres(directory).remove()
        shutil.rmtree(directory)
        supervisor.record.release()


async def _run(directory: Path) -> None:
    """Run until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Stack(directory, on_line=Console().line) as stack:
        starting = asyncio.create_task(stack.start())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
            print(f"\nReady. Temporal's UI: {stack.temporal_ui_url}  Ctrl-C stops everything.\n", flush=True)
            await stopping


def main() -> int:
    """The command line. 1 when the stack cannot start."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description="Run the whole stack.")
    parser.add_argument("--directory", type=Path, default=DEFAULT_DIRECTORY, help="where data and logs lie")
    parser.add_argument("--reset", action="store_true", help="delete all its data instead")
    arguments = parser.parse_args()
    try:
        if arguments.reset:
            remove_data(arguments.directory)
        else:
            find_temporal()
            asyncio.run(_run(arguments.directory))
    except KeyboardInterrupt:
        return 130
    except EXPECTED_PROBLEMS as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
