"""A Temporal endpoint as production has it: TLS, keys that may do this but not that, certificates of clients."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import grpc
import trustme

from services.runtime.channels import open_channel
from tests.pass_through import PassThrough

# Sent on to the server behind; everything else is between the client and this endpoint.
PASSED_ON = ("temporal-namespace", "client-name", "client-version", "caller-type")


@dataclass(frozen=True)
class Certificates:
    """PEM files of one authority: itself, and a client's certificate with its key."""

    authority: trustme.CA
    ca_file: Path
    client_cert_file: Path
    client_key_file: Path

    @classmethod
    def made_in(cls, folder: Path) -> Self:
        """A new authority, unknown to everybody."""
        authority = trustme.CA()
        client = authority.issue_cert("worker.test")
        made = cls(authority, folder / "ca.pem", folder / "client.pem", folder / "client.key")
        authority.cert_pem.write_to_path(made.ca_file)
        client.cert_chain_pems[0].write_to_path(made.client_cert_file)
        client.private_key_pem.write_to_path(made.client_key_file)
        return made


class GuardedTemporal(PassThrough):
    """In front of the server at `upstream`. `refused`: key → names of the methods that it may not call."""

    def __init__(
        self,
        upstream: str,
        certificates: Certificates,
        refused: Mapping[str, Collection[str]],
        *,
        host: str = "127.0.0.1",
        clients_need_certificates: bool = False,
    ) -> None:
        super().__init__(open_channel(upstream))
        self.refused = dict(refused)
        issued = certificates.authority.issue_cert(host)
        credentials = grpc.ssl_server_credentials(
            [(issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes())],
            certificates.authority.cert_pem.bytes() if clients_need_certificates else None,
            clients_need_certificates,
        )
        self.address = f"127.0.0.1:{self._server.add_secure_port('127.0.0.1:0', credentials)}"

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Every method is passed on as bytes, if its key may call it."""
        method = handler_call_details.method
        header = dict(handler_call_details.invocation_metadata or ())
        key = str(header.get("authorization", "")).removeprefix("Bearer ")
        passed_on = tuple((name, value) for name, value in header.items() if name in PASSED_ON)

        async def handle(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            if key not in self.refused:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "an unknown key (test)")
            if method.rpartition("/")[2] in self.refused[key]:
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this key may not do that (test)")
            return await self.pass_on(method, passed_on, request, context)

        return grpc.unary_unary_rpc_method_handler(handle)
