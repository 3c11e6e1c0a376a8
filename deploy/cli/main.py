"""`quittance <service> <command>`: arguments, exit codes, and what is said when something is wrong.

Exit codes: 0 fine; 1 findings, refused rows or sums that differ; 2 wrong usage, or something could not be reached.
"""

import argparse
import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import asyncpg
import grpc

from deploy.cli.campaign_arguments import add_campaign_commands
from deploy.cli.code_arguments import add_code_commands
from deploy.cli.console import err
from deploy.cli.importing import import_wallets
from deploy.cli.payment_arguments import add_payment_commands
from deploy.cli.problems import UsageProblem
from deploy.cli.statement import print_statement
from deploy.cli.trial_balance import print_trial_balance
from deploy.cli.verifying import print_findings, verify

FINE = 0
WRONG_USAGE = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(asyncio.run(options.run(options)))
    except UsageProblem as problem:
        err.print(str(problem), markup=False)
    except grpc.aio.AioRpcError as error:
        err.print(f"{error.code().name}: {error.details()}", markup=False)
    except (asyncpg.PostgresError, OSError) as error:
        err.print(f"{type(error).__name__}: {error}", markup=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    return WRONG_USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="quittance", description=__doc__, formatter_class=_Formatter)
    services = parser.add_subparsers(required=True, metavar="SERVICE")
    ledger = services.add_parser("ledger", help="the ledger at LEDGER_ADDRESS", formatter_class=_Formatter)
    commands = ledger.add_subparsers(required=True, metavar="COMMAND")
    _add_verify(commands)
    _add_findings(commands)
    _add_trial_balance(commands)
    _add_statement(commands)
    _add_import_wallets(commands)
    vouchers = services.add_parser("vouchers", help="the vouchers at VOUCHERS_ADDRESS", formatter_class=_Formatter)
    commands = vouchers.add_subparsers(required=True, metavar="COMMAND")
    add_campaign_commands(commands)
    add_code_commands(commands, _moment)
    payments = services.add_parser("payments", help="checkout's money, at CHECKOUT_ADDRESS", formatter_class=_Formatter)
    commands = payments.add_subparsers(required=True, metavar="COMMAND")
    add_payment_commands(commands, _moment)
    return parser


class _Formatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the lines of descriptions, shows defaults."""


_Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def _add_verify(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("verify", help="recompute every balance and seal, name what does not fit")
    command.add_argument("--book", type=int, action="append", default=[], metavar="N", help="only this one; repeatable")
    command.add_argument(
        "--seals",
        type=Path,
        metavar="FILE",
        help="compare with the newest seals kept in FILE, then keep those of today there if nothing is wrong",
    )
    command.set_defaults(run=verify)


def _add_findings(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("findings", help="list what verifications have found")
    command.add_argument("--all", action="store_true", help="also what the newest verification no longer finds")
    command.set_defaults(run=print_findings)


def _add_trial_balance(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("trial-balance", help="sums of all accounts over all books")
    command.add_argument("--currency", default="", metavar="CODE", help="only this currency")
    command.add_argument("--account", default="", metavar="CODE", help="only this account")
    command.set_defaults(run=print_trial_balance)


def _add_statement(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("statement", help="what changed one customer's balance, with the balance after it")
    command.add_argument("owner_id", type=UUID, metavar="CUSTOMER", help="the customer's id")
    command.add_argument("--currency", required=True, metavar="CODE", help="of the wallet")
    command.add_argument("--from", dest="from_time", type=_moment, metavar="TIME", help="after this moment (ISO 8601)")
    command.add_argument("--to", dest="to_time", type=_moment, metavar="TIME", help="up to this moment (ISO 8601)")
    command.set_defaults(run=print_statement)


def _add_import_wallets(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "import-wallets",
        help="bring the balances of an older system in as opening grants",
        description="Each balance above zero becomes one paid grant from the account opening:SOURCE, under an id made "
        "of source, customer\nand currency: run it again, and what is there already stays as it is. The old data is "
        "only read.",
        formatter_class=_Formatter,
    )
    origin = command.add_mutually_exclusive_group(required=True)
    origin.add_argument("--from-url", metavar="URL", help="PostgreSQL database that has the table")
    origin.add_argument("--csv", type=Path, metavar="FILE", help="file with a line of column names, UTF-8")
    command.add_argument("--source", required=True, metavar="NAME", help="of the old system; the same for every run")
    command.add_argument("--scale", required=True, type=int, metavar="DIGITS", help="decimals: 2 for cents")
    command.add_argument("--currency", default="", metavar="CODE", help="of all balances")
    command.add_argument("--currency-column", default="", metavar="NAME", help="that has it instead")
    command.add_argument("--table", default="wallets", metavar="NAME", help="of the database, schema.name if need be")
    command.add_argument("--id-column", default="user_id", metavar="NAME", help="integers, texts or UUIDs")
    command.add_argument("--balance-column", default="balance", metavar="NAME", help="exact decimals")
    command.add_argument("--dry-run", action="store_true", help="read and check everything, change nothing")
    command.set_defaults(run=import_wallets)


def _moment(text: str) -> datetime:
    """A moment with its offset from UTC; without one it is UTC, not whatever this machine is set to."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
