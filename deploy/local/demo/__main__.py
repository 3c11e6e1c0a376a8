"""`python -m deploy.local.demo [--once]`: starts everything, tells the story and checks it.

With --once it ends by itself; else it keeps running, with an order whose pay page waits for the reader.
"""

import argparse
import asyncio
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import grpc

from deploy.local.__main__ import EXPECTED_PROBLEMS
from deploy.local.demo.crash_part import worker_killed
from deploy.local.demo.live_part import invite
from deploy.local.demo.pay_page_parts import abandoned, declined
from deploy.local.demo.report import Report, near
from deploy.local.demo.shop import Shop
from deploy.local.demo.story import Story
from deploy.local.demo.voucher_parts import not_configured, paid
from deploy.local.process import NotReady
from deploy.local.stack import DEFAULT_DIRECTORY, Stack
from deploy.local.temporal_cli import find_temporal

_PARTS: tuple[Callable[[Story], Awaitable[None]], ...] = (
    Story.open_shop,
    not_configured,
    paid,
    declined,
    abandoned,
    worker_killed,
)
# Enough for a picture: what there is, and the case that started it.
_PICTURED = (Story.open_shop, not_configured)
_BREAKS_A_PART = (AssertionError, TimeoutError, NotReady, grpc.aio.AioRpcError, aiohttp.ClientError, ExceptionGroup)


async def tell(stack: Stack, report: Report, api_key: str, *, once: bool) -> None:
    """Starts the stack and tells everything; without `once` it ends only by being cancelled."""
    started = time.monotonic()
    report.say("Starting PostgreSQL, Temporal, three services, their worker and a payment provider ...")
    await stack.start()
    report.say(f"[dim]ready after {time.monotonic() - started:.0f} s; logs are in[/] {near(stack.logs)}")
    async with Shop(stack, report) as shop:
        story = Story(stack, shop, report, api_key)
        for part in _PARTS:
            with report.recorded(part in _PICTURED):
                await _tell_part(part, story)
        report.summary(time.monotonic() - started)
        if not once:
            await _tell_part(invite, story)
            await asyncio.Event().wait()


async def _tell_part(part: Callable[[Story], Awaitable[None]], story: Story) -> None:
    try:
        await part(story)
    except _BREAKS_A_PART as failure:
        story.report.broken(failure)


async def run(directory: Path, report: Report, *, once: bool) -> None:
    """Tells the story until its end or until SIGINT or SIGTERM, then stops the stack."""
    api_key = secrets.token_hex(16)
    # The story begins with a checkout that nobody gave the processor's credentials.
    environment = {"checkout": {"SANDBOX_API_KEY": ""}, "sandbox": {"SANDBOX_API_KEY": api_key}}
    async with Stack(directory, environment=environment) as stack:
        telling = asyncio.create_task(tell(stack, report, api_key, once=once))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, telling.cancel)
        try:
            await telling
        except asyncio.CancelledError:
            report.say("Stopping ...")


def main() -> int:
    """The command line: 0 when every fact was as it should be, else 1."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.demo", description="Tell a story in five parts.")
    parser.add_argument("--once", action="store_true", help="end by itself, with an exit code")
    parser.add_argument("--directory", type=Path, default=DEFAULT_DIRECTORY, help="where data and logs lie")
    parser.add_argument("--picture", type=Path, help="write the first order and the summary to this SVG file")
    arguments = parser.parse_args()
    report = Report()
    try:
        find_temporal()
        asyncio.run(run(arguments.directory, report, once=arguments.once))
    except EXPECTED_PROBLEMS as problem:
        print(problem, file=sys.stderr)
        return 1
    if arguments.picture is not None:
        report.save_picture(arguments.picture, title="make demo ONCE=1")
    return 0 if report.is_right else 1


if __name__ == "__main__":
    sys.exit(main())
