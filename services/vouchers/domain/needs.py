"""What a group of commands has to see before it can be decided."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from services.vouchers.domain.code_guessing import is_guess
from services.vouchers.domain.commands import AnyCommand, RedeemVouchers
from services.vouchers.domain.state import CustomerKey
from services.vouchers.domain.vouchers import VoucherReference


def vouchers_needed(commands: Sequence[AnyCommand]) -> set[VoucherReference]:
    """The vouchers that are named."""
    return {reference.voucher for command in commands for reference in command.redemptions}


def redemptions_needed(commands: Sequence[AnyCommand]) -> set[UUID]:
    """The ids whose history is asked for."""
    return {reference.redemption_id for command in commands for reference in command.redemptions}


def guessers_needed(commands: Sequence[AnyCommand], known: Collection[VoucherReference]) -> tuple[set[UUID], set[UUID]]:
    """Who offers codes to redeem, and who of them offers some that nobody has."""
    offered = [
        (command.customer_id, reference.voucher)
        for command in commands
        if isinstance(command, RedeemVouchers)
        for reference in command.redemptions
        if is_guess(reference.voucher)
    ]
    missing = {customer_id for customer_id, reference in offered if reference not in known}
    return {customer_id for customer_id, _ in offered}, missing


def customers_needed(commands: Sequence[AnyCommand], campaign_ids: Mapping[VoucherReference, UUID]) -> set[CustomerKey]:
    """The customers whose uses of a campaign are looked at: only redeeming does."""
    return {
        (campaign_ids[reference.voucher], command.customer_id)
        for command in commands
        if isinstance(command, RedeemVouchers)
        for reference in command.redemptions
        if reference.voucher in campaign_ids
    }
