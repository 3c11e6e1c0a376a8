"""Refunds at a provider: each call stands between two transactions, never in one."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.checkout.domain.commands import ApplyRefundNews
from services.checkout.domain.kinds import RefundState
from services.checkout.domain.receipts import ReceiptKey, Refund, RefundNews
from services.checkout.errors import ProviderRefused, ProviderUnavailable
from services.checkout.payments.keys import FIRST_TRY, KEY_AGE_MAX
from services.checkout.payments.provider import PaymentProvider, ProviderRefund, RefundRequest
from services.checkout.payments.registry import PaymentProviders
from services.checkout.store.checkout_store import CheckoutStore
from services.checkout.store.money_store import MoneyStore

# Their clocks and ours may differ by so much.
_CLOCKS_DIFFER_MAX = timedelta(minutes=5)


class Refunding:
    """The steps of a refund that speak to its provider."""

    def __init__(self, store: CheckoutStore, money: MoneyStore, providers: PaymentProviders) -> None:
        self._store = store
        self._money = money
        self._providers = providers

    async def make(self, refund_id: UUID) -> Refund:
        """Asks the provider for a refund, or how it stands, and writes the answer down.

        The same request with the same key however often it is tried. A definite no of the provider is a failed refund.
        Raises REFUND_NOT_FOUND, PAYMENT_PROVIDER_NOT_CONFIGURED, PAYMENT_PROVIDER_UNAVAILABLE (in doubt).
        """
        refund = (await self._money.read_refund(refund_id)).refund
        if refund.state is not RefundState.PENDING:
            return refund
        provider = self._providers.named(refund.key.provider)
        if refund.provider_refund_id is not None:
            answer = await _read(provider, refund.provider_refund_id)
        else:
            try:
                answer = await _found_or_made(provider, refund)
            except ProviderRefused as refusal:
                return await self._apply(refund, _refused(refund, refusal.provider_code))
        return await self._apply(refund, news_of(provider.name, answer))

    async def _apply(self, refund: Refund, news: RefundNews) -> Refund:
        return await self._store.execute(ApplyRefundNews(order_id=refund.order_id, news=news))


async def _read(provider: PaymentProvider, provider_refund_id: str) -> ProviderRefund:
    try:
        return await provider.read_refund(provider_refund_id)
    except ProviderRefused as refusal:
        # A refund that is suddenly unknown is no answer to be believed.
        raise ProviderUnavailable(provider.name) from refusal


async def _found_or_made(provider: PaymentProvider, refund: Refund) -> ProviderRefund:
    """The refund of an earlier try, or a new one. Raises what the provider raises."""
    now = datetime.now(UTC)
    age = now - refund.created_at
    if age > FIRST_TRY:
        window = (refund.created_at - _CLOCKS_DIFFER_MAX, now + _CLOCKS_DIFFER_MAX)
        async for found in provider.refunds_between(*window):
            if found.refund_id == refund.refund_id:
                return found
    if age > KEY_AGE_MAX:
        raise ProviderRefused(provider.name, "idempotency_key_too_old")
    return await provider.refund(_request_of(refund))


def news_of(provider: str, answer: ProviderRefund) -> RefundNews:
    """What a provider says of a refund, in checkout's terms."""
    return RefundNews(
        key=ReceiptKey(provider, answer.provider_payment_id),
        provider_refund_id=answer.provider_refund_id,
        refund_id=answer.refund_id,
        state=RefundState(answer.state.value),
        amount_minor=answer.amount_minor,
        currency=answer.currency,
        failure=answer.failure_code,
    )


def _refused(refund: Refund, code: str) -> RefundNews:
    return RefundNews(
        key=refund.key,
        provider_refund_id=None,
        refund_id=refund.refund_id,
        state=RefundState.FAILED,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        failure=code,
    )


def _request_of(refund: Refund) -> RefundRequest:
    assert refund.idempotency_key is not None, "only refunds of ours are asked for"
    return RefundRequest(
        refund_id=refund.refund_id,
        order_id=refund.order_id,
        provider_payment_id=refund.key.provider_payment_id,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        idempotency_key=refund.idempotency_key,
    )
