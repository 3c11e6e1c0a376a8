"""The pool, plain transactions, and what a failure of the database means."""

import asyncio
import enum
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import asyncpg

from services.runtime.errors import DatabaseUnavailable, ServiceError
from services.runtime.settings import DatabaseSettings

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Record = asyncpg.Record
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    _PlainConnection = asyncpg.Connection[asyncpg.Record]
else:
    Record = asyncpg.Record
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection
    _PlainConnection = asyncpg.Connection

Result = TypeVar("Result")


def _names_nothing(_constraint: str) -> ServiceError | None:
    return None


# Pauses before the second, third and fourth try of a transaction that the database threw away, in seconds.
RETRY_PAUSES_S = (0.02, 0.1, 0.5)
# After so many seconds a statement is prepared, and planned, anew.
STATEMENT_LIFETIME_S = 30
# The longest wait for a free connection unless told otherwise.
ACQUIRE_TIMEOUT_S = 5.0


class Failure(enum.Enum):
    """What a failed transaction asks for."""

    BAD_DATA = "bad_data"  # classes 22 and 23: some value can never be written
    LOST_RACE = "lost_race"  # 23505: somebody else wrote it first, look again
    THROWN_AWAY = "thrown_away"  # serialization, deadlock, connection lost: the same again may work
    BUG = "bug"  # our own code raised: on some command, perhaps, and not on the others
    OTHER = "other"


def failure_of(error: Exception) -> Failure:
    """What this failure of a transaction asks for."""
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return Failure.THROWN_AWAY  # a migration changed the table under a prepared statement; it is forgotten now
    if isinstance(error, asyncpg.PostgresError):
        return _failure_of_sqlstate(error.sqlstate or "")
    if isinstance(error, TimeoutError):
        return Failure.OTHER  # a TimeoutError is an OSError too, but time is what a retry would need most
    if isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return Failure.THROWN_AWAY
    return Failure.BUG


def _failure_of_sqlstate(sqlstate: str) -> Failure:
    if sqlstate == "23505":
        return Failure.LOST_RACE
    if sqlstate[:2] in ("22", "23"):
        return Failure.BAD_DATA
    if sqlstate in ("40001", "40P01", "57P01", "57P02", "57P03") or sqlstate[:2] == "08":
        return Failure.THROWN_AWAY
    return Failure.OTHER


def is_unavailable(error: Exception) -> bool:
    """Whether the database, not the statement, is the reason of this failure."""
    if isinstance(error, asyncpg.PostgresError):
        # 08 connection, 25006 read only after a failover, 40 rollback, 53 resources, 55P03 lock time-out, 57 operator,
        # 58 the operating system below it
        sqlstate = error.sqlstate or ""
        return sqlstate[:2] in ("08", "40", "53", "57", "58") or sqlstate in ("25006", "55P03")
    return isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError)


@asynccontextmanager
async def open_pool(settings: DatabaseSettings, application_name: str) -> AsyncIterator[Pool]:
    """A pool that connects when first used, so that services and databases may start in any order."""
    pool = await asyncpg.create_pool(
        settings.database_url,
        min_size=settings.pool_size_min,
        max_size=settings.pool_size_max,
        statement_cache_size=settings.statement_cache_size,
        # A plan is made for tables as they are: those that grow from nothing to millions need another one soon.
        max_cached_statement_lifetime=STATEMENT_LIFETIME_S,
        timeout=settings.acquire_timeout_s,
        command_timeout=settings.command_timeout_s,
        init=_initialize_connection,
        reset=_leave_connection,
        server_settings={"application_name": application_name},
    )
    try:
        yield pool
    finally:
        await _close(pool)


async def ping(pool: Pool) -> None:
    """Asks the database for nothing. Raises DATABASE_UNAVAILABLE."""
    async with reading(pool) as connection:
        await connection.execute("select 1")


@asynccontextmanager
async def acquired(pool: Pool, timeout_s: float = ACQUIRE_TIMEOUT_S) -> AsyncIterator[Connection]:
    """A connection of the pool; raises TimeoutError when none is free in time."""
    # Pool.acquire has a timeout too, which costs a task each time.
    async with asyncio.timeout(timeout_s):
        connection = await pool.acquire()
    try:
        yield connection
    finally:
        await pool.release(connection)


@asynccontextmanager
async def reading(pool: Pool) -> AsyncIterator[Connection]:
    """A connection for reads. Raises DATABASE_UNAVAILABLE when the database is not there."""
    try:
        async with acquired(pool) as connection:
            yield connection
    except Exception as error:
        if is_unavailable(error):
            raise DatabaseUnavailable from error
        raise


@asynccontextmanager
async def snapshot(pool: Pool) -> AsyncIterator[Connection]:
    """A connection for reads that all see the same moment. Raises DATABASE_UNAVAILABLE."""
    async with reading(pool) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        yield connection


async def in_transaction(
    pool: Pool,
    work: Callable[[Connection], Awaitable[Result]],
    *,
    error_for_constraint: Callable[[str], ServiceError | None] = _names_nothing,
) -> Result:
    """Runs `work` in one transaction, again as a whole when the database threw it away or a race was lost.

    For writes that nobody groups. `work` loads, decides and writes; the ids it writes are its caller's, which is
    what makes running it again safe. Raises what `work` raises, the error that belongs to a violated constraint's
    name, DATABASE_UNAVAILABLE.
    """
    for pause_s in (*RETRY_PAUSES_S, None):
        try:
            async with acquired(pool) as connection, connection.transaction():
                return await work(connection)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            if pause_s is None or failure_of(error) not in (Failure.LOST_RACE, Failure.THROWN_AWAY):
                raise _explained(error, error_for_constraint) from error
        await asyncio.sleep(pause_s)
    raise AssertionError("the last try returns or raises")


def constraint_of(error: Exception) -> str | None:
    """The name of the constraint that was violated, if one was."""
    return error.constraint_name if isinstance(error, asyncpg.IntegrityConstraintViolationError) else None


def _explained(error: Exception, error_for_constraint: Callable[[str], ServiceError | None]) -> Exception:
    constraint = constraint_of(error)
    named = error_for_constraint(constraint) if constraint else None
    if named is not None:
        return named
    return DatabaseUnavailable() if is_unavailable(error) else error


async def _initialize_connection(connection: _PlainConnection) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)


async def _leave_connection(connection: _PlainConnection) -> None:
    """Nothing to reset: no session state is ever set, and RESET ALL would cost a round trip per transaction."""


async def _close(pool: Pool) -> None:
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except TimeoutError:
        pool.terminate()
