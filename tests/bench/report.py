"""Figures for people, as a table, and for programs, as build/bench.json."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.registry import Row

BUILD = Path(__file__).resolve().parents[2] / "build"
FILE = BUILD / "bench.json"


def write_json(rows: Sequence[Row], file: Path = FILE) -> None:
    """One object a row."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps([_as_object(row) for row in rows], indent=2) + "\n", encoding="utf-8")


def print_table(rows: Sequence[Row], console: Console) -> None:
    """The figures, then what is the same for all of them."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("what", "value", "next to", "value", "ratio"):
        table.add_column(column, justify="right" if column in ("value", "ratio") else "left")
    for row in rows:
        value, reference_value = (f"{figure:,.1f} {row.unit}" for figure in (row.value, row.reference_value))
        table.add_row(row.name, value, row.reference, reference_value, f"{row.ratio:.2f}")
    console.print(table)
    for name, condition in _common(rows).items():
        console.print(f"  {name}: {condition}", highlight=False, soft_wrap=True)


def _common(rows: Sequence[Row]) -> dict[str, object]:
    """The conditions that all rows share."""
    first = rows[0].conditions if rows else {}
    return {name: value for name, value in first.items() if all(row.conditions.get(name) == value for row in rows)}


def _as_object(row: Row) -> dict[str, object]:
    return {
        "name": row.name,
        "value": round(row.value, 3),
        "unit": row.unit,
        "reference": row.reference,
        "reference_value": round(row.reference_value, 3),
        "ratio": round(row.ratio, 3),
        "conditions": dict(row.conditions),
    }
