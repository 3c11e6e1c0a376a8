"""Results to messages."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from quittance.vouchers.v1 import vouchers_pb2
from services.runtime.errors import ServiceError
from services.runtime.grpc_errors import refusal_message
from services.runtime.times import timestamp_of
from services.vouchers.domain.kinds import RedemptionState
from services.vouchers.domain.offers import InWallet
from services.vouchers.domain.redemptions import Benefit, Credit, LineDiscount, Redemption
from services.vouchers.domain.results import AssessedVoucher, QualifiedCampaign
from services.vouchers.domain.vouchers import mask_code
from services.vouchers.errors import DOMAIN
from services.vouchers.servicer.campaign_messages import STACKING

_STATES = {
    RedemptionState.RESERVED: vouchers_pb2.REDEMPTION_STATE_RESERVED,
    RedemptionState.KEPT: vouchers_pb2.REDEMPTION_STATE_KEPT,
    RedemptionState.CONFIRMED: vouchers_pb2.REDEMPTION_STATE_CONFIRMED,
    RedemptionState.ROLLED_BACK: vouchers_pb2.REDEMPTION_STATE_ROLLED_BACK,
    RedemptionState.EXPIRED: vouchers_pb2.REDEMPTION_STATE_EXPIRED,
    RedemptionState.RESTORED: vouchers_pb2.REDEMPTION_STATE_RESTORED,
    RedemptionState.IN_WALLET: vouchers_pb2.REDEMPTION_STATE_ALREADY_IN_WALLET,
    # Rolled back before it came: for a caller there is no difference.
    RedemptionState.TOMBSTONE: vouchers_pb2.REDEMPTION_STATE_ROLLED_BACK,
}


def redemptions(many: Iterable[Redemption]) -> list[vouchers_pb2.Redemption]:
    """Redemptions in the order given."""
    return [redemption(one) for one in many]


def redeemed(made: Sequence[Redemption]) -> vouchers_pb2.RedeemVouchersResponse:
    """The redemptions of an order and the sum of their discounts."""
    response = vouchers_pb2.RedeemVouchersResponse()
    for one in made:
        _fill(response.redemptions.add(), one)
        response.discount_minor += one.benefit.discount_minor if one.benefit is not None else 0
    return response


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
        case Benefit() as benefit:
            _add_benefit(message, benefit)
        case ServiceError() as refused:
            message.refusal.CopyFrom(refusal_message(refused, DOMAIN))
    return message


def qualified_campaign(qualified: QualifiedCampaign) -> vouchers_pb2.QualifiedCampaign:
    """A campaign that an order could use, and what it would do."""
    voucher, campaign = qualified.voucher, qualified.campaign
    message = vouchers_pb2.QualifiedCampaign(
        campaign_id=str(campaign.campaign_id),
        name=campaign.rules.name,
        assessment=vouchers_pb2.VoucherAssessment(
            voucher_id=str(voucher.voucher_id), masked_code=mask_code(voucher.code)
        ),
        stacking=STACKING[campaign.rules.stacking],
        assigned=voucher.customer_id is not None,
    )
    _add_benefit(message.assessment, qualified.benefit)
    return message


def _add_benefit(message: vouchers_pb2.VoucherAssessment, benefit: Benefit) -> None:
    message.discount_minor = benefit.discount_minor
    _add_line_discounts(message.line_discounts, benefit.lines)
    message.credit_minor = benefit.credit.amount_minor if benefit.credit else 0


def redemption(stored: Redemption) -> vouchers_pb2.Redemption:
    """A redemption as it stands."""
    message = vouchers_pb2.Redemption()
    _fill(message, stored)
    return message


def _fill(message: vouchers_pb2.Redemption, stored: Redemption) -> None:
    """Filling in place takes half the time of making messages and putting them into others."""
    message.redemption_id = str(stored.redemption_id)
    message.order_id = str(stored.terms.order_id) if stored.terms else ""
    message.customer_id = str(stored.customer_id)
    message.voucher_id = str(stored.voucher_id or "")
    message.campaign_id = str(stored.campaign_id or "")
    message.state = _STATES[stored.state]
    message.create_time.CopyFrom(timestamp_of(stored.created_at))
    message.update_time.CopyFrom(timestamp_of(stored.updated_at))
    if stored.benefit is not None:
        message.campaign_revision = stored.benefit.revision
        message.discount_minor = stored.benefit.discount_minor
        _add_line_discounts(message.line_discounts, stored.benefit.lines)
        if stored.benefit.credit is not None:
            message.credit_grant.CopyFrom(_credit_grant(stored.benefit.credit, stored.campaign_id))


def _credit_grant(credit: Credit, campaign_id: UUID | None) -> vouchers_pb2.CreditGrant:
    return vouchers_pb2.CreditGrant(
        amount_minor=credit.amount_minor,
        priority=credit.priority,
        expire_time=timestamp_of(credit.expires_at),
        source_account=f"campaign:{campaign_id}",
    )


def _add_line_discounts(messages: Any, lines: Iterable[LineDiscount]) -> None:
    for line in lines:
        messages.add(line_number=line.line_number, discount_minor=line.discount_minor)
