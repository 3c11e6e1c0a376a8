"""`python -m orchestrator.setup`: brings a namespace of any Temporal server to what orders need.

It makes the namespace, its search attributes and schedules, and may be run at any time: what is right stays as it is.
Where Temporal is, and as whom to go there, say the settings TEMPORAL_….

Exit codes: 0 all is as it should be; 1 it was not (--check only); 2 it cannot be reached, or not be set up.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import timedelta

from pydantic import ValidationError
from temporalio.service import RPCError

from orchestrator.namespace import RETENTION_OF_NEW, SetupFailed, set_up
from orchestrator.schedules import SCHEDULES
from services.runtime.temporal import TemporalSettings, TemporalUnreachable, temporal_client

RIGHT = 0
NOT_RIGHT = 1
FAILED = 2


async def bring_about(options: argparse.Namespace) -> int:
    """Prints a line for each part. Raises SetupFailed, TemporalUnreachable, RPCError."""
    settings = TemporalSettings()
    retention = timedelta(days=options.retention_days) if options.retention_days else None
    changes = 0
    async with temporal_client(settings) as client:
        parts = set_up(client, settings.task_queue, SCHEDULES, retention=retention, dry_run=options.check)
        async for part in parts:
            changes += bool(part.change)
            would_be = "would be " if options.check and part.change else ""
            print(f"{part.name}: {would_be}{part.change or 'as it should be'}", flush=True)
    return NOT_RIGHT if options.check and changes else RIGHT


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m orchestrator.setup",
        description=__doc__.partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="change nothing, only say what would be changed")
    parser.add_argument(
        "--retention-days",
        type=int,
        metavar="N",
        help="how long histories of ended workflows are kept "
        f"(default: {RETENTION_OF_NEW.days} in a new namespace, else as it is)",
    )
    try:
        return asyncio.run(bring_about(parser.parse_args(arguments)))
    except (SetupFailed, TemporalUnreachable) as problem:
        print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
    except RPCError as error:
        print(f"{error.status.name}: {error.message}", file=sys.stderr)
    except ValidationError as wrong:
        for each in wrong.errors(include_url=False, include_input=False):
            setting = "".join(f"TEMPORAL_{name}: ".upper() for name in each["loc"])
            print(f"{setting}{each['msg']}", file=sys.stderr)
    return FAILED


if __name__ == "__main__":
    exit_code = main()
    # The SDK's threads may still be at work when the interpreter ends, which then aborts instead of answering this.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
