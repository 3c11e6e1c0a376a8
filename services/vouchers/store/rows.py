"""Redemptions and vouchers: rows to values and back."""

import json

from services.runtime.database import Record
from services.vouchers.domain.kinds import EffectKind, RedemptionState, RestoreCause
from services.vouchers.domain.redemptions import Benefit, Credit, LineDiscount, Redemption, Terms
from services.vouchers.domain.vouchers import Voucher


def voucher_of(row: Record) -> Voucher:
    """The voucher in a row of its table."""
    return Voucher(
        voucher_id=row["voucher_id"],
        campaign_id=row["campaign_id"],
        code=row["code"],
        uses_max=row["uses_max"],
        customer_id=row["customer_id"],
        expires_at=row["expires_at"],
        uses=row["uses"],
        created_at=row["created_at"],
        batch_id=row["batch_id"],
        deactivated_at=row["deactivated_at"],
    )


def redemption_of(row: Record) -> Redemption:
    """The redemption in a row of its table."""
    state, cause = RedemptionState(row["state"]), row["restore_cause"]
    return Redemption(
        redemption_id=row["redemption_id"],
        customer_id=row["customer_id"],
        voucher_id=row["voucher_id"],
        campaign_id=row["campaign_id"],
        state=state,
        terms=None if state is RedemptionState.TOMBSTONE else _terms_of(row),
        benefit=None if row["effect"] is None else _benefit_of(row),
        expires_at=row["expires_at"],
        created_at=row["created_at"],
        kept_at=row["kept_at"],
        confirmed_at=row["confirmed_at"],
        rolled_back_at=row["rolled_back_at"],
        expired_at=row["expired_at"],
        restored_at=row["restored_at"],
        restore_cause=None if cause is None else RestoreCause(cause),
    )


# How many `redemption_columns` are.
REDEMPTION_WIDTH = 26


def redemption_columns(redemption: Redemption) -> tuple[object, ...]:
    """The values of one row of `write_changes`."""
    return (
        redemption.redemption_id,
        redemption.customer_id,
        redemption.voucher_id,
        redemption.campaign_id,
        *(redemption.terms or (None,) * len(Terms._fields)),
        *_benefit_columns(redemption.benefit),
        redemption.expires_at,
        redemption.created_at,
        *_way_columns(redemption),
    )


def moved_columns(redemption: Redemption) -> tuple[object, ...]:
    """The values of one row of `move_redemptions`."""
    return (redemption.redemption_id, *_way_columns(redemption))


def _way_columns(redemption: Redemption) -> tuple[object, ...]:
    """Where it stands, and how it came there."""
    return (
        redemption.state,
        redemption.kept_at,
        redemption.confirmed_at,
        redemption.rolled_back_at,
        redemption.expired_at,
        redemption.restored_at,
        redemption.restore_cause,
    )


def _terms_of(row: Record) -> Terms:
    return Terms(row["order_id"], row["currency"], row["lines_digest"], row["redemptions_digest"], row["facts_digest"])


def _benefit_of(row: Record) -> Benefit:
    effect, revision = EffectKind(row["effect"]), row["campaign_revision"]
    if effect is EffectKind.CREDIT_GRANT:
        credit = Credit(row["credit_minor"], row["credit_priority"], row["credit_expires_at"])
        return Benefit(effect, revision, credit=credit)
    lines = tuple(LineDiscount(*line) for line in row["lines"])
    return Benefit(effect, revision, row["effect_parameters"], row["discount_minor"], lines)


def _benefit_columns(benefit: Benefit | None) -> tuple[object, ...]:
    """Effect, revision, parameters, discount, lines, and a credit's amount, priority and expiry."""
    if benefit is None:
        return (None,) * 8
    fixed = (benefit.effect, benefit.revision)
    if benefit.credit is not None:
        return (*fixed, None, 0, None, *benefit.credit)
    parameters, lines = json.dumps(benefit.parameters), json.dumps(benefit.lines)
    return (*fixed, parameters, benefit.discount_minor, lines, 0, None, None)
