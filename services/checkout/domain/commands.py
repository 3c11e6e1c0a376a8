"""What may be done to one order and its payment: frozen values under the order's id."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from services.checkout.domain.kinds import EventOutcome, OrderState, RefundState
from services.checkout.domain.orders import Draft, Order, Refusal
from services.checkout.domain.payments import News, Payment, PaySession
from services.checkout.domain.prices import Breakdown
from services.checkout.domain.receipts import ReceiptKey, Refund, RefundNews

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[Result]):
    """Any command. `Result` is what an accepted command is answered with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCommand(Command[Result]):
    """A command that speaks of an order by its id alone."""

    order_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftCommand(Command[Result]):
    """A command that can come before its order, and brings all that the order's row needs."""

    draft: Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateOrder(DraftCommand[Order]):
    """Prices the lines, stores the order and takes the customer's one slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseOrder(DraftCommand[Order]):
    """Stores an order that is refused before it was begun, so that the answer lasts. A known order stays."""

    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class EndOrder(DraftCommand[OrderState]):
    """Ends an order without a sale; the first end wins. `undo_pending`: something of it is still to be undone."""

    state: OrderState
    refusal: Refusal
    undo_pending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlePrice(OrderCommand[Breakdown]):
    """Fixes how the order is paid. Discounts are pairs of line number and amount."""

    line_discounts: tuple[tuple[int, int], ...]
    credits_held_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskForSession(OrderCommand[Payment]):
    """Writes down the request to the provider before it is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSession(OrderCommand[Payment]):
    """Writes down the provider's answer."""

    session: PaySession


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver(OrderCommand[datetime]):
    """Lets the pay page be known; the order awaits its payment from now on. Answered with when the page closes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginClosing(OrderCommand[Payment]):
    """From now on no page is opened; what needs no word of the provider is closed at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordClosed(OrderCommand[Payment]):
    """The provider says that nobody can pay any more and nobody has; a payment that came in between stays.

    is_still_open: the provider cannot close the page. The order goes on without it, and what is paid there is late.
    """

    is_still_open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyNews(OrderCommand[Payment]):
    """Applies what the provider says of the payment."""

    news: News


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A verified webhook as it is stored; `kind` is the provider interface's word."""

    provider: str
    event_id: str
    kind: str
    order_id: UUID | None
    session_id: str | None
    raw_body: bytes = field(repr=False)
    received_at: datetime
    # Whether no workflow has to be told of it.
    is_told: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeNews:
    """What a provider says of a payment that the customer's bank disputes; `state` is its own word."""

    dispute_id: str
    provider_payment_id: str
    amount_minor: int
    currency: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveEvent(Command[EventOutcome]):
    """Stores a webhook once and applies what it tells, which may be nothing."""

    event: Event
    news: News | None = None
    refund: RefundNews | None = None
    dispute: DisputeNews | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefund(OrderCommand[Refund]):
    """Writes down a refund before the provider is asked for it.

    key: of the order's receipts the one that goes back; None: the one that pays it.
    amount_minor: None: all that is left.
    """

    refund_id: UUID
    key: ReceiptKey | None
    amount_minor: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRefundNews(OrderCommand[Refund]):
    """Applies what the provider says of a refund when it is asked; one that we do not know is written down."""

    news: RefundNews


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteRefund(OrderCommand[Refund]):
    """The refund is booked, or has failed for good.

    booked: the state that the ledger was told of; None: whatever it is.
    """

    refund_id: UUID
    booked: RefundState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """How an order past the pivot is paid; without a payment nothing was to pay."""

    breakdown: Breakdown
    payment: Payment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginSettling(OrderCommand[Settling]):
    """The pivot: from here on nothing is undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteOrder(OrderCommand[datetime]):
    """Everything is in; answered with when."""
