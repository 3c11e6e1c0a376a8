"""A gRPC proxy that passes raw bytes through, records every call, and does to chosen ones what networks do.

It stands between the worker and a service, so that faults are made outside of the product. A fault is chosen by
workflow and RPC, so that tests which run at the same time do not meet each other's.
"""

import asyncio
import enum
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.runtime.channels import open_channel
from tests.pass_through import PassThrough

WORKFLOW_HEADER = "x-quittance-workflow-id"


class Fault(enum.Enum):
    """What happens to a call."""

    # Answered with a definite refusal; the service never sees it.
    REFUSED_BEFORE = "refused before its effect"
    # Answered with UNAVAILABLE; the service never sees it.
    LOST_BEFORE = "lost before its effect"
    # Done by the service, but answered with UNAVAILABLE.
    LOST_AFTER = "done, the answer lost"
    # Sent to the service twice; the second answer is given.
    DOUBLED = "done twice"
    # A hook runs before the service sees the call.
    HOOK_BEFORE = "something happens before it"
    # A hook runs after the service has answered, and the answer is lost.
    HOOK_AFTER = "something happens after it"
    # Answered with the plan's answer; the service never sees it.
    ANSWERED = "answered by somebody else"


Hook = Callable[[], Awaitable[None]]


@dataclass
class Plan:
    """A fault for calls of one RPC of one workflow; `times` None means for ever."""

    fault: Fault
    times: int | None = 1
    hook: Hook | None = None
    answer: Message | None = None
    hits: int = 0
    # Calls that have met the fault and are not answered yet.
    under_way: int = 0


@dataclass(frozen=True)
class Call:
    """One call as it came: by which workflow, to which RPC ("ledger.HoldCredits"), and the fault it met."""

    workflow_id: str
    rpc: str
    fault: Fault | None


@dataclass
class FaultBoard:
    """The faults to make and the calls that were seen; shared by the proxies of a stack."""

    calls: list[Call] = field(default_factory=list)
    _plans: dict[tuple[str, str], Plan] = field(default_factory=dict)
    _cut_off: dict[str, Plan] = field(default_factory=dict)

    def plan(
        self,
        workflow_id: str,
        rpc: str,
        fault: Fault,
        *,
        times: int | None = 1,
        hook: Hook | None = None,
        answer: Message | None = None,
    ) -> Plan:
        """The next `times` calls of `rpc` by this workflow meet `fault`."""
        plan = self._plans[workflow_id, rpc] = Plan(fault, times, hook, answer)
        return plan

    def cut_off(self, workflow_id: str) -> None:
        """From now on no call of this workflow arrives. Of one that was terminated, the worker hears seconds later."""
        self._cut_off[workflow_id] = Plan(Fault.LOST_BEFORE, times=None)

    def take(self, workflow_id: str, rpc: str) -> Plan | None:
        """The plan for a call that has just come; counts it."""
        plan = self._cut_off.get(workflow_id) or self._plans.get((workflow_id, rpc))
        if plan is not None and plan.times is not None and plan.hits >= plan.times:
            plan = None
        if plan is not None:
            plan.hits += 1
        self.calls.append(Call(workflow_id, rpc, plan.fault if plan else None))
        return plan

    def rpcs_of(self, workflow_id: str) -> list[str]:
        """The RPCs that a workflow called, in order, repeats included."""
        return [call.rpc for call in self.calls if call.workflow_id == workflow_id]


# Answered with a stream; nothing goes wrong with these.
STREAMS = ("/TrialBalance",)


class FaultProxy(PassThrough):
    """One proxy in front of one service."""

    def __init__(self, service: str, upstream: str, board: FaultBoard) -> None:
        # Connections of its own: gRPC would share one that failed before the service was there with the callers.
        super().__init__(open_channel(upstream, is_shared=False))
        self._service = service
        self._board = board
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Every method is passed on as bytes."""
        method = handler_call_details.method
        header = dict(handler_call_details.invocation_metadata or ())
        workflow_id = str(header.get(WORKFLOW_HEADER, ""))

        async def handle(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            return await self._handle(method, workflow_id, request, context)

        async def stream(request: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
            async for answer in self._channel.unary_stream(method)(request, timeout=context.time_remaining()):
                yield answer

        if method.endswith(STREAMS):
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(handle)

    async def _handle(self, method: str, workflow_id: str, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        plan = self._board.take(workflow_id, f"{self._service}.{method.rpartition('/')[2]}")
        if plan is None:
            return await self._pass_on(method, workflow_id, request, context)
        plan.under_way += 1
        try:
            return await self._handle_with(plan, method, workflow_id, request, context)
        finally:
            plan.under_way -= 1

    async def _handle_with(
        self, plan: Plan, method: str, workflow_id: str, request: bytes, context: grpc.aio.ServicerContext
    ) -> bytes:
        fault = plan.fault
        if fault is Fault.REFUSED_BEFORE:
            await context.abort_with_status(_definite_refusal())
        if fault is Fault.LOST_BEFORE:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "lost on the way (test)")
        if fault in (Fault.HOOK_BEFORE, Fault.ANSWERED) and plan.hook:
            await plan.hook()
        if fault is Fault.ANSWERED and plan.answer:
            return plan.answer.SerializeToString()
        answer = await self._pass_on(method, workflow_id, request, context)
        if fault is Fault.DOUBLED:
            answer = await self._pass_on(method, workflow_id, request, context)
        if fault is Fault.HOOK_AFTER and plan.hook:
            await plan.hook()
        if fault in (Fault.LOST_AFTER, Fault.HOOK_AFTER):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost (test)")
        return answer

    async def _pass_on(self, method: str, workflow_id: str, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return await self.pass_on(method, ((WORKFLOW_HEADER, workflow_id),), request, context)


def _definite_refusal() -> grpc.Status:
    """A no that leaves no doubt, from a service that nobody knows."""
    detail = AnyMessage()
    detail.Pack(error_details_pb2.ErrorInfo(reason="REFUSED_BY_TEST", domain="test.quittance"))
    return rpc_status.to_status(
        status_pb2.Status(code=grpc.StatusCode.FAILED_PRECONDITION.value[0], message="refused (test)", details=[detail])
    )


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float = 60.0) -> None:
    """Waits for something that is bound to happen; only a hang makes it fail."""
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.05)
