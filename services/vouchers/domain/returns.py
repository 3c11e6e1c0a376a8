"""Uses that come back otherwise than by a roll-back: restored after the order was placed, or expired by themselves."""

from datetime import datetime

from services.vouchers.domain.campaigns import CampaignRules
from services.vouchers.domain.commands import ExpireRedemptions, RedemptionReference, RestoreRedemptions
from services.vouchers.domain.endings import put_all
from services.vouchers.domain.kinds import UNDONE, RedemptionState, RestoreCause, UseRule
from services.vouchers.domain.matching import require_distinct, require_match
from services.vouchers.domain.redemptions import Redemption, RolledBack
from services.vouchers.domain.state import State
from services.vouchers.errors.redemptions import RedemptionNotConfirmed, RedemptionNotFound


def restore_redemptions(command: RestoreRedemptions, state: State, now: datetime) -> tuple[Redemption, ...]:
    """Confirmed discounts are restored as far as their campaigns say so; credits, and what is undone, stay.

    Raises VOUCHER_REPEATED, REDEMPTION_NOT_FOUND, REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD, REDEMPTION_NOT_CONFIRMED.
    """
    require_distinct(command)
    return put_all([_restored(command, reference, state, now) for reference in command.redemptions], state)


def expire_redemptions(command: ExpireRedemptions, state: State, now: datetime) -> RolledBack:
    """Reservations past their expiry are ended; whatever else has become of the others meanwhile stays.

    So do those of another voucher than is named: their campaign is not locked.
    """
    found = [(reference.voucher, state.redemptions.get(reference.redemption_id)) for reference in command.redemptions]
    due = [
        redemption
        for voucher, redemption in found
        if redemption is not None
        if _is_due(redemption, now) and redemption.voucher_id == state.voucher_ids.get(voucher)
    ]
    put_all([redemption.expire(now) for redemption in due], state)
    return RolledBack(len(due))


def _restored(command: RestoreRedemptions, reference: RedemptionReference, state: State, now: datetime) -> Redemption:
    redemption = state.redemptions.get(reference.redemption_id)
    if redemption is None:
        raise RedemptionNotFound(redemption_id=reference.redemption_id)
    require_match(command, reference, redemption, state)
    if redemption.state in UNDONE or redemption.state is RedemptionState.IN_WALLET:
        return redemption
    if redemption.state is not RedemptionState.CONFIRMED:
        raise RedemptionNotConfirmed(redemption_id=redemption.redemption_id, state=redemption.state)
    voucher = state.vouchers[state.voucher_ids[reference.voucher]]
    is_given_back = _gives_back(state.campaigns[voucher.campaign_id].rules, command.cause)
    # The credits of a placed order go back to their grants, which stay the customer's: so does the use.
    return redemption.restore(command.cause, now) if is_given_back and not redemption.is_credit else redemption


def _gives_back(rules: CampaignRules, cause: RestoreCause) -> bool:
    match cause:
        case RestoreCause.REFUND:
            return rules.on_refund is UseRule.RESTORE
        case RestoreCause.CANCELLATION:
            return rules.on_cancel is UseRule.RESTORE
        case RestoreCause.DECISION:
            return True


def _is_due(redemption: Redemption, now: datetime) -> bool:
    is_reserved = redemption.state is RedemptionState.RESERVED
    return is_reserved and redemption.expires_at is not None and redemption.expires_at <= now
