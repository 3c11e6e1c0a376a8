"""Rows of what was measured in turns, next to its reference."""

from collections.abc import Mapping
from dataclasses import asdict

from tests.bench.measuring import Latency, Rate
from tests.bench.registry import Row


def latency_row(name: str, reference: str, measured: Mapping[str, Latency], conditions: Mapping[str, object]) -> Row:
    """Of one caller: medians side by side, and the rest under the conditions."""
    return Row(
        name=name,
        value=measured[name].median_ms,
        unit="ms",
        reference=reference,
        reference_value=measured[reference].median_ms,
        conditions={
            **conditions,
            "callers": 1,
            "latency": asdict(measured[name]),
            "reference_latency": asdict(measured[reference]),
        },
    )


def rate_row(
    name: str, reference: str, measured: Mapping[str, Rate], callers: int, conditions: Mapping[str, object]
) -> Row:
    """Of so many callers at once, with what one of each cost the processes."""
    return Row(
        name=f"{name}, {callers} callers",
        value=measured[name].per_s,
        unit="/s",
        reference=reference,
        reference_value=measured[reference].per_s,
        conditions={
            **conditions,
            "callers": callers,
            "cpu_ms_each": measured[name].cpu_ms_each,
            "reference_cpu_ms_each": measured[reference].cpu_ms_each,
        },
    )
