"""`python -m tests.bench [NAME …]`: run all benchmarks, or those named; a table, and build/bench.json."""

import argparse
import sys
import time
from collections.abc import Sequence

import uvloop
from rich.console import Console

from deploy.local.temporal_cli import find_temporal
from tests.bench import codes, ledger, ledger_flat, orders, production, vouchers, vouchers_many, webhooks
from tests.bench.registry import BENCHMARKS, LONG, Row
from tests.bench.report import FILE, print_table, write_json

# Imported for their registration.
_MODULES = (orders, production, ledger, ledger_flat, vouchers, vouchers_many, codes, webhooks)


async def run(names: Sequence[str], console: Console) -> list[Row]:
    """The rows of these benchmarks, one benchmark after the other."""
    rows: list[Row] = []
    for name in names:
        console.print(f"{name} …")
        started = time.monotonic()
        rows += await BENCHMARKS[name]()
        console.print(f"{name} took {time.monotonic() - started:.0f} s\n")
    return rows


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure, next to a reference.")
    known = ", ".join(sorted(BENCHMARKS))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {known}; none: all that are quick")
    names = parser.parse_args().names or sorted(BENCHMARKS.keys() - LONG)
    if unknown := sorted(set(names) - BENCHMARKS.keys()):
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {known}")
    console = Console()
    find_temporal()
    rows = uvloop.run(run(names, console))
    print_table(rows, console)
    write_json(rows)
    console.print(f"\nwritten to {FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
