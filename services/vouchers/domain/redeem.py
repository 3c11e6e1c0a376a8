"""Reserving the vouchers of an order."""

from datetime import datetime

from services.runtime.errors import ServiceError
from services.vouchers.domain.assessments import assess_stack
from services.vouchers.domain.commands import RedeemVouchers, RedemptionReference
from services.vouchers.domain.kinds import UNDONE, RedemptionState
from services.vouchers.domain.matching import require_distinct, require_match
from services.vouchers.domain.offers import Assessment, InWallet
from services.vouchers.domain.redemptions import Redemption
from services.vouchers.domain.state import State
from services.vouchers.errors.redemptions import RedemptionAlreadyUndone, RedemptionExistsWithDifferentField


def redeem_vouchers(command: RedeemVouchers, state: State, now: datetime) -> tuple[Redemption, ...]:
    """Reserves the whole stack or nothing; what was reserved before under these ids is answered again.

    Raises what the ids say first: VOUCHER_REPEATED, REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD,
    REDEMPTION_ALREADY_UNDONE; then TOO_MANY_ATTEMPTS; then, voucher by voucher in the order of use, what the rules
    say.
    """
    require_distinct(command)
    first_answer = _first_answer(command, state)
    if first_answer:
        return first_answer
    references = [reference.voucher for reference in command.redemptions]
    state.guesses.count(command.customer_id, references, state.voucher_ids, now)
    assessments = assess_stack(references, command.basket, state, now)
    # All are made before the first is put: a refusal of the last one leaves nothing of the others.
    made = {
        place: _redemption(command, command.redemptions[place], assessment, state, now)
        for place, assessment in assessments
    }
    in_the_order_asked = tuple(made[place] for place in range(len(references)))
    for redemption in in_the_order_asked:
        state.put(redemption)
    return in_the_order_asked


def _first_answer(command: RedeemVouchers, state: State) -> tuple[Redemption, ...]:
    """What this very command was answered when it came first; empty when it is new.

    The stack is one of the terms, so that a command of which some ids are known and some are not never passes.
    """
    known = []
    for reference in command.redemptions:
        redemption = state.redemptions.get(reference.redemption_id)
        if redemption is not None:
            _require_repetition(command, reference, redemption, state)
            known.append(redemption.as_first_answered())
    return tuple(known)


def _require_repetition(
    command: RedeemVouchers, reference: RedemptionReference, redemption: Redemption, state: State
) -> None:
    require_match(command, reference, redemption, state)
    # A tombstone has no terms: nobody knows what the command would have been.
    for field, stored, asked in zip(command.terms._fields, redemption.terms or (), command.terms, strict=False):
        if stored != asked:
            raise RedemptionExistsWithDifferentField(redemption_id=redemption.redemption_id, field=field)
    if redemption.state in UNDONE:
        raise RedemptionAlreadyUndone(redemption_id=redemption.redemption_id, state=redemption.state)


def _redemption(
    command: RedeemVouchers, reference: RedemptionReference, assessment: Assessment, state: State, now: datetime
) -> Redemption:
    if isinstance(assessment, ServiceError):
        raise assessment
    in_wallet = isinstance(assessment, InWallet)
    voucher = state.vouchers[state.voucher_ids[reference.voucher]]
    return Redemption(
        redemption_id=reference.redemption_id,
        customer_id=command.customer_id,
        voucher_id=voucher.voucher_id,
        campaign_id=voucher.campaign_id,
        state=RedemptionState.IN_WALLET if in_wallet else RedemptionState.RESERVED,
        terms=command.terms,
        benefit=None if isinstance(assessment, InWallet) else assessment,
        expires_at=command.expires_at,
        created_at=now,
    )
