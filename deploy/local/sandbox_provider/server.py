"""The provider's process: its parts put together, its listener, its clock."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import structlog
from aiohttp import web
from pydantic import ValidationError

from deploy.local.sandbox_provider.api import MerchantApi
from deploy.local.sandbox_provider.faults import Faults
from deploy.local.sandbox_provider.journal import Journal
from deploy.local.sandbox_provider.pay_page import PayPage
from deploy.local.sandbox_provider.refunds import NewRefund, Refunds
from deploy.local.sandbox_provider.sessions import Sessions
from deploy.local.sandbox_provider.settings import SandboxSettings
from deploy.local.sandbox_provider.webhooks import WebhookSender

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

_BODY_BYTES_MAX = 64 * 1024
_TABLES = ("sessions", "payments", "refunds", "events", "deliveries", "requests")


class SandboxProvider:
    """Everything of one provider over one journal."""

    def __init__(self, settings: SandboxSettings, journal: Journal, sender: WebhookSender) -> None:
        self._journal = journal
        self._opened = asyncio.Event()
        self._sessions = Sessions(journal, sender.send)
        self._refunds = Refunds(journal, sender.send)
        self.api = MerchantApi(journal, self._sessions, self._refunds, settings.api_key, self._opened.set)
        self.application = web.Application(client_max_size=_BODY_BYTES_MAX, middlewares=[self.api.middleware])
        self.application.add_routes([*self.api.routes(), *PayPage(self._sessions).routes()])
        self.application.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/journal", self._show_journal),
                web.post("/control", self._control),
                web.post("/dashboard/refunds", self._refund_by_hand),
            ]
        )

    async def expire_for_ever(self) -> None:
        """Expires sessions in their moment, until cancelled."""
        while True:
            self._opened.clear()
            self._sessions.expire_due()
            next_time = self._sessions.next_expire_time()
            pause_s = None if next_time is None else max((next_time - datetime.now(UTC)).total_seconds(), 0.001)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._opened.wait(), pause_s)

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _show_journal(self, _request: web.Request) -> web.Response:
        self._sessions.expire_due()
        mode = self.api.faults.mode.value
        return web.json_response({"mode": mode, **self._journal.tables(_TABLES)})

    async def _control(self, request: web.Request) -> web.Response:
        # A form of some other web page cannot send this type.
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="send application/json")
        try:
            self.api.faults = Faults.model_validate_json(await request.read())
        except ValidationError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        _log.info("mode", mode=self.api.faults.mode.value)
        return web.json_response(text=self.api.faults.model_dump_json())

    async def _refund_by_hand(self, request: web.Request) -> web.Response:
        """What a person does at the provider's dashboard: a refund that the merchant learns of by its event only."""
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="send application/json")
        try:
            new = NewRefund.model_validate_json(await request.read())
        except ValidationError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        with self._journal.transaction():
            made = self._refunds.make(new)
        if made is None:
            raise web.HTTPConflict(text="so much is not left of this payment")
        refund, event_id = made
        self._refunds.tell(event_id)
        return web.json_response(refund, status=201)


@contextlib.asynccontextmanager
async def serving(settings: SandboxSettings) -> AsyncIterator[str]:
    """Serves while the context is open; its value is host:port that is really listened on."""
    journal = Journal(settings.journal)
    sender = WebhookSender(settings, journal)
    provider = SandboxProvider(settings, journal, sender)
    runner = web.AppRunner(provider.application, access_log=None, auto_decompress=False, shutdown_timeout=1.0)
    await runner.setup()
    # Before anything new happens, or what does would be sent twice.
    sender.start()
    expiry = asyncio.create_task(provider.expire_for_ever())
    try:
        host, _, port = settings.address.rpartition(":")
        await web.TCPSite(runner, host, int(port)).start()
        address = f"{host}:{runner.addresses[0][1]}"
        provider.api.public_url = settings.public_url.rstrip("/") or f"http://{address}"
        _log.info("listening", address=address)
        yield address
    finally:
        expiry.cancel()
        await asyncio.gather(expiry, return_exceptions=True)
        await runner.cleanup()
        await sender.close()
        journal.close()
