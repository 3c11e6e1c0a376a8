"""A server's life: ready, not ready, drained."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.request import urlopen

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.runtime.errors import DatabaseUnavailable
from services.runtime.server import Server
from services.runtime.settings import Settings
from tests.runtime.toy_service import DOMAIN, NAME, PlayRequest, Toys, service

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Database:
    """Answers or not, as told."""

    is_there = True

    async def check(self) -> None:
        if not self.is_there:
            raise DatabaseUnavailable


@asynccontextmanager
async def running(toys: Toys, database: Database | None = None, **settings: object) -> AsyncIterator[Server]:
    values = {"address": "127.0.0.1:0", "readiness_interval_s": 0.02, "drain_grace_s": 5, **settings}
    ready = database.check if database else None
    async with Server(Settings(**values), domain=DOMAIN, services=[service(toys)], ready=ready) as server:
        yield server


async def until(channel: grpc.aio.Channel, status: int, name: str = "") -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(60):
        while (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status != status:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("name", ["", NAME])
async def test_health_follows_the_database(name: str) -> None:
    database = Database()
    database.is_there = False
    async with running(Toys(), database) as server, grpc.aio.insecure_channel(server.address) as channel:
        await until(channel, NOT_SERVING, name)
        database.is_there = True
        await until(channel, SERVING, name)
        database.is_there = False
        await until(channel, NOT_SERVING, name)


async def test_health_watch_tells_every_change() -> None:
    database = Database()
    async with running(Toys(), database) as server, grpc.aio.insecure_channel(server.address) as channel:
        await until(channel, SERVING)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        database.is_there = False
        assert (await watch.read()).status == NOT_SERVING
        watch.cancel()


async def test_health_unknown_service_is_not_found() -> None:
    async with running(Toys()) as server, grpc.aio.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="no.such"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_health_is_answered_by_a_server_without_services() -> None:
    async with (
        Server(Settings(address="127.0.0.1:0"), domain=DOMAIN) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        await until(channel, SERVING)


async def test_reflection_lists_the_services() -> None:
    async with running(Toys()) as server, grpc.aio.insecure_channel(server.address) as channel:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]))
        answer = await call.read()
    assert NAME in [entry.name for entry in answer.list_services_response.service]


async def test_signal_lets_calls_in_flight_finish() -> None:
    toys = Toys()
    loop = asyncio.get_running_loop()
    async with running(toys) as server:
        channel = grpc.aio.insecure_channel(server.address)
        call = channel.unary_unary(f"/{NAME}/Play")(PlayRequest(name="wait").SerializeToString())
        await toys.started.wait()
        loop.call_later(0.02, os.kill, os.getpid(), signal.SIGTERM)
        await server.run_until_signal()
        loop.call_later(0.05, toys.go_on.set)
    assert await call
    await channel.close()


async def test_stop_ends_calls_that_outlast_their_grace() -> None:
    toys = Toys()
    async with running(toys, drain_grace_s=0.1) as server:
        channel = grpc.aio.insecure_channel(server.address)
        call = channel.unary_unary(f"/{NAME}/Play")(PlayRequest(name="wait").SerializeToString())
        await toys.started.wait()
    async with asyncio.timeout(60):
        await toys.cancelled.wait()
    with pytest.raises(grpc.aio.AioRpcError):
        await call
    await channel.close()


async def test_start_taken_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(RuntimeError):
        async with running(Toys(), address=f"127.0.0.1:{taken.getsockname()[1]}"):
            pass


async def test_start_port_of_another_server_is_refused() -> None:
    async with running(Toys()) as first:
        with pytest.raises(RuntimeError):
            async with running(Toys(), address=first.address):
                pass


async def test_metrics_are_served_on_their_own_address() -> None:
    async with running(Toys(), metrics_address="127.0.0.1:0") as server:
        with urlopen(f"http://{server.metrics_address}/metrics") as answer:  # noqa: ASYNC210 - its own thread answers
            assert b"quittance_calls_total" in answer.read()
