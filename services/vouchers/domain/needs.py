"""What a group of commands has to see before it can be decided."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from services.vouchers.domain.commands import AnyCommand, RedeemVouchers
from services.vouchers.domain.state import CustomerKey
from services.vouchers.domain.vouchers import VoucherReference


def vouchers_needed(commands: Sequence[AnyCommand]) -> set[VoucherReference]:
    """The vouchers that are named."""
    return {reference.voucher for command in commands for reference in command.redemptions}


def redemptions_needed(commands: Sequence[AnyCommand]) -> set[UUID]:
    """The ids whose history is asked for."""
    return {reference.redemption_id for command in commands for reference in command.redemptions}


def customers_needed(commands: Sequence[AnyCommand], campaign_ids: Mapping[VoucherReference, UUID]) -> set[CustomerKey]:
    """The customers whose uses of a campaign are looked at: only redeeming does."""
    return {
        (campaign_ids[reference.voucher], command.customer_id)
        for command in commands
        if isinstance(command, RedeemVouchers)
        for reference in command.redemptions
        if reference.voucher in campaign_ids
    }
