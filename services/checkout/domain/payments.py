"""Payments as they stand, and what news from the provider do to them."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.checkout.domain.kinds import PaymentState
from services.runtime.ids import derived_id

# Of two endings the stronger one wins, so that events in any order end the same (P3).
_STRENGTH = {state: strength for strength, state in enumerate(PaymentState)}


class SessionTerms(NamedTuple):
    """The request to the provider, whole: stored before it is made, so that a repetition is the same request."""

    provider: str
    amount_minor: int
    currency: str
    idempotency_key: str
    expires_at: datetime


class PaySession(NamedTuple):
    """A pay page as the provider opened it. The URL is a bearer value."""

    session_id: str
    url: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"PaySession({self.session_id})"


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What the provider says of a payment that has ended; what it does not speak of is None."""

    state: PaymentState
    session_id: str | None
    provider_payment_id: str | None
    amount_minor: int | None
    currency: str | None
    paid_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """An order's payment. `terms` is None in a tombstone: it was closed before it was opened.

    `refunded_minor` is the sum of its refunds that went through; they have rows of their own.
    """

    payment_id: UUID
    order_id: UUID
    terms: SessionTerms | None
    session: PaySession | None = None
    state: PaymentState
    provider_payment_id: str | None = None
    paid_at: datetime | None = None
    is_late: bool = False
    mismatch: str | None = None
    refunded_minor: int = 0
    closing_at: datetime | None = None
    closed_at: datetime | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def pays(self) -> bool:
        """Whether there is money that the order can be settled with."""
        return self.state is PaymentState.PAID and not self.is_late

    @property
    def is_closing(self) -> bool:
        """Whether its page is closed or about to be: it is not opened or handed over any more."""
        return self.closing_at is not None

    def opened(self, session: PaySession, now: datetime) -> "Payment":
        """The payment with the provider's answer; the first answer stays."""
        return self if self.session is not None else replace(self, session=session, updated_at=now)

    def closing(self, now: datetime) -> "Payment":
        """The payment from the moment on that its page is to be closed."""
        return self if self.closing_at is not None else replace(self, closing_at=now, updated_at=now)

    def closed(self, now: datetime) -> "Payment":
        """The payment once nobody can pay any more."""
        state = PaymentState.EXPIRED if self.state is PaymentState.PENDING else self.state
        closing_at = self.closing_at or now
        return replace(self, state=state, closing_at=closing_at, closed_at=self.closed_at or now, updated_at=now)

    def given_up(self, now: datetime) -> "Payment":
        """The payment whose page cannot be closed: it stays pending at its provider, but no order waits for it."""
        return replace(self, closing_at=self.closing_at or now, closed_at=now, updated_at=now)

    def without_its_money(self, now: datetime) -> "Payment":
        """The payment once its money goes back before an order could be settled with it."""
        return replace(self, is_late=True, updated_at=now)


def payment_id_of(order_id: UUID) -> UUID:
    """The id of an order's payment."""
    return derived_id(order_id, "checkout.payment")


def new_payment(order_id: UUID, terms: SessionTerms, now: datetime) -> Payment:
    """A payment that is about to be opened."""
    return Payment(
        payment_id=payment_id_of(order_id),
        order_id=order_id,
        terms=terms,
        state=PaymentState.PENDING,
        created_at=now,
        updated_at=now,
    )


def payment_tombstone(order_id: UUID, now: datetime) -> Payment:
    """A payment that was closed before it was opened: opening it late is refused."""
    return Payment(
        payment_id=payment_id_of(order_id),
        order_id=order_id,
        terms=None,
        state=PaymentState.EXPIRED,
        closing_at=now,
        closed_at=now,
        created_at=now,
        updated_at=now,
    )


class Applied(NamedTuple):
    """A payment after news, and why the news were not believed; None when they were, or changed nothing."""

    payment: Payment
    mismatch: str | None


def apply_news(payment: Payment, news: News, *, order_has_ended: bool, now: datetime) -> Applied:
    """What the provider's news make of a payment, in any order and however often they come.

    Paid wins over failed, failed over expired, and nothing wins over paid. Money that comes after the page was closed
    or the order had ended is late: it is recorded, but no order is settled with it. Money that is not what was asked
    for is never applied (P-3).
    """
    mismatch = _mismatch(payment, news)
    if mismatch is not None:
        return Applied(replace(payment, mismatch=mismatch, updated_at=now), mismatch)
    if _STRENGTH[news.state] <= _STRENGTH[payment.state]:
        return Applied(payment, None)
    if news.state is not PaymentState.PAID:
        return Applied(replace(payment, state=news.state, updated_at=now), None)
    paid = replace(
        payment,
        state=PaymentState.PAID,
        provider_payment_id=news.provider_payment_id,
        paid_at=news.paid_at or now,
        is_late=order_has_ended or payment.closed_at is not None,
        updated_at=now,
    )
    return Applied(paid, None)


def _mismatch(payment: Payment, news: News) -> str | None:
    """What is wrong with the news, in words for an operator."""
    terms, session = payment.terms, payment.session
    if terms is None:
        return "no session was ever asked for"
    if session is not None and news.session_id not in (None, session.session_id):
        return f"session {news.session_id} is not the order's session {session.session_id}"
    return _mismatch_of_money(payment, terms, news) if news.state is PaymentState.PAID else None


def _mismatch_of_money(payment: Payment, terms: SessionTerms, news: News) -> str | None:
    if (news.amount_minor, news.currency) != (terms.amount_minor, terms.currency):
        return f"{news.amount_minor} {news.currency} is not the {terms.amount_minor} {terms.currency} asked for"
    if news.provider_payment_id is None:
        return "the payment has no id"
    if payment.provider_payment_id not in (None, news.provider_payment_id):
        return f"payment {news.provider_payment_id} pays what {payment.provider_payment_id} has paid"
    return None
