"""Findings reach logs and metrics, whoever makes them, and each once (P-3)."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from structlog.typing import EventDict

from quittance.checkout.v1 import checkout_pb2, payments_pb2
from tests.checkout.conftest import Checkout
from tests.checkout.shop import PRICE_MINOR, Shop, fresh_id
from tests.checkout.webhook_sender import WebhookSender, event_of, forget_payment
from tests.payments.sandbox_process import click


def counted(kind: str) -> float:
    return REGISTRY.get_sample_value("quittance_payment_findings_total", {"provider": "sandbox", "kind": kind}) or 0.0


def told(lines: list[EventDict], order_id: str) -> list[tuple[str, str, str]]:
    """Level, kind and amount of the lines about findings of this order."""
    mine = [line for line in lines if (line["event"], line.get("order_id")) == ("payment_finding", order_id)]
    return [(line["log_level"], line["kind"], line["details"].get("amount_minor", "")) for line in mine]


async def poll(shop: Shop, order_id: str) -> None:
    await shop.read_payment(order_id, refresh=True)


async def close(shop: Shop, order_id: str) -> None:
    assert await shop.close(order_id) == "CLOSED"


@pytest.mark.parametrize("ask", [poll, close])
async def test_money_that_was_not_asked_for_is_told_of_by_whoever_asks_the_provider(
    shop: Shop,
    checkout: Checkout,
    owner_connection: asyncpg.Connection,
    ask: Callable[[Shop, str], Awaitable[None]],
) -> None:
    """The provider's mistake, played by a row that asks for less; the webhook is lost."""
    order = await shop.awaiting_payment()
    await click(order.payment.payment_url, "pay")
    async with asyncio.timeout(60):
        while await shop.payment_state(order.order_id) != "PAID":
            await asyncio.sleep(0.02)
    await forget_payment(owner_connection, order.order_id)
    asks_for = "UPDATE payments SET amount_minor = $1 WHERE order_id = $2"
    await owner_connection.execute(asks_for, PRICE_MINOR - 10, order.order_id)
    before = counted("UNWANTED_PAYMENT")
    with capture_logs() as lines:
        for _ in range(2):
            await ask(shop, order.order_id)
    assert counted("UNWANTED_PAYMENT") == before + 1
    assert told(lines, order.order_id) == [("error", "UNWANTED_PAYMENT", str(PRICE_MINOR))]
    [receipt] = (
        await checkout.payments.ListOrderMoney(payments_pb2.ListOrderMoneyRequest(order_id=order.order_id))
    ).receipts
    assert receipt.standing == payments_pb2.RECEIPT_STANDING_UNWANTED
    assert (await shop.read_order(order.order_id)).state == checkout_pb2.ORDER_STATE_AWAITING_PAYMENT
    await owner_connection.execute(asks_for, PRICE_MINOR, order.order_id)


async def test_what_a_webhook_finds_is_told_of_once(shop: Shop, webhooks: WebhookSender) -> None:
    order = await shop.awaiting_payment()
    event = event_of(order, f"ses_{fresh_id()}", "payment.paid", amount_minor=1)
    before = counted("UNWANTED_PAYMENT")
    with capture_logs() as lines:
        for _ in range(2):
            assert await webhooks.send(event | {"event_id": f"evt_{fresh_id()}"}) == 200
    assert counted("UNWANTED_PAYMENT") == before + 1
    assert told(lines, order.order_id) == [("error", "UNWANTED_PAYMENT", "1")]


async def test_what_a_comparison_finds_is_told_of_once(checkout: Checkout) -> None:
    difference = payments_pb2.ClearingDifference(currency="XAU", held_min_minor=5, held_max_minor=6, cleared_minor=4)
    report = payments_pb2.ReportClearingRequest(provider="sandbox", differences=[difference])
    before = counted("CLEARING_DIFFERS")
    with capture_logs() as lines:
        for _ in range(2):
            await checkout.payment_steps.ReportClearing(report)
    assert counted("CLEARING_DIFFERS") == before + 1
    assert told(lines, "") == [("error", "CLEARING_DIFFERS", "")]
