"""A peer that vanishes without a word is noticed."""

import asyncio
from contextlib import suppress

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.channels import open_channel
from services.runtime.server import Server
from services.runtime.settings import Settings
from tests.runtime.toy_service import DOMAIN

OK, UNAVAILABLE = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE
NOTHING = health_pb2.HealthCheckRequest()


class Road:
    """The way to a server; what is on it when it breaks gets nowhere, and nobody is told."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.rpartition(":")
        self._is_broken: asyncio.Event = asyncio.Event()

    def breaks(self) -> None:
        """For the connections that there are; new ones take another way."""
        self._is_broken.set()
        self._is_broken = asyncio.Event()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_broken = self._is_broken
        far_reader, far_writer = await asyncio.open_connection(self._host, int(self._port))
        await asyncio.gather(_carry(reader, far_writer, is_broken), _carry(far_reader, writer, is_broken))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_broken: asyncio.Event) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            if not is_broken.is_set():
                writer.write(data)
    writer.close()


async def code_of(stub: health_pb2_grpc.HealthStub) -> grpc.StatusCode:
    """How a call ends. DEADLINE_EXCEEDED would be after a minute of silence."""
    try:
        await stub.Check(NOTHING, timeout=60, wait_for_ready=True)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return OK


async def test_call_to_a_machine_that_has_vanished_fails_soon_and_the_next_one_finds_it_again() -> None:
    async with Server(Settings(address="127.0.0.1:0"), domain=DOMAIN) as server:
        road = Road(server.address)
        listener = await asyncio.start_server(road.connect, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with open_channel(f"127.0.0.1:{port}", is_shared=False, ping_every_s=0.4) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            assert await code_of(stub) is OK
            road.breaks()
            assert await code_of(stub) is UNAVAILABLE
            # One more may meet the connection while it is being closed.
            while (code := await code_of(stub)) is not OK:
                assert code is UNAVAILABLE
        listener.close()
