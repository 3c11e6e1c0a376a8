"""What may be done to one order and its payment: frozen values under the order's id."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from services.checkout.domain.kinds import EventOutcome, OrderState
from services.checkout.domain.orders import Draft, Order, Refusal
from services.checkout.domain.payments import News, Payment, PaySession
from services.checkout.domain.prices import Breakdown

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
    """The provider says that nobody can pay any more and nobody has; a payment that came in between stays."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveEvent(Command[EventOutcome]):
    """Stores a webhook once and applies it. `news` None: there is nothing to apply."""

    event: Event
    news: News | None


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
