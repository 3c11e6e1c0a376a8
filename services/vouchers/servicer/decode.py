"""Messages to commands. The messages' shape has been checked by the rules in their protos, but for RedeemVouchers."""

from collections.abc import Iterable
from uuid import UUID

from quittance.vouchers.v1 import vouchers_pb2
from services.runtime.times import parse_time
from services.runtime.validation import ALL_VIOLATIONS_BYTES_MAX, check_shape
from services.runtime.wire_ids import parse_wire_id
from services.vouchers.domain.codes import normalise_code
from services.vouchers.domain.commands import (
    Basket,
    ConfirmRedemptions,
    CustomerFacts,
    KeepRedemptions,
    OrderLine,
    RedeemVouchers,
    RedemptionReference,
    RestoreRedemptions,
    RollbackRedemptions,
)
from services.vouchers.domain.kinds import RestoreCause
from services.vouchers.domain.results import RedemptionsOf
from services.vouchers.domain.vouchers import VoucherReference
from services.vouchers.servicer.plain import read_plain

_CAUSES = {
    vouchers_pb2.RESTORE_CAUSE_REFUND: RestoreCause.REFUND,
    vouchers_pb2.RESTORE_CAUSE_CANCELLATION: RestoreCause.CANCELLATION,
    vouchers_pb2.RESTORE_CAUSE_DECISION: RestoreCause.DECISION,
}


def reference(message: vouchers_pb2.VoucherReference) -> VoucherReference:
    """A voucher by its code or its id. Raises INVALID_REQUEST."""
    if message.HasField("voucher_id"):
        return VoucherReference(None, parse_wire_id(message.voucher_id, "voucher_id"))
    return VoucherReference(normalise_code(message.code), None)


def basket(
    request: vouchers_pb2.ValidateVouchersRequest
    | vouchers_pb2.QualifyCampaignsRequest
    | vouchers_pb2.RedeemVouchersRequest,
) -> Basket:
    """What vouchers are offered for. Raises INVALID_REQUEST."""
    facts = request.facts
    return Basket(
        customer_id=parse_wire_id(request.customer_id, "customer_id"),
        currency=request.currency,
        lines=tuple(map(_line, request.lines)),
        facts=CustomerFacts(facts.orders_placed, tuple(facts.tags)) if request.HasField("facts") else None,
    )


def redeem_vouchers(request: vouchers_pb2.RedeemVouchersRequest) -> RedeemVouchers:
    """RedeemVouchers, of a message that nobody has checked. Raises INVALID_REQUEST."""
    return read_plain(request) or redeem_in_general(request)


def redeem_in_general(request: vouchers_pb2.RedeemVouchersRequest) -> RedeemVouchers:
    """RedeemVouchers of every shape. Raises INVALID_REQUEST."""
    check_shape(request, only_first=request.ByteSize() > ALL_VIOLATIONS_BYTES_MAX)
    offered_for = basket(request)
    return RedeemVouchers(
        customer_id=offered_for.customer_id,
        redemptions=_redemptions(request.redemptions),
        order_id=parse_wire_id(request.order_id, "order_id"),
        basket=offered_for,
        expires_at=parse_time(request.expire_time, "expire_time"),
    )


def keep_redemptions(request: vouchers_pb2.KeepRedemptionsRequest) -> KeepRedemptions:
    """KeepRedemptions. Raises INVALID_REQUEST."""
    return KeepRedemptions(
        customer_id=parse_wire_id(request.customer_id, "customer_id"), redemptions=_redemptions(request.redemptions)
    )


def confirm_redemptions(request: vouchers_pb2.ConfirmRedemptionsRequest) -> ConfirmRedemptions:
    """ConfirmRedemptions. Raises INVALID_REQUEST."""
    return ConfirmRedemptions(
        customer_id=parse_wire_id(request.customer_id, "customer_id"), redemptions=_redemptions(request.redemptions)
    )


def rollback_redemptions(request: vouchers_pb2.RollbackRedemptionsRequest) -> RollbackRedemptions:
    """RollbackRedemptions. Raises INVALID_REQUEST."""
    return RollbackRedemptions(
        customer_id=parse_wire_id(request.customer_id, "customer_id"), redemptions=_redemptions(request.redemptions)
    )


def restore_redemptions(request: vouchers_pb2.RestoreRedemptionsRequest) -> RestoreRedemptions:
    """RestoreRedemptions. Raises INVALID_REQUEST."""
    return RestoreRedemptions(
        customer_id=parse_wire_id(request.customer_id, "customer_id"),
        redemptions=_redemptions(request.redemptions),
        cause=_CAUSES[request.cause],
    )


def redemptions_of(request: vouchers_pb2.ListRedemptionsRequest) -> tuple[RedemptionsOf, UUID]:
    """Whose redemptions ListRedemptions lists. Raises INVALID_REQUEST."""
    of = RedemptionsOf(request.WhichOneof("of"))
    return of, parse_wire_id(getattr(request, of.value), of.value)


def _line(message: vouchers_pb2.OrderLine) -> OrderLine:
    return OrderLine(
        message.line_number,
        parse_wire_id(message.product_id, "lines.product_id"),
        message.quantity,
        message.amount_minor,
        tuple(message.categories),
    )


def _redemptions(
    messages: Iterable[vouchers_pb2.RedemptionRequest | vouchers_pb2.RedemptionReference],
) -> tuple[RedemptionReference, ...]:
    return tuple(
        RedemptionReference(
            parse_wire_id(message.redemption_id, "redemptions.redemption_id"), reference(message.voucher)
        )
        for message in messages
    )
