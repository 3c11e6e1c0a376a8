"""Pay pages at a provider: opened, closed, asked about. Each call stands between two transactions, never in one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from services.checkout.domain.commands import ApplyNews, AskForSession, BeginClosing, RecordClosed, RecordSession
from services.checkout.domain.kinds import CloseOutcome, PaymentState
from services.checkout.domain.payments import News, Payment, PaySession, SessionTerms
from services.checkout.errors import ProviderNotConfigured, ProviderRefused, ProviderUnavailable
from services.checkout.payments.keys import FIRST_TRY, KEY_AGE_MAX
from services.checkout.payments.provider import (
    CloseResult,
    ProviderPayment,
    ProviderPaymentState,
    ProviderSession,
    SessionRequest,
)
from services.checkout.payments.registry import PaymentProviders
from services.checkout.store.checkout_store import CheckoutStore

_ENDINGS = {
    ProviderPaymentState.PAID: PaymentState.PAID,
    ProviderPaymentState.FAILED: PaymentState.FAILED,
    ProviderPaymentState.EXPIRED: PaymentState.EXPIRED,
}


class PayPages:
    """The steps of a payment that speak to its provider."""

    def __init__(self, store: CheckoutStore, providers: PaymentProviders) -> None:
        self._store = store
        self._providers = providers

    async def open(self, order_id: UUID) -> Payment:
        """Opens the page, or finds it open; a try after a lost answer makes the same request with the same key.

        Raises PAYMENT_PROVIDER_NOT_CONFIGURED, PAYMENT_PROVIDER_REFUSED, PAYMENT_PROVIDER_UNAVAILABLE (in doubt),
        ORDER_NOT_FOUND, ORDER_ALREADY_ENDED, and ORDER_STATE_CONFLICT when the page was to be closed meanwhile.
        """
        asked = await self._store.execute(AskForSession(order_id=order_id))
        if asked.session is not None:
            return asked
        session = await self._open_at_provider(asked)
        opened = await self._store.execute(RecordSession(order_id=order_id, session=session))
        if opened.is_closing:
            # Whoever closed the payment may not have found this page yet. Nobody knows its address.
            await self._providers.named(_terms_of(opened).provider).close_session(session.session_id)
            return await self._store.execute(AskForSession(order_id=order_id))
        return opened

    async def close(self, order_id: UUID) -> CloseOutcome:
        """Closes the page; an order without one leaves a tombstone, so that opening it late is refused.

        A page that its provider cannot close counts as closed: what is paid there from now on goes back by itself.
        Raises PAYMENT_PROVIDER_UNAVAILABLE (in doubt).
        """
        payment = await self._store.execute(BeginClosing(order_id=order_id))
        if payment.state is PaymentState.PENDING and payment.closed_at is None:
            is_still_open = await self._close_at_provider(payment) is CloseResult.STILL_OPEN
            payment = await self._store.execute(RecordClosed(order_id=order_id, is_still_open=is_still_open))
        return CloseOutcome.PAID if payment.pays else CloseOutcome.CLOSED

    async def read(self, order_id: UUID, *, refresh: bool) -> Payment | None:
        """The order's payment; with `refresh` the provider is asked first, and its answer applied.

        Raises ORDER_NOT_FOUND, PAYMENT_PROVIDER_UNAVAILABLE (in doubt).
        """
        payment = (await self._store.read_order(order_id)).payment
        return await self._refreshed(payment) if refresh and payment is not None else payment

    async def _open_at_provider(self, asked: Payment) -> PaySession:
        """The page; when this is not the first try, the one that an earlier try may have opened.

        Raises PAYMENT_PROVIDER_REFUSED as well when the key is so old that the provider may have forgotten it.
        """
        terms = _terms_of(asked)
        provider = self._providers.named(terms.provider)
        age = datetime.now(UTC) - asked.created_at
        if age > FIRST_TRY:
            found = await provider.find_session(asked.order_id, asked.created_at)
            if found is not None:
                return _session_of(found, terms)
        if age > KEY_AGE_MAX:
            raise ProviderRefused(terms.provider, "idempotency_key_too_old")
        return _session_of(await provider.create_session(_request_of(asked, terms)), terms)

    async def _refreshed(self, payment: Payment) -> Payment:
        """The payment as its provider sees it. What is paid or was never opened is not asked for."""
        if payment.session is None or payment.state is PaymentState.PAID:
            return payment
        name = _terms_of(payment).provider
        with _in_doubt(name):
            answer = await self._providers.named(name).read_session(payment.session.session_id)
        if answer.state is ProviderPaymentState.PENDING:
            return payment
        return await self._store.execute(ApplyNews(order_id=payment.order_id, news=_news_of(answer)))

    async def _close_at_provider(self, payment: Payment) -> CloseResult:
        """What the provider says of the page; a payment is applied before this returns."""
        name = _terms_of(payment).provider
        payment = payment if payment.session is not None else await self._found(payment, name)
        if payment.session is None:
            return CloseResult.CLOSED
        with _in_doubt(name):
            result = await self._providers.named(name).close_session(payment.session.session_id)
        if result is CloseResult.PAID:
            refreshed = await self._refreshed(payment)
            if refreshed.state is PaymentState.PENDING and refreshed.mismatch is None:
                raise ProviderUnavailable(name)
        return result

    async def _found(self, payment: Payment, name: str) -> Payment:
        """The payment with the page whose creation was never answered, if there is one at the provider."""
        try:
            session = await self._providers.named(name).find_session(payment.order_id, payment.created_at)
        except ProviderNotConfigured:
            # Without credentials nothing was opened by this deployment, and nobody was given an address.
            return payment
        except ProviderRefused as refusal:
            raise ProviderUnavailable(name) from refusal
        if session is None:
            return payment
        found = _session_of(session, _terms_of(payment))
        return await self._store.execute(RecordSession(order_id=payment.order_id, session=found))


@contextmanager
def _in_doubt(provider: str) -> Iterator[None]:
    """A page that is known is open until the provider says otherwise: a no to the question is no answer to it."""
    try:
        yield
    except (ProviderNotConfigured, ProviderRefused) as refusal:
        raise ProviderUnavailable(provider) from refusal


def _terms_of(payment: Payment) -> SessionTerms:
    """What was asked for; only a tombstone has none, and a tombstone is never pending."""
    assert payment.terms is not None
    return payment.terms


def _request_of(payment: Payment, terms: SessionTerms) -> SessionRequest:
    return SessionRequest(
        order_id=payment.order_id,
        payment_id=payment.payment_id,
        amount_minor=terms.amount_minor,
        currency=terms.currency,
        create_time=payment.created_at,
        expire_time=terms.expires_at,
        idempotency_key=terms.idempotency_key,
    )


def _session_of(session: ProviderSession, terms: SessionTerms) -> PaySession:
    """A provider may close its page earlier than it was asked to, or keep it open; the order waits no longer."""
    expires_at = min(session.expire_time or terms.expires_at, terms.expires_at)
    return PaySession(session_id=session.session_id, url=session.url, expires_at=expires_at)


def _news_of(answer: ProviderPayment) -> News:
    return News(
        state=_ENDINGS[answer.state],
        session_id=None,
        provider_payment_id=answer.provider_payment_id,
        amount_minor=answer.amount_minor,
        currency=answer.currency,
        paid_at=answer.paid_time,
    )
