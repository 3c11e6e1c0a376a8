"""Orders as they are asked for and as they stand."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from services.checkout.domain.kinds import ENDED, OrderState, PaymentState
from services.checkout.domain.payments import Payment
from services.checkout.domain.prices import Breakdown, LineAsked, PricedLine
from services.checkout.errors import OrderAlreadyEnded, OrderAlreadyPlaced, OrderExistsWithDifferentField
from services.runtime.errors import PassedOn, ServiceError, Status

DOMAIN = "checkout.quittance"

# What an order has reserved elsewhere ends by itself so long after its pay page: only if its saga never does it.
BACKSTOP = timedelta(days=30)


# Of a refusal that passes by itself: after how many seconds. What is stored of it is its metadata only.
_RETRY_AFTER = "retry_after_s"


class OrderVoucher(NamedTuple):
    """A voucher of an order; the code only with its middle masked."""

    voucher_id: UUID
    masked_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An order as it is asked for; defaults are resolved."""

    order_id: UUID
    customer_id: UUID
    currency: str
    lines: tuple[LineAsked, ...]
    vouchers: tuple[OrderVoucher, ...]
    use_credits: bool
    expected: Breakdown
    payment_provider: str
    payment_window_s: int
    place_timeout_s: int
    request_fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an order was not placed, whoever said no."""

    status: Status
    domain: str
    reason: str
    metadata: Mapping[str, str]
    message: str

    @classmethod
    def of(cls, error: ServiceError) -> "Refusal":
        """The refusal in an error of ours or in one that was passed on to us."""
        return cls(
            status=error.status,
            domain=error.domain or DOMAIN,
            reason=error.reason,
            metadata=error.metadata,
            message=error.message,
        )

    def as_error(self, **more: str) -> PassedOn:
        """The refusal as an error again, with more metadata."""
        retry_after_s = self.metadata.get(_RETRY_AFTER)
        return PassedOn(
            status=self.status,
            domain=self.domain,
            reason=self.reason,
            metadata={**self.metadata, **more},
            message=self.message,
            retry_after_s=None if retry_after_s is None else float(retry_after_s),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAnswer:
    """What an order's workflow answers: where the order stands, and why if it was refused."""

    state: OrderState
    refusal: Refusal | None
    undo_pending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as it stands. `lines` is empty when it was refused before its prices were known."""

    draft: Draft
    state: OrderState
    lines: tuple[PricedLine, ...]
    breakdown: Breakdown | None = None
    refusal: Refusal | None = None
    created_at: datetime
    updated_at: datetime
    handed_over_at: datetime | None = None
    settling_at: datetime | None = None
    placed_at: datetime | None = None
    ended_at: datetime | None = None
    # Of an order that has ended: since when nothing of it is left with other services.
    undone_at: datetime | None = None

    @property
    def order_id(self) -> UUID:
        """The caller's id."""
        return self.draft.order_id

    @property
    def has_ended(self) -> bool:
        """Whether it is over without a sale."""
        return self.state in ENDED

    @property
    def is_open(self) -> bool:
        """Whether something of it is still to be done: it is neither placed, nor over and undone."""
        return self.placed_at is None and self.undone_at is None

    @property
    def backstop_at(self) -> datetime:
        """When its reservations and holds elsewhere may end by themselves."""
        return self.created_at + timedelta(seconds=self.draft.payment_window_s) + BACKSTOP

    def check_same(self, request_fingerprint: bytes) -> None:
        """Raises ORDER_EXISTS_WITH_DIFFERENT_FIELD when this is not the order that is asked for."""
        if self.draft.request_fingerprint != request_fingerprint:
            raise OrderExistsWithDifferentField(order_id=self.order_id)

    def check_not_ended(self) -> None:
        """Raises ORDER_ALREADY_ENDED."""
        if self.has_ended:
            raise OrderAlreadyEnded(order_id=self.order_id, order_state=self.state.value)

    def already_placed(self) -> OrderAlreadyPlaced:
        """What to answer who wants to take it back after the pivot."""
        return OrderAlreadyPlaced(order_id=self.order_id, order_state=self.state.value)

    def handed_over(self, now: datetime) -> "Order":
        """The order once its pay page may be known."""
        return replace(self, state=OrderState.AWAITING_PAYMENT, handed_over_at=now, updated_at=now)

    def settling(self, now: datetime) -> "Order":
        """The order past the pivot."""
        return replace(self, state=OrderState.SETTLING, settling_at=now, updated_at=now)

    def placed(self, now: datetime) -> "Order":
        """The order with everything in."""
        return replace(self, state=OrderState.PLACED, placed_at=now, updated_at=now)

    def ended(self, state: OrderState, refusal: Refusal, now: datetime, *, undo_pending: bool) -> "Order":
        """The order over without a sale."""
        undone_at = None if undo_pending else now
        return replace(self, state=state, refusal=refusal, ended_at=now, undone_at=undone_at, updated_at=now)

    def undone(self, now: datetime) -> "Order":
        """The order that had ended, once everything is undone."""
        return replace(self, undone_at=now, updated_at=now)


def refused_unseen(
    draft: Draft, state: OrderState, refusal: Refusal, now: datetime, *, undo_pending: bool = False
) -> Order:
    """An order that ended before it was created: its row makes the answer last and a late creation refuse."""
    unseen = Order(draft=draft, state=state, lines=(), created_at=now, updated_at=now)
    return unseen.ended(state, refusal, now, undo_pending=undo_pending)


def payment_url_of(order: Order, payment: Payment | None) -> str | None:
    """The address of the pay page, where it may be known: handed over, not closing, still waiting for its payment."""
    if order.state is not OrderState.AWAITING_PAYMENT or payment is None or payment.session is None:
        return None
    return payment.session.url if payment.state is PaymentState.PENDING and not payment.is_closing else None
