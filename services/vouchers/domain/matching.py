"""Whether a command speaks of the redemption that is stored under the id that it gives."""

from uuid import UUID

from services.vouchers.domain.commands import AnyCommand, AnyCustomerCommand, RedemptionReference
from services.vouchers.domain.redemptions import Redemption
from services.vouchers.domain.state import State
from services.vouchers.errors.redemptions import RedemptionExistsWithDifferentField, VoucherRepeated


def require_distinct(command: AnyCommand) -> None:
    """Raises VOUCHER_REPEATED when one redemption is named twice."""
    seen: set[UUID] = set()
    for reference in command.redemptions:
        if reference.redemption_id in seen:
            raise VoucherRepeated(repeated=reference.redemption_id)
        seen.add(reference.redemption_id)


def require_match(
    command: AnyCustomerCommand, reference: RedemptionReference, redemption: Redemption, state: State
) -> None:
    """Raises REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD unless customer and voucher are those that the command names.

    Neither ever changes, so this holds whether or not the redemption's own campaign is locked. A tombstone whose
    voucher did not exist matches every voucher.
    """
    if redemption.customer_id != command.customer_id:
        raise RedemptionExistsWithDifferentField(redemption_id=redemption.redemption_id, field="customer_id")
    if redemption.voucher_id not in (None, state.voucher_ids.get(reference.voucher)):
        raise RedemptionExistsWithDifferentField(redemption_id=redemption.redemption_id, field="voucher")
