"""Results to messages."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from quittance.money.v1 import money_pb2
from quittance.vouchers.v1 import vouchers_pb2
from services.runtime.errors import ServiceError
from services.runtime.grpc_errors import refusal_message
from services.vouchers.domain.assessments import InWallet
from services.vouchers.domain.campaigns import AmountOffEffect, Campaign, CreditGrantEffect
from services.vouchers.domain.kinds import RedemptionState
from services.vouchers.domain.redemptions import Benefit, Credit, LineDiscount, Redemption
from services.vouchers.domain.results import AssessedVoucher, VoucherView
from services.vouchers.domain.vouchers import Voucher, mask_code
from services.vouchers.errors import DOMAIN

_STATES = {
    RedemptionState.RESERVED: vouchers_pb2.REDEMPTION_STATE_RESERVED,
    RedemptionState.KEPT: vouchers_pb2.REDEMPTION_STATE_KEPT,
    RedemptionState.CONFIRMED: vouchers_pb2.REDEMPTION_STATE_CONFIRMED,
    RedemptionState.ROLLED_BACK: vouchers_pb2.REDEMPTION_STATE_ROLLED_BACK,
    RedemptionState.IN_WALLET: vouchers_pb2.REDEMPTION_STATE_ALREADY_IN_WALLET,
}


def campaign(stored: Campaign) -> vouchers_pb2.Campaign:
    """A campaign with its uses."""
    message = vouchers_pb2.Campaign(
        campaign_id=str(stored.campaign_id),
        name=stored.name,
        uses_max=stored.uses_max or 0,
        uses_per_customer_max=stored.uses_per_customer_max,
        start_time=_timestamp(stored.starts_at),
        end_time=_timestamp(stored.ends_at),
        order_minimum_minor=stored.order_minimum_minor,
        uses=stored.uses,
        create_time=_timestamp(stored.created_at),
    )
    effect = stored.effect
    amount = money_pb2.Money(amount_minor=effect.amount_minor, currency=effect.currency)
    match effect:
        case CreditGrantEffect():
            grant = vouchers_pb2.CreditGrantEffect(
                amount=amount, priority=effect.priority, valid_days=effect.valid_days
            )
            message.credit_grant.CopyFrom(grant)
        case AmountOffEffect():
            message.amount_off.CopyFrom(vouchers_pb2.AmountOffEffect(amount=amount))
    return message


def voucher(stored: Voucher) -> vouchers_pb2.Voucher:
    """A voucher with its uses."""
    return vouchers_pb2.Voucher(
        voucher_id=str(stored.voucher_id),
        campaign_id=str(stored.campaign_id),
        code=stored.code,
        uses_max=stored.uses_max or 0,
        uses=stored.uses,
        create_time=_timestamp(stored.created_at),
    )


def voucher_view(view: VoucherView) -> vouchers_pb2.GetVoucherResponse:
    """A voucher, its campaign and its newest redemptions."""
    return vouchers_pb2.GetVoucherResponse(
        voucher=voucher(view.voucher),
        campaign=campaign(view.campaign),
        redemptions=redemptions(view.redemptions),
    )


def redemptions(many: Iterable[Redemption]) -> list[vouchers_pb2.Redemption]:
    """Redemptions in the order given."""
    return [_redemption(one) for one in many]


def redeemed(made: Sequence[Redemption]) -> vouchers_pb2.RedeemVouchersResponse:
    """The redemptions of an order and the sum of their discounts."""
    discount_minor = sum(one.benefit.discount_minor for one in made if one.benefit is not None)
    return vouchers_pb2.RedeemVouchersResponse(redemptions=redemptions(made), discount_minor=discount_minor)


def assessment(assessed: AssessedVoucher) -> vouchers_pb2.VoucherAssessment:
    """What one voucher would do, or why it would not."""
    known = assessed.voucher
    message = vouchers_pb2.VoucherAssessment(
        voucher_id=str(known.voucher_id) if known else "",
        masked_code=mask_code(known.code if known else assessed.reference.code_normal or ""),
    )
    match assessed.assessment:
        case InWallet():
            message.already_in_wallet = True
        case Benefit(discount_minor=discount_minor, lines=lines, credit=credit):
            message.discount_minor = discount_minor
            message.line_discounts.extend(_line_discounts(lines))
            message.credit_minor = credit.amount_minor if credit else 0
        case ServiceError() as refused:
            message.refusal.CopyFrom(refusal_message(refused, DOMAIN))
    return message


def _redemption(stored: Redemption) -> vouchers_pb2.Redemption:
    message = vouchers_pb2.Redemption(
        redemption_id=str(stored.redemption_id),
        order_id=str(stored.terms.order_id) if stored.terms else "",
        customer_id=str(stored.customer_id),
        voucher_id=str(stored.voucher_id),
        campaign_id=str(stored.campaign_id),
        state=_STATES[stored.state],
        create_time=_timestamp(stored.created_at),
        update_time=_timestamp(stored.updated_at),
    )
    if stored.benefit is not None:
        message.discount_minor = stored.benefit.discount_minor
        message.line_discounts.extend(_line_discounts(stored.benefit.lines))
        if stored.benefit.credit is not None:
            message.credit_grant.CopyFrom(_credit_grant(stored.benefit.credit, stored.campaign_id))
    return message


def _credit_grant(credit: Credit, campaign_id: UUID | None) -> vouchers_pb2.CreditGrant:
    return vouchers_pb2.CreditGrant(
        amount_minor=credit.amount_minor,
        priority=credit.priority,
        expire_time=_timestamp(credit.expires_at),
        source_account=f"campaign:{campaign_id}",
    )


def _line_discounts(lines: Iterable[LineDiscount]) -> list[vouchers_pb2.LineDiscount]:
    return [
        vouchers_pb2.LineDiscount(line_number=line.line_number, discount_minor=line.discount_minor) for line in lines
    ]


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
