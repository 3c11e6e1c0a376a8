"""What callers ask of redemptions: frozen values under ids that the caller made."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Generic, NamedTuple, TypeVar
from uuid import UUID

from services.runtime.errors import InvalidRequest
from services.runtime.ids import fingerprint
from services.vouchers.domain.kinds import RestoreCause
from services.vouchers.domain.redemptions import Redemption, RolledBack, Terms
from services.vouchers.domain.vouchers import VoucherReference

Result = TypeVar("Result")


class OrderLine(NamedTuple):
    """A line of an order; `amount_minor` is the list price of the whole line."""

    line_number: int
    product_id: UUID
    quantity: int
    amount_minor: int
    categories: tuple[str, ...] = ()


class CustomerFacts(NamedTuple):
    """What the caller knows of the customer."""

    orders_placed: int
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    """What vouchers are offered for.

    Raises INVALID_REQUEST when two lines have one number: their shares of a discount could not be told apart.
    """

    customer_id: UUID
    currency: str
    lines: tuple[OrderLine, ...]
    facts: CustomerFacts | None = None

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

    redemptions: tuple[RedemptionReference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerCommand(Command[Result]):
    """What callers ask: of redemptions of one customer."""

    customer_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeemVouchers(CustomerCommand[tuple[Redemption, ...]]):
    """Reserves vouchers for an order, all or nothing."""

    order_id: UUID
    basket: Basket
    expires_at: datetime
    terms: Terms = field(init=False)

    def __post_init__(self) -> None:
        lines = fingerprint([tuple(line) for line in self.basket.lines])
        stack = fingerprint([reference.redemption_id for reference in self.redemptions])
        facts = None if self.basket.facts is None else fingerprint(tuple(self.basket.facts))
        object.__setattr__(self, "terms", Terms(self.order_id, self.basket.currency, lines, stack, facts))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepRedemptions(CustomerCommand[tuple[Redemption, ...]]):
    """Keeps the credit vouchers of an order whose pay page is about to be handed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRedemptions(CustomerCommand[tuple[Redemption, ...]]):
    """Confirms the redemptions of a placed order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRedemptions(CustomerCommand[RolledBack]):
    """Undo of RedeemVouchers, all or nothing."""

    must_run: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRedemptions(CustomerCommand[tuple[Redemption, ...]]):
    """Gives the uses of a placed order back, as far as their campaigns say so."""

    cause: RestoreCause


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireRedemptions(Command[RolledBack]):
    """Ends those reservations whose expiry has come; the service's own."""


# Those that a caller sends.
AnyCustomerCommand = RedeemVouchers | KeepRedemptions | ConfirmRedemptions | RollbackRedemptions | RestoreRedemptions
AnyCommand = AnyCustomerCommand | ExpireRedemptions
AnyResult = tuple[Redemption, ...] | RolledBack
