"""The arguments of `quittance vouchers …` about codes."""

import argparse
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from uuid import UUID

from deploy.cli.codes import (
    activate_codes,
    cancel_batch,
    create_codes,
    deactivate_codes,
    export_codes,
    import_codes,
    list_batches,
)

_Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it
Moment = Callable[[str], datetime]


def add_code_commands(commands: "_Commands[argparse.ArgumentParser]", moment: Moment) -> None:
    """Adds them; `moment` reads a time."""
    _add_create(commands, moment)
    _add_batches(commands)
    _add_export(commands)
    _add_import(commands, moment)
    _add_switches(commands)


def _add_create(commands: "_Commands[argparse.ArgumentParser]", moment: Moment) -> None:
    command = commands.add_parser("create-codes", help="have codes generated in the background, and watch it")
    command.add_argument("--campaign", required=True, type=UUID, metavar="ID", help="that the codes belong to")
    command.add_argument("--count", required=True, type=int, metavar="N", help="of codes, up to 10,000,000")
    command.add_argument("--batch", type=UUID, metavar="ID", help="of the batch; the same to run again what broke off")
    command.add_argument("--uses", type=int, default=1, metavar="N", help="of each code; 0 for no limit")
    command.add_argument("--prefix", default="", metavar="TEXT", help="up to 12 capitals and digits")
    command.add_argument(
        "--group-length", type=int, default=6, metavar="N", help="symbols in a group; 18 for no groups"
    )
    command.add_argument("--separator", default="-", metavar="CHARACTER", help="dash, dot, space or empty")
    command.add_argument("--expires", type=moment, metavar="TIME", help="no use from then on (ISO 8601)")
    command.add_argument("--no-wait", action="store_true", help="do not watch it being made")
    command.set_defaults(run=create_codes)


def _add_batches(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("batches", help="list batches of codes and how far they are")
    command.add_argument("--campaign", type=UUID, metavar="ID", help="only of this one")
    command.set_defaults(run=list_batches)
    command = commands.add_parser("cancel-batch", help="stop a batch and switch what was made of it off for ever")
    command.add_argument("batch", type=UUID, metavar="BATCH", help="its id")
    command.set_defaults(run=cancel_batch)


def _add_export(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "export-codes",
        help="write a batch's codes to a CSV file",
        description="Until it is complete the file is called FILE.part; run again after an interruption, it goes on.",
    )
    command.add_argument("batch", type=UUID, metavar="BATCH", help="its id")
    command.add_argument("file", type=Path, metavar="FILE", help="readable by you alone: codes are as good as money")
    command.set_defaults(run=export_codes)


def _add_import(commands: "_Commands[argparse.ArgumentParser]", moment: Moment) -> None:
    command = commands.add_parser("import-codes", help="bring codes along that exist already")
    command.add_argument("--campaign", required=True, type=UUID, metavar="ID", help="that the codes belong to")
    command.add_argument("--batch", required=True, type=UUID, metavar="ID", help="the same for every run")
    command.add_argument("--csv", required=True, type=Path, metavar="FILE", help="with a line of column names, UTF-8")
    command.add_argument("--column", default="code", metavar="NAME", help="that has the codes")
    command.add_argument("--uses", type=int, default=1, metavar="N", help="of each code; 0 for no limit")
    command.add_argument("--expires", type=moment, metavar="TIME", help="no use from then on (ISO 8601)")
    command.add_argument("--dry-run", action="store_true", help="read and check everything, change nothing")
    command.set_defaults(run=import_codes)


def _add_switches(commands: "_Commands[argparse.ArgumentParser]") -> None:
    for name, run, what in (
        ("deactivate-codes", deactivate_codes, "switch a code, a batch or all codes of a campaign off"),
        ("activate-codes", activate_codes, "switch them on again"),
    ):
        command = commands.add_parser(name, help=what)
        target = command.add_mutually_exclusive_group(required=True)
        target.add_argument("--code", default="", metavar="CODE", help="this one")
        target.add_argument("--batch", type=UUID, metavar="ID", help="all of this batch")
        target.add_argument("--campaign", type=UUID, metavar="ID", help="all that this campaign has now")
        command.add_argument("--note", default="", metavar="TEXT", help="why, for the code's history")
        command.add_argument("--change", type=UUID, metavar="ID", help="of the switch, to repeat it safely")
        command.set_defaults(run=run)
