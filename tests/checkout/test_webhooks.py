"""Webhooks over HTTP: what is believed, what is stored, what is applied (P2, P3).

Broken frames, large and slow bodies are no provider's own: tests/payments/test_webhook_bad_input.py has them.
"""

import asyncio
import json
import time
from typing import Any

import aiohttp
import asyncpg
import pytest

from deploy.local.sandbox_provider.signature import HEADER, sign
from quittance.checkout.v1 import checkout_pb2
from services.checkout.main import CheckoutSettings
from tests.checkout.conftest import Checkout, serving_checkout
from tests.checkout.shop import Shop, fresh_id
from tests.checkout.webhook_sender import WebhookSender, event_of
from tests.payments.sandbox_process import SECRET, SandboxProcess


async def session_of(connection: asyncpg.Connection, order: checkout_pb2.Order) -> str:
    session_id: str = await connection.fetchval("SELECT session_id FROM payments WHERE order_id = $1", order.order_id)
    return session_id


async def events_of(connection: asyncpg.Connection, order: checkout_pb2.Order) -> list[asyncpg.Record]:
    return await connection.fetch(
        "SELECT * FROM webhook_events WHERE order_id = $1 ORDER BY received_at", order.order_id
    )


@pytest.fixture
async def order(shop: Shop, sandbox: SandboxProcess) -> checkout_pb2.Order:
    """An order that waits for its payment."""
    return await shop.awaiting_payment()


@pytest.fixture
async def session_id(owner_connection: asyncpg.Connection, order: checkout_pb2.Order) -> str:
    return await session_of(owner_connection, order)


async def test_paid_event_is_stored_whole_and_applied(
    shop: Shop,
    webhooks: WebhookSender,
    owner_connection: asyncpg.Connection,
    order: checkout_pb2.Order,
    session_id: str,
) -> None:
    event = event_of(order, session_id, "payment.paid")
    assert await webhooks.send(event) == 200
    payment = await shop.read_payment(order.order_id)
    assert payment.state == checkout_pb2.PAYMENT_STATE_PAID
    assert payment.provider_payment_id == event["session"]["provider_payment_id"]
    [stored] = await events_of(owner_connection, order)
    assert (stored["status"], stored["error"], stored["kind"]) == ("completed", None, "paid")
    assert json.loads(stored["raw_body"]) == event
    assert stored["received_at"] <= stored["processed_at"]


async def test_event_twice_is_stored_once(
    webhooks: WebhookSender, owner_connection: asyncpg.Connection, order: checkout_pb2.Order, session_id: str
) -> None:
    event = event_of(order, session_id, "payment.paid")
    assert await asyncio.gather(*(webhooks.send(event) for _ in range(8))) == [200] * 8
    assert len(await events_of(owner_connection, order)) == 1


async def test_same_news_under_another_event_id_change_nothing(
    shop: Shop, webhooks: WebhookSender, order: checkout_pb2.Order, session_id: str
) -> None:
    first = event_of(order, session_id, "payment.paid")
    await webhooks.send(first)
    before = await shop.read_payment(order.order_id)
    assert await webhooks.send({**first, "event_id": f"evt_{fresh_id()}"}) == 200
    assert await shop.read_payment(order.order_id) == before


@pytest.mark.parametrize("kinds", [("session.expired", "payment.paid"), ("payment.paid", "payment.failed")])
async def test_paid_wins_in_any_order_of_events(
    shop: Shop, webhooks: WebhookSender, order: checkout_pb2.Order, session_id: str, kinds: tuple[str, str]
) -> None:
    for kind in kinds:
        assert await webhooks.send(event_of(order, session_id, kind)) == 200
    assert await shop.payment_state(order.order_id) == "PAID"


@pytest.mark.parametrize("kind", ["payment.attempt_failed", "something.new"])
async def test_event_that_ends_nothing_is_stored_and_changes_nothing(
    shop: Shop, webhooks: WebhookSender, order: checkout_pb2.Order, session_id: str, kind: str
) -> None:
    assert await webhooks.send(event_of(order, session_id, kind)) == 200
    assert await shop.payment_state(order.order_id) == "PENDING"


@pytest.mark.parametrize(
    "wrong", [{"amount_minor": 1}, {"currency": "EUR"}, {"session_id": "cs_of_somebody_else"}], ids=str
)
async def test_paid_event_that_is_not_what_was_asked_for_is_kept_as_failed_and_never_applied(
    shop: Shop,
    webhooks: WebhookSender,
    owner_connection: asyncpg.Connection,
    order: checkout_pb2.Order,
    session_id: str,
    wrong: dict[str, Any],
) -> None:
    """P-3."""
    assert await webhooks.send(event_of(order, session_id, "payment.paid", **wrong)) == 200
    assert await shop.payment_state(order.order_id) == "PENDING"
    [stored] = await events_of(owner_connection, order)
    assert stored["status"] == "failed"
    assert stored["error"]
    mismatch = await owner_connection.fetchval("SELECT mismatch FROM payments WHERE order_id = $1", order.order_id)
    assert mismatch == stored["error"]


async def test_paid_event_after_the_end_is_recorded_as_late(
    shop: Shop, webhooks: WebhookSender, owner_connection: asyncpg.Connection
) -> None:
    draft = await shop.priced()
    await shop.open(draft.order_id)
    await shop.hand_over(draft.order_id)
    order = await shop.read_order(draft.order_id)
    await shop.close(draft.order_id)
    await shop.end(draft, checkout_pb2.ORDER_STATE_CANCELLED)
    session_id = await session_of(owner_connection, order)
    assert await webhooks.send(event_of(order, session_id, "payment.paid")) == 200
    row = await owner_connection.fetchrow("SELECT state, is_late FROM payments WHERE order_id = $1", order.order_id)
    assert tuple(row) == ("paid", True)
    assert (await shop.read_order(draft.order_id)).state == checkout_pb2.ORDER_STATE_CANCELLED


async def test_event_of_an_order_that_is_not_ours_is_recorded_and_left_alone(
    webhooks: WebhookSender, owner_connection: asyncpg.Connection, order: checkout_pb2.Order
) -> None:
    """P4."""
    event = event_of(order, "cs_not_ours", "payment.paid", order_id="not-an-id")
    assert await webhooks.send(event) == 200
    stored = await owner_connection.fetchrow("SELECT * FROM webhook_events WHERE event_id = $1", event["event_id"])
    assert (stored["status"], stored["order_id"]) == ("failed", None)


async def test_event_that_names_only_its_session_finds_its_order(
    shop: Shop, webhooks: WebhookSender, order: checkout_pb2.Order, session_id: str
) -> None:
    event = event_of(order, session_id, "payment.paid", order_id="not-an-id")
    assert await webhooks.send(event) == 200
    assert await shop.payment_state(order.order_id) == "PAID"


# What is not believed: nothing stored, nothing applied


BODY = b'{"event_id":"evt_refused","kind":"payment.paid"}'


def signed(body: bytes, *, secret: str = SECRET, at_s: float = 0) -> dict[str, str]:
    return {HEADER: sign(body, secret, int(time.time() + at_s))}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {HEADER: ""},
        {HEADER: "t=1,v1=zz"},
        signed(BODY, secret="another"),
        signed(BODY + b" "),
        {HEADER: signed(BODY)[HEADER].replace("v1=", "v0=")},
        signed(BODY, at_s=-400),
        signed(BODY, at_s=400),
    ],
    ids=["none", "empty", "not hexadecimal", "wrong secret", "changed body", "old scheme", "stale", "future"],
)
async def test_unproved_sender_is_refused(
    webhooks: WebhookSender, owner_connection: asyncpg.Connection, headers: dict[str, str]
) -> None:
    """P2."""
    before = await owner_connection.fetchval("SELECT count(*) FROM webhook_events")
    assert await webhooks.post(BODY, headers) == 400
    assert await owner_connection.fetchval("SELECT count(*) FROM webhook_events") == before


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b"\xff\xfe", b'\xef\xbb\xbf{"event_id":1}', b"[" * 10_000, b'{"event_id":NaN}', BODY],
    ids=["empty", "list", "null", "cut off", "no utf-8", "bom", "deep", "nan", "no session"],
)
async def test_signed_nonsense_is_refused(
    webhooks: WebhookSender, owner_connection: asyncpg.Connection, body: bytes
) -> None:
    """P2."""
    before = await owner_connection.fetchval("SELECT count(*) FROM webhook_events")
    assert await webhooks.send_signed(body) == 400
    assert await owner_connection.fetchval("SELECT count(*) FROM webhook_events") == before


async def test_webhook_of_an_unknown_provider_is_not_found(checkout: Checkout) -> None:
    async with aiohttp.ClientSession() as http, http.post(f"{checkout.http_url}/webhooks/nobody") as answer:
        assert answer.status == 404


async def test_webhook_without_a_configured_provider_is_unavailable_and_not_stored(
    checkout_settings: CheckoutSettings, owner_connection: asyncpg.Connection
) -> None:
    """P2: fail closed."""
    before = await owner_connection.fetchval("SELECT count(*) FROM webhook_events")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SANDBOX_WEBHOOK_SECRET", "")
        settings = checkout_settings.model_copy(update={"http_address": "127.0.0.1:0"})
        async with (
            serving_checkout(settings) as unconfigured,
            aiohttp.ClientSession() as http,
            http.post(f"{unconfigured.http_url}/webhooks/sandbox", data=BODY, headers=signed(BODY)) as answer,
        ):
            assert answer.status == 503
    assert await owner_connection.fetchval("SELECT count(*) FROM webhook_events") == before


async def test_webhook_without_a_database_is_unavailable(
    checkout_settings: CheckoutSettings, configured: pytest.MonkeyPatch, order: checkout_pb2.Order, session_id: str
) -> None:
    """The provider sends it again."""
    settings = checkout_settings.model_copy(
        update={"http_address": "127.0.0.1:0", "database_url": "postgresql://nobody@127.0.0.1:1/nothing"}
    )
    async with serving_checkout(settings) as lost, aiohttp.ClientSession() as http:
        sender = WebhookSender(http, f"{lost.http_url}/webhooks/sandbox", SECRET)
        assert await sender.send(event_of(order, session_id, "payment.paid")) == 503


async def test_sign_of_life_is_answered(checkout: Checkout) -> None:
    """O1."""
    async with aiohttp.ClientSession() as http, http.get(f"{checkout.http_url}/healthz") as answer:
        assert answer.status == 200
