"""All ids of an order's steps, derived from the order's id alone.

Whoever knows the order can therefore repeat, settle or undo any of its steps, also when the workflow that ran them
is gone.
"""

from dataclasses import dataclass
from uuid import UUID

from services.runtime.ids import derived_id


@dataclass(frozen=True)
class OrderIds:
    """The ids that an order's steps use with the services; as strings, the way they travel."""

    order_id: str
    hold_id: str
    payment_id: str
    # Ledger transactions of the payment's money: into "unallocated", and from there to revenue.
    book_transaction_id: str
    allocate_transaction_id: str
    # One per voucher, in the order of their use; also the id of the grant that a credit voucher becomes.
    redemption_ids: tuple[str, ...]


def order_ids(order_id: str, voucher_count: int) -> OrderIds:
    """The ids of the order `order_id` (a UUID) with `voucher_count` vouchers; the same answer for ever."""
    order = UUID(order_id)
    payment = derived_id(order, "checkout.payment")
    return OrderIds(
        order_id=order_id,
        hold_id=str(derived_id(order, "ledger.hold")),
        payment_id=str(payment),
        book_transaction_id=str(derived_id(payment, "ledger.book")),
        allocate_transaction_id=str(derived_id(payment, "ledger.allocate")),
        redemption_ids=tuple(str(derived_id(order, f"vouchers.redemption.{n}")) for n in range(voucher_count)),
    )
