"""What checkout asks of a payment provider: one small interface, one file per provider.

Calls raise, whoever the provider is: ProviderNotConfigured (no credentials: a definite no), ProviderRefused (the
provider says no: definite) or ProviderUnavailable (no answer, or none that can be believed: the outcome is unknown).
"""

import enum
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol
from uuid import UUID


class ProviderPaymentState(enum.Enum):
    """Where the payment of a session stands at the provider."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"


class CloseResult(enum.Enum):
    """What closing a session came to."""

    # Nobody can pay there any more, and nobody has.
    CLOSED = "closed"
    # The customer was faster.
    PAID = "paid"
    # This provider cannot close it: it stays open until it expires.
    STILL_OPEN = "still_open"


class EventKind(enum.Enum):
    """What a webhook tells; only failed, paid and expired end a payment."""

    ATTEMPT_FAILED = "attempt_failed"
    FAILED = "failed"
    PAID = "paid"
    EXPIRED = "expired"
    # A refund has come to be, or has changed; whoever made it.
    REFUND = "refund"
    # The customer's bank takes the money back, or has decided about it.
    DISPUTE = "dispute"
    # Verified, but nothing that we act upon.
    IGNORED = "ignored"


class RefundState(enum.Enum):
    """Where a refund stands at the provider."""

    PENDING = "pending"
    REFUNDED = "refunded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """A pay page to be opened."""

    order_id: UUID
    payment_id: UUID
    amount_minor: int
    currency: str
    # When this request was stored.
    create_time: datetime
    # When the page closes by itself; absolute, so that a repeated request is the same request.
    expire_time: datetime
    # The same for every try of this request, and stored before the first.
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class ProviderSession:
    """A pay page as the provider opened it. The URL is a bearer value."""

    session_id: str
    url: str
    # When the provider closes it by itself; None when it does not say.
    expire_time: datetime | None


@dataclass(frozen=True, slots=True)
class ProviderPayment:
    """The payment of one session; the provider's id and the time are there once it is paid."""

    state: ProviderPaymentState
    provider_payment_id: str | None
    amount_minor: int
    currency: str
    paid_time: datetime | None


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """A refund to be made; the payment's provider may give less than all of it back at a time."""

    refund_id: UUID
    order_id: UUID
    provider_payment_id: str
    amount_minor: int
    currency: str
    # The same for every try of this request, and stored before the first.
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    """A refund as the provider has it."""

    provider_refund_id: str
    provider_payment_id: str
    state: RefundState
    amount_minor: int
    currency: str
    # Our id of it; None when it was made elsewhere, for example at the provider's dashboard.
    refund_id: UUID | None = None
    # The provider's word for why it failed.
    failure_code: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderDispute:
    """A payment that the customer's bank disputes. `state` is the provider's own word."""

    dispute_id: str
    provider_payment_id: str
    amount_minor: int
    currency: str
    state: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """Money on the provider's account, as its list of payments shows it; `order_id` is None when it is not ours."""

    provider_payment_id: str
    order_id: UUID | None
    amount_minor: int
    currency: str
    paid_time: datetime


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as it came, before anything of it is believed. `remote` is the address of who sent it."""

    headers: Mapping[str, str]
    raw_body: bytes
    remote: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """A verified webhook; what the event does not speak of is None.

    `event_id` is one and the same in every delivery of one event.
    """

    event_id: str
    kind: EventKind
    session_id: str | None = None
    # None also when the event names no order of ours.
    order_id: UUID | None = None
    provider_payment_id: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    paid_time: datetime | None = None
    refund: ProviderRefund | None = None
    dispute: ProviderDispute | None = None


class WebhookRefused(Exception):
    """A webhook that is not believed: nothing of it is stored, its sender gets `status`."""

    status: ClassVar[int] = 400


class WebhookNotConfigured(WebhookRefused):
    """There is no secret to check it with, so nobody is believed."""

    status = 503


class WebhookSignatureRefused(WebhookRefused):
    """The signature is missing, wrong, or of another time; the text says which, and quotes nothing."""


class WebhookMalformed(WebhookRefused):
    """Rightly signed, but no event."""


class PaymentProvider(Protocol):
    """A payment provider. Every method may be repeated."""

    @property
    def name(self) -> str:
        """As in settings, rows and the path of its webhooks."""
        ...

    async def create_session(self, request: SessionRequest) -> ProviderSession:
        """Opens a pay page; the same idempotency key gets the same page."""
        ...

    async def find_session(self, order_id: UUID, since: datetime) -> ProviderSession | None:
        """The order's newest pay page, for when the answer of its creation was lost; None when there is none.

        No page of the order was opened before `since`.
        """
        ...

    async def read_session(self, session_id: str) -> ProviderPayment:
        """Where the payment of a pay page stands."""
        ...

    async def close_session(self, session_id: str) -> CloseResult:
        """Closes a pay page, so that nobody pays there any more; closing twice is closing once."""
        ...

    async def refund(self, request: RefundRequest) -> ProviderRefund:
        """Gives money back; the same idempotency key gets the same refund."""
        ...

    async def read_refund(self, provider_refund_id: str) -> ProviderRefund:
        """Where a refund stands."""
        ...

    def payments_between(self, since: datetime, until: datetime) -> AsyncIterator[Receipt]:
        """All payments that the account received in this time, ours or not, in no particular order."""
        ...

    def refunds_between(self, since: datetime, until: datetime) -> AsyncIterator[ProviderRefund]:
        """All refunds that were made from the account in this time, whoever made them."""
        ...

    async def receive_webhook(self, webhook: Webhook) -> ProviderEvent:
        """The event in a webhook, believed only after its sender is proved on the raw bytes.

        Raises WebhookNotConfigured (to be answered with 503), WebhookSignatureRefused or WebhookMalformed (400), and
        ProviderUnavailable when the provider has to be asked and does not answer (503: it will come again).
        """
        ...
