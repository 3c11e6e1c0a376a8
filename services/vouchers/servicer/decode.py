"""Messages to commands. The messages' shape has been checked by the rules in their protos."""

from collections.abc import Iterable

from quittance.vouchers.v1 import vouchers_pb2
from services.runtime.ids import parse_id
from services.runtime.times import parse_time
from services.vouchers.domain.campaigns import AmountOffEffect, CreditGrantEffect, Effect, NewCampaign
from services.vouchers.domain.commands import (
    Basket,
    ConfirmRedemptions,
    KeepRedemptions,
    OrderLine,
    RedeemVouchers,
    RedemptionReference,
    RollbackRedemptions,
)
from services.vouchers.domain.vouchers import NewVoucher, VoucherReference, normalise_code

_USES_PER_CUSTOMER_DEFAULT = 1


def campaign(message: vouchers_pb2.Campaign) -> NewCampaign:
    """The campaign of CreateCampaign. Raises INVALID_REQUEST."""
    return NewCampaign(
        campaign_id=parse_id(message.campaign_id, "campaign.campaign_id"),
        name=message.name,
        effect=_effect(message),
        uses_max=message.uses_max or None,
        uses_per_customer_max=message.uses_per_customer_max or _USES_PER_CUSTOMER_DEFAULT,
        starts_at=parse_time(message.start_time, "campaign.start_time") if message.HasField("start_time") else None,
        ends_at=parse_time(message.end_time, "campaign.end_time") if message.HasField("end_time") else None,
        order_minimum_minor=message.order_minimum_minor,
    )


def voucher(message: vouchers_pb2.Voucher) -> NewVoucher:
    """The voucher of CreateVoucher. Raises INVALID_REQUEST."""
    return NewVoucher(
        voucher_id=parse_id(message.voucher_id, "voucher.voucher_id"),
        campaign_id=parse_id(message.campaign_id, "voucher.campaign_id"),
        code=message.code,
        uses_max=message.uses_max or None,
    )


def reference(message: vouchers_pb2.VoucherReference) -> VoucherReference:
    """A voucher by its code or its id. Raises INVALID_REQUEST."""
    if message.HasField("voucher_id"):
        return VoucherReference(None, parse_id(message.voucher_id, "voucher_id"))
    return VoucherReference(normalise_code(message.code), None)


def basket(request: vouchers_pb2.ValidateVouchersRequest | vouchers_pb2.RedeemVouchersRequest) -> Basket:
    """What vouchers are offered for. Raises INVALID_REQUEST."""
    lines = tuple(
        OrderLine(line.line_number, parse_id(line.product_id, "lines.product_id"), line.quantity, line.amount_minor)
        for line in request.lines
    )
    return Basket(customer_id=parse_id(request.customer_id, "customer_id"), currency=request.currency, lines=lines)


def redeem_vouchers(request: vouchers_pb2.RedeemVouchersRequest) -> RedeemVouchers:
    """RedeemVouchers. Raises INVALID_REQUEST."""
    offered_for = basket(request)
    return RedeemVouchers(
        customer_id=offered_for.customer_id,
        redemptions=_redemptions(request.redemptions),
        order_id=parse_id(request.order_id, "order_id"),
        basket=offered_for,
        expires_at=parse_time(request.expire_time, "expire_time"),
    )


def keep_redemptions(request: vouchers_pb2.KeepRedemptionsRequest) -> KeepRedemptions:
    """KeepRedemptions. Raises INVALID_REQUEST."""
    return KeepRedemptions(
        customer_id=parse_id(request.customer_id, "customer_id"), redemptions=_redemptions(request.redemptions)
    )


def confirm_redemptions(request: vouchers_pb2.ConfirmRedemptionsRequest) -> ConfirmRedemptions:
    """ConfirmRedemptions. Raises INVALID_REQUEST."""
    return ConfirmRedemptions(
        customer_id=parse_id(request.customer_id, "customer_id"), redemptions=_redemptions(request.redemptions)
    )


def rollback_redemptions(request: vouchers_pb2.RollbackRedemptionsRequest) -> RollbackRedemptions:
    """RollbackRedemptions. Raises INVALID_REQUEST."""
    return RollbackRedemptions(
        customer_id=parse_id(request.customer_id, "customer_id"), redemptions=_redemptions(request.redemptions)
    )


def _redemptions(
    messages: Iterable[vouchers_pb2.RedemptionRequest | vouchers_pb2.RedemptionReference],
) -> tuple[RedemptionReference, ...]:
    return tuple(
        RedemptionReference(parse_id(message.redemption_id, "redemptions.redemption_id"), reference(message.voucher))
        for message in messages
    )


def _effect(message: vouchers_pb2.Campaign) -> Effect:
    if message.WhichOneof("effect") == "credit_grant":
        grant = message.credit_grant
        return CreditGrantEffect(grant.amount.amount_minor, grant.amount.currency, grant.priority, grant.valid_days)
    return AmountOffEffect(message.amount_off.amount.amount_minor, message.amount_off.amount.currency)
