"""YooKassa: its HTTP API, called directly.

The official SDK keeps its settings in process-wide variables, knows no deadline and makes up an idempotence key when
none is given; of its calls four are needed here. Webhooks carry no signature and no event id: the sender's address is
checked, and then only what the API answers is believed. Sources: yookassa.ru/developers/api,
yookassa.ru/developers/using-api/{interaction-format,webhooks}.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from http import HTTPStatus
from uuid import UUID

import httpx
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.checkout.errors import ProviderNotConfigured, ProviderRefused, ProviderUnavailable
from services.checkout.payments.amounts import AmountNotRepresentable, from_text, to_text
from services.checkout.payments.answers import read_answer
from services.checkout.payments.json_body import JsonRefused, check_json_object
from services.checkout.payments.marks import Marks
from services.checkout.payments.networks import is_within, parse_networks
from services.checkout.payments.provider import (
    CloseResult,
    EventKind,
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
    WebhookMalformed,
    WebhookNotConfigured,
    WebhookSignatureRefused,
)
from services.checkout.payments.yookassa_messages import Amount, Error, Item, Notification, Page, Payment, Refund

NAME = "yookassa"

# Published in yookassa.ru/developers/using-api/webhooks, "IP addresses".
SENDER_NETWORKS = (
    *("185.71.76.0/27", "185.71.77.0/27", "77.75.153.0/25", "77.75.154.128/25"),
    *("77.75.156.11/32", "77.75.156.35/32", "2a02:5180::/32"),
)
_PAGE_SIZE = 100
_ANSWER_BYTES_MAX = 4 * 1024 * 1024
# Answers that speak of the moment, not of the request.
_TRY_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS})
_EXPIRED_REASONS = frozenset({"expired_on_confirmation", "expired_on_capture"})


class YooKassaSettings(BaseSettings):
    """Settings with the prefix YOOKASSA_; without shop or key the provider counts as not configured."""

    model_config = SettingsConfigDict(env_prefix="YOOKASSA_", hide_input_in_errors=True, extra="ignore")

    shop_id: str = ""
    secret_key: str = Field("", repr=False)
    # Where the customer is sent from the pay page; {ORDER_ID} stands for the order's id.
    return_url: str = "https://localhost/orders/{ORDER_ID}"
    # Networks whose webhooks are looked at, separated by commas; the default are the published ones.
    sender_networks: str = ",".join(SENDER_NETWORKS)
    # Another address than YooKassa's own; for tests.
    api_base: str = "https://api.yookassa.ru/v3"
    # For a whole request.
    request_timeout_s: float = Field(8.0, gt=0)


class YooKassaProvider:
    """The provider behind YooKassa's API; made and closed inside the event loop that uses it.

    deployment: our name in this shop; objects with another name, or with none, are not ours.
    """

    name = NAME

    def __init__(self, settings: YooKassaSettings, deployment: str) -> None:
        self._settings = settings
        self._marks = Marks(deployment)
        self._is_configured = bool(settings.shop_id and settings.secret_key)
        self._networks = parse_networks(settings.sender_networks)
        self._http = httpx.AsyncClient(
            base_url=settings.api_base.rstrip("/"),
            auth=(settings.shop_id, settings.secret_key),
            timeout=settings.request_timeout_s,
            headers={"Accept-Encoding": "identity"},
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Gives up its connections."""
        await self._http.aclose()

    async def create_session(self, request: SessionRequest) -> ProviderSession:
        """See PaymentProvider. YooKassa closes a page when it likes: checkout stops waiting at the order's own time."""
        confirmation = {
            "type": "redirect",
            "return_url": self._settings.return_url.replace("{ORDER_ID}", str(request.order_id)),
        }
        body = {
            "amount": _amount(request.amount_minor, request.currency),
            # In one step: without it the money would only be set aside.
            "capture": True,
            "confirmation": confirmation,
            "description": f"Order {request.order_id}",
            "metadata": self._marks.on(request.order_id, payment_id=str(request.payment_id)),
        }
        answer = await self._call("POST", "/payments", body=body, key=request.idempotency_key)
        payment = read_answer(NAME, Payment, answer)
        session = _session_of(payment)
        if session is None:
            # The answer to an earlier try, and that payment has ended since.
            raise ProviderRefused(NAME, "payment_has_ended")
        return session

    async def find_session(self, order_id: UUID, since: datetime) -> ProviderSession | None:
        """See PaymentProvider."""
        query = {"created_at.gte": _written(since)}
        async for payment in self._list(Page[Payment], "/payments", query):
            if self._marks.order_of(payment.metadata) == order_id:
                # The address of a page that has ended is gone; nobody needs it.
                return _session_of(payment) or ProviderSession(payment.id, "https://localhost/", None)
        return None

    async def read_session(self, session_id: str) -> ProviderPayment:
        """See PaymentProvider. A payment that is suddenly unknown is no answer to be believed."""
        try:
            return _payment_of(await self._payment(session_id))
        except ProviderRefused as refusal:
            raise ProviderUnavailable(NAME) from refusal

    async def close_session(self, session_id: str) -> CloseResult:
        """See PaymentProvider. There is no way to close a page: it is only looked at."""
        state = (await self.read_session(session_id)).state
        if state is ProviderPaymentState.PAID:
            return CloseResult.PAID
        return CloseResult.STILL_OPEN if state is ProviderPaymentState.PENDING else CloseResult.CLOSED

    async def refund(self, request: RefundRequest) -> ProviderRefund:
        """See PaymentProvider."""
        body = {
            "payment_id": request.provider_payment_id,
            "amount": _amount(request.amount_minor, request.currency),
            "description": f"Refund {request.refund_id}",
            "metadata": self._marks.on(request.order_id, refund_id=str(request.refund_id)),
        }
        answer = await self._call("POST", "/refunds", body=body, key=request.idempotency_key)
        return self._refund_of(read_answer(NAME, Refund, answer))

    async def read_refund(self, provider_refund_id: str) -> ProviderRefund:
        """See PaymentProvider."""
        return self._refund_of(read_answer(NAME, Refund, await self._call("GET", f"/refunds/{provider_refund_id}")))

    async def payments_between(self, since: datetime, until: datetime) -> AsyncIterator[Receipt]:
        """See PaymentProvider."""
        query = {"created_at.gte": _written(since), "created_at.lt": _written(until), "status": "succeeded"}
        async for payment in self._list(Page[Payment], "/payments", query):
            yield Receipt(
                provider_payment_id=payment.id,
                order_id=self._marks.order_of(payment.metadata),
                amount_minor=_minor(payment.amount),
                currency=payment.amount.currency,
                paid_time=payment.captured_at or payment.created_at,
            )

    async def refunds_between(self, since: datetime, until: datetime) -> AsyncIterator[ProviderRefund]:
        """See PaymentProvider."""
        query = {"created_at.gte": _written(since), "created_at.lt": _written(until)}
        async for refund in self._list(Page[Refund], "/refunds", query):
            yield self._refund_of(refund)

    async def receive_webhook(self, webhook: Webhook) -> ProviderEvent:
        """See PaymentProvider. The event's id is made of what the API says, so that a body which runs ahead of the
        API, or lies, takes no other event's place.
        """
        if not self._is_configured:
            raise WebhookNotConfigured
        if not is_within(webhook.remote, self._networks):
            raise WebhookSignatureRefused("the sender's address is not YooKassa's")
        try:
            check_json_object(webhook.raw_body)
            notification = Notification.model_validate_json(webhook.raw_body)
        except (JsonRefused, ValidationError):
            raise WebhookMalformed("the body is no notification") from None
        kind, _, _ = notification.event.partition(".")
        if kind not in ("payment", "refund"):
            return ProviderEvent(event_id=f"{notification.event}:{notification.object.id}", kind=EventKind.IGNORED)
        try:
            if kind == "refund":
                return await self._refund_event(notification.object.id)
            return _payment_event(await self._payment(notification.object.id), self._marks)
        except ProviderRefused:
            raise WebhookMalformed("YooKassa does not know it, or it is another shop's") from None

    async def _refund_event(self, refund_id: str) -> ProviderEvent:
        refund = await self.read_refund(refund_id)
        payment = await self._payment(refund.provider_payment_id)
        return ProviderEvent(
            event_id=f"refund.{refund.state.value}:{refund.provider_refund_id}",
            kind=EventKind.REFUND,
            session_id=payment.id,
            order_id=self._marks.order_of(payment.metadata),
            provider_payment_id=payment.id,
            refund=refund,
        )

    async def _payment(self, payment_id: str) -> Payment:
        """Raises PAYMENT_PROVIDER_REFUSED: there is none in this shop."""
        payment = read_answer(NAME, Payment, await self._call("GET", f"/payments/{payment_id}"))
        if payment.recipient.account_id != self._settings.shop_id:
            raise ProviderRefused(NAME, "another_shop")
        return payment

    def _refund_of(self, refund: Refund) -> ProviderRefund:
        return ProviderRefund(
            provider_refund_id=refund.id,
            provider_payment_id=refund.payment_id,
            state=_REFUND_STATES[refund.status],
            amount_minor=_minor(refund.amount),
            currency=refund.amount.currency,
            refund_id=self._marks.refund_of(refund.metadata),
            failure_code=refund.cancellation_details.reason if refund.cancellation_details else None,
        )

    async def _list(self, pages: type[Page[Item]], path: str, query: Mapping[str, str]) -> AsyncIterator[Item]:
        """All items of a list, page by page."""
        position: dict[str, str] = {}
        while True:
            answer = await self._call("GET", path, query={**query, "limit": str(_PAGE_SIZE), **position})
            page = read_answer(NAME, pages, answer)
            for item in page.items:
                yield item
            if not page.next_cursor:
                return
            position = {"cursor": page.next_cursor}

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        key: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        """The body of a 2xx answer; everything else is raised."""
        if not self._is_configured:
            raise ProviderNotConfigured(NAME)
        headers = {} if key is None else {"Idempotence-Key": key}
        try:
            answer = await self._http.request(method, path, json=body, params=query, headers=headers)
        except httpx.HTTPError as failure:
            raise ProviderUnavailable(NAME) from failure
        if not 200 <= answer.status_code < 300:
            raise _refusal(answer.status_code, answer.content)
        if len(answer.content) > _ANSWER_BYTES_MAX:
            raise ProviderUnavailable(NAME)
        return answer.content


_REFUND_STATES = {
    "pending": RefundState.PENDING,
    "succeeded": RefundState.REFUNDED,
    "canceled": RefundState.FAILED,
}
_EVENT_KINDS = {
    ProviderPaymentState.PENDING: EventKind.IGNORED,
    ProviderPaymentState.PAID: EventKind.PAID,
    ProviderPaymentState.FAILED: EventKind.FAILED,
    ProviderPaymentState.EXPIRED: EventKind.EXPIRED,
}


def _refusal(status: int, body: bytes) -> Exception:
    """What an answer other than 2xx means: only a 4xx with a code of YooKassa's own is a no."""
    if status == HTTPStatus.UNAUTHORIZED:
        return ProviderNotConfigured(NAME)
    try:
        code = Error.model_validate_json(body).code
    except ValidationError:
        return ProviderUnavailable(NAME)
    if not 400 <= status < 500 or status in _TRY_AGAIN:
        return ProviderUnavailable(NAME)
    return ProviderRefused(NAME, code)


def _session_of(payment: Payment) -> ProviderSession | None:
    url = payment.confirmation.confirmation_url if payment.confirmation else None
    return None if url is None else ProviderSession(session_id=payment.id, url=url, expire_time=None)


def _payment_of(payment: Payment) -> ProviderPayment:
    state = _state_of(payment)
    is_paid = state is ProviderPaymentState.PAID
    return ProviderPayment(
        state=state,
        provider_payment_id=payment.id if is_paid else None,
        amount_minor=_minor(payment.amount),
        currency=payment.amount.currency,
        paid_time=(payment.captured_at or payment.created_at) if is_paid else None,
    )


def _payment_event(payment: Payment, marks: Marks) -> ProviderEvent:
    stands = _payment_of(payment)
    return ProviderEvent(
        event_id=f"payment.{payment.status}:{payment.id}",
        kind=_EVENT_KINDS[stands.state],
        session_id=payment.id,
        order_id=marks.order_of(payment.metadata),
        provider_payment_id=stands.provider_payment_id,
        amount_minor=stands.amount_minor,
        currency=stands.currency,
        paid_time=stands.paid_time,
    )


def _state_of(payment: Payment) -> ProviderPaymentState:
    if payment.status == "succeeded":
        return ProviderPaymentState.PAID
    if payment.status != "canceled":
        return ProviderPaymentState.PENDING
    details = payment.cancellation_details
    is_expired = details is not None and details.reason in _EXPIRED_REASONS
    return ProviderPaymentState.EXPIRED if is_expired else ProviderPaymentState.FAILED


def _amount(amount_minor: int, currency: str) -> dict[str, str]:
    return {"value": to_text(amount_minor, currency), "currency": currency}


def _minor(amount: Amount) -> int:
    try:
        return from_text(amount.value, amount.currency)
    except AmountNotRepresentable:
        raise ProviderUnavailable(NAME) from None


def _written(moment: datetime) -> str:
    return moment.isoformat()
