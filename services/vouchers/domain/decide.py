"""The one door to the rules: a group of commands in, their outcomes and the rows to write out."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from services.runtime.errors import ServiceError
from services.vouchers.domain.commands import (
    AnyCommand,
    AnyResult,
    ConfirmRedemptions,
    ExpireRedemptions,
    KeepRedemptions,
    RedeemVouchers,
    RestoreRedemptions,
    RollbackRedemptions,
)
from services.vouchers.domain.endings import confirm_redemptions, keep_redemptions, roll_back_redemptions
from services.vouchers.domain.redeem import redeem_vouchers
from services.vouchers.domain.returns import expire_redemptions, restore_redemptions
from services.vouchers.domain.state import State

_DECIDERS: dict[type, Callable[[Any, State, datetime], AnyResult]] = {
    RedeemVouchers: redeem_vouchers,
    KeepRedemptions: keep_redemptions,
    ConfirmRedemptions: confirm_redemptions,
    RollbackRedemptions: roll_back_redemptions,
    RestoreRedemptions: restore_redemptions,
    ExpireRedemptions: expire_redemptions,
}


def decide(commands: Sequence[AnyCommand], state: State, now: datetime) -> list[AnyResult | ServiceError]:
    """One outcome per command, in order; each sees what those before it did.

    `state` holds what the commands need to see, and is the group's working copy: afterwards it stands as it will be
    when `state.changes` is written. A refused command leaves it as it was. `now` was read under the campaigns' locks.
    """
    return [_decide_one(command, state, now) for command in commands]


def _decide_one(command: AnyCommand, state: State, now: datetime) -> AnyResult | ServiceError:
    try:
        return _DECIDERS[type(command)](command, state, now)
    except ServiceError as refusal:
        return refusal
