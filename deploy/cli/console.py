"""Where commands write: results to the output, progress and problems beside it."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from services.runtime.channels import open_channel

# In a file or a pipe tables are as wide as they need to be.
_WIDTH = None if sys.stdout.isatty() else 240
out = Console(soft_wrap=True, highlight=False, width=_WIDTH)
err = Console(stderr=True, soft_wrap=True, highlight=False)


@asynccontextmanager
async def ledger_channel() -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the ledger at LEDGER_ADDRESS."""
    async with open_channel(os.environ.get("LEDGER_ADDRESS", "127.0.0.1:9051")) as channel:
        yield channel


@asynccontextmanager
async def vouchers_channel() -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the voucher service at VOUCHERS_ADDRESS."""
    async with open_channel(os.environ.get("VOUCHERS_ADDRESS", "127.0.0.1:9052")) as channel:
        yield channel


@asynccontextmanager
async def checkout_channel() -> AsyncIterator[grpc.aio.Channel]:
    """A channel to checkout at CHECKOUT_ADDRESS."""
    async with open_channel(os.environ.get("CHECKOUT_ADDRESS", "127.0.0.1:9053")) as channel:
        yield channel


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """Of the last seconds; of the whole time once it is over."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "")


def progress_bar() -> Progress:
    """A bar with count, rate and remaining time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=err,
    )
