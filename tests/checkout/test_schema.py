"""What the database itself refuses, whatever the code may think."""

from uuid import UUID

import asyncpg
import pytest

from tests.checkout.shop import Shop, fresh_id
from tests.payments.sandbox_process import SandboxProcess


async def test_order_goes_back_in_no_way(shop: Shop, owner_connection: asyncpg.Connection) -> None:
    """S-4: not even its owner takes an order back behind the pivot."""
    draft = await shop.priced()
    await shop.end(draft)
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await owner_connection.execute(
            """
            UPDATE orders SET state = 'pending', ended_at = NULL, refusal_status = NULL, refusal_domain = NULL,
                refusal_reason = NULL, refusal_metadata = NULL, refusal_message = NULL
            WHERE order_id = $1
            """,
            UUID(draft.order_id),
        )
    assert refusal.value.constraint_name == "orders_transition"


async def test_paid_payment_goes_back_in_no_way(
    shop: Shop, owner_connection: asyncpg.Connection, sandbox: SandboxProcess
) -> None:
    order = await shop.awaiting_payment()
    # Taken back in the end: there is no receipt for this money.
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        async with owner_connection.transaction():
            await owner_connection.execute(
                "UPDATE payments SET state = 'paid', paid_at = now(), provider_payment_id = $2 WHERE order_id = $1",
                UUID(order.order_id),
                fresh_id(),
            )
            await owner_connection.execute(
                "UPDATE payments SET state = 'failed', paid_at = NULL, provider_payment_id = NULL WHERE order_id = $1",
                UUID(order.order_id),
            )
    assert refusal.value.constraint_name == "payments_transition"


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("state = 'awaiting_payment'", "orders_handed_over"),
        ("state = 'settling'", "orders_settling"),
        ("state = 'failed'", "orders_ended"),
        ("settling_at = now()", "orders_settling"),
        ("amount_due_minor = amount_due_minor + 1", "orders_parts_add_up"),
        ("credits_minor = NULL", "orders_parts_add_up"),
        ("refusal_reason = 'X'", "orders_refusal_whole"),
    ],
)
async def test_order_in_an_impossible_state_is_refused(
    shop: Shop, owner_connection: asyncpg.Connection, change: str, constraint: str
) -> None:
    draft = await shop.priced()
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await owner_connection.execute(f"UPDATE orders SET {change} WHERE order_id = $1", UUID(draft.order_id))
    assert refusal.value.constraint_name == constraint


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("state = 'paid'", "payments_paid"),
        ("closed_at = now()", "payments_closed"),
        ("session_id = NULL", "payments_session_whole"),
        ("is_late = true", "payments_late"),
        ("provider = NULL", "payments_request_whole"),
    ],
)
async def test_payment_in_an_impossible_state_is_refused(
    shop: Shop, owner_connection: asyncpg.Connection, sandbox: SandboxProcess, change: str, constraint: str
) -> None:
    order = await shop.awaiting_payment()
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await owner_connection.execute(f"UPDATE payments SET {change} WHERE order_id = $1", UUID(order.order_id))
    assert refusal.value.constraint_name == constraint


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM orders",
        "DELETE FROM payments",
        "DELETE FROM webhook_events",
        "UPDATE orders SET customer_id = gen_random_uuid()",
        "UPDATE orders SET request_fingerprint = request_fingerprint",
        "UPDATE payments SET amount_minor = 1",
        "UPDATE payments SET idempotency_key = 'x'",
        "UPDATE prices SET unit_amount_minor = 1",
        "UPDATE webhook_events SET raw_body = ''",
        "TRUNCATE orders CASCADE",
        "ALTER TABLE orders DISABLE TRIGGER ALL",
    ],
)
async def test_role_of_the_service_may_do_no_more_than_it_needs(
    app_connection: asyncpg.Connection, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app_connection.execute(statement)
