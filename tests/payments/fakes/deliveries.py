"""Webhooks as the world delivers them: late, twice, in another order, or never."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp

Headers = Callable[[bytes], Mapping[str, str]]

_ATTEMPTS_MAX = 60
_PAUSE_S = 0.1
_LATE_S = 0.4


@dataclass(frozen=True)
class Weather:
    """Shares of events, 0 to 1, that are sent twice, held back past later ones, or lost for good."""

    duplicated: float = 0.0
    reordered: float = 0.0
    lost: float = 0.0


class Deliveries:
    """Sends each event until it is answered with 2xx; what the weather loses is never sent at all."""

    def __init__(self, url: str, headers: Headers, dice: random.Random, weather: Weather | None = None) -> None:
        self.url = url
        self.weather = weather or Weather()
        self.refused: list[int] = []
        self._headers = headers
        self._dice = dice
        self._tasks: set[asyncio.Task[None]] = set()
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))

    def send(self, body: bytes) -> None:
        """In the background."""
        if not self.url or self._dice.random() < self.weather.lost:
            return
        times = 2 if self._dice.random() < self.weather.duplicated else 1
        for _ in range(times):
            delay_s = _LATE_S * self._dice.random() if self._dice.random() < self.weather.reordered else 0.0
            task = asyncio.create_task(self._deliver(body, delay_s))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Returns when all that was to be sent has been."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    async def _deliver(self, body: bytes, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        for _ in range(_ATTEMPTS_MAX):
            try:
                async with self._http.post(self.url, data=body, headers=self._headers(body)) as answer:
                    if answer.status // 100 == 2:
                        return
                    self.refused.append(answer.status)
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(_PAUSE_S)
