"""A gRPC server that passes calls on as raw bytes; what stands in between is its subclass's."""

from typing import Self

import grpc

from services.runtime.channels import SERVER_OPTIONS


class PassThrough(grpc.GenericRpcHandler):
    """In front of the server that `channel` leads to, which it closes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._server = grpc.aio.server(options=SERVER_OPTIONS)
        self._server.add_generic_rpc_handlers((self,))

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)
        await self._channel.close()

    async def pass_on(
        self, method: str, metadata: tuple[tuple[str, str], ...], request: bytes, context: grpc.aio.ServicerContext
    ) -> bytes:
        """The server's answer, or its refusal with all that it says."""
        call = self._channel.unary_unary(method)
        try:
            answer: bytes = await call(request, metadata=metadata, timeout=context.time_remaining())
        except grpc.aio.AioRpcError as error:
            context.set_trailing_metadata(tuple(error.trailing_metadata() or ()))
            await context.abort(error.code(), error.details() or "")
        return answer
