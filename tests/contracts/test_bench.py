"""The frame of the benchmarks: what is measured in turns, and the form of build/bench.json."""

import asyncio
import json
from pathlib import Path

from tests.bench.measuring import latencies, rates
from tests.bench.registry import Row
from tests.bench.report import write_json
from tests.bench.temporal_programs import without_btree_gin


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

    used_s = iter((1.0, 2.0, 2.0, 4.0))
    measured = await rates(
        {"action": action}, callers=4, slices=2, slice_s=0.02, cpu_seconds=lambda: {"process": next(used_s)}
    )
    assert numbers == {0, 1, 2, 3}
    assert 0 < measured["action"].per_s < 4 / 0.001
    # 3 s of processor time and two slices of at least 20 ms: the figure is per action, in milliseconds.
    assert 0 < measured["action"].cpu_ms_each["process"] <= 3000 / 4


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


def test_schema_of_temporal_goes_without_an_extension_and_its_indexes_without_the_namespace() -> None:
    schema = """DO LANGUAGE 'plpgsql' $$
    BEGIN
        CREATE EXTENSION btree_gin;
    END
$$;
CREATE INDEX a ON executions USING GIN (namespace_id, Text01);
CREATE INDEX b ON executions (namespace_id, Text01);
"""
    assert without_btree_gin(schema) == (
        "CREATE INDEX a ON executions USING GIN (Text01);\nCREATE INDEX b ON executions (namespace_id, Text01);\n"
    )
