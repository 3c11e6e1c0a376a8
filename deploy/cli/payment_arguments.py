"""The arguments of `quittance payments …`."""

import argparse
from collections.abc import Callable
from datetime import datetime

from deploy.cli.payments import print_payment_findings, reconcile_payments

_Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it
Moment = Callable[[str], datetime]
_DAYS_MAX = 365


def add_payment_commands(commands: "_Commands[argparse.ArgumentParser]", moment: Moment) -> None:
    """`quittance payments findings` and `reconcile`; `moment` reads a time."""
    findings = commands.add_parser("findings", help="list what a person has to look at, each once")
    findings.add_argument("--since", type=moment, metavar="TIME", help="found from this moment on (ISO 8601)")
    findings.set_defaults(run=print_payment_findings)
    reconcile = commands.add_parser("reconcile", help="compare providers, checkout and the ledger now")
    reconcile.add_argument("--days", type=_days, default=2, metavar="N", help="how far back, up to 365")
    reconcile.set_defaults(run=reconcile_payments)


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= _DAYS_MAX:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and {_DAYS_MAX}")
    return days
