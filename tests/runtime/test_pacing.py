"""Long work leaves the event loop to others."""

import asyncio
from types import SimpleNamespace

import pytest

from services.runtime import pacing
from services.runtime.pacing import Pace


@pytest.mark.parametrize(("share", "rest"), [(1.0, 0.0), (0.5, 1.0), (0.2, 4.0)])
async def test_after_a_piece_others_have_their_share(
    share: float, rest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    moments = iter((10.0, 10.5))
    # The names of that module only: the event loop is shared with fixtures, and a sleep of nothing would hang them.
    monkeypatch.setattr(pacing, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(pacing, "time", SimpleNamespace(perf_counter=lambda: next(moments)))
    async with Pace(share).piece():
        pass
    assert slept == [pytest.approx(0.5 * rest)]


async def test_others_run_between_two_pieces() -> None:
    said: list[str] = []

    async def other() -> None:
        said.append("other")

    pace = Pace(1.0)
    async with pace.piece():
        task = asyncio.create_task(other())
        said.append("first")
    async with pace.piece():
        said.append("second")
    await task
    assert said == ["first", "other", "second"]
