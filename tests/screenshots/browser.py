"""Chromium without a screen, spoken to by its debugging protocol: pages are waited for, not guessed at."""

import asyncio
import base64
import itertools
import json
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import aiohttp

from deploy.local.ports import free_port

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Without a screen, without a network, without anything that a browser does by itself.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
START_TIMEOUT_S = 60.0
PAGE_TIMEOUT_S = 60.0
POLL_EVERY_S = 0.2
# From the moment at which the page has what was waited for, for its frames and fonts.
SETTLE_S = 2.0


class BrowserMissing(Exception):
    """No browser is on this machine."""


class Browser:
    """Runs from entering to leaving, with `profile` as its own folder."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._port = free_port()
        self._numbers = itertools.count(1)
        self._exits = AsyncExitStack()
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
        if program is None:
            raise BrowserMissing(f"a browser is missing, one of: {', '.join(PROGRAMS)}")
        async with AsyncExitStack() as exits:
            process = await asyncio.create_subprocess_exec(
                *(program, *FLAGS, f"--remote-debugging-port={self._port}", f"--user-data-dir={self._profile}"),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            exits.push_async_callback(process.wait)
            exits.callback(process.terminate)
            self._http = await exits.enter_async_context(aiohttp.ClientSession())
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self._answers():
                    await asyncio.sleep(POLL_EVERY_S)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    async def photograph(self, url: str, until: str, picture: Path, width: int, height: int) -> None:
        """Opens a page, waits until it says `until`, and keeps its upper left `width` by `height` pixels as PNG."""
        async with self._http.put(f"http://127.0.0.1:{self._port}/json/new?about:blank") as response:
            tab = await response.json(content_type=None)
        async with self._http.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as page:
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            await self._call(page, "Emulation.setDeviceMetricsOverride", **size)
            await self._call(page, "Page.navigate", url=url)
            has_text = f"document.body?.innerText.includes({json.dumps(until)}) === true"
            async with asyncio.timeout(PAGE_TIMEOUT_S):
                while not (await self._call(page, "Runtime.evaluate", expression=has_text))["result"].get("value"):
                    await asyncio.sleep(POLL_EVERY_S)
            await asyncio.sleep(SETTLE_S)
            shot = await self._call(page, "Page.captureScreenshot", format="png")
            await asyncio.to_thread(picture.write_bytes, base64.b64decode(shot["data"]))
            await self._call(page, "Page.close")

    async def _answers(self) -> bool:
        try:
            async with self._http.get(f"http://127.0.0.1:{self._port}/json/version") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async def _call(self, page: aiohttp.ClientWebSocketResponse, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        await page.send_json({"id": number, "method": method, "params": parameters})
        while True:
            answer = await page.receive_json()
            if answer.get("id") == number:
                result: dict[str, Any] = answer["result"]
                return result
