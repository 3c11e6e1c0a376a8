"""Errors: what they say, how they travel, which are a definite no."""

from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from quittance.checkout.v1 import errors_pb2 as checkout_errors
from quittance.ledger.v1 import errors_pb2 as ledger_errors
from services.runtime.definite import ReasonTable
from services.runtime.errors import (
    METADATA_VALUE_LENGTH_MAX,
    FailedPrecondition,
    FieldViolation,
    InvalidRequest,
    Overloaded,
    ServiceError,
    Status,
)
from services.runtime.grpc_errors import refusal_of, status_of

TABLE = ReasonTable.from_enums(
    {
        "ledger.quittance": ledger_errors.ErrorReason.DESCRIPTOR,
        "checkout.quittance": checkout_errors.ErrorReason.DESCRIPTOR,
    }
)


@dataclass(eq=False)
class BoxFull(FailedPrecondition):
    reason = "BOX_FULL"
    text = "box {box} holds {count}, limit {limit}"
    box: str
    count: int
    limit: int | None = None


def sent(error: ServiceError) -> grpc.aio.AioRpcError:
    """The error as a client's stub raises it."""
    status: Any = status_of(error, "shelf.example")
    trailers = grpc.aio.Metadata(*status.trailing_metadata)
    return grpc.aio.AioRpcError(status.code, grpc.aio.Metadata(), trailers, status.details)


def test_error_message_and_metadata_come_from_its_fields() -> None:
    error = BoxFull(box="red", count=3, limit=2)
    assert str(error) == "box red holds 3, limit 2"
    assert error.metadata == {"box": "red", "count": "3", "limit": "2"}


def test_error_field_that_is_none_is_left_out_of_the_metadata() -> None:
    error = BoxFull(box="red", count=3)
    assert str(error) == "box red holds 3, limit none"
    assert error.metadata == {"box": "red", "count": "3"}


def test_error_long_value_is_cut_so_that_the_trailers_fit() -> None:
    error = BoxFull(box="x" * 10_000, count=3)
    assert len(error.metadata["box"]) == METADATA_VALUE_LENGTH_MAX


def test_status_every_one_is_a_grpc_code_of_the_same_name() -> None:
    codes = {code.name: code.value[0] for code in grpc.StatusCode}
    assert {status.name: status.value for status in Status}.items() <= codes.items()


def test_refusal_of_reads_back_what_was_sent() -> None:
    refusal = refusal_of(sent(BoxFull(box="red", count=3)))
    assert refusal.status is grpc.StatusCode.FAILED_PRECONDITION
    assert (refusal.reason, refusal.domain) == ("BOX_FULL", "shelf.example")
    assert refusal.metadata == {"box": "red", "count": "3"}
    assert refusal.retry_after_s is None


def test_refusal_of_reads_the_retry_time() -> None:
    assert refusal_of(sent(Overloaded())).retry_after_s == 0.5


def test_refusal_of_error_without_details_has_no_reason() -> None:
    bare = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, None, None, "connection refused")
    refusal = refusal_of(bare)
    assert (refusal.status, refusal.reason, refusal.domain) == (grpc.StatusCode.UNAVAILABLE, None, None)


def test_refusal_of_broken_details_has_no_reason() -> None:
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", b"\xff"))
    bare = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), trailers)
    assert refusal_of(bare).reason is None


def test_status_of_many_long_violations_fits_into_the_trailers() -> None:
    error = InvalidRequest.of([FieldViolation("f" * 999, "r" * 999, "d" * 999)] * 999)
    status: Any = status_of(error, "shelf.example")
    ((_, details),) = status.trailing_metadata
    assert len(details) < 6000


@pytest.mark.parametrize(
    ("status", "reason", "domain", "expected"),
    [
        ("UNAVAILABLE", "PAYMENT_PROVIDER_NOT_CONFIGURED", "checkout.quittance", True),
        ("UNAVAILABLE", "DATABASE_UNAVAILABLE", "ledger.quittance", False),
        ("INVALID_ARGUMENT", "INVALID_REQUEST", "ledger.quittance", True),
        ("INTERNAL", "INTERNAL", "ledger.quittance", False),
        ("FAILED_PRECONDITION", "NOBODY_KNOWS_THIS", "ledger.quittance", True),
        ("UNAVAILABLE", "NOBODY_KNOWS_THIS", "ledger.quittance", False),
        ("UNAVAILABLE", "PAYMENT_PROVIDER_NOT_CONFIGURED", "elsewhere", False),
    ],
)
def test_is_definite_known_reason_decides_before_the_code(
    status: str, reason: str, domain: str, expected: bool
) -> None:
    assert TABLE.is_definite(grpc.StatusCode[status], reason, domain) is expected


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_is_definite_without_a_reason_only_seven_codes_are(code: grpc.StatusCode) -> None:
    definite = {
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "FAILED_PRECONDITION",
        "UNIMPLEMENTED",
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
    }
    assert TABLE.is_definite(code, None, None) is (code.name in definite)
