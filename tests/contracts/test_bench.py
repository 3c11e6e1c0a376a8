"""The frame of the benchmarks: what is measured in turns, and the form of build/bench.json."""

import asyncio
import json
from pathlib import Path

from tests.bench.measuring import latencies, rates
from tests.bench.registry import Row
from tests.bench.report import write_json


async def test_latencies_are_taken_in_turns_and_without_the_warm_up() -> None:
    called: list[str] = []

    async def first() -> dict[str, float]:
        called.append("first")
        return {"half way": 0.001}

    async def second() -> None:
        called.append("second")

    measured = await latencies({"first": first, "second": second}, warm_up=1, samples=3, within_s=60)
    assert called == ["first", "second", "second", "first", "first", "second", "second", "first"]
    assert {name: latency.samples for name, latency in measured.items()} == {"first": 3, "half way": 3, "second": 3}
    assert measured["half way"].median_ms == 1


async def test_rates_count_what_all_callers_have_done() -> None:
    numbers: set[int] = set()

    async def action(number: int) -> None:
        numbers.add(number)
        await asyncio.sleep(0.001)

    measured = await rates({"action": action}, callers=4, slices=2, slice_s=0.02)
    assert numbers == {0, 1, 2, 3}
    assert 0 < measured["action"] < 4 / 0.001


def test_figures_are_written_next_to_their_reference(tmp_path: Path) -> None:
    row = Row("order", 30.0, "ms", "empty workflow", 20.0, {"cores": 2})
    write_json([row], tmp_path / "bench.json")
    [written] = json.loads((tmp_path / "bench.json").read_text())
    assert written == {
        "name": "order",
        "value": 30.0,
        "unit": "ms",
        "reference": "empty workflow",
        "reference_value": 20.0,
        "ratio": 1.5,
        "conditions": {"cores": 2},
    }
