"""What callers ask for, before it is an order."""

from dataclasses import dataclass, field
from uuid import UUID

from services.checkout.domain.orders import Draft, OrderVoucher
from services.checkout.domain.prices import Breakdown, LineAsked


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    """What somebody wants to buy, and what they offer for it. Codes are bearer values."""

    customer_id: UUID
    currency: str
    lines: tuple[LineAsked, ...]
    voucher_codes: tuple[str, ...] = field(repr=False)
    use_credits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRequest:
    """An order to be placed; defaults are resolved. `fingerprint` is of all fields as the caller gave them, keyed."""

    order_id: UUID
    basket: Basket
    expected: Breakdown
    payment_provider: str
    payment_window_s: int
    place_timeout_s: int
    replace: bool
    fingerprint: bytes

    def draft(self, vouchers: tuple[OrderVoucher, ...]) -> Draft:
        """The order as it goes through workflows: vouchers by id, without their codes."""
        return Draft(
            order_id=self.order_id,
            customer_id=self.basket.customer_id,
            currency=self.basket.currency,
            lines=self.basket.lines,
            vouchers=vouchers,
            use_credits=self.basket.use_credits,
            expected=self.expected,
            payment_provider=self.payment_provider,
            payment_window_s=self.payment_window_s,
            place_timeout_s=self.place_timeout_s,
            request_fingerprint=self.fingerprint,
        )
