"""What callers ask of redemptions: frozen values under ids that the caller made."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Generic, NamedTuple, TypeVar
from uuid import UUID

from services.runtime.errors import InvalidRequest
from services.runtime.ids import fingerprint
from services.vouchers.domain.redemptions import Redemption, RolledBack, Terms
from services.vouchers.domain.vouchers import VoucherReference

Result = TypeVar("Result")


class OrderLine(NamedTuple):
    """A line of an order; `amount_minor` is the list price of the whole line."""

    line_number: int
    product_id: UUID
    quantity: int
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    """What vouchers are offered for.

    Raises INVALID_REQUEST when two lines have one number: their shares of a discount could not be told apart.
    """

    customer_id: UUID
    currency: str
    lines: tuple[OrderLine, ...]

    def __post_init__(self) -> None:
        if len({line.line_number for line in self.lines}) < len(self.lines):
            raise InvalidRequest(field="lines.line_number", rule="unique")

    @property
    def subtotal_minor(self) -> int:
        """What the lines cost at list prices."""
        return sum(line.amount_minor for line in self.lines)


class RedemptionReference(NamedTuple):
    """One redemption and the voucher that it redeems."""

    redemption_id: UUID
    voucher: VoucherReference


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[Result]):
    """What all commands name. `Result` is what an accepted command is answered with."""

    # An undo runs also when its caller has gone.
    must_run: ClassVar[bool] = False

    customer_id: UUID
    redemptions: tuple[RedemptionReference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeemVouchers(Command[tuple[Redemption, ...]]):
    """Reserves vouchers for an order, all or nothing."""

    order_id: UUID
    basket: Basket
    expires_at: datetime
    terms: Terms = field(init=False)

    def __post_init__(self) -> None:
        lines = fingerprint([tuple(line) for line in self.basket.lines])
        stack = fingerprint([reference.redemption_id for reference in self.redemptions])
        object.__setattr__(self, "terms", Terms(self.order_id, self.basket.currency, lines, stack))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepRedemptions(Command[tuple[Redemption, ...]]):
    """Keeps the credit vouchers of an order whose pay page is about to be handed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRedemptions(Command[tuple[Redemption, ...]]):
    """Confirms the redemptions of a placed order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRedemptions(Command[RolledBack]):
    """Undo of RedeemVouchers, all or nothing."""

    must_run: ClassVar[bool] = True


AnyCommand = RedeemVouchers | KeepRedemptions | ConfirmRedemptions | RollbackRedemptions
AnyResult = tuple[Redemption, ...] | RolledBack
