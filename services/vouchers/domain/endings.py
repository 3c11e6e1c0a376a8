"""What becomes of open redemptions: kept, confirmed, rolled back. Each command moves all that it names, or none."""

from collections.abc import Iterable
from datetime import datetime

from services.vouchers.domain.commands import (
    ConfirmRedemptions,
    KeepRedemptions,
    RedemptionReference,
    RollbackRedemptions,
)
from services.vouchers.domain.kinds import UNDONE, RedemptionState
from services.vouchers.domain.matching import require_distinct, require_match
from services.vouchers.domain.redemptions import Redemption, RolledBack
from services.vouchers.domain.state import State
from services.vouchers.errors.redemptions import (
    RedemptionAlreadyConfirmed,
    RedemptionAlreadyUndone,
    RedemptionKept,
    RedemptionNotFound,
)


def keep_redemptions(command: KeepRedemptions, state: State, now: datetime) -> tuple[Redemption, ...]:
    """Reserved credit vouchers are kept; discounts stay reserved, what is kept or confirmed stays so.

    Raises VOUCHER_REPEATED, REDEMPTION_NOT_FOUND, REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD, REDEMPTION_ALREADY_UNDONE.
    """
    return put_all([_kept(redemption, now) for redemption in _in_effect(command, state)], state)


def confirm_redemptions(command: ConfirmRedemptions, state: State, now: datetime) -> tuple[Redemption, ...]:
    """Reserved and kept redemptions are confirmed; what is confirmed stays so.

    Raises VOUCHER_REPEATED, REDEMPTION_NOT_FOUND, REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD, REDEMPTION_ALREADY_UNDONE.
    """
    return put_all([_confirmed(redemption, now) for redemption in _in_effect(command, state)], state)


def roll_back_redemptions(command: RollbackRedemptions, state: State, now: datetime) -> RolledBack:
    """Reserved redemptions are undone, unknown ones get a tombstone; what is undone already stays so.

    Raises VOUCHER_REPEATED, REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD, REDEMPTION_ALREADY_CONFIRMED, REDEMPTION_KEPT.
    """
    require_distinct(command)
    rolled_back = [_rolled_back(command, reference, state, now) for reference in command.redemptions]
    uses_returned = sum(_is_reserved(reference, state) for reference in command.redemptions)
    put_all(rolled_back, state)
    return RolledBack(uses_returned)


def put_all(redemptions: Iterable[Redemption], state: State) -> tuple[Redemption, ...]:
    """Stores what a command decided, once all of it is: a refusal of the last one leaves nothing of the others."""
    decided = tuple(redemptions)
    for redemption in decided:
        state.put(redemption)
    return decided


def _in_effect(command: KeepRedemptions | ConfirmRedemptions, state: State) -> list[Redemption]:
    require_distinct(command)
    return [_find_in_effect(command, reference, state) for reference in command.redemptions]


def _find_in_effect(
    command: KeepRedemptions | ConfirmRedemptions, reference: RedemptionReference, state: State
) -> Redemption:
    redemption = state.redemptions.get(reference.redemption_id)
    if redemption is None:
        raise RedemptionNotFound(redemption_id=reference.redemption_id)
    require_match(command, reference, redemption, state)
    if redemption.state in UNDONE:
        raise RedemptionAlreadyUndone(redemption_id=redemption.redemption_id, state=redemption.state)
    return redemption


def _kept(redemption: Redemption, now: datetime) -> Redemption:
    is_reserved = redemption.state is RedemptionState.RESERVED
    return redemption.keep(now) if redemption.is_credit and is_reserved else redemption


def _confirmed(redemption: Redemption, now: datetime) -> Redemption:
    is_open = redemption.state in (RedemptionState.RESERVED, RedemptionState.KEPT)
    return redemption.confirm(now) if is_open else redemption


def _is_reserved(reference: RedemptionReference, state: State) -> bool:
    redemption = state.redemptions.get(reference.redemption_id)
    return redemption is not None and redemption.state is RedemptionState.RESERVED


def _rolled_back(
    command: RollbackRedemptions, reference: RedemptionReference, state: State, now: datetime
) -> Redemption:
    redemption = state.redemptions.get(reference.redemption_id)
    if redemption is None:
        return _tombstone(command, reference, state, now)
    require_match(command, reference, redemption, state)
    match redemption.state:
        case RedemptionState.RESERVED:
            return redemption.roll_back(now)
        case RedemptionState.KEPT:
            raise RedemptionKept(redemption_id=redemption.redemption_id)
        case RedemptionState.CONFIRMED:
            raise RedemptionAlreadyConfirmed(redemption_id=redemption.redemption_id)
        case _:  # undone already, or answered from the wallet: there is nothing to undo
            return redemption


def _tombstone(command: RollbackRedemptions, reference: RedemptionReference, state: State, now: datetime) -> Redemption:
    voucher = state.find_voucher(reference.voucher)
    return Redemption(
        redemption_id=reference.redemption_id,
        customer_id=command.customer_id,
        voucher_id=voucher.voucher_id if voucher else None,
        campaign_id=voucher.campaign_id if voucher else None,
        state=RedemptionState.TOMBSTONE,
        created_at=now,
    )
