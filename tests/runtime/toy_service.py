"""A service whose requests say how it shall behave, built from toy.proto without generated code."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

from services.runtime.errors import NotFound
from services.runtime.server import Service

SECRET = "postgres://app:hunter2@db/ledger"
NAME = "toy.v1.ToyService"
DOMAIN = "toy.example"


def _messages() -> dict[str, Any]:
    here = Path(__file__).parent
    protos = here.parent.parent / "protos"
    with tempfile.NamedTemporaryFile() as file:
        arguments = ["protoc", f"-I{here}", f"-I{protos / 'vendor'}", "--include_imports"]
        assert protoc.main([*arguments, f"--descriptor_set_out={file.name}", "toy.proto", "-I" + _bundled()]) == 0
        files = descriptor_pb2.FileDescriptorSet.FromString(Path(file.name).read_bytes())
    pool = descriptor_pool.DescriptorPool()
    return message_factory.GetMessages(list(files.file), pool=pool)


def _bundled() -> str:
    return str(Path(protoc.__file__).parent / "_proto")


_MESSAGES = _messages()
PlayRequest = _MESSAGES["toy.v1.PlayRequest"]
PlayResponse = _MESSAGES["toy.v1.PlayResponse"]


@dataclass(eq=False)
class ToyMissing(NotFound):
    reason = "TOY_MISSING"
    text = "there is no toy {name}"
    name: str


class Toys:
    """`play` looks at the request's name."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def play(self, request: Any, context: Any) -> Any:
        match request.name:
            case "missing":
                raise ToyMissing(name=request.name)
            case "bug":
                raise ValueError(SECRET)
            case "stray-cancel":
                raise asyncio.CancelledError
            case "nothing":
                return None
            case "unwritten":
                raise NotImplementedError
            case "abort":
                await context.abort(grpc.StatusCode.DATA_LOSS, "as told")
            case "wait":
                self.started.set()
                try:
                    await self.go_on.wait()
                except asyncio.CancelledError:
                    self.cancelled.set()
                    raise
        return PlayResponse(name=request.name)

    async def play_all(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield await self.play(request, context)


def add_toys(toys: Any, server: grpc.aio.Server) -> None:
    kinds = {"request_deserializer": PlayRequest.FromString, "response_serializer": PlayResponse.SerializeToString}
    methods = {
        "Play": grpc.unary_unary_rpc_method_handler(toys.play, **kinds),
        "PlayAll": grpc.stream_stream_rpc_method_handler(toys.play_all, **kinds),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, methods),))


def service(toys: Toys) -> Service:
    return Service(NAME, add_toys, toys)
