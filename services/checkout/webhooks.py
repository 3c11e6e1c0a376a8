"""Webhooks of payment providers: verified on the raw bytes, stored and applied in one transaction, then passed on.

Nothing is parsed before its sender is proved, and nothing of an unproved one is stored (P2). Slow work is the
workflow's: it is only nudged here, and looks at the payment's row by itself when the nudge gets lost.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from uuid import UUID

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import Counter

from services.checkout.domain.commands import DisputeNews, Event, ReceiveEvent
from services.checkout.domain.kinds import EventOutcome, PaymentState
from services.checkout.domain.payments import News
from services.checkout.domain.receipts import ReceiptKey, RefundNews
from services.checkout.errors import PaymentIdTaken, ProviderNotConfigured, ProviderUnavailable
from services.checkout.pay_pages import PayPages
from services.checkout.payments.provider import (
    EventKind,
    PaymentProvider,
    ProviderEvent,
    Webhook,
    WebhookNotConfigured,
    WebhookRefused,
)
from services.checkout.payments.registry import PaymentProviders
from services.checkout.refunding import news_of
from services.checkout.senders import Senders
from services.checkout.store.checkout_store import CheckoutStore
from services.checkout.store.money_store import MoneyStore
from services.checkout.unfinished import Unfinished
from services.runtime.errors import DatabaseUnavailable

BODY_BYTES_MAX = 1024 * 1024
# For us to store and apply it.
_APPLY_WITHIN_S = 8.0
# How long what is left of a refused body is read, so that its sender gets to see the answer.
_LINGER_S = 1.0

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
_WEBHOOKS = Counter("quittance_webhooks_total", "Webhooks by what became of them.", ["provider", "outcome"])

_ENDINGS = {
    EventKind.PAID: PaymentState.PAID,
    EventKind.FAILED: PaymentState.FAILED,
    EventKind.EXPIRED: PaymentState.EXPIRED,
}


# Events that end a payment, by the words that are stored.
_TOLD = frozenset(kind.value for kind in _ENDINGS)
# After these there may be money that has to go back.
_MOVES_MONEY = frozenset({EventKind.PAID.value, EventKind.REFUND.value})


class Webhooks:
    """Receives webhooks at /webhooks/<provider>."""

    def __init__(
        self,
        store: CheckoutStore,
        money: MoneyStore,
        providers: PaymentProviders,
        pages: PayPages,
        unfinished: Unfinished,
        senders: Senders,
        body_timeout_s: float,
    ) -> None:
        """`body_timeout_s`: for a sender to send its body, once its headers are there."""
        self._store = store
        self._money = money
        self._providers = providers
        self._pages = pages
        self._unfinished = unfinished
        self._senders = senders
        self._body_timeout_s = body_timeout_s

    def application(self) -> web.Application:
        """The routes: webhooks, and a sign of life."""
        application = web.Application()
        application.router.add_post("/webhooks/{provider}", self._answer)
        for path, provider in self._senders.aliases.items():
            application.router.add_post(path, partial(self._answer_for, provider))
        application.router.add_get("/healthz", _is_alive)
        return application

    async def _answer(self, request: web.Request) -> web.Response:
        return await self._answer_for(request.match_info["provider"], request)

    async def _answer_for(self, name: str, request: web.Request) -> web.Response:
        try:
            provider = self._providers.named(name)
        except ProviderNotConfigured:
            return _response(HTTPStatus.NOT_FOUND)
        status, outcome = await self._outcome(provider, request)
        _WEBHOOKS.labels(provider.name, outcome).inc()
        return _response(status)

    async def _outcome(self, provider: PaymentProvider, request: web.Request) -> tuple[HTTPStatus, str]:
        """What to answer, and the metric's word for it."""
        try:
            raw_body = await _read_body(request, self._body_timeout_s)
            remote = self._senders.address_of(request.remote or "", request.headers.getall("X-Forwarded-For", []))
            webhook = Webhook(request.headers, raw_body, remote, datetime.now(UTC))
            async with asyncio.timeout(_APPLY_WITHIN_S):
                event = await provider.receive_webhook(webhook)
                return HTTPStatus.OK, await self._receive(provider.name, event, raw_body)
        except tuple(_ANSWERS) as refusal:
            status, outcome = next(answer for kind, answer in _ANSWERS.items() if isinstance(refusal, kind))
            _log.info("webhook_refused", provider=provider.name, outcome=outcome)
            return status, outcome

    async def _receive(self, provider: str, event: ProviderEvent, raw_body: bytes) -> EventOutcome:
        """Stores and applies the event, then nudges the workflow of an order that is still open."""
        order_id = await self._order_of(provider, event)
        stored = Event(
            provider=provider,
            event_id=event.event_id,
            kind=event.kind.value,
            order_id=order_id,
            session_id=event.session_id,
            raw_body=raw_body,
            received_at=datetime.now(UTC),
            is_told=order_id is None or event.kind.value not in _TOLD,
        )
        if order_id is not None and event.refund is not None:
            await self._learn_of_payment(order_id, ReceiptKey(provider, event.refund.provider_payment_id))
        command = ReceiveEvent(
            event=stored, news=_news_of(event), refund=_refund_news_of(provider, event), dispute=_dispute_of(event)
        )
        outcome = await self._store.execute(command)
        if outcome in (EventOutcome.FAILED, EventOutcome.LATE):
            _log.error("webhook_needs_a_person", provider=provider, order_id=str(order_id), outcome=outcome.value)
        if order_id is not None and stored.kind in _TOLD | _MOVES_MONEY:
            self._unfinished.tell(order_id, stored)
        return outcome

    async def _learn_of_payment(self, order_id: UUID, key: ReceiptKey) -> None:
        """A refund may be told of before its payment is. Then the provider is asked, so that both end alike (P3)."""
        if await self._money.find_receipt(key) is None and await self._store.find_order(order_id) is not None:
            await self._pages.read(order_id, refresh=True)

    async def _order_of(self, provider: str, event: ProviderEvent) -> UUID | None:
        if event.order_id is not None:
            return event.order_id
        if event.session_id is not None:
            return await self._store.find_order_of_session(provider, event.session_id)
        if event.provider_payment_id is not None:
            receipt = await self._money.find_receipt(ReceiptKey(provider, event.provider_payment_id))
            return None if receipt is None else receipt.order_id
        return None


@asynccontextmanager
async def serving_webhooks(
    webhooks: Webhooks, address: str, *, reuse_port: bool, idle_timeout_s: float
) -> AsyncIterator[str]:
    """Serves them at host:port while the context lasts; gives the address that is really listened on.

    idle_timeout_s: how long a connection may stay open until the next request's headers are there, however slowly
    they come.
    """
    logging.getLogger("aiohttp.server").addFilter(_is_our_fault)
    runner = web.AppRunner(
        webhooks.application(),
        access_log=None,
        # Bodies stay as they came: signatures are over the bytes, and a small zip may be a large body.
        auto_decompress=False,
        keepalive_timeout=idle_timeout_s,
        lingering_time=_LINGER_S,
        shutdown_timeout=2.0,
    )
    await runner.setup()
    try:
        host, _, port = address.rpartition(":")
        await web.TCPSite(runner, host, int(port), reuse_port=reuse_port or None).start()
        bound = f"{host}:{runner.addresses[0][1]}"
        _log.info("listening", http_address=bound)
        yield bound
    finally:
        await runner.cleanup()


class _BodyTooLarge(Exception):
    """More than any webhook has."""


class _BodyTooSlow(Exception):
    """Its sender does not come to an end."""


class _BodyCutOff(Exception):
    """Its sender has gone before the end: nobody is left to see the answer."""


# By the first kind that fits.
_ANSWERS: dict[type[Exception], tuple[HTTPStatus, str]] = {
    _BodyTooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large"),
    _BodyTooSlow: (HTTPStatus.REQUEST_TIMEOUT, "too_slow"),
    _BodyCutOff: (HTTPStatus.BAD_REQUEST, "cut_off"),
    HttpProcessingError: (HTTPStatus.BAD_REQUEST, "refused"),
    WebhookNotConfigured: (HTTPStatus.SERVICE_UNAVAILABLE, "not_configured"),
    # The provider refuses our key when it is asked.
    ProviderNotConfigured: (HTTPStatus.SERVICE_UNAVAILABLE, "not_configured"),
    WebhookRefused: (HTTPStatus.BAD_REQUEST, "refused"),
    PaymentIdTaken: (HTTPStatus.BAD_REQUEST, "refused"),
    DatabaseUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
    ProviderUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
    TimeoutError: (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
}


async def _read_body(request: web.Request, timeout_s: float) -> bytes:
    if (request.content_length or 0) > BODY_BYTES_MAX:
        raise _BodyTooLarge
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    raise _BodyTooLarge
    except TimeoutError as error:
        raise _BodyTooSlow from error
    except ConnectionError as error:
        raise _BodyCutOff from error
    return bytes(body)


def _is_our_fault(record: logging.LogRecord) -> bool:
    """False for requests that are no HTTP: whoever sends them gets 400, and must not fill our log with errors."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


async def _is_alive(_request: web.Request) -> web.Response:
    return _response(HTTPStatus.OK)


def _response(status: HTTPStatus) -> web.Response:
    """A status and its phrase: who sends webhooks is told no more."""
    return web.Response(status=status, text=status.phrase)


def _news_of(event: ProviderEvent) -> News | None:
    state = _ENDINGS.get(event.kind)
    if state is None:
        return None
    return News(
        state=state,
        session_id=event.session_id,
        provider_payment_id=event.provider_payment_id,
        amount_minor=event.amount_minor,
        currency=event.currency,
        paid_at=event.paid_time,
    )


def _refund_news_of(provider: str, event: ProviderEvent) -> RefundNews | None:
    return None if event.refund is None else news_of(provider, event.refund)


def _dispute_of(event: ProviderEvent) -> DisputeNews | None:
    dispute = event.dispute
    if dispute is None:
        return None
    return DisputeNews(
        dispute_id=dispute.dispute_id,
        provider_payment_id=dispute.provider_payment_id,
        amount_minor=dispute.amount_minor,
        currency=dispute.currency,
        state=dispute.state,
    )
