"""What a command sees, and what it leaves to be written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from services.checkout.domain.commands import DisputeNews, Event
from services.checkout.domain.findings import Finding
from services.checkout.domain.kinds import EventStatus, OrderState
from services.checkout.domain.orders import Order
from services.checkout.domain.payments import Payment
from services.checkout.domain.prices import Price
from services.checkout.domain.receipts import Receipt, Refund
from services.checkout.errors import OrderNotFound

Result = TypeVar("Result")


class InFlight(NamedTuple):
    """The order that holds its customer's one slot."""

    order_id: UUID
    state: OrderState


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """An order, its payment and its customer's slot, read under the customer's lock.

    `now` never lies before the last change of either. `prices` are loaded for a creation only. `receipts` and
    `refunds` are the order's, and the receipt that an event speaks of.
    """

    order: Order | None
    payment: Payment | None
    in_flight: InFlight | None = None
    prices: Mapping[UUID, Price] = field(default_factory=dict)
    receipts: tuple[Receipt, ...] = ()
    refunds: tuple[Refund, ...] = ()
    is_event_known: bool = False
    now: datetime

    def require_order(self, order_id: UUID) -> Order:
        """The order. Raises ORDER_NOT_FOUND."""
        if self.order is None:
            raise OrderNotFound(order_id=order_id)
        return self.order


class ProcessedEvent(NamedTuple):
    """A webhook with what has become of it."""

    event: Event
    status: EventStatus
    error: str | None


@dataclass(frozen=True, slots=True)
class Change(Generic[Result]):
    """The answer, and the rows that are to be written for it; None: as it was."""

    result: Result
    order: Order | None = None
    payment: Payment | None = None
    event: ProcessedEvent | None = None
    receipt: Receipt | None = None
    refund: Refund | None = None
    dispute: DisputeNews | None = None
    findings: tuple[Finding, ...] = ()
