"""Tells the merchant what happened: each event until it is answered with 2xx, also after a restart."""

import asyncio
import time

import aiohttp
import structlog

from deploy.local.sandbox_provider.journal import Journal, now_text
from deploy.local.sandbox_provider.settings import SandboxSettings
from deploy.local.sandbox_provider.signature import HEADER, sign

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

_DELIVERIES_AT_ONCE_MAX = 16
_ATTEMPTS_MAX_FOR_BACKOFF = 16


class WebhookSender:
    """Delivers events in tasks of their own; use as a context."""

    def __init__(self, settings: SandboxSettings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_DELIVERIES_AT_ONCE_MAX)
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=settings.webhook_timeout_s), auto_decompress=False
        )

    def start(self) -> None:
        """Takes up what an earlier run left undelivered."""
        for event in self._journal.rows("SELECT event_id FROM events WHERE delivered_time IS NULL ORDER BY rowid"):
            self.send(event["event_id"])

    async def close(self) -> None:
        """Stops; what is not delivered stays in the journal."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    def send(self, event_id: str) -> None:
        """Delivers one event in the background."""
        if not self._settings.webhook_secret:
            return
        task = asyncio.create_task(self._deliver(event_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, event_id: str) -> None:
        event = self._journal.row("SELECT body FROM events WHERE event_id = ?", event_id)
        assert event is not None
        attempt = 0
        while not await self._try_once(event_id, event["body"].encode()):
            pause_s = self._settings.webhook_retry_s * 2 ** min(attempt, _ATTEMPTS_MAX_FOR_BACKOFF)
            await asyncio.sleep(min(pause_s, self._settings.webhook_retry_longest_s))
            attempt += 1
        self._journal.write("UPDATE events SET delivered_time = ? WHERE event_id = ?", now_text(), event_id)

    async def _try_once(self, event_id: str, body: bytes) -> bool:
        async with self._slots:
            status, error = await self._post(body)
        self._journal.write(
            "INSERT INTO deliveries (event_id, time, status, error) VALUES (?, ?, ?, ?)",
            *(event_id, now_text(), status, error),
        )
        _log.info("webhook", event_id=event_id, status=status, error=error)
        return status is not None and 200 <= status < 300

    async def _post(self, body: bytes) -> tuple[int | None, str | None]:
        signature = sign(body, self._settings.webhook_secret, int(time.time()))
        headers = {HEADER: signature, "Content-Type": "application/json"}
        try:
            async with self._http.post(
                self._settings.webhook_url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                return answer.status, None
        except (aiohttp.ClientError, TimeoutError) as failure:
            return None, type(failure).__name__
