"""HTTP as bytes on a socket: what no client library would send."""

import asyncio
import contextlib
from collections.abc import Iterable

# Nothing is ever waited for so long; only a hang makes a test fail.
_HANG_S = 60


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A whole request, framed as it should be."""
    return head(path, f"Content-Length: {len(body)}", *headers) + body


def head(path: str, *headers: str, method: str = "POST") -> bytes:
    """A request as far as its body."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: checkout", *headers, "", ""]).encode()


def in_chunks(body: bytes) -> bytes:
    """The body of a request with `Transfer-Encoding: chunked`."""
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


async def status_of(
    address: str, request: bytes, *, hangs_up: bool = False, drip: Iterable[bytes] = (), source: str = "127.0.0.1"
) -> int | None:
    """The status of the first answer; None: the connection was closed without one.

    hangs_up: nothing is sent any more after the request, and the other side gets to know. drip: what is sent after it,
    piece by piece, for as long as nothing is answered. source: the address that it is sent from.
    """
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(source, 0))
    sending = asyncio.create_task(_send(writer, request, drip, hangs_up=hangs_up))
    try:
        async with asyncio.timeout(_HANG_S):
            return await _read_status(reader)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def _send(writer: asyncio.StreamWriter, request: bytes, drip: Iterable[bytes], *, hangs_up: bool) -> None:
    # Whoever refuses a request need not read the rest of it.
    with contextlib.suppress(ConnectionError):
        writer.write(request)
        await writer.drain()
        for piece in drip:
            await asyncio.sleep(0.05)
            writer.write(piece)
            await writer.drain()
        if hangs_up:
            writer.write_eof()


async def _read_status(reader: asyncio.StreamReader) -> int | None:
    try:
        line = await reader.readline()
    except ConnectionError:
        return None
    return int(line.split()[1]) if line else None
