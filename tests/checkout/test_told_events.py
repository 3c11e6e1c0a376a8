"""A stored webhook is marked as told soon, so that nobody tells it again (P3)."""

import asyncio

import asyncpg
import pytest

from tests.checkout.shop import Shop
from tests.checkout.webhook_sender import WebhookSender, event_of
from tests.payments.sandbox_process import SandboxProcess

UNTOLD = "SELECT told_at IS NULL FROM webhook_events WHERE event_id = $1"


@pytest.mark.parametrize("kind", ["payment.paid", "payment.failed", "payment.attempt_failed", "something.new"])
async def test_answered_webhook_leaves_nobody_to_be_told(
    shop: Shop, sandbox: SandboxProcess, webhooks: WebhookSender, owner_connection: asyncpg.Connection, kind: str
) -> None:
    order = await shop.awaiting_payment()
    [session] = await owner_connection.fetch("SELECT session_id FROM payments WHERE order_id = $1", order.order_id)
    event = event_of(order, session["session_id"], kind)
    assert await webhooks.send(event) == 200
    async with asyncio.timeout(30):
        # After the answer.
        while await owner_connection.fetchval(UNTOLD, event["event_id"]):
            await asyncio.sleep(0.02)
