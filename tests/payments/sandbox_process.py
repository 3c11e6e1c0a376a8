"""The sandbox provider as the tests run it: its real process, and a merchant's endpoint for its webhooks."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
from aiohttp import web

from services.checkout.payments.provider import SessionRequest
from services.checkout.payments.sandbox import SandboxProvider, SandboxSettings
from services.runtime.ids import new_id

API_KEY = "key-of-the-tests"
SECRET = "secret-of-the-tests"


class Receiver:
    """Where webhooks arrive; answers `status` and keeps what came."""

    def __init__(self) -> None:
        self.status = 200
        self.received: list[tuple[dict[str, str], bytes]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.received.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status)

    def kinds_of(self, session_id: str) -> list[str]:
        events = [json.loads(body) for _, body in self.received]
        about = [(event["kind"], event.get("session") or event["refund"]) for event in events]
        return [kind for kind, what in about if what["session_id"] == session_id]


class SandboxProcess:
    """One process over one journal; it may be stopped, killed and started again at the same port."""

    def __init__(self, directory: Path, webhook_url: str = "", **environment: str) -> None:
        self.directory = directory
        self.url = ""
        self._port = "0"
        self._child: asyncio.subprocess.Process | None = None
        self._environment = {
            "SANDBOX_JOURNAL": str(directory / "sandbox.sqlite3"),
            "SANDBOX_API_KEY": API_KEY,
            "SANDBOX_WEBHOOK_SECRET": SECRET,
            "SANDBOX_WEBHOOK_URL": webhook_url,
            "SANDBOX_WEBHOOK_RETRY_S": "0.05",
            "LOG_FORMAT": "json",
        } | environment

    async def start(self) -> None:
        log = self.directory / "sandbox.log"
        with log.open("w") as output:
            self._child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "deploy.local.sandbox_provider"),
                env={**os.environ, **self._environment, "SANDBOX_ADDRESS": f"127.0.0.1:{self._port}"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.url = f"http://{await self._listening_address(log)}"
        self._port = self.url.rpartition(":")[2]

    async def stop(self) -> None:
        assert self._child is not None
        if self._child.returncode is None:
            self._child.terminate()
        await asyncio.wait_for(self._child.wait(), 10)

    async def kill(self) -> None:
        assert self._child is not None
        self._child.kill()
        await self._child.wait()

    def client(self, **settings: Any) -> SandboxProvider:
        defaults = {"url": self.url, "api_key": API_KEY, "webhook_secret": SECRET}
        return SandboxProvider(SandboxSettings(**(defaults | settings)))

    async def set_mode(self, mode: str, **more: Any) -> None:
        async with aiohttp.ClientSession() as http, http.post(f"{self.url}/control", json={"mode": mode, **more}) as a:
            assert a.status == 200

    async def journal(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/journal") as answer:
            journal: dict[str, Any] = await answer.json()
            return journal

    async def sessions_of(self, order_id: UUID) -> list[dict[str, Any]]:
        journal = await self.journal()
        return [session for session in journal["sessions"] if session["order_id"] == str(order_id)]

    async def refund_at_dashboard(self, session_id: str, amount_minor: int) -> str:
        """Gives a part of a session's payment back behind the merchant's back; the provider's id of it."""
        payments = (await self.journal())["payments"]
        [payment_id] = [each["provider_payment_id"] for each in payments if each["session_id"] == session_id]
        refund = {"provider_payment_id": payment_id, "amount_minor": amount_minor}
        async with aiohttp.ClientSession() as http, http.post(f"{self.url}/dashboard/refunds", json=refund) as answer:
            assert answer.status == 201
            return str((await answer.json())["provider_refund_id"])

    async def _listening_address(self, log: Path) -> str:
        assert self._child is not None
        for _ in range(400):
            address = _address_in(log)
            if address:
                return address
            assert self._child.returncode is None, "the provider has died, see its log"
            await asyncio.sleep(0.025)
        raise AssertionError("the provider does not listen, see its log")


def _address_in(log: Path) -> str:
    events = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return next((str(event["address"]) for event in events if event["event"] == "listening"), "")


def session_request(**fields: Any) -> SessionRequest:
    """40 OMR for a new order."""
    payment_id = new_id()
    values: dict[str, Any] = {
        "order_id": new_id(),
        "payment_id": payment_id,
        "amount_minor": 40_000,
        "currency": "OMR",
        "create_time": datetime.now(UTC),
        "expire_time": datetime.now(UTC) + timedelta(minutes=30),
        "idempotency_key": str(payment_id),
    }
    return SessionRequest(**(values | fields))


async def click(url: str, action: str) -> tuple[int, str]:
    """One of the pay page's buttons; status and text of the page that follows."""
    async with aiohttp.ClientSession() as http, http.post(url, data={"action": action}) as answer:
        return answer.status, await answer.text()


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)
