"""What happens around every call: decode, validate, run, map errors, count, log.

grpc.aio hands an exception's text to the caller and answers broken bytes with UNKNOWN, so this decodes the bytes
itself and lets nothing but a ServiceError's own words out.
"""

import asyncio
import inspect
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import grpc
import structlog
from google.protobuf.message import Message
from prometheus_client import Counter, Histogram

from services.runtime.errors import InternalError, Overloaded, ServiceError
from services.runtime.grpc_errors import code_of, status_of
from services.runtime.validation import ALL_VIOLATIONS_BYTES_MAX, check_shape, decoded

WORKFLOW_ID_KEY = "x-quittance-workflow-id"

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

_CALLS = Counter("quittance_calls_total", "Finished calls.", ["method", "status", "reason"])
_CALL_DURATION = Histogram(
    "quittance_call_duration_seconds",
    "From the request's bytes to the response's.",
    ["method"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)

# All faults of a larger request are not looked for: a hostile one could have a million.
_ALL_VIOLATIONS_BYTES_MAX = 65_536
_WORKFLOW_ID_LENGTH_MAX = 100
_BAD_CODES = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE})

if TYPE_CHECKING:
    _Context = grpc.aio.ServicerContext[Any, Any]
    _Handler = grpc.RpcMethodHandler[Any, Any]
else:
    _Context = grpc.aio.ServicerContext
    _Handler = grpc.RpcMethodHandler
_Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]]

# By whether requests and responses are streamed.
_MAKERS: dict[tuple[bool, bool], Callable[..., _Handler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


class CallInterceptor(grpc.aio.ServerInterceptor):
    """The one interceptor of a server.

    domain: what ErrorInfo names as the source of reasons.
    concurrent_calls_max: calls worked on at once; more are refused with OVERLOADED. The gRPC project's own services
    (health, reflection) are not counted: an overloaded process is not a sick one.
    """

    def __init__(self, domain: str, concurrent_calls_max: int) -> None:
        self._domain = domain
        self._load = _Load(concurrent_calls_max)
        # One handler per method for the whole life of the server, so that a call costs a dictionary look-up.
        self._handlers: dict[str, _Handler] = {}

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> _Handler | None:
        """The handler of this method with all of the above around it; None when there is no such method."""
        name = handler_call_details.method
        wrapped = self._handlers.get(name)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            is_own = not name.startswith("/grpc.")
            method = _Method(name, self._domain, handler, self._load if is_own else _Load(None))
            wrapped = self._handlers[name] = method.as_handler()
        return wrapped


class _Load:
    """How many calls are worked on, and how many may be."""

    __slots__ = ("calls", "calls_max")

    def __init__(self, calls_max: int | None) -> None:
        self.calls = 0
        self.calls_max = calls_max


class _Method:
    """One method's way from bytes to bytes."""

    def __init__(self, name: str, domain: str, handler: _Handler, load: _Load) -> None:
        self._name = name
        self._domain = domain
        self._handler = handler
        self._load = load
        self._behaviour: Callable[[Any, _Context], Any] = _behaviour_of(handler)
        self._checks_itself = bool(getattr(self._behaviour, "checks_shape_itself", False))
        self._deserialize: Callable[[bytes], Message] = handler.request_deserializer or _same
        self._read: Callable[[Any], Any] = _same if handler.request_streaming else self._decode
        self._write: Callable[[Any], Any] = (not handler.response_streaming and handler.response_serializer) or _same
        # Asked once: on the hot path even the fields of a line that nobody wants cost something.
        self._ok_level = logging.DEBUG if name.startswith("/grpc.") else logging.INFO
        self._is_ok_logged = _log.is_enabled_for(self._ok_level)
        self._count_ok = _CALLS.labels(name, "OK", "")
        self._duration = _CALL_DURATION.labels(name)

    def as_handler(self) -> _Handler:
        """The handler for gRPC: single requests come as bytes, streamed ones are decoded as they are read."""
        is_decoded_here = self._handler.request_streaming and not self._checks_itself
        deserialize = self._decode if is_decoded_here else None
        serialize = self._handler.response_serializer if self._handler.response_streaming else None
        # A streaming handler may also be a coroutine that writes to the context itself.
        behaviour = self._generate if inspect.isasyncgenfunction(self._behaviour) else self._respond
        make = _MAKERS[self._handler.request_streaming, self._handler.response_streaming]
        return make(behaviour, deserialize, serialize)

    async def _respond(self, request: Any, context: _Context) -> Any:
        begun_at = time.perf_counter()
        self._load.calls += 1
        try:
            self._refuse_overload()
            response = self._write(await self._behaviour(self._read(request), context))
        except BaseException as error:
            await self._fail(error, context, begun_at)
            raise
        finally:
            self._load.calls -= 1
        self._succeed(context, begun_at)
        return response

    async def _generate(self, request: Any, context: _Context) -> AsyncIterator[Any]:
        begun_at = time.perf_counter()
        self._load.calls += 1
        try:
            self._refuse_overload()
            async for response in self._behaviour(self._read(request), context):
                yield response
        except BaseException as error:
            await self._fail(error, context, begun_at)
            raise
        finally:
            self._load.calls -= 1
        self._succeed(context, begun_at)

    def _refuse_overload(self) -> None:
        if self._load.calls_max is not None and self._load.calls > self._load.calls_max:
            raise Overloaded

    def _decode(self, raw: bytes) -> Message:
        request = decoded(raw, self._deserialize)
        if not self._checks_itself:
            check_shape(request, only_first=len(raw) > ALL_VIOLATIONS_BYTES_MAX)
        return request

    def _succeed(self, context: _Context, begun_at: float) -> None:
        duration_s = time.perf_counter() - begun_at
        self._count_ok.inc()
        self._duration.observe(duration_s)
        if self._is_ok_logged:
            self._write_line(self._ok_level, "OK", "", context, duration_s)

    async def _fail(self, error: BaseException, context: _Context, begun_at: float) -> None:
        """Answers the caller by raising gRPC's AbortError; returns when the answer is given or nobody waits for it."""
        if isinstance(error, grpc.aio.AbortError):
            self._finish(context.code(), "", context, begun_at)
        elif isinstance(error, GeneratorExit) or _is_cancelled(error):
            self._finish(grpc.StatusCode.CANCELLED, "", context, begun_at)
        elif isinstance(error, NotImplementedError):
            self._finish(grpc.StatusCode.UNIMPLEMENTED, "", context, begun_at)
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this method is not implemented")
        else:
            refusal = error if isinstance(error, ServiceError) else self._conceal(error)
            self._finish(code_of(refusal), refusal.reason, context, begun_at)
            await context.abort_with_status(status_of(refusal, self._domain))

    def _conceal(self, error: BaseException) -> InternalError:
        reference = str(uuid.uuid4())
        _log.error("call_failed", method=self._name, reference=reference, exc_info=error)
        return InternalError(reference=reference)

    def _finish(self, status: grpc.StatusCode, reason: str, context: _Context, begun_at: float) -> None:
        duration_s = time.perf_counter() - begun_at
        _CALLS.labels(self._name, status.name, reason).inc()
        self._duration.observe(duration_s)
        level = logging.WARNING if status in _BAD_CODES else logging.INFO
        self._write_line(level, status.name, reason, context, duration_s)

    def _write_line(self, level: int, status: str, reason: str, context: _Context, duration_s: float) -> None:
        _log.log(
            level,
            "call",
            method=self._name,
            status=status,
            reason=reason,
            duration_ms=round(duration_s * 1000, 2),
            **_correlation_of(context),
        )


def _behaviour_of(handler: _Handler) -> Callable[[Any, _Context], Any]:
    behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    return cast("Callable[[Any, _Context], Any]", behaviour)


def _same(value: Any) -> Any:
    return value


def _is_cancelled(error: BaseException) -> bool:
    """Whether gRPC cancels this call, its caller having gone. A CancelledError from elsewhere needs an answer."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _correlation_of(context: _Context) -> dict[str, str]:
    for key, value in context.invocation_metadata() or ():
        if key == WORKFLOW_ID_KEY and isinstance(value, str):
            return {"workflow_id": value[:_WORKFLOW_ID_LENGTH_MAX]}
    return {}
