"""Stripe: hosted Checkout Sessions by its official SDK.

Every object that is made carries our deployment's name and our ids as metadata: by them our money is told from other
money on the same account. Sources: docs.stripe.com/api/{checkout/sessions,refunds,idempotent_requests},
docs.stripe.com/webhooks.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import stripe
import structlog
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.checkout.errors import ProviderNotConfigured, ProviderRefused, ProviderUnavailable
from services.checkout.payments.amounts import AmountNotRepresentable, from_stripe, to_stripe
from services.checkout.payments.answers import read_answer
from services.checkout.payments.marks import Marks
from services.checkout.payments.provider import (
    CloseResult,
    ProviderEvent,
    ProviderPayment,
    ProviderPaymentState,
    ProviderRefund,
    ProviderSession,
    Receipt,
    RefundRequest,
    RefundState,
    SessionRequest,
    Webhook,
    WebhookNotConfigured,
)
from services.checkout.payments.signature import verify
from services.checkout.payments.stripe_events import read_event
from services.checkout.payments.stripe_messages import (
    Item,
    Page,
    PaymentIntent,
    Refund,
    Session,
    moment,
)

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

NAME = "stripe"
SIGNATURE_HEADER = "stripe-signature"

_LIVE_PREFIXES = ("sk_live_", "rk_live_")
# Stripe closes a page 30 minutes after its creation at the earliest and 24 hours at the latest; measured from when we
# stored the request, so that a repeated request is the same, and with room for the repetitions. Checkout itself closes
# a page at the order's own time.
_OPEN_MIN = timedelta(minutes=60)
_OPEN_MAX = timedelta(hours=23)
_PAGE_SIZE = 100
# Answers that speak of the moment, not of the request.
_TRY_AGAIN = frozenset({408, 409, 425, 429})


class StripeSettings(BaseSettings):
    """Settings with the prefix STRIPE_; without key or secret the provider counts as not configured."""

    model_config = SettingsConfigDict(env_prefix="STRIPE_", hide_input_in_errors=True, extra="ignore")

    api_key: str = Field("", repr=False)
    # Several, separated by commas, while one replaces another.
    webhook_secret: str = Field("", repr=False)
    # Where the customer is sent from the pay page; {ORDER_ID} stands for the order's id.
    success_url: str = "https://localhost/orders/{ORDER_ID}?paid"
    cancel_url: str = "https://localhost/orders/{ORDER_ID}"
    # Another address than Stripe's own; for tests.
    api_base: str = ""
    # For a whole request.
    request_timeout_s: float = Field(8.0, gt=0)


class StripeProvider:
    """The provider behind Stripe's API; made and closed inside the event loop that uses it.

    deployment: our name on this account; objects with another name, or with none, are not ours.
    """

    name = NAME

    def __init__(self, settings: StripeSettings, deployment: str) -> None:
        self._settings = settings
        self._marks = Marks(deployment)
        self._secrets = [secret.strip() for secret in settings.webhook_secret.split(",") if secret.strip()]
        self._is_live = settings.api_key.startswith(_LIVE_PREFIXES)
        self._http = stripe.HTTPXClient(timeout=settings.request_timeout_s)
        self._client = stripe.StripeClient(
            settings.api_key or "not configured",
            base_addresses={"api": settings.api_base.rstrip("/")} if settings.api_base else {},
            http_client=self._http,
            # The workflow repeats, under the same key.
            max_network_retries=0,
        )

    async def close(self) -> None:
        """Gives up its connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def create_session(self, request: SessionRequest) -> ProviderSession:
        """See PaymentProvider."""
        metadata = self._marks.on(request.order_id, payment_id=str(request.payment_id))
        price = {
            "currency": request.currency.lower(),
            "unit_amount": _in_stripes_units(request.amount_minor, request.currency),
            "product_data": {"name": f"Order {request.order_id}"},
        }
        parameters = {
            "mode": "payment",
            "client_reference_id": str(request.order_id),
            "line_items": [{"quantity": 1, "price_data": price}],
            "metadata": metadata,
            "payment_intent_data": {"metadata": metadata},
            "expires_at": _closing_second(request),
            "success_url": self._settings.success_url.replace("{ORDER_ID}", str(request.order_id)),
            "cancel_url": self._settings.cancel_url.replace("{ORDER_ID}", str(request.order_id)),
        }
        answer = await self._call("post", "/v1/checkout/sessions", parameters, key=request.idempotency_key)
        session = read_answer(NAME, Session, answer)
        if session.url is None:
            # The answer to an earlier try, and that page has ended since.
            raise ProviderRefused(NAME, "session_has_ended")
        return ProviderSession(session_id=session.id, url=session.url, expire_time=moment(session.expires_at))

    async def find_session(self, order_id: UUID, since: datetime) -> ProviderSession | None:
        """See PaymentProvider. Stripe cannot search for pages, so all since then are looked through."""
        window = {"gte": int(since.timestamp()) - 60}
        async for session in self._list(Page[Session], "/v1/checkout/sessions", {"created": window}):
            if self._marks.are_on(session.metadata) and session.client_reference_id == str(order_id):
                # The address of a page that has ended is gone; nobody needs it.
                url = session.url or "https://localhost/"
                return ProviderSession(session_id=session.id, url=url, expire_time=moment(session.expires_at))
        return None

    async def read_session(self, session_id: str) -> ProviderPayment:
        """See PaymentProvider. A session that is suddenly unknown is no answer to be believed."""
        expand = ["payment_intent.latest_charge"]
        try:
            answer = await self._call("get", f"/v1/checkout/sessions/{session_id}", {"expand": expand})
        except ProviderRefused as refusal:
            raise ProviderUnavailable(NAME) from refusal
        return _payment_of(read_answer(NAME, Session, answer))

    async def close_session(self, session_id: str) -> CloseResult:
        """See PaymentProvider. What has been completed cannot be closed, and says so by refusing."""
        try:
            await self._call("post", f"/v1/checkout/sessions/{session_id}/expire", {})
        except ProviderRefused:
            state = (await self.read_session(session_id)).state
            if state is ProviderPaymentState.PAID:
                return CloseResult.PAID
            return CloseResult.STILL_OPEN if state is ProviderPaymentState.PENDING else CloseResult.CLOSED
        return CloseResult.CLOSED

    async def refund(self, request: RefundRequest) -> ProviderRefund:
        """See PaymentProvider."""
        parameters = {
            "payment_intent": request.provider_payment_id,
            "amount": _in_stripes_units(request.amount_minor, request.currency),
            "metadata": self._marks.on(request.order_id, refund_id=str(request.refund_id)),
        }
        answer = await self._call("post", "/v1/refunds", parameters, request.idempotency_key)
        return self.refund_of(read_answer(NAME, Refund, answer))

    async def read_refund(self, provider_refund_id: str) -> ProviderRefund:
        """See PaymentProvider."""
        answer = await self._call("get", f"/v1/refunds/{provider_refund_id}", {})
        return self.refund_of(read_answer(NAME, Refund, answer))

    async def payments_between(self, since: datetime, until: datetime) -> AsyncIterator[Receipt]:
        """See PaymentProvider."""
        async for intent in self._list(Page[PaymentIntent], "/v1/payment_intents", _window(since, until)):
            if intent.status == "succeeded":
                yield self._receipt(intent)

    async def refunds_between(self, since: datetime, until: datetime) -> AsyncIterator[ProviderRefund]:
        """See PaymentProvider."""
        async for refund in self._list(Page[Refund], "/v1/refunds", _window(since, until)):
            if refund.payment_intent is not None:
                yield self.refund_of(refund)

    async def receive_webhook(self, webhook: Webhook) -> ProviderEvent:
        """See PaymentProvider."""
        if not (self._settings.api_key and self._secrets):
            raise WebhookNotConfigured
        signature = next((value for name, value in webhook.headers.items() if name.lower() == SIGNATURE_HEADER), "")
        verify(signature, webhook.raw_body, self._secrets, webhook.received_at)
        event = read_event(webhook.raw_body, self, is_live=self._is_live)
        if event.refund is not None and event.order_id is None:
            # Made at the dashboard: only its payment knows the order.
            return replace(event, order_id=await self._order_of_payment(event.refund.provider_payment_id))
        return event

    def order_of(self, metadata: Mapping[str, str]) -> UUID | None:
        """The order that an object was made for; None when it is not ours."""
        return self._marks.order_of(metadata)

    def refund_of(self, refund: Refund) -> ProviderRefund:
        """A refund in our terms. Raises PAYMENT_PROVIDER_UNAVAILABLE: it belongs to no payment of the kind we make."""
        if refund.payment_intent is None:
            raise ProviderUnavailable(NAME)
        currency = refund.currency.upper()
        return ProviderRefund(
            provider_refund_id=refund.id,
            provider_payment_id=refund.payment_intent,
            state=_REFUND_STATES.get(refund.status or "", RefundState.PENDING),
            amount_minor=_in_our_units(refund.amount, currency),
            currency=currency,
            refund_id=self._marks.refund_of(refund.metadata),
            failure_code=refund.failure_reason,
        )

    async def _order_of_payment(self, payment_id: str) -> UUID | None:
        try:
            answer = await self._call("get", f"/v1/payment_intents/{payment_id}", {})
        except ProviderRefused:
            return None
        return self.order_of(read_answer(NAME, PaymentIntent, answer).metadata)

    def _receipt(self, intent: PaymentIntent) -> Receipt:
        currency = intent.currency.upper()
        return Receipt(
            provider_payment_id=intent.id,
            order_id=self.order_of(intent.metadata),
            amount_minor=_in_our_units(intent.amount_received, currency),
            currency=currency,
            paid_time=moment(intent.created),
        )

    async def _list(self, pages: type[Page[Item]], path: str, parameters: Mapping[str, Any]) -> AsyncIterator[Item]:
        """All items of a list, page by page, newest first."""
        position: dict[str, str] = {}
        while True:
            answer = await self._call("get", path, {**parameters, "limit": _PAGE_SIZE, **position})
            page = read_answer(NAME, pages, answer)
            for item in page.data:
                yield item
            if not page.has_more or not page.data:
                return
            position = {"starting_after": page.data[-1].id}

    async def _call(self, method: str, path: str, parameters: Mapping[str, Any], key: str | None = None) -> str:
        """The body of a 2xx answer; everything else is raised."""
        if not (self._settings.api_key and self._secrets):
            raise ProviderNotConfigured(NAME)
        options = {} if key is None else {"idempotency_key": key}
        try:
            answer = await self._client.raw_request_async(method, path, **parameters, **options)
        except stripe.AuthenticationError:
            # As without a key, only that somebody has to hear of it: a key that was rolled, or is another account's.
            _log.error("payment_provider_refuses_our_key", provider=NAME)
            raise ProviderNotConfigured(NAME) from None
        except stripe.StripeError as failure:
            raise _refusal(failure) from None
        body: str = answer.body
        return body


_REFUND_STATES = {
    "succeeded": RefundState.REFUNDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}


def _refusal(failure: stripe.StripeError) -> Exception:
    """What an answer other than 2xx means: only a 4xx of Stripe's own making is a no."""
    status = failure.http_status
    if status is None or not 400 <= status < 500 or status in _TRY_AGAIN or failure.error is None:
        return ProviderUnavailable(NAME)
    return ProviderRefused(NAME, failure.code or failure.error.type or "refused")


def _payment_of(session: Session) -> ProviderPayment:
    intent = session.payment_intent if isinstance(session.payment_intent, PaymentIntent) else None
    currency = (intent or session).currency.upper()
    state = _state_of(session, intent)
    is_paid = state is ProviderPaymentState.PAID
    amount = intent.amount_received if is_paid and intent else session.amount_total
    return ProviderPayment(
        state=state,
        provider_payment_id=intent.id if is_paid and intent else None,
        amount_minor=_in_our_units(amount, currency),
        currency=currency,
        paid_time=_paid_time(intent) if is_paid and intent else None,
    )


def _state_of(session: Session, intent: PaymentIntent | None) -> ProviderPaymentState:
    if session.status == "open":
        return ProviderPaymentState.PENDING
    if session.status == "expired":
        return ProviderPaymentState.EXPIRED
    if session.payment_status == "paid" and intent is not None and intent.status == "succeeded":
        return ProviderPaymentState.PAID
    # Completed with a slow method of payment: it comes through days later, or not at all.
    if intent is not None and intent.status in ("requires_payment_method", "canceled"):
        return ProviderPaymentState.FAILED
    return ProviderPaymentState.PENDING


def _paid_time(intent: PaymentIntent) -> datetime:
    charge = intent.latest_charge
    return moment(intent.created if charge is None or isinstance(charge, str) else charge.created)


def _closing_second(request: SessionRequest) -> int:
    earliest, latest = request.create_time + _OPEN_MIN, request.create_time + _OPEN_MAX
    return int(min(max(request.expire_time, earliest), latest).timestamp())


def _window(since: datetime, until: datetime) -> dict[str, dict[str, int]]:
    return {"created": {"gte": int(since.timestamp()), "lt": int(until.timestamp()) + 1}}


def _in_stripes_units(amount_minor: int, currency: str) -> int:
    """Raises PAYMENT_PROVIDER_REFUSED: Stripe has no such amount."""
    try:
        return to_stripe(amount_minor, currency)
    except AmountNotRepresentable:
        raise ProviderRefused(NAME, "amount_not_representable") from None


def _in_our_units(amount: int, currency: str) -> int:
    try:
        return from_stripe(amount, currency)
    except AmountNotRepresentable:
        raise ProviderUnavailable(NAME) from None
