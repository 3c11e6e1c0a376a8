"""Webhooks as the sandbox provider would send them, and as it never would."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
import asyncpg

from deploy.local.sandbox_provider.signature import HEADER, sign
from quittance.checkout.v1 import checkout_pb2
from tests.checkout.shop import CURRENCY, fresh_id


class WebhookSender:
    """Posts to checkout; answers the status that it gets."""

    def __init__(self, http: aiohttp.ClientSession, url: str, secret: str) -> None:
        self._http = http
        self.url = url
        self._secret = secret

    async def send(self, event: Mapping[str, Any]) -> int:
        """An event, rightly signed."""
        return await self.send_signed(json.dumps(event).encode())

    async def send_signed(self, body: bytes, **headers: str) -> int:
        """Any bytes, rightly signed."""
        return await self.post(body, {HEADER: sign(body, self._secret, int(time.time())), **headers})

    async def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Any bytes with any headers."""
        async with self._http.post(self.url, data=body, headers=headers) as answer:
            return answer.status


def event_of(order: checkout_pb2.Order, session_id: str, kind: str, /, **session: Any) -> dict[str, Any]:
    """What the provider would tell of this order; `session` overrides what it says of the session."""
    is_paid = kind == "payment.paid"
    told = {
        "session_id": session_id,
        "order_id": order.order_id,
        "payment_id": order.payment.payment_id,
        "amount_minor": order.payment.amount_minor,
        "currency": CURRENCY,
        "state": {"payment.paid": "paid", "payment.failed": "failed", "session.expired": "expired"}.get(kind, "open"),
        "expire_time": order.payment.expire_time.ToDatetime(tzinfo=UTC).isoformat(),
        "provider_payment_id": f"pay_{fresh_id()}" if is_paid else None,
        "paid_time": datetime.now(UTC).isoformat() if is_paid else None,
    }
    return {"event_id": f"evt_{fresh_id()}", "kind": kind, "session": told | session}


def refund_event_of(
    session_id: str, payment_id: str, amount_minor: int, refund_id: str | None = None
) -> dict[str, Any]:
    """What the provider would tell of a refund that somebody made at its dashboard."""
    refund = {
        "provider_refund_id": f"rfd_{fresh_id()}",
        "refund_id": None,
        "provider_payment_id": payment_id,
        "session_id": session_id,
        "amount_minor": amount_minor,
        "currency": CURRENCY,
    }
    return {"event_id": f"evt_{fresh_id()}", "kind": "refund.made", "refund": refund}


async def forget_payment(owner: asyncpg.Connection, order_id: str) -> None:
    """As if the webhook of the order's payment had never come."""
    async with owner.transaction():
        await owner.execute("DELETE FROM receipts WHERE order_id = $1", order_id)
        await owner.execute("ALTER TABLE payments DISABLE TRIGGER payments_transition")
        await owner.execute(
            "UPDATE payments SET state = 'pending', paid_at = NULL, provider_payment_id = NULL WHERE order_id = $1",
            order_id,
        )
        await owner.execute("ALTER TABLE payments ENABLE TRIGGER payments_transition")
