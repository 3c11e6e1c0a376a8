"""The sandbox provider: hosted pay pages and signed webhooks of a process on this machine."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from http import HTTPStatus
from uuid import UUID

import aiohttp
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.checkout.errors import ProviderNotConfigured, ProviderRefused, ProviderUnavailable
from services.checkout.payments.answers import read_answer
from services.checkout.payments.json_body import JsonRefused, check_json_object
from services.checkout.payments.marks import uuid_of
from services.checkout.payments.provider import (
    CloseResult,
    EventKind,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    ProviderSession,
    Receipt,
    RefundRequest,
    RefundState,
    SessionRequest,
    Webhook,
    WebhookMalformed,
    WebhookNotConfigured,
)
from services.checkout.payments.sandbox_messages import (
    PAYMENT_STATES,
    ErrorAnswer,
    Event,
    Page,
    Pages,
    Payments,
    Refund,
    RefundEvent,
    Refunds,
    Session,
    SessionEvent,
    State,
)
from services.checkout.payments.signature import verify

NAME = "sandbox"
SIGNATURE_HEADER = "Sandbox-Signature"

_ANSWER_BYTES_MAX = 1024 * 1024
# Refusals that speak of the moment, not of the request.
_TRY_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_KINDS = {
    "payment.attempt_failed": EventKind.ATTEMPT_FAILED,
    "payment.failed": EventKind.FAILED,
    "payment.paid": EventKind.PAID,
    "session.expired": EventKind.EXPIRED,
}
_REFUND_MADE = "refund.made"


class SandboxSettings(BaseSettings):
    """Settings with the prefix SANDBOX_; without key or secret the provider counts as not configured."""

    model_config = SettingsConfigDict(env_prefix="SANDBOX_", hide_input_in_errors=True, extra="ignore")

    url: str = "http://127.0.0.1:8090"
    api_key: str = Field("", repr=False)
    # Several, separated by commas, while one replaces another.
    webhook_secret: str = Field("", repr=False)
    # For a whole request, from looking for a connection to the answer's last byte.
    request_timeout_s: float = Field(8.0, gt=0)


class SandboxProvider:
    """The provider behind HTTP; made and closed inside the event loop that uses it."""

    name = NAME

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self._secrets = [secret.strip() for secret in settings.webhook_secret.split(",") if secret.strip()]
        self._is_configured = bool(settings.api_key and self._secrets)
        self._http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {settings.api_key}", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=settings.request_timeout_s),
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Gives up its connections."""
        await self._http.close()

    async def create_session(self, request: SessionRequest) -> ProviderSession:
        """See PaymentProvider."""
        body = {
            "order_id": str(request.order_id),
            "payment_id": str(request.payment_id),
            "amount_minor": request.amount_minor,
            "currency": request.currency,
            "expire_time": request.expire_time.isoformat(),
        }
        answer = await self._call("POST", "/v1/sessions", json=body, key=request.idempotency_key)
        return _page(read_answer(NAME, Page, answer))

    async def find_session(self, order_id: UUID, since: datetime) -> ProviderSession | None:
        """See PaymentProvider."""
        answer = await self._call("GET", "/v1/sessions", query={"order_id": str(order_id)})
        pages = read_answer(NAME, Pages, answer).sessions
        return _page(pages[0]) if pages else None

    async def read_session(self, session_id: str) -> ProviderPayment:
        """See PaymentProvider. A session that is suddenly unknown is no answer to be believed."""
        try:
            answer = await self._call("GET", f"/v1/sessions/{session_id}")
        except ProviderRefused as refusal:
            raise ProviderUnavailable(NAME) from refusal
        session = read_answer(NAME, Session, answer)
        return ProviderPayment(
            state=PAYMENT_STATES[session.state],
            provider_payment_id=session.provider_payment_id,
            amount_minor=session.amount_minor,
            currency=session.currency,
            paid_time=session.paid_time,
        )

    async def close_session(self, session_id: str) -> CloseResult:
        """See PaymentProvider."""
        try:
            answer = await self._call("POST", f"/v1/sessions/{session_id}/expire")
        except ProviderRefused as refusal:
            if refusal.provider_code == "session_not_found":
                return CloseResult.CLOSED
            raise ProviderUnavailable(NAME) from refusal
        state = read_answer(NAME, Session, answer).state
        if state is State.PAID:
            return CloseResult.PAID
        return CloseResult.STILL_OPEN if state is State.OPEN else CloseResult.CLOSED

    async def refund(self, request: RefundRequest) -> ProviderRefund:
        """See PaymentProvider."""
        body = {
            "refund_id": str(request.refund_id),
            "provider_payment_id": request.provider_payment_id,
            "amount_minor": request.amount_minor,
        }
        answer = await self._call("POST", "/v1/refunds", json=body, key=request.idempotency_key)
        return _refund_of(read_answer(NAME, Refund, answer))

    async def read_refund(self, provider_refund_id: str) -> ProviderRefund:
        """See PaymentProvider."""
        return _refund_of(read_answer(NAME, Refund, await self._call("GET", f"/v1/refunds/{provider_refund_id}")))

    async def payments_between(self, since: datetime, until: datetime) -> AsyncIterator[Receipt]:
        """See PaymentProvider."""
        answer = await self._call("GET", "/v1/payments", query=_window(since, until))
        for payment in read_answer(NAME, Payments, answer).payments:
            yield Receipt(
                provider_payment_id=payment.provider_payment_id,
                order_id=uuid_of(payment.order_id),
                amount_minor=payment.amount_minor,
                currency=payment.currency,
                paid_time=payment.paid_time,
            )

    async def refunds_between(self, since: datetime, until: datetime) -> AsyncIterator[ProviderRefund]:
        """See PaymentProvider."""
        answer = await self._call("GET", "/v1/refunds", query=_window(since, until))
        for refund in read_answer(NAME, Refunds, answer).refunds:
            yield _refund_of(refund)

    async def receive_webhook(self, webhook: Webhook) -> ProviderEvent:
        """See PaymentProvider."""
        if not self._is_configured:
            raise WebhookNotConfigured
        headers = webhook.headers.items()
        signature = next((value for name, value in headers if name.lower() == SIGNATURE_HEADER.lower()), "")
        verify(signature, webhook.raw_body, self._secrets, webhook.received_at)
        try:
            check_json_object(webhook.raw_body)
            return _event_in(webhook.raw_body)
        except (JsonRefused, ValidationError):
            raise WebhookMalformed("the body is no event") from None

    async def _call(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        key: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        """The body of a 2xx answer; everything else is raised."""
        if not self._is_configured:
            raise ProviderNotConfigured(NAME)
        headers = {} if key is None else {"Idempotency-Key": key}
        url = self._settings.url.rstrip("/") + path
        try:
            async with self._http.request(
                method, url, json=json, params=query, headers=headers, allow_redirects=False
            ) as answer:
                body = await _read_all(answer.content)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as failure:
            raise ProviderUnavailable(NAME) from failure
        if not 200 <= answer.status < 300:
            raise _refusal(answer.status, body)
        return body


async def _read_all(stream: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in stream.iter_any():
        body += chunk
        if len(body) > _ANSWER_BYTES_MAX:
            raise ValueError("the answer is too long")
    return bytes(body)


def _refusal(status: int, body: bytes) -> Exception:
    """What an answer other than 2xx means: only a 4xx with a code of the provider's own is a no."""
    try:
        code = ErrorAnswer.model_validate_json(body).error.code
    except ValidationError:
        code = ""
    if status == HTTPStatus.UNAUTHORIZED or code == "not_configured":
        return ProviderNotConfigured(NAME)
    if not 400 <= status < 500 or status in _TRY_AGAIN or not code:
        return ProviderUnavailable(NAME)
    return ProviderRefused(NAME, code)


def _page(page: Page) -> ProviderSession:
    return ProviderSession(session_id=page.session_id, url=page.url, expire_time=page.expire_time)


def _event_in(raw_body: bytes) -> ProviderEvent:
    event = Event.model_validate_json(raw_body)
    if event.kind == _REFUND_MADE:
        return _refund_event(RefundEvent.model_validate_json(raw_body))
    if event.kind not in _KINDS:
        return ProviderEvent(event_id=event.event_id, kind=EventKind.IGNORED)
    return _session_event(SessionEvent.model_validate_json(raw_body))


def _session_event(event: SessionEvent) -> ProviderEvent:
    session = event.session
    return ProviderEvent(
        event_id=event.event_id,
        kind=_KINDS[event.kind],
        session_id=session.session_id,
        order_id=uuid_of(session.order_id),
        provider_payment_id=session.provider_payment_id,
        amount_minor=session.amount_minor,
        currency=session.currency,
        paid_time=session.paid_time,
    )


def _refund_event(event: RefundEvent) -> ProviderEvent:
    return ProviderEvent(
        event_id=event.event_id,
        kind=EventKind.REFUND,
        session_id=event.refund.session_id,
        provider_payment_id=event.refund.provider_payment_id,
        refund=_refund_of(event.refund),
    )


def _refund_of(refund: Refund) -> ProviderRefund:
    """A refund of the sandbox is through as soon as it is made."""
    return ProviderRefund(
        provider_refund_id=refund.provider_refund_id,
        provider_payment_id=refund.provider_payment_id,
        state=RefundState.REFUNDED,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        refund_id=uuid_of(refund.refund_id),
    )


def _window(since: datetime, until: datetime) -> dict[str, str]:
    return {"since": since.isoformat(), "until": until.isoformat()}
