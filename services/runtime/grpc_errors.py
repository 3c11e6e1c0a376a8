"""Errors on the wire: ServiceError to gRPC status with google.rpc details, and back on the client's side."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status  # type: ignore[import-untyped]

from quittance.errors.v1 import refusal_pb2
from services.runtime.errors import FieldViolation, InvalidArgument, InvalidRequest, ServiceError, Status

_DETAILS_KEY = "grpc-status-details-bin"
_CODES = {status: next(code for code in grpc.StatusCode if code.value[0] == status.value) for status in Status}
# More would not fit into the trailers.
_VIOLATIONS_MAX = 10
_VIOLATION_LENGTH_MAX = 120


@dataclass(frozen=True)
class Refusal:
    """What a call was answered instead of a result; reason and domain are None when nobody gave them."""

    status: grpc.StatusCode
    reason: str | None
    domain: str | None
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None
    message: str = ""


def code_of(error: ServiceError) -> grpc.StatusCode:
    """The gRPC status code of an error."""
    return _CODES[error.status]


def status_of(error: ServiceError, domain: str) -> grpc.Status:
    """The error as a gRPC status with ErrorInfo, and RetryInfo and BadRequest where they apply."""
    rich = status_pb2.Status(code=error.status.value, message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=error.domain or domain, metadata=error.metadata)
    rich.details.add().Pack(info)
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(error.retry_after_s * 1000))
        rich.details.add().Pack(retry)
    if isinstance(error, InvalidArgument) and (violations := _violations_of(error)):
        rich.details.add().Pack(error_details_pb2.BadRequest(field_violations=violations))
    status: grpc.Status = rpc_status.to_status(rich)
    return status


def refusal_message(error: ServiceError, domain: str) -> refusal_pb2.Refusal:
    """The error as a message, for answers that say of each of their elements whether it was refused."""
    return refusal_pb2.Refusal(
        status=error.status.value,  # the numbers are those of google.rpc.Code
        domain=error.domain or domain,
        reason=error.reason,
        metadata=error.metadata,
        message=error.message,
    )


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """What the server said, read from the exception that a stub raises."""
    rich = _rich_status_of(error)
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    has_info = has_retry = False
    for detail in rich.details:
        has_info = has_info or (detail.Is(info.DESCRIPTOR) and detail.Unpack(info))
        has_retry = has_retry or (detail.Is(retry.DESCRIPTOR) and detail.Unpack(retry))
    return Refusal(
        status=error.code(),
        reason=info.reason if has_info else None,
        domain=info.domain if has_info else None,
        metadata=dict(info.metadata),
        retry_after_s=retry.retry_delay.ToMilliseconds() / 1000 if has_retry else None,
        message=error.details() or "",
    )


def _violations_of(error: InvalidArgument) -> list[error_details_pb2.BadRequest.FieldViolation]:
    violations = error.violations
    if not violations and isinstance(error, InvalidRequest):
        violations = [FieldViolation(field=error.field, rule=error.rule, description=error.message)]
    return [
        error_details_pb2.BadRequest.FieldViolation(
            field=violation.field[:_VIOLATION_LENGTH_MAX],
            reason=violation.rule[:_VIOLATION_LENGTH_MAX],
            description=violation.description[:_VIOLATION_LENGTH_MAX],
        )
        for violation in violations[:_VIOLATIONS_MAX]
    ]


def _rich_status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    return status_pb2.Status()
