"""Checkout's client of YooKassa against a stateful double of YooKassa's API (P1, P2, P4)."""

import dataclasses
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.checkout.errors import ProviderNotConfigured, ProviderRefused, ProviderUnavailable
from services.checkout.payments.provider import (
    CloseResult,
    EventKind,
    ProviderEvent,
    ProviderPaymentState,
    RefundRequest,
    RefundState,
    Webhook,
    WebhookMalformed,
    WebhookNotConfigured,
    WebhookSignatureRefused,
)
from services.checkout.payments.yookassa import YooKassaProvider, YooKassaSettings
from services.runtime.ids import new_id
from tests.payments.fakes.faults import Fault
from tests.payments.fakes.yookassa_api import SECRET_KEY, SHOP_ID, YooKassaDouble
from tests.payments.sandbox_process import session_request

DEPLOYMENT = "shop-of-the-tests"
# One of the published addresses.
SENDER = "185.71.76.5"


@pytest.fixture
async def yookassa() -> AsyncIterator[YooKassaDouble]:
    double = YooKassaDouble()
    await double.start()
    yield double
    await double.stop()


def client(yookassa: YooKassaDouble, deployment: str = DEPLOYMENT, **settings: Any) -> YooKassaProvider:
    values = {"shop_id": SHOP_ID, "secret_key": SECRET_KEY, "api_base": f"{yookassa.address}/v3"}
    return YooKassaProvider(YooKassaSettings(**(values | settings)), deployment)


@pytest.fixture
async def provider(yookassa: YooKassaDouble) -> AsyncIterator[YooKassaProvider]:
    provider = client(yookassa)
    yield provider
    await provider.close()


def roubles(**fields: Any) -> Any:
    return session_request(amount_minor=10_050, currency="RUB", **fields)


async def receive(provider: YooKassaProvider, body: bytes, remote: str = SENDER) -> ProviderEvent:
    return await provider.receive_webhook(Webhook({}, body, remote, datetime.now(UTC)))


def refund_request(session: Any, amount_minor: int, payment_id: str) -> RefundRequest:
    refund_id = new_id()
    return RefundRequest(refund_id, session.order_id, payment_id, amount_minor, session.currency, str(refund_id))


async def test_create_session_twice_with_one_key_opens_one_page(
    provider: YooKassaProvider, yookassa: YooKassaDouble
) -> None:
    request = roubles()
    first = await provider.create_session(request)
    assert await provider.create_session(request) == first
    [payment] = yookassa.payments.values()
    assert payment["amount"] == {"value": "100.50", "currency": "RUB"}
    assert payment["metadata"]["order_id"] == str(request.order_id)
    assert payment["metadata"]["deployment"] == DEPLOYMENT


async def test_create_session_with_a_used_key_and_another_amount_is_refused(provider: YooKassaProvider) -> None:
    request = roubles()
    await provider.create_session(request)
    with pytest.raises(ProviderRefused):
        await provider.create_session(dataclasses.replace(request, amount_minor=10))


@pytest.mark.parametrize("fault", list(Fault))
async def test_create_session_with_a_fault_is_in_doubt_and_a_repetition_opens_one_page(
    provider: YooKassaProvider, yookassa: YooKassaDouble, fault: Fault
) -> None:
    request = roubles()
    yookassa.faults.queue("create_session", fault)
    with pytest.raises(ProviderUnavailable):
        await provider.create_session(request)
    session = await provider.create_session(request)
    assert list(yookassa.payments) == [session.session_id]


async def test_find_session_among_many_pages_of_others_is_found(
    provider: YooKassaProvider, yookassa: YooKassaDouble
) -> None:
    request = roubles()
    mine = await provider.create_session(request)
    for _ in range(120):
        await provider.create_session(roubles())
    found = await provider.find_session(request.order_id, request.create_time - timedelta(minutes=1))
    assert found is not None
    assert found.session_id == mine.session_id
    assert yookassa.journal.calls["list_payments"] == 2
    assert await provider.find_session(new_id(), request.create_time) is None


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("expired_on_confirmation", ProviderPaymentState.EXPIRED),
        ("insufficient_funds", ProviderPaymentState.FAILED),
        ("3d_secure_failed", ProviderPaymentState.FAILED),
    ],
)
async def test_read_session_of_a_cancelled_payment_says_why(
    provider: YooKassaProvider, yookassa: YooKassaDouble, reason: str, state: ProviderPaymentState
) -> None:
    opened = await provider.create_session(roubles())
    assert (await provider.read_session(opened.session_id)).state is ProviderPaymentState.PENDING
    yookassa.cancel(yookassa.payments[opened.session_id], reason)
    assert (await provider.read_session(opened.session_id)).state is state
    assert await provider.close_session(opened.session_id) is CloseResult.CLOSED


async def test_close_session_cannot_and_says_so_until_it_is_paid(
    provider: YooKassaProvider, yookassa: YooKassaDouble
) -> None:
    opened = await provider.create_session(roubles())
    assert await provider.close_session(opened.session_id) is CloseResult.STILL_OPEN
    yookassa.pay(yookassa.payments[opened.session_id])
    assert await provider.close_session(opened.session_id) is CloseResult.PAID
    payment = await provider.read_session(opened.session_id)
    assert (payment.provider_payment_id, payment.amount_minor) == (opened.session_id, 10_050)


async def test_read_session_that_is_unknown_or_another_shops_is_in_doubt(
    provider: YooKassaProvider, yookassa: YooKassaDouble
) -> None:
    with pytest.raises(ProviderUnavailable):
        await provider.read_session("nothing")
    opened = await provider.create_session(roubles())
    yookassa.payments[opened.session_id]["recipient"]["account_id"] = "another"
    with pytest.raises(ProviderUnavailable):
        await provider.read_session(opened.session_id)


async def test_refund_in_parts_and_never_more_than_was_paid(
    provider: YooKassaProvider, yookassa: YooKassaDouble
) -> None:
    request = roubles()
    opened = await provider.create_session(request)
    yookassa.pay(yookassa.payments[opened.session_id])
    part = refund_request(request, 5_025, opened.session_id)
    yookassa.faults.queue("refund", Fault.ERROR_AFTER)
    with pytest.raises(ProviderUnavailable):
        await provider.refund(part)
    first = await provider.refund(part)
    assert (first.state, first.amount_minor, first.refund_id) == (RefundState.REFUNDED, 5_025, part.refund_id)
    assert await provider.read_refund(first.provider_refund_id) == first
    with pytest.raises(ProviderRefused):
        await provider.refund(refund_request(request, 5_026, opened.session_id))
    assert yookassa.journal.balance(opened.session_id) == 5_025


async def test_lists_show_what_is_ours_and_what_is_not(provider: YooKassaProvider, yookassa: YooKassaDouble) -> None:
    request = roubles()
    ours = await provider.create_session(request)
    other = client(yookassa, "another-shop")
    theirs = await other.create_session(roubles())
    await other.close()
    await provider.create_session(roubles())
    for opened in (ours, theirs):
        yookassa.pay(yookassa.payments[opened.session_id])
    made = await provider.refund(refund_request(request, 100, ours.session_id))
    elsewhere = yookassa.refund_at_dashboard(yookassa.payments[ours.session_id], "1.00")
    since, until = datetime.now(UTC) - timedelta(minutes=5), datetime.now(UTC) + timedelta(minutes=5)
    receipts = {each.provider_payment_id: each.order_id async for each in provider.payments_between(since, until)}
    assert receipts == {ours.session_id: request.order_id, theirs.session_id: None}
    refunds = {each.provider_refund_id: each.refund_id async for each in provider.refunds_between(since, until)}
    assert refunds == {made.provider_refund_id: made.refund_id, elsewhere["id"]: None}


async def test_receive_webhook_believes_the_api_and_not_the_body(
    provider: YooKassaProvider, yookassa: YooKassaDouble
) -> None:
    request = roubles()
    payment = yookassa.payments[(await provider.create_session(request)).session_id]
    ahead = await receive(provider, yookassa.tell("payment.succeeded", {**payment, "status": "succeeded"}))
    assert ahead.kind is EventKind.IGNORED
    yookassa.pay(payment)
    forged = {**payment, "amount": {"value": "1.00", "currency": "RUB"}}
    paid = await receive(provider, yookassa.tell("payment.succeeded", forged))
    assert (paid.kind, paid.order_id) == (EventKind.PAID, request.order_id)
    assert (paid.amount_minor, paid.provider_payment_id) == (10_050, payment["id"])
    assert paid.event_id != ahead.event_id
    # The same object under another event's name is the same event.
    again = await receive(provider, yookassa.tell("payment.waiting_for_capture", payment))
    assert again.event_id == paid.event_id


async def test_receive_webhook_of_a_refund_names_its_payment(
    provider: YooKassaProvider, yookassa: YooKassaDouble
) -> None:
    request = roubles()
    payment = yookassa.payments[(await provider.create_session(request)).session_id]
    yookassa.pay(payment)
    refund = yookassa.refund_at_dashboard(payment, "20.00")
    event = await receive(provider, yookassa.tell("refund.succeeded", refund))
    assert (event.kind, event.order_id) == (EventKind.REFUND, request.order_id)
    assert event.refund is not None
    assert (event.refund.amount_minor, event.refund.refund_id) == (2_000, None)


@pytest.mark.parametrize(
    ("remote", "is_believed"),
    [
        ("185.71.76.5", True),
        ("77.75.156.35", True),
        ("2a02:5180::1", True),
        ("::ffff:185.71.76.5", True),
        ("185.71.76.32", False),
        ("127.0.0.1", False),
        ("2a02:5181::1", False),
        ("", False),
        ("unix:", False),
    ],
)
async def test_receive_webhook_only_from_published_addresses(
    provider: YooKassaProvider, yookassa: YooKassaDouble, remote: str, is_believed: bool
) -> None:
    payment = yookassa.payments[(await provider.create_session(roubles())).session_id]
    body = yookassa.tell("payment.succeeded", payment)
    if is_believed:
        assert (await receive(provider, body, remote)).kind is EventKind.IGNORED
    else:
        with pytest.raises(WebhookSignatureRefused):
            await receive(provider, body, remote)


async def test_receive_webhook_of_an_unknown_payment_or_another_shops_is_malformed(
    provider: YooKassaProvider, yookassa: YooKassaDouble
) -> None:
    with pytest.raises(WebhookMalformed):
        await receive(provider, yookassa.tell("payment.succeeded", {"id": "2d9e1a01-000f-5000-8000-1"}))
    payment = yookassa.payments[(await provider.create_session(roubles())).session_id]
    payment["recipient"]["account_id"] = "another"
    with pytest.raises(WebhookMalformed):
        await receive(provider, yookassa.tell("payment.succeeded", payment))


async def test_receive_webhook_while_the_api_is_away_is_in_doubt(
    provider: YooKassaProvider, yookassa: YooKassaDouble
) -> None:
    payment = yookassa.payments[(await provider.create_session(roubles())).session_id]
    yookassa.faults.queue("read_session", Fault.ERROR_BEFORE)
    with pytest.raises(ProviderUnavailable):
        await receive(provider, yookassa.tell("payment.succeeded", payment))


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"\xff", json.dumps({"type": "x"}).encode(), b'{"type":"notification","type":"x"}'],
)
async def test_receive_webhook_that_is_no_notification_is_malformed(provider: YooKassaProvider, body: bytes) -> None:
    with pytest.raises(WebhookMalformed):
        await receive(provider, body)


async def test_receive_webhook_of_another_kind_is_left_alone(provider: YooKassaProvider) -> None:
    body = json.dumps({"type": "notification", "event": "payout.succeeded", "object": {"id": "po-1"}}).encode()
    assert (await receive(provider, body)).kind is EventKind.IGNORED


async def test_without_shop_or_key_the_provider_is_not_configured(yookassa: YooKassaDouble) -> None:
    for missing in ("shop_id", "secret_key"):
        provider = client(yookassa, **{missing: ""})
        with pytest.raises(ProviderNotConfigured):
            await provider.create_session(roubles())
        with pytest.raises(WebhookNotConfigured):
            await receive(provider, b"{}")
        await provider.close()
    provider = client(yookassa, secret_key="wrong")
    with pytest.raises(ProviderNotConfigured):
        await provider.create_session(roubles())
    await provider.close()
