"""Stripe's events in our terms. Only those named here are acted upon; all others are stored and left alone."""

from collections.abc import Callable, Mapping
from typing import Protocol
from uuid import UUID

from pydantic import ValidationError

from services.checkout.payments.amounts import AmountNotRepresentable, from_stripe
from services.checkout.payments.json_body import JsonRefused, check_json_object
from services.checkout.payments.provider import (
    EventKind,
    ProviderDispute,
    ProviderEvent,
    ProviderRefund,
    WebhookMalformed,
)
from services.checkout.payments.stripe_messages import Dispute, Event, EventOf, PaymentIntent, Refund, Session


class Account(Protocol):
    """What tells ours from others on the account."""

    def order_of(self, metadata: Mapping[str, str]) -> UUID | None:
        """The order that an object was made for; None when it is not ours."""
        ...

    def refund_of(self, refund: Refund) -> ProviderRefund:
        """A refund in our terms."""
        ...


def read_event(raw_body: bytes, account: Account, *, is_live: bool) -> ProviderEvent:
    """The event in a webhook whose sender is proved. Events of the other mode (test or live) are left alone.

    Raises WebhookMalformed.
    """
    try:
        check_json_object(raw_body)
        event = Event.model_validate_json(raw_body)
        reader = _READERS.get(event.type)
        if reader is None or event.livemode is not is_live:
            return ProviderEvent(event_id=event.id, kind=EventKind.IGNORED)
        return reader(event, raw_body, account)
    except JsonRefused as refusal:
        raise WebhookMalformed(f"the body is no event: {refusal}") from None
    except (ValidationError, AmountNotRepresentable):
        raise WebhookMalformed("the body is no event") from None


def _session_event(kind: EventKind) -> Callable[[Event, bytes, Account], ProviderEvent]:
    def read(event: Event, raw_body: bytes, account: Account) -> ProviderEvent:
        session = EventOf[Session].model_validate_json(raw_body).data.object
        currency = session.currency.upper()
        intent = session.payment_intent
        # A slow method of payment: the page is done with, the money has yet to come.
        is_unpaid = kind is EventKind.PAID and session.payment_status != "paid"
        return ProviderEvent(
            event_id=event.id,
            kind=EventKind.IGNORED if is_unpaid else kind,
            session_id=session.id,
            order_id=account.order_of(session.metadata),
            provider_payment_id=intent.id if isinstance(intent, PaymentIntent) else intent,
            amount_minor=from_stripe(session.amount_total, currency),
            currency=currency,
        )

    return read


def _attempt_failed(event: Event, raw_body: bytes, account: Account) -> ProviderEvent:
    intent = EventOf[PaymentIntent].model_validate_json(raw_body).data.object
    order_id = account.order_of(intent.metadata)
    return ProviderEvent(event_id=event.id, kind=EventKind.ATTEMPT_FAILED, order_id=order_id)


def _refund(event: Event, raw_body: bytes, account: Account) -> ProviderEvent:
    refund = EventOf[Refund].model_validate_json(raw_body).data.object
    if refund.payment_intent is None:
        return ProviderEvent(event_id=event.id, kind=EventKind.IGNORED)
    return ProviderEvent(
        event_id=event.id,
        kind=EventKind.REFUND,
        order_id=account.order_of(refund.metadata),
        provider_payment_id=refund.payment_intent,
        refund=account.refund_of(refund),
    )


def _dispute(event: Event, raw_body: bytes, _account: Account) -> ProviderEvent:
    dispute = EventOf[Dispute].model_validate_json(raw_body).data.object
    if dispute.payment_intent is None:
        return ProviderEvent(event_id=event.id, kind=EventKind.IGNORED)
    currency = dispute.currency.upper()
    disputed = ProviderDispute(
        dispute_id=dispute.id,
        provider_payment_id=dispute.payment_intent,
        amount_minor=from_stripe(dispute.amount, currency),
        currency=currency,
        state=dispute.status,
    )
    return ProviderEvent(
        event_id=event.id,
        kind=EventKind.DISPUTE,
        provider_payment_id=dispute.payment_intent,
        dispute=disputed,
    )


_READERS: dict[str, Callable[[Event, bytes, Account], ProviderEvent]] = {
    "checkout.session.completed": _session_event(EventKind.PAID),
    "checkout.session.async_payment_succeeded": _session_event(EventKind.PAID),
    "checkout.session.async_payment_failed": _session_event(EventKind.FAILED),
    "checkout.session.expired": _session_event(EventKind.EXPIRED),
    "payment_intent.payment_failed": _attempt_failed,
    # A refund tells of itself by these; charge.refunded tells the same again, of all refunds of a charge at once.
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.refund.updated": _refund,
    "charge.dispute.created": _dispute,
    "charge.dispute.updated": _dispute,
    "charge.dispute.closed": _dispute,
}
