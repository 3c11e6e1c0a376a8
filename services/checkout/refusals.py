"""What refusals mean that cross services: whether they are a definite no."""

from google.protobuf.descriptor import EnumDescriptor

from quittance.checkout.v1 import errors_pb2 as checkout_errors_pb2
from quittance.ledger.v1 import errors_pb2 as ledger_errors_pb2
from quittance.vouchers.v1 import errors_pb2 as vouchers_errors_pb2
from services.checkout.domain.orders import DOMAIN
from services.runtime.definite import ReasonTable
from services.runtime.errors import ServiceError
from services.runtime.grpc_errors import code_of

_REASONS: dict[str, EnumDescriptor] = {
    DOMAIN: checkout_errors_pb2.ErrorReason.DESCRIPTOR,
    "ledger.quittance": ledger_errors_pb2.ErrorReason.DESCRIPTOR,
    "vouchers.quittance": vouchers_errors_pb2.ErrorReason.DESCRIPTOR,
}
_TABLE = ReasonTable.from_enums(_REASONS)


def is_definite(error: ServiceError) -> bool:
    """Whether asking again with the same id is pointless."""
    return _TABLE.is_definite(code_of(error), error.reason, error.domain or DOMAIN)
