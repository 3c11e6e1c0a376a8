"""A gRPC server with all that every process needs: health, reflection, limits, metrics, an orderly end."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import grpc
import prometheus_client
import structlog
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc  # type: ignore[import-untyped]

from services.runtime.channels import SERVER_OPTIONS
from services.runtime.interceptor import CallInterceptor
from services.runtime.logs import configure_logs
from services.runtime.processes import parent_pipe
from services.runtime.settings import Settings

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

# Room in gRPC's own limit for health checks and for calls that are just being refused.
_SPARE_CALLS = 200
_OVERALL = ""
# What a liveness probe asks for: a process that answers is alive, also while its database is away.
_LIVENESS = "liveness"


@dataclass(frozen=True)
class Service:
    """One servicer: its full name in the protos, the generated function that adds it, and itself.

    Service("shelf.v1.ShelfService", add_ShelfServiceServicer_to_server, ShelfServicer(store))
    """

    name: str
    add: Callable[[Any, grpc.aio.Server], None]
    servicer: object


class Server:
    """Serves from entering to leaving its context.

        async with Server(settings, domain="shelf.example", services=[...], ready=check) as server:
            await server.run_until_signal()

    domain: the ErrorInfo domain of this process.
    ready: raises while something this process needs is missing; asked at once and every few seconds. Health says
    SERVING only while it does not raise, and answers in time.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        domain: str,
        services: Sequence[Service] = (),
        ready: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._settings = settings
        self._domain = domain
        self._services = services
        self._ready = ready
        self._names = [_OVERALL, *(service.name for service in services)]
        self._health = health.aio.HealthServicer()
        self._is_serving: bool | None = None
        self._exits = AsyncExitStack()
        # host:port that is really listened on, also when the setting's port is 0.
        self.address = ""
        self.metrics_address = ""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            self._serve_metrics(exits)
            await self._set_serving(False)
            await self._health.set(_LIVENESS, health_pb2.HealthCheckResponse.SERVING)
            server = self._build()
            host, _, _ = self._settings.address.rpartition(":")
            self.address = f"{host}:{server.add_insecure_port(self._settings.address)}"
            await server.start()
            exits.push_async_callback(self._drain, server)
            watch = asyncio.create_task(self._watch_readiness())
            exits.push_async_callback(_cancel, watch)
            self._exits = exits.pop_all()
        _log.info("listening", address=self.address, metrics_address=self.metrics_address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()
        _log.info("stopped", address=self.address)

    async def run_until_signal(self) -> None:
        """Returns when SIGTERM or SIGINT arrives, or the process that started this one is gone."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        pipe = parent_pipe()
        if pipe is not None:
            loop.add_reader(pipe, stop.set)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        try:
            await stop.wait()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            if pipe is not None:
                loop.remove_reader(pipe)
        _log.info("stopping", address=self.address)

    def _build(self) -> grpc.aio.Server:
        server = grpc.aio.server(
            interceptors=[CallInterceptor(self._domain, self._settings.concurrent_calls_max)],
            maximum_concurrent_rpcs=self._settings.concurrent_calls_max + _SPARE_CALLS,
            # Without this, two processes set to one port by mistake would silently share its calls.
            options=[("grpc.so_reuseport", int(self._settings.reuse_port)), *SERVER_OPTIONS],
        )
        methods = cast("grpc.aio.Server", _Methods(server))
        for service in self._services:
            service.add(service.servicer, methods)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, methods)
        names = [*self._names[1:], health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflection.aio.ReflectionServicer(names), methods)
        return server

    def _serve_metrics(self, exits: AsyncExitStack) -> None:
        if not self._settings.metrics_address:
            return
        host, _, port = self._settings.metrics_address.rpartition(":")
        listener, thread = prometheus_client.start_http_server(int(port), host)
        self.metrics_address = f"{host}:{listener.server_port}"
        exits.callback(thread.join)
        exits.callback(listener.server_close)
        exits.callback(listener.shutdown)

    async def _watch_readiness(self) -> None:
        while True:
            await self._set_serving(await self._is_ready())
            await asyncio.sleep(self._settings.readiness_interval_s)

    async def _is_ready(self) -> bool:
        if self._ready is None:
            return True
        try:
            async with asyncio.timeout(self._settings.readiness_interval_s):
                await self._ready()
        except Exception as error:  # noqa: BLE001 - whatever is wrong, it is not ready
            if self._is_serving is not False:
                _log.warning("not_ready", exc_info=error)
            return False
        return True

    async def _set_serving(self, is_serving: bool) -> None:
        if is_serving is self._is_serving:
            return
        self._is_serving = is_serving
        states = health_pb2.HealthCheckResponse
        for name in self._names:
            await self._health.set(name, states.SERVING if is_serving else states.NOT_SERVING)
        _log.info("serving" if is_serving else "not_serving")

    async def _drain(self, server: grpc.aio.Server) -> None:
        """Says NOT_SERVING, takes no more calls, gives those in flight their time."""
        await self._health.enter_graceful_shutdown()
        await server.stop(self._settings.drain_grace_s)


class _Methods:
    """Takes what generated code adds to a server, and adds each service as a whole.

    Methods that are registered one by one each have a task that waits for calls, and grpc.aio waits for all these
    anew at every call: with thirty methods that took a quarter of a small call's time.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """A service: its methods are found by name."""
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, name: str, handlers: object) -> None:
        """Nothing: the same methods once more."""


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def run(main: Callable[[], Coroutine[Any, Any, None]], settings: Settings) -> None:
    """Runs a process's main on uvloop, its logs set up first."""
    configure_logs(settings)
    # Modules and wiring live as long as the process: looking through them again and again costs a sixth of its time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    uvloop.run(main())
