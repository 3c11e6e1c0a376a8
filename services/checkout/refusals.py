"""What refusals mean that cross services: their status, and whether they are a definite no."""

from google.protobuf.descriptor import EnumDescriptor

from quittance.checkout.v1 import errors_pb2 as checkout_errors_pb2
from quittance.errors.v1 import reason_pb2
from quittance.ledger.v1 import errors_pb2 as ledger_errors_pb2
from quittance.vouchers.v1 import errors_pb2 as vouchers_errors_pb2
from quittance.vouchers.v1 import vouchers_pb2
from services.checkout.domain.orders import DOMAIN, Refusal
from services.runtime.definite import ReasonTable
from services.runtime.errors import ServiceError, Status
from services.runtime.grpc_errors import code_of

LEDGER_DOMAIN = "ledger.quittance"
VOUCHERS_DOMAIN = "vouchers.quittance"

_REASONS: dict[str, EnumDescriptor] = {
    DOMAIN: checkout_errors_pb2.ErrorReason.DESCRIPTOR,
    LEDGER_DOMAIN: ledger_errors_pb2.ErrorReason.DESCRIPTOR,
    VOUCHERS_DOMAIN: vouchers_errors_pb2.ErrorReason.DESCRIPTOR,
}
_TABLE = ReasonTable.from_enums(_REASONS)


def is_definite(error: ServiceError) -> bool:
    """Whether asking again with the same id is pointless."""
    return _TABLE.is_definite(code_of(error), error.reason, error.domain or DOMAIN)


def refusal_of_assessment(assessment: vouchers_pb2.VoucherAssessment) -> Refusal:
    """Why a voucher would be refused, in the form that the redemption would give it."""
    refusal = assessment.refusal
    return Refusal(
        status=_status_of(VOUCHERS_DOMAIN, refusal.reason),
        domain=VOUCHERS_DOMAIN,
        reason=refusal.reason,
        metadata=dict(refusal.metadata),
        message=refusal.message,
    )


def _status_of(domain: str, reason: str) -> Status:
    """The status that a reason travels with; a reason of a later release counts as a rule that says no."""
    value = _REASONS[domain].values_by_name.get(f"ERROR_REASON_{reason}")
    if value is None:
        return Status.FAILED_PRECONDITION
    return Status(value.GetOptions().Extensions[reason_pb2.reason].status)
