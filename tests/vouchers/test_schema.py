"""What the database refuses by itself, whatever the code does."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from deploy.local.postgres import EmbeddedPostgres
from services.runtime.migrations import migrate_down, migrate_up, migrations_of
from tests.vouchers.requests import RESERVED, Order, Shop, amount_off, refused

CHANGE_USES = """
    UPDATE vouchers AS v SET uses = v.uses + $2 FROM redemptions AS r
    WHERE r.redemption_id = $1 AND v.voucher_id = r.voucher_id
"""


async def redeemed(shop: Shop, **fields: object) -> tuple[Order, UUID]:
    order = Order([await shop.code(uses_max=3, **fields)])
    (redemption,) = (await shop.redeem(order)).redemptions
    return order, UUID(redemption.redemption_id)


@pytest.mark.parametrize("table", ["campaigns", "vouchers", "redemptions"])
@pytest.mark.parametrize(
    "statement", ["DELETE FROM {}", "TRUNCATE {} CASCADE", "DROP TABLE {}", "ALTER TABLE {} ADD x int"]
)
async def test_app_role_can_delete_or_reshape_nothing(
    app_connection: asyncpg.Connection, table: str, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app_connection.execute(statement.format(table))


@pytest.mark.parametrize(
    "change",
    [
        "redemptions SET customer_id = gen_random_uuid()",
        "redemptions SET discount_minor = 0",
        "redemptions SET created_at = now()",
        "vouchers SET code = 'X'",
        "vouchers SET uses_max = 1",
        "vouchers SET customer_id = NULL",
        "redemptions SET effect_parameters = NULL",
        "redemptions SET campaign_revision = 1",
        "campaigns SET campaign_id = gen_random_uuid()",
        "campaigns SET created_at = now()",
    ],
)
async def test_app_role_can_change_no_fact(app_connection: asyncpg.Connection, change: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app_connection.execute(f"UPDATE {change}")


@pytest.mark.parametrize("uses", [-1, 4])
async def test_counter_out_of_its_range_refused(shop: Shop, app_connection: asyncpg.Connection, uses: int) -> None:
    """V3: never below zero."""
    code = await shop.code(uses_max=3)
    voucher_id = UUID((await shop.get(code)).voucher.voucher_id)
    with pytest.raises(asyncpg.CheckViolationError, match="vouchers_uses"):
        await app_connection.execute("UPDATE vouchers SET uses = $2 WHERE voucher_id = $1", voucher_id, uses)


@pytest.mark.parametrize(
    "forbidden",
    [
        "state = 'rolled_back', rolled_back_at = now(), kept_at = now()",
        "state = 'rolled_back', rolled_back_at = now(), confirmed_at = now()",
        "state = 'rolled_back'",
        "state = 'confirmed'",
        "state = 'kept'",
        "state = 'reserved', kept_at = now()",
        "state = 'in_wallet'",
        "state = 'tombstone'",
        "state = 'expired'",
        "state = 'expired', expired_at = now(), confirmed_at = now()",
        "state = 'restored'",
        "state = 'restored', restored_at = now(), restore_cause = 'refund'",
        "state = 'restored', restored_at = now(), confirmed_at = now()",
        "state = 'confirmed', confirmed_at = now(), restore_cause = 'refund'",
    ],
)
async def test_redemption_on_a_forbidden_way_refused(
    shop: Shop, app_connection: asyncpg.Connection, forbidden: str
) -> None:
    """V-4."""
    _, redemption_id = await redeemed(shop)
    with pytest.raises(asyncpg.CheckViolationError):
        await app_connection.execute(f"UPDATE redemptions SET {forbidden} WHERE redemption_id = $1", redemption_id)


async def test_kept_discount_refused(shop: Shop, app_connection: asyncpg.Connection) -> None:
    """V1: only credits are kept."""
    _, redemption_id = await redeemed(shop, amount_off=amount_off())
    keep = "UPDATE redemptions SET state = 'kept', kept_at = now() WHERE redemption_id = $1"
    with pytest.raises(asyncpg.CheckViolationError, match="redemptions_kept"):
        await app_connection.execute(keep, redemption_id)


async def test_rollback_with_a_counter_that_lost_a_use_says_so_and_changes_nothing(
    shop: Shop, owner_connection: asyncpg.Connection
) -> None:
    """V3: a counter that would go below zero is a bug and says so; it is not clamped."""
    order, redemption_id = await redeemed(shop)
    await owner_connection.execute(CHANGE_USES, redemption_id, -1)
    async with refused("INTERNAL"):
        await shop.roll_back(order)
    assert await shop.states(order.codes[0]) == [RESERVED]
    await owner_connection.execute(CHANGE_USES, redemption_id, 1)
    assert await shop.roll_back(order) == 1


async def test_bad_command_in_a_group_spoils_only_itself(shop: Shop, owner_connection: asyncpg.Connection) -> None:
    bad, redemption_id = await redeemed(shop)
    good = [Order([await shop.code()]) for _ in range(7)]
    await owner_connection.execute(CHANGE_USES, redemption_id, -1)
    results = await asyncio.gather(
        *(shop.redeem(order) for order in good[:4]),
        shop.roll_back(bad),
        *(shop.redeem(order) for order in good[4:]),
        return_exceptions=True,
    )
    assert [isinstance(result, Exception) for result in results] == [False] * 4 + [True] + [False] * 3
    await owner_connection.execute(CHANGE_USES, redemption_id, 1)


async def test_migrations_up_and_down_leave_nothing(postgres: EmbeddedPostgres) -> None:
    """O2."""
    await asyncio.to_thread(postgres.create_database, "vouchers_migrations", "vouchers")
    url = postgres.url("vouchers_migrations", "vouchers_owner")
    migrations = migrations_of("vouchers")
    for _ in range(2):
        await migrate_up(url, migrations, "vouchers_app")
        await migrate_down(url, migrations, "vouchers_app", steps=len(migrations))
    connection = await asyncpg.connect(url)
    left = await connection.fetch("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    await connection.close()
    await asyncio.to_thread(postgres.drop_database, "vouchers_migrations")
    assert {record["relname"] for record in left} <= {"quittance_migrations", "quittance_migrations_pkey"}
