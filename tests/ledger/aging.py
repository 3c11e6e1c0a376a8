"""Time that has passed: rows of grants and holds are set back, and a verification later says so of exactly these."""

import asyncpg

# What a verification finds to differ from what was asked for, in this process's tests.
AGED: set[str] = set()


async def age_grant(connection: asyncpg.Connection, grant_id: str) -> None:
    """Lets a grant's expiry be long ago."""
    await _set_back(
        connection, "effective_at = now() - interval '2 days', expires_at = now() - interval '1 day'", grant_id
    )


async def begin_grant(connection: asyncpg.Connection, grant_id: str) -> None:
    """Lets a grant that begins later have begun."""
    await _set_back(connection, "effective_at = now()", grant_id)


async def _set_back(connection: asyncpg.Connection, change: str, grant_id: str) -> None:
    hold_id = await connection.fetchval(f"UPDATE grants SET {change} WHERE grant_id = $1 RETURNING hold_id", grant_id)
    # One born held was asked for with its hold.
    AGED.add(f"grant {grant_id}, what was asked for" if hold_id is None else f"hold {hold_id}, what was asked for")


async def age_hold(connection: asyncpg.Connection, hold_id: str) -> None:
    """Lets a hold's expiry be long ago."""
    AGED.add(f"hold {hold_id}, what was asked for")
    await connection.execute(
        "UPDATE holds SET created_at = now() - interval '2 days', expires_at = now() - interval '1 day'"
        " WHERE hold_id = $1",
        hold_id,
    )
