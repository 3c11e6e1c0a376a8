"""SQL in a file, asked for by name.

A package keeps its statements in sql/*.sql, most in queries.sql, each one below a line with its name and kind:

    -- name: find_box :one
    -- Why this is asked: ...
    select * from box where box_id = $1;

    queries = load_queries("services.shelf")
    box = await queries.find_box(connection, box_id)
"""

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from services.runtime.database import Connection

_NAME_LINE = re.compile(r"^--\s*name:\s*(?P<name>[a-z][a-z0-9_]*)\s+:(?P<kind>one|many|exec)\s*$")


class Query:
    """One statement; called with a connection and the values of $1, $2 …

    :one gives a record or None, :many a list of records, :exec the command's tag ("UPDATE 3").
    """

    __slots__ = ("kind", "name", "text")

    def __init__(self, name: str, kind: str, text: str) -> None:
        self.name = name
        self.kind = kind
        self.text = text

    async def __call__(self, connection: Connection, *values: object) -> Any:
        """Runs the statement on this connection."""
        if self.kind == "many":
            return await connection.fetch(self.text, *values)
        if self.kind == "one":
            return await connection.fetchrow(self.text, *values)
        return await connection.execute(self.text, *values)


class Queries:
    """The statements of a package as attributes. An unknown name raises AttributeError."""

    def __init__(self, statements: Iterator[Query]) -> None:
        self._by_name: dict[str, Query] = {}
        for query in statements:
            if query.name in self._by_name:
                raise ValueError(f"query {query.name} is there twice")
            self._by_name[query.name] = query

    def __getattr__(self, name: str) -> Query:
        try:
            return self.__dict__["_by_name"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"there is no query {name}") from None

    def __iter__(self) -> Iterator[Query]:
        return iter(self._by_name.values())


def load_queries(package: str) -> Queries:
    """The statements in sql/*.sql of this package. Raises ValueError naming the line that makes no sense.

    A name stands in one of the files only.
    """
    sources = [path for path in (files(package) / "sql").iterdir() if path.name.endswith(".sql")]
    return Queries(query for path in sources for query in _statements(path.read_text(encoding="utf-8")))


def parse_queries(text: str) -> Queries:
    """The statements in a text of the form described above."""
    return Queries(_statements(text))


def _statements(text: str) -> Iterator[Query]:
    heading: re.Match[str] | None = None
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r"--\s*name\s*:", line):
            if heading is not None:
                yield _statement(heading, lines)
            heading, lines = _NAME_LINE.match(line), []
            if heading is None:
                raise ValueError(f"line {number}: a name line reads -- name: x :one|:many|:exec")
        elif line.strip() and not line.lstrip().startswith("--"):
            if heading is None:
                raise ValueError(f"line {number}: a statement stands above the first name")
            lines.append(line)
    if heading is not None:
        yield _statement(heading, lines)


def _statement(heading: re.Match[str], lines: list[str]) -> Query:
    if not lines:
        raise ValueError(f"query {heading['name']} is empty")
    return Query(heading["name"], heading["kind"], "\n".join(lines).rstrip().rstrip(";"))
