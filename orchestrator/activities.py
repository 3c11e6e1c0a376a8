"""One activity per step: exactly one gRPC call. Retries, time limits and undoing are the workflows' business."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import grpc
from google.protobuf.message import Message
from temporalio import activity
from temporalio.exceptions import ApplicationError

from orchestrator.steps import Step
from quittance.checkout.v1 import errors_pb2 as checkout_errors
from quittance.errors.v1 import refusal_pb2
from quittance.ledger.v1 import errors_pb2 as ledger_errors
from quittance.vouchers.v1 import errors_pb2 as vouchers_errors
from services.runtime.definite import ReasonTable
from services.runtime.grpc_errors import refusal_of

# Tells a service which order a call belongs to, for its logs.
_WORKFLOW_HEADER = "x-quittance-workflow-id"

_REASONS = ReasonTable.from_enums(
    {
        "ledger.quittance": ledger_errors.ErrorReason.DESCRIPTOR,
        "vouchers.quittance": vouchers_errors.ErrorReason.DESCRIPTOR,
        "checkout.quittance": checkout_errors.ErrorReason.DESCRIPTOR,
    }
)


def activities_for(steps: Sequence[Step[Any, Any]], stubs: Mapping[str, object]) -> list[Callable[..., Awaitable[Any]]]:
    """The activities of `steps`, each named "<service>.<RPC>"; `stubs` are the services' gRPC stubs by that name."""
    by_name = {step.activity: step for step in steps}
    return [_activity_for(step, _rpc_of(step, stubs)) for step in by_name.values()]


def _rpc_of(step: Step[Any, Any], stubs: Mapping[str, object]) -> Callable[..., Awaitable[Any]]:
    service, _, rpc = step.activity.partition(".")
    call: Callable[..., Awaitable[Any]] = getattr(stubs[service], rpc)
    return call


def _activity_for(step: Step[Any, Any], rpc: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def run(request: Message) -> Message:
        info = activity.info()
        limit = info.start_to_close_timeout
        try:
            response: Message = await rpc(
                request,
                timeout=limit.total_seconds() if limit else None,
                metadata=((_WORKFLOW_HEADER, info.workflow_id or ""),),
            )
        except grpc.aio.AioRpcError as error:
            raise failure_of(error) from error
        if step.refusal_within and (refusal := step.refusal_within(response)):
            raise ApplicationError(refusal.message, refusal, type=refusal.reason, non_retryable=True)
        return response

    # Temporal decodes the payload by this annotation.
    run.__annotations__ = {"request": step.request, "return": step.response}
    return activity.defn(name=step.activity)(run)


def failure_of(error: grpc.aio.AioRpcError) -> ApplicationError:
    """The one place that tells a definite refusal from an unknown result."""
    refusal = refusal_of(error)
    message = refusal_pb2.Refusal(
        status=refusal.status.value[0],
        domain=refusal.domain or "",
        reason=refusal.reason or refusal.status.name,
        metadata=refusal.metadata,
        message=refusal.message,
    )
    definite = _REASONS.is_definite(refusal.status, refusal.reason, refusal.domain)
    return ApplicationError(refusal.message, message, type=message.reason, non_retryable=definite)
