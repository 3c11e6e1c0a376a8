"""The provider's memory: one SQLite file with every request, session, payment, event and delivery.

One process writes it, on the thread of its event loop. A transaction survives the death of the process.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Row = dict[str, Any]

# Times are ISO text in UTC with microseconds, so that they sort as text.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    session_id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    payment_id TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'paid', 'failed', 'expired')),
    attempts_failed INTEGER NOT NULL DEFAULT 0,
    create_time TEXT NOT NULL,
    expire_time TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS sessions_of_order ON sessions (order_id, create_time);
CREATE INDEX IF NOT EXISTS sessions_open ON sessions (expire_time) WHERE state = 'open';
CREATE TABLE IF NOT EXISTS payments (
    provider_payment_id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL UNIQUE REFERENCES sessions,
    amount_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    paid_time TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS refunds (
    provider_refund_id TEXT PRIMARY KEY,
    refund_id TEXT,
    provider_payment_id TEXT NOT NULL REFERENCES payments,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    create_time TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS refunds_of_payment ON refunds (provider_payment_id);
CREATE TABLE IF NOT EXISTS answers (
    idempotency_key TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    answer TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS requests (
    request_id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    idempotency_key TEXT,
    mode TEXT NOT NULL,
    status INTEGER
);
CREATE TABLE IF NOT EXISTS events (
    event_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    session_id TEXT NOT NULL REFERENCES sessions,
    body TEXT NOT NULL,
    create_time TEXT NOT NULL,
    delivered_time TEXT
);
CREATE INDEX IF NOT EXISTS events_undelivered ON events (create_time) WHERE delivered_time IS NULL;
CREATE TABLE IF NOT EXISTS deliveries (
    delivery_id INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL REFERENCES events,
    time TEXT NOT NULL,
    status INTEGER,
    error TEXT
);
"""


class Journal:
    """The open file; use `transaction` around what belongs together."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
        self._connection.executescript("PRAGMA foreign_keys = ON;" + _SCHEMA)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written inside."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def write(self, statement: str, *values: object) -> int:
        """Executes one statement; the id of the row that it inserted."""
        return self._connection.execute(statement, values).lastrowid or 0

    def rows(self, statement: str, *values: object) -> list[Row]:
        """All rows of a query."""
        return [dict(row) for row in self._connection.execute(statement, values)]

    def row(self, statement: str, *values: object) -> Row | None:
        """The first row of a query; None when there is none."""
        row = self._connection.execute(statement, values).fetchone()
        return None if row is None else dict(row)

    def tables(self, names: Sequence[str]) -> dict[str, list[Row]]:
        """Everything in the named tables of this schema, oldest first."""
        return {name: self.rows(f"SELECT * FROM {name} ORDER BY rowid") for name in names}


def as_text(time: datetime) -> str:
    """The journal's form of a time."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def now_text() -> str:
    """This moment in the journal's form."""
    return as_text(datetime.now(UTC))
