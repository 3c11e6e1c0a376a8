"""Checkout's client of the sandbox provider against the provider's real process (P1)."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from services.checkout.errors import ProviderNotConfigured, ProviderRefused, ProviderUnavailable
from services.checkout.payments.provider import (
    CloseResult,
    EventKind,
    ProviderPaymentState,
    RefundRequest,
    RefundState,
    Webhook,
    WebhookNotConfigured,
)
from services.checkout.payments.registry import PaymentProviders, open_providers
from services.checkout.payments.sandbox import SandboxProvider
from services.runtime.ids import new_id
from tests.payments.sandbox_process import Receiver, SandboxProcess, click, session_request, until


async def test_create_session_twice_with_one_key_opens_one_page(
    provider: SandboxProvider, process: SandboxProcess
) -> None:
    request = session_request()
    first = await provider.create_session(request)
    assert await provider.create_session(request) == first
    assert abs(first.expire_time - request.expire_time) < timedelta(milliseconds=1)
    assert len(await process.sessions_of(request.order_id)) == 1


async def test_create_session_with_a_used_key_and_another_amount_is_refused(provider: SandboxProvider) -> None:
    request = session_request()
    await provider.create_session(request)
    with pytest.raises(ProviderRefused) as refusal:
        await provider.create_session(session_request(idempotency_key=request.idempotency_key, amount_minor=1))
    assert refusal.value.provider_code == "idempotency_key_reused"


async def test_create_session_that_has_expired_already_is_refused(provider: SandboxProvider) -> None:
    with pytest.raises(ProviderRefused) as refusal:
        await provider.create_session(session_request(expire_time=datetime.now(UTC) - timedelta(seconds=1)))
    assert refusal.value.provider_code == "expire_time_passed"


async def test_find_session_of_known_and_unknown_order(provider: SandboxProvider) -> None:
    request = session_request()
    session = await provider.create_session(request)
    assert await provider.find_session(request.order_id, request.create_time) == session
    assert await provider.find_session(new_id(), request.create_time) is None


async def test_pay_page_button_pay_makes_the_payment_paid_and_tells_it(
    provider: SandboxProvider, receiver: Receiver
) -> None:
    request = session_request()
    session = await provider.create_session(request)
    assert (await provider.read_session(session.session_id)).state is ProviderPaymentState.PENDING

    status, page = await click(session.url, "pay")
    assert (status, "Paid." in page) == (200, True)

    payment = await provider.read_session(session.session_id)
    assert payment.state is ProviderPaymentState.PAID
    assert (payment.amount_minor, payment.currency) == (40_000, "OMR")
    assert payment.provider_payment_id
    assert payment.paid_time
    assert await provider.close_session(session.session_id) is CloseResult.PAID

    await until(lambda: receiver.kinds_of(session.session_id) == ["payment.paid"])
    headers, body = receiver.received[-1]
    event = await provider.receive_webhook(Webhook(headers, body, "127.0.0.1", datetime.now(UTC)))
    assert (event.kind, event.session_id, event.order_id) == (EventKind.PAID, session.session_id, request.order_id)
    assert (event.provider_payment_id, event.amount_minor) == (payment.provider_payment_id, 40_000)
    assert (event.currency, event.paid_time) == ("OMR", payment.paid_time)


async def test_pay_page_button_try_again_leaves_the_page_open(provider: SandboxProvider, receiver: Receiver) -> None:
    session = await provider.create_session(session_request())
    _, page = await click(session.url, "refuse")
    assert "The card was refused" in page
    assert (await provider.read_session(session.session_id)).state is ProviderPaymentState.PENDING
    await click(session.url, "pay")
    assert (await provider.read_session(session.session_id)).state is ProviderPaymentState.PAID
    await until(lambda: len(receiver.kinds_of(session.session_id)) == 2)
    assert set(receiver.kinds_of(session.session_id)) == {"payment.attempt_failed", "payment.paid"}


async def test_pay_page_button_decline_ends_the_payment_for_good(provider: SandboxProvider, receiver: Receiver) -> None:
    session = await provider.create_session(session_request())
    await click(session.url, "decline")
    await click(session.url, "pay")
    assert (await provider.read_session(session.session_id)).state is ProviderPaymentState.FAILED
    assert await provider.close_session(session.session_id) is CloseResult.CLOSED
    await until(lambda: receiver.kinds_of(session.session_id) == ["payment.failed"])


async def test_pay_page_button_walk_away_changes_nothing(provider: SandboxProvider, receiver: Receiver) -> None:
    session = await provider.create_session(session_request())
    _, page = await click(session.url, "walk_away")
    assert "walked away" in page
    assert (await provider.read_session(session.session_id)).state is ProviderPaymentState.PENDING
    assert receiver.kinds_of(session.session_id) == []


async def test_close_session_twice_is_once_and_nobody_can_pay(provider: SandboxProvider, receiver: Receiver) -> None:
    session = await provider.create_session(session_request())
    assert await provider.close_session(session.session_id) is CloseResult.CLOSED
    assert await provider.close_session(session.session_id) is CloseResult.CLOSED
    _, page = await click(session.url, "pay")
    assert "expired" in page
    assert (await provider.read_session(session.session_id)).state is ProviderPaymentState.EXPIRED
    await until(lambda: receiver.kinds_of(session.session_id) == ["session.expired"])


async def test_session_expires_by_itself_at_its_time(provider: SandboxProvider, receiver: Receiver) -> None:
    expire_time = datetime.now(UTC) + timedelta(seconds=0.5)
    session = await provider.create_session(session_request(expire_time=expire_time))
    await until(lambda: receiver.kinds_of(session.session_id) == ["session.expired"])
    assert datetime.now(UTC) >= expire_time
    assert (await provider.read_session(session.session_id)).state is ProviderPaymentState.EXPIRED


@pytest.mark.parametrize("settings", [{"api_key": ""}, {"webhook_secret": ""}, {"webhook_secret": " , "}])
async def test_calls_without_credentials_are_refused_as_not_configured(
    process: SandboxProcess, settings: dict[str, str]
) -> None:
    """V2, P2"""
    client = process.client(**settings)
    request = session_request()
    for call in (
        client.create_session(request),
        client.find_session(request.order_id, request.create_time),
        client.read_session("ses_1"),
        client.close_session("ses_1"),
    ):
        with pytest.raises(ProviderNotConfigured):
            await call
    with pytest.raises(WebhookNotConfigured):
        await client.receive_webhook(Webhook({}, b"{}", "127.0.0.1", datetime.now(UTC)))
    await client.close()
    assert await process.sessions_of(request.order_id) == []


async def test_a_key_that_the_provider_does_not_know_counts_as_not_configured(process: SandboxProcess) -> None:
    client = process.client(api_key="another")
    with pytest.raises(ProviderNotConfigured):
        await client.create_session(session_request())
    await client.close()


async def test_mode_unconfigured_is_a_definite_no(provider: SandboxProvider, process: SandboxProcess) -> None:
    """V2"""
    request = session_request()
    await process.set_mode("unconfigured")
    with pytest.raises(ProviderNotConfigured):
        await provider.create_session(request)
    assert await process.sessions_of(request.order_id) == []


async def test_mode_refusing_is_a_definite_no_with_its_code(provider: SandboxProvider, process: SandboxProcess) -> None:
    """V2"""
    await process.set_mode("refusing", code="customer_blocked")
    with pytest.raises(ProviderRefused) as refusal:
        await provider.create_session(session_request())
    assert refusal.value.provider_code == "customer_blocked"


async def test_mode_failing_leaves_the_outcome_in_doubt_and_has_no_effect(
    provider: SandboxProvider, process: SandboxProcess
) -> None:
    request = session_request()
    await process.set_mode("failing")
    with pytest.raises(ProviderUnavailable):
        await provider.create_session(request)
    assert await process.sessions_of(request.order_id) == []
    with pytest.raises(ProviderUnavailable):
        await provider.read_session("ses_1")
    with pytest.raises(ProviderUnavailable):
        await provider.close_session("ses_1")


async def test_mode_lose_answer_has_its_effect_and_the_same_key_finds_it(
    provider: SandboxProvider, process: SandboxProcess
) -> None:
    request = session_request()
    await process.set_mode("lose_answer")
    with pytest.raises(ProviderUnavailable):
        await provider.create_session(request)
    await process.set_mode("ok")
    session = await provider.find_session(request.order_id, request.create_time)
    assert session is not None
    assert await provider.create_session(request) == session


async def test_mode_lose_answer_of_a_close_closes_all_the_same(
    provider: SandboxProvider, process: SandboxProcess
) -> None:
    session = await provider.create_session(session_request())
    await process.set_mode("lose_answer")
    with pytest.raises(ProviderUnavailable):
        await provider.close_session(session.session_id)
    await process.set_mode("ok")
    assert (await provider.read_session(session.session_id)).state is ProviderPaymentState.EXPIRED


async def test_mode_lose_effect_answers_but_keeps_nothing(provider: SandboxProvider, process: SandboxProcess) -> None:
    request = session_request()
    await process.set_mode("lose_effect")
    session = await provider.create_session(request)
    await process.set_mode("ok")
    assert await provider.find_session(request.order_id, request.create_time) is None
    with pytest.raises(ProviderUnavailable):
        await provider.read_session(session.session_id)
    assert await provider.close_session(session.session_id) is CloseResult.CLOSED


async def test_mode_slow_ends_at_our_deadline_and_its_effect_comes_late(process: SandboxProcess) -> None:
    client = process.client(request_timeout_s=0.2)
    request = session_request()
    await process.set_mode("slow", slow_s=0.5)
    with pytest.raises(ProviderUnavailable):
        await client.create_session(request)
    assert await process.sessions_of(request.order_id) == []
    await process.set_mode("ok")
    async with asyncio.timeout(60):
        while not await process.sessions_of(request.order_id):
            await asyncio.sleep(0.05)
    await client.close()


async def test_journal_writes_down_each_request_with_its_key(
    provider: SandboxProvider, process: SandboxProcess
) -> None:
    request = session_request()
    await provider.create_session(request)
    await process.set_mode("failing")
    with pytest.raises(ProviderUnavailable):
        await provider.create_session(request)
    requests = [
        (entry["method"], entry["path"], entry["mode"], entry["status"])
        for entry in (await process.journal())["requests"]
        if entry["idempotency_key"] == request.idempotency_key
    ]
    assert requests == [("POST", "/v1/sessions", "ok", 201), ("POST", "/v1/sessions", "failing", 500)]


async def test_registry_with_an_unknown_name_says_not_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_API_KEY", "")
    async with open_providers("tests") as providers:
        assert isinstance(providers, PaymentProviders)
        assert providers.names == ["sandbox", "stripe", "yookassa"]
        assert providers.named("sandbox").name == "sandbox"
        with pytest.raises(ProviderNotConfigured) as refusal:
            providers.named("nobody")
    assert refusal.value.metadata == {"provider": "nobody"}


async def test_refund_in_parts_and_never_more_than_was_paid(
    provider: SandboxProvider, process: SandboxProcess, receiver: Receiver
) -> None:
    """P4"""
    request = session_request()
    session = await provider.create_session(request)
    await click(session.url, "pay")
    payment_id = (await provider.read_session(session.session_id)).provider_payment_id
    assert payment_id

    def part(amount_minor: int) -> RefundRequest:
        refund_id = new_id()
        return RefundRequest(refund_id, request.order_id, payment_id, amount_minor, "OMR", str(refund_id))

    asked = part(15_000)
    first = await provider.refund(asked)
    assert await provider.refund(asked) == first
    assert (first.state, first.amount_minor, first.refund_id) == (RefundState.REFUNDED, 15_000, asked.refund_id)
    assert await provider.read_refund(first.provider_refund_id) == first
    with pytest.raises(ProviderRefused) as refusal:
        await provider.refund(part(25_001))
    assert refusal.value.provider_code == "amount_not_left"
    await until(lambda: receiver.kinds_of(session.session_id) == ["payment.paid", "refund.made"])
    headers, body = receiver.received[-1]
    event = await provider.receive_webhook(Webhook(headers, body, "127.0.0.1", datetime.now(UTC)))
    assert (event.kind, event.session_id, event.refund) == (EventKind.REFUND, session.session_id, first)


async def test_lists_show_payments_and_refunds_of_a_time(provider: SandboxProvider, process: SandboxProcess) -> None:
    """P4"""
    begun = datetime.now(UTC)
    request = session_request()
    session = await provider.create_session(request)
    await click(session.url, "pay")
    made_at_dashboard = await process.refund_at_dashboard(session.session_id, 1_000)
    ended = datetime.now(UTC)
    [receipt] = [each async for each in provider.payments_between(begun, ended)]
    assert (receipt.order_id, receipt.amount_minor, receipt.currency) == (request.order_id, 40_000, "OMR")
    [refund] = [each async for each in provider.refunds_between(begun, ended)]
    assert (refund.provider_refund_id, refund.refund_id) == (made_at_dashboard, None)
    assert [each async for each in provider.payments_between(ended, datetime.now(UTC))] == []
