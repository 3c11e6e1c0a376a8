"""Checkout alone as a real process: with its database, but without Temporal, ledger and vouchers."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import psutil

from deploy.local.ports import free_port
from deploy.local.readiness import grpc_says_serving


class CheckoutProcess:
    """Started on entering, stopped on leaving. Of the providers those are configured that `environment` has."""

    def __init__(self, directory: Path, database_url: str, environment: Mapping[str, str]) -> None:
        self.address, self.http_address = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self._log = directory / "checkout.log"
        self._child: asyncio.subprocess.Process | None = None
        self._environment = {
            **os.environ,
            "CHECKOUT_DATABASE_URL": database_url,
            "CHECKOUT_ADDRESS": self.address,
            "CHECKOUT_HTTP_ADDRESS": self.http_address,
            "CHECKOUT_UNFINISHED_INTERVAL_S": "0",
            "CHECKOUT_DRAIN_GRACE_S": "1",
            "CHECKOUT_READINESS_INTERVAL_S": "0.25",
            "TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}",
            "SANDBOX_API_KEY": "",
            "SANDBOX_WEBHOOK_SECRET": "",
            "LOG_FORMAT": "json",
            **environment,
        }

    async def __aenter__(self) -> Self:
        with self._log.open("w") as output:
            self._child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "services.checkout.main"),
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        is_ready = grpc_says_serving(self.address)
        async with asyncio.timeout(60):
            while not await is_ready():
                assert self.is_alive, "checkout has died, see its log"
                await asyncio.sleep(0.05)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._child is not None
        if self._child.returncode is None:
            self._child.terminate()
        await asyncio.wait_for(self._child.wait(), 20)

    @property
    def is_alive(self) -> bool:
        """Whether it is the process that was started: nobody starts it again."""
        return self._child is not None and self._child.returncode is None

    @property
    def memory_bytes(self) -> int:
        """What it holds in memory."""
        assert self._child is not None
        return int(psutil.Process(self._child.pid).memory_info().rss)

    def errors(self) -> list[str]:
        """What it has logged as errors, and what else than its log it has written."""
        lines = self._log.read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        errors = [str(event["event"]) for event in events if event["level"] in ("error", "critical")]
        return errors + [line for line in lines if not line.startswith("{")]
