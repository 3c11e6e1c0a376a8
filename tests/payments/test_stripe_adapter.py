"""Checkout's client of Stripe against a stateful double of Stripe's API (P1, P4)."""

import dataclasses
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

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
from services.checkout.payments.stripe import StripeProvider, StripeSettings
from services.runtime.ids import new_id
from tests.payments.fakes.faults import Fault
from tests.payments.fakes.stripe_api import API_KEY, SECRET, StripeDouble, sign
from tests.payments.sandbox_process import session_request

DEPLOYMENT = "shop-of-the-tests"


@pytest.fixture
async def stripe() -> AsyncIterator[StripeDouble]:
    double = StripeDouble()
    await double.start()
    yield double
    await double.stop()


def client(stripe: StripeDouble, deployment: str = DEPLOYMENT, **settings: Any) -> StripeProvider:
    values = {"api_key": API_KEY, "webhook_secret": SECRET, "api_base": stripe.address}
    return StripeProvider(StripeSettings(**(values | settings)), deployment)


@pytest.fixture
async def provider(stripe: StripeDouble) -> AsyncIterator[StripeProvider]:
    provider = client(stripe)
    yield provider
    await provider.close()


async def receive(provider: StripeProvider, body: bytes, headers: dict[str, str] | None = None) -> ProviderEvent:
    return await provider.receive_webhook(Webhook(headers or sign(body), body, "127.0.0.1", datetime.now(UTC)))


def refund_request(session: Any, amount_minor: int, intent: Any, **fields: Any) -> RefundRequest:
    refund_id = new_id()
    values: dict[str, Any] = {
        "refund_id": refund_id,
        "order_id": session.order_id,
        "provider_payment_id": intent["id"],
        "amount_minor": amount_minor,
        "currency": session.currency,
        "idempotency_key": str(refund_id),
    }
    return RefundRequest(**(values | fields))


async def test_create_session_twice_with_one_key_opens_one_page(provider: StripeProvider, stripe: StripeDouble) -> None:
    request = session_request()
    first = await provider.create_session(request)
    assert await provider.create_session(request) == first
    assert len(stripe.sessions) == 1
    [session] = stripe.sessions.values()
    assert session["client_reference_id"] == str(request.order_id)
    assert session["metadata"] == {
        "deployment": DEPLOYMENT,
        "order_id": str(request.order_id),
        "payment_id": str(request.payment_id),
    }
    # No earlier than the order's own time, and no earlier than Stripe allows: then checkout closes the page itself.
    assert first.expire_time is not None
    assert first.expire_time >= request.expire_time


async def test_create_session_with_a_used_key_and_another_amount_is_refused(provider: StripeProvider) -> None:
    request = session_request()
    await provider.create_session(request)
    with pytest.raises(ProviderRefused):
        await provider.create_session(dataclasses.replace(request, amount_minor=10))


@pytest.mark.parametrize(
    ("amount_minor", "currency", "in_stripes_units"),
    [(1234, "USD", 1234), (50, "JPY", 50), (40_000, "OMR", 40_000), (7, "ISK", 700), (7, "UGX", 700)],
)
async def test_create_session_in_any_currency_asks_for_stripes_own_units(
    provider: StripeProvider, stripe: StripeDouble, amount_minor: int, currency: str, in_stripes_units: int
) -> None:
    request = session_request(amount_minor=amount_minor, currency=currency)
    session = await provider.create_session(request)
    assert stripe.sessions[session.session_id]["amount_total"] == in_stripes_units
    stripe.pay(stripe.sessions[session.session_id])
    payment = await provider.read_session(session.session_id)
    assert (payment.amount_minor, payment.currency) == (amount_minor, currency)


async def test_create_session_with_three_decimals_that_stripe_lacks_is_refused(provider: StripeProvider) -> None:
    with pytest.raises(ProviderRefused) as refusal:
        await provider.create_session(session_request(amount_minor=40_001, currency="OMR"))
    assert refusal.value.provider_code == "amount_not_representable"


@pytest.mark.parametrize("fault", list(Fault))
async def test_create_session_with_a_fault_is_in_doubt(
    provider: StripeProvider, stripe: StripeDouble, fault: Fault
) -> None:
    stripe.faults.queue("create_session", fault)
    with pytest.raises(ProviderUnavailable):
        await provider.create_session(session_request())


async def test_create_session_after_a_500_that_stripe_repeats_is_found_by_its_order(
    provider: StripeProvider, stripe: StripeDouble
) -> None:
    request = session_request()
    stripe.faults.queue("create_session", Fault.ERROR_AFTER)
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            await provider.create_session(request)
    found = await provider.find_session(request.order_id, request.create_time)
    assert found is not None
    assert found.session_id in stripe.sessions


async def test_find_session_among_many_pages_of_others_is_found(provider: StripeProvider, stripe: StripeDouble) -> None:
    request = session_request()
    mine = await provider.create_session(request)
    for _ in range(230):
        await provider.create_session(session_request())
    found = await provider.find_session(request.order_id, request.create_time)
    assert found is not None
    assert found.session_id == mine.session_id
    assert stripe.journal.calls["list_sessions"] == 3
    assert await provider.find_session(new_id(), request.create_time) is None


async def test_find_session_of_another_deployment_is_none(provider: StripeProvider, stripe: StripeDouble) -> None:
    request = session_request()
    await provider.create_session(request)
    other = client(stripe, "another-shop")
    assert await other.find_session(request.order_id, request.create_time) is None
    await other.close()


async def test_read_session_follows_the_customer(provider: StripeProvider, stripe: StripeDouble) -> None:
    opened = await provider.create_session(session_request())
    session = stripe.sessions[opened.session_id]
    assert (await provider.read_session(opened.session_id)).state is ProviderPaymentState.PENDING
    stripe.refuse_card(session)
    assert (await provider.read_session(opened.session_id)).state is ProviderPaymentState.PENDING
    intent = stripe.pay(session)
    payment = await provider.read_session(opened.session_id)
    assert (payment.state, payment.provider_payment_id) == (ProviderPaymentState.PAID, intent["id"])
    assert (payment.amount_minor, payment.currency) == (40_000, "OMR")
    assert payment.paid_time is not None


@pytest.mark.parametrize(
    ("ending", "state"),
    [("transfer_arrives", ProviderPaymentState.PAID), ("transfer_fails", ProviderPaymentState.FAILED)],
)
async def test_read_session_of_a_bank_transfer_is_pending_until_it_ends(
    provider: StripeProvider, stripe: StripeDouble, ending: str, state: ProviderPaymentState
) -> None:
    opened = await provider.create_session(session_request())
    session = stripe.sessions[opened.session_id]
    stripe.pay_slowly(session)
    assert (await provider.read_session(opened.session_id)).state is ProviderPaymentState.PENDING
    assert await provider.close_session(opened.session_id) is CloseResult.STILL_OPEN
    getattr(stripe, ending)(session)
    assert (await provider.read_session(opened.session_id)).state is state


async def test_read_session_that_is_unknown_is_in_doubt(provider: StripeProvider) -> None:
    with pytest.raises(ProviderUnavailable):
        await provider.read_session("cs_test_nothing")


async def test_close_session_twice_is_once(provider: StripeProvider, stripe: StripeDouble) -> None:
    opened = await provider.create_session(session_request())
    assert await provider.close_session(opened.session_id) is CloseResult.CLOSED
    assert await provider.close_session(opened.session_id) is CloseResult.CLOSED
    assert stripe.sessions[opened.session_id]["status"] == "expired"


async def test_close_session_that_is_paid_says_so(provider: StripeProvider, stripe: StripeDouble) -> None:
    opened = await provider.create_session(session_request())
    stripe.pay(stripe.sessions[opened.session_id])
    assert await provider.close_session(opened.session_id) is CloseResult.PAID


async def test_refund_in_parts_and_never_more_than_was_paid(provider: StripeProvider, stripe: StripeDouble) -> None:
    request = session_request()
    opened = await provider.create_session(request)
    intent = stripe.pay(stripe.sessions[opened.session_id])
    part = refund_request(request, 15_000, intent)
    first = await provider.refund(part)
    assert await provider.refund(part) == first
    assert (first.state, first.amount_minor, first.refund_id) == (RefundState.REFUNDED, 15_000, part.refund_id)
    assert await provider.read_refund(first.provider_refund_id) == first
    with pytest.raises(ProviderRefused):
        await provider.refund(refund_request(request, 25_010, intent))
    assert stripe.journal.balance(intent["id"]) == 25_000


async def test_lists_show_what_is_ours_and_what_is_not(provider: StripeProvider, stripe: StripeDouble) -> None:
    request = session_request()
    ours = stripe.pay(stripe.sessions[(await provider.create_session(request)).session_id])
    other = client(stripe, "another-shop")
    theirs = stripe.pay(stripe.sessions[(await other.create_session(session_request())).session_id])
    await other.close()
    made = await provider.refund(refund_request(request, 10_000, ours))
    elsewhere = stripe.refund_at_dashboard(ours, 5_000)
    since, until = datetime.now(UTC) - timedelta(minutes=5), datetime.now(UTC) + timedelta(minutes=5)
    receipts = {each.provider_payment_id: each.order_id async for each in provider.payments_between(since, until)}
    assert receipts == {ours["id"]: request.order_id, theirs["id"]: None}
    refunds = {each.provider_refund_id: each.refund_id async for each in provider.refunds_between(since, until)}
    assert refunds == {made.provider_refund_id: made.refund_id, elsewhere["id"]: None}
    assert [each async for each in provider.payments_between(since - timedelta(days=1), since)] == []


async def test_receive_webhook_of_each_kind(provider: StripeProvider, stripe: StripeDouble) -> None:
    request = session_request()
    session = stripe.sessions[(await provider.create_session(request)).session_id]
    intent = stripe.pay(session)
    paid = await receive(provider, stripe.tell("checkout.session.completed", session))
    assert (paid.kind, paid.session_id, paid.order_id) == (EventKind.PAID, session["id"], request.order_id)
    assert (paid.provider_payment_id, paid.amount_minor, paid.currency) == (intent["id"], 40_000, "OMR")
    expired = await receive(provider, stripe.tell("checkout.session.expired", session))
    assert expired.kind is EventKind.EXPIRED
    refund = stripe.refund_at_dashboard(intent, 1_000)
    refunded = await receive(provider, stripe.tell("refund.updated", refund))
    assert refunded.kind is EventKind.REFUND
    assert refunded.refund is not None
    assert (refunded.refund.refund_id, refunded.refund.amount_minor) == (None, 1_000)
    # The refund does not name the order, its payment does.
    assert refunded.order_id == request.order_id
    stripe.refuse_card(session)
    attempt = list(stripe.intents.values())[-1]
    refused = await receive(provider, stripe.tell("payment_intent.payment_failed", attempt))
    assert (refused.kind, refused.order_id) == (EventKind.ATTEMPT_FAILED, request.order_id)
    disputed = {"id": "dp_1", "amount": 40_000, "currency": "omr", "status": "needs_response"}
    event = await receive(provider, stripe.tell("charge.dispute.created", {**disputed, "payment_intent": intent["id"]}))
    assert event.kind is EventKind.DISPUTE
    assert event.dispute is not None
    assert event.dispute.provider_payment_id == intent["id"]


async def test_receive_webhook_of_a_refund_of_a_payment_that_is_not_ours(
    provider: StripeProvider, stripe: StripeDouble
) -> None:
    request = session_request()
    session = stripe.sessions[(await provider.create_session(request)).session_id]
    refund = stripe.refund_at_dashboard(stripe.pay(session), 1_000)
    foreign = await receive(provider, stripe.tell("refund.created", refund | {"payment_intent": "pi_of_nobody"}))
    assert (foreign.kind, foreign.order_id) == (EventKind.REFUND, None)
    stripe.faults.queue("read_payment", Fault.ERROR_BEFORE)
    with pytest.raises(ProviderUnavailable):
        await receive(provider, stripe.tell("refund.created", refund))


async def test_receive_webhook_of_a_page_that_awaits_a_transfer_is_left_alone(
    provider: StripeProvider, stripe: StripeDouble
) -> None:
    session = stripe.sessions[(await provider.create_session(session_request())).session_id]
    stripe.pay_slowly(session)
    assert (await receive(provider, stripe.tell("checkout.session.completed", session))).kind is EventKind.IGNORED


async def test_receive_webhook_of_another_deployment_names_no_order(
    provider: StripeProvider, stripe: StripeDouble
) -> None:
    other = client(stripe, "another-shop")
    session = stripe.sessions[(await other.create_session(session_request())).session_id]
    await other.close()
    stripe.pay(session)
    event = await receive(provider, stripe.tell("checkout.session.completed", session))
    assert (event.kind, event.order_id) == (EventKind.PAID, None)


async def test_receive_webhook_of_the_other_mode_or_of_an_unknown_type_is_left_alone(
    provider: StripeProvider, stripe: StripeDouble
) -> None:
    session = stripe.sessions[(await provider.create_session(session_request())).session_id]
    stripe.pay(session)
    live = json.loads(stripe.tell("checkout.session.completed", session)) | {"livemode": True}
    assert (await receive(provider, json.dumps(live).encode())).kind is EventKind.IGNORED
    assert (await receive(provider, stripe.tell("customer.created", {"id": "cus_1"}))).kind is EventKind.IGNORED


async def test_receive_webhook_signed_with_an_old_secret_while_it_is_replaced(stripe: StripeDouble) -> None:
    provider = client(stripe, webhook_secret="whsec_new, whsec_old")
    body = stripe.tell("customer.created", {"id": "cus_1"})
    for secret in ("whsec_new", "whsec_old"):
        assert (await receive(provider, body, sign(body, secret))).kind is EventKind.IGNORED
    with pytest.raises(WebhookSignatureRefused):
        await receive(provider, body, sign(body, "whsec_older"))
    await provider.close()


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b'{"id": "evt_1"}', b'{"id":"evt_1","id":"evt_2"}'])
async def test_receive_webhook_rightly_signed_but_no_event_is_malformed(provider: StripeProvider, body: bytes) -> None:
    with pytest.raises(WebhookMalformed):
        await receive(provider, body)


async def test_without_key_or_secret_the_provider_is_not_configured(stripe: StripeDouble) -> None:
    for missing in ("api_key", "webhook_secret"):
        provider = client(stripe, **{missing: ""})
        with pytest.raises(ProviderNotConfigured):
            await provider.create_session(session_request())
        with pytest.raises(WebhookNotConfigured):
            await receive(provider, b"{}")
        await provider.close()
    provider = client(stripe, api_key="sk_test_wrong")
    with capture_logs() as lines, pytest.raises(ProviderNotConfigured):
        await provider.create_session(session_request())
    assert [line["event"] for line in lines] == ["payment_provider_refuses_our_key"]
    await provider.close()
