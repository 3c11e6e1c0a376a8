"""The statements of sql/*.sql, and how rows become the arrays that they take."""

from collections.abc import Iterable, Sequence

from services.runtime.sql import load_queries

queries = load_queries("services.vouchers")


def columns(rows: Iterable[Sequence[object]]) -> Iterable[Sequence[object]]:
    """One array per column, for unnest; at least one row."""
    return zip(*rows, strict=True)


def columns_or_none(rows: Sequence[Sequence[object]], width: int) -> Iterable[Sequence[object]]:
    """The same for rows of so many columns when there may be none."""
    return columns(rows) if rows else ((),) * width
