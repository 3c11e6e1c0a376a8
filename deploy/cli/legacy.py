"""Wallets of an older system: where they are read from, and what is made of a row."""

import csv
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol
from uuid import UUID, uuid5

import asyncpg

from deploy.cli.problems import UsageProblem

# Part of every id that an import has made: neither may ever change.
OWNERS = UUID("6f0e3f7e-5a0c-5d39-9a52-2f6f1c2f7a10")
GRANTS = UUID("b6b1f3a4-93c7-5a6e-8a0f-4d1f6b9a7c21")

PAGE_ROWS = 1000
# What the ledger takes in one grant.
AMOUNT_MINOR_MAX = 10**15

_DECIMAL = re.compile(r"(?P<sign>[+-]?)(?P<whole>\d{1,30})(?:\.(?P<fraction>\d{0,30}))?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


class LegacyRow(NamedTuple):
    """One row as it was read; `line` is the file's line, or the row's number in the table."""

    line: int
    user_id: str | None
    balance: str | None
    currency: str | None


class Wallet(NamedTuple):
    """One balance to bring in, in minor units; 0 needs no grant."""

    line: int
    user_id: str
    owner_id: UUID
    currency: str
    amount_minor: int


class RefusedRow(Exception):
    """A row that is not brought in; the text says why."""


@dataclass(frozen=True)
class Columns:
    """Names in the old data; no currency column: all rows have the same currency."""

    user_id: str
    balance: str
    currency: str


class Source(Protocol):
    """Rows of an older system. They are only read."""

    async def count(self) -> int:
        """How many rows there are."""

    def pages(self) -> AsyncIterator[list[LegacyRow]]:
        """All rows, some at a time."""


class CsvSource:
    """A file with a line of column names. Raises UsageProblem when it is not one."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self._path = path
        self._columns = columns

    async def count(self) -> int:
        """Its lines without the first: more than rows only if quoted values have several lines."""
        with self._path.open("rb") as file:
            return max(sum(1 for _ in file) - 1, 0)

    async def pages(self) -> AsyncIterator[list[LegacyRow]]:
        """The rows in the file's order."""
        page: list[LegacyRow] = []
        for row in self._rows():
            page.append(row)
            if len(page) == PAGE_ROWS:
                yield page
                page = []
        if page:
            yield page

    def _rows(self) -> Iterator[LegacyRow]:
        columns = self._columns
        with self._path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            try:
                wanted = [name for name in (columns.user_id, columns.balance, columns.currency) if name]
                missing = [name for name in wanted if name not in (reader.fieldnames or ())]
                if missing:
                    raise UsageProblem(f"{self._path} has no column {', '.join(missing)}")
                for row in reader:
                    currency = row[columns.currency] if columns.currency else None
                    yield LegacyRow(reader.line_num, row[columns.user_id], row[columns.balance], currency)
            except (csv.Error, UnicodeDecodeError) as error:
                raise UsageProblem(f"{self._path}, after line {reader.line_num}: {error}") from error


class TableSource:
    """A table of a PostgreSQL database, read in one read-only snapshot."""

    def __init__(self, url: str, table: str, columns: Columns) -> None:
        self._url = url
        self._table = ".".join(_quoted(part) for part in table.split("."))
        self._columns = columns

    async def count(self) -> int:
        """Its rows."""
        connection = await asyncpg.connect(self._url)
        try:
            return int(await connection.fetchval(f"SELECT count(*) FROM {self._table}"))
        finally:
            await connection.close()

    async def pages(self) -> AsyncIterator[list[LegacyRow]]:
        """The rows in no particular order."""
        names = (self._columns.user_id, self._columns.balance, self._columns.currency)
        wanted = ", ".join(f"{_quoted(name)}::text" if name else "NULL" for name in names)
        connection = await asyncpg.connect(self._url)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                cursor = await connection.cursor(f"SELECT {wanted} FROM {self._table}")
                line = 0
                while records := await cursor.fetch(PAGE_ROWS):
                    yield [LegacyRow(line + number, *record) for number, record in enumerate(records, start=1)]
                    line += len(records)
        finally:
            await connection.close()


class Reader:
    """Makes wallets of rows: a customer and currency once, amounts exact.

    scale: decimals of one minor unit. currency: of all rows, unless they bring their own.
    """

    def __init__(self, scale: int, currency: str) -> None:
        self._scale = scale
        self._currency = currency
        self._seen: set[tuple[int, str]] = set()

    def wallet(self, row: LegacyRow) -> Wallet:
        """The row's wallet. Raises RefusedRow."""
        user_id = (row.user_id or "").strip()
        if not user_id:
            raise RefusedRow("it has no user id")
        currency = self._currency or (row.currency or "").strip()
        if not _CURRENCY.fullmatch(currency):
            raise RefusedRow(f"{row.currency!r} is no ISO 4217 code")
        owner_id = owner_of(user_id)
        amount_minor = minor_units((row.balance or "").strip(), self._scale)
        if (owner_id.int, currency) in self._seen:
            raise RefusedRow("this user and currency came before")
        self._seen.add((owner_id.int, currency))
        return Wallet(row.line, user_id, owner_id, currency, amount_minor)


def owner_of(user_id: str) -> UUID:
    """The customer of an old user id: a UUID stays itself, of anything else one is derived."""
    try:
        return UUID(user_id) if len(user_id) == 36 else uuid5(OWNERS, user_id)
    except ValueError:
        return uuid5(OWNERS, user_id)


def grant_of(source: str, wallet: Wallet) -> UUID:
    """The id of a wallet's opening grant: the same in every run."""
    return uuid5(GRANTS, f"{source} {wallet.currency} {wallet.owner_id}")


def minor_units(balance: str, scale: int) -> int:
    """The balance in minor units, exactly; 0 or more. Raises RefusedRow."""
    match = _DECIMAL.fullmatch(balance)
    if match is None:
        raise RefusedRow(f"balance {balance!r} is no decimal number")
    fraction = (match["fraction"] or "").rstrip("0")
    if len(fraction) > scale:
        raise RefusedRow(f"balance {balance} has more than {scale} decimals")
    amount_minor = int(match["whole"] + fraction.ljust(scale, "0"))
    if match["sign"] == "-" and amount_minor > 0:
        raise RefusedRow(f"balance {balance} is negative")
    if amount_minor > AMOUNT_MINOR_MAX:
        raise RefusedRow(f"balance {balance} is more than {AMOUNT_MINOR_MAX:,} minor units")
    return amount_minor


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
