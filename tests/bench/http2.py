"""A gRPC client that costs next to nothing: prepared bytes in, raw messages out, one connection.

The load comes from the machine that is measured, so what the client spends is missing in the server's figures. This
one spends a twentieth of a stub's time: header blocks are constants, and of an answer only frames are looked at.
"""

import asyncio
import struct
from collections import deque
from typing import cast

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_SETTING_TABLE_SIZE, _SETTING_WINDOW = 1, 4
_WINDOW_MAX = 2**31 - 1
_WINDOW_DEFAULT = 65_535
_FRAME_MAX = 16_384
_OK = b"grpc-status\x010"


class CallFailed(Exception):
    """An answer other than OK, or a connection that is gone."""


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">HBBBI", len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload


def _text(text: str) -> bytes:
    # Lengths beyond 126 would need more than one byte.
    return bytes([len(text)]) + text.encode()


def header_block(path: str) -> bytes:
    """POST, http, and what gRPC wants; nothing of it is remembered by the other side."""
    fields = (("te", "trailers"), ("content-type", "application/grpc"))
    literal = b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)
    return b"\x83\x86\x04" + _text(path) + b"\x01" + _text("localhost") + literal


def message(payload: bytes) -> bytes:
    """A message as it stands on a stream."""
    return struct.pack(">BI", 0, len(payload)) + payload


class Stream:
    """One call: what came, and who waits for it."""

    __slots__ = ("arrived", "body", "done", "number", "window")

    def __init__(self, number: int, window: int) -> None:
        self.number = number
        self.window = window
        self.body = bytearray()
        self.arrived = asyncio.Event()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self) -> bytes | None:
        """The next whole message that came, if there is one."""
        if len(self.body) < 5:
            return None
        length = int.from_bytes(self.body[1:5])
        if len(self.body) < 5 + length:
            return None
        taken = bytes(self.body[5 : 5 + length])
        del self.body[: 5 + length]
        return taken

    async def next(self) -> bytes:
        """Waits for the next message. Raises CallFailed when there is none to come."""
        while (taken := self.take()) is None:
            if self.done.done():
                self.done.result()
                raise CallFailed("the stream has ended")
            self.arrived.clear()
            await self.arrived.wait()
        return taken


class Connection(asyncio.Protocol):
    """One HTTP/2 connection."""

    def __init__(self) -> None:
        self._streams: dict[int, Stream] = {}
        self._next = 1
        self._input = bytearray()
        self._window = self._stream_window = _WINDOW_DEFAULT
        self._unsent: deque[tuple[Stream, bytes, bool]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Opens the windows as wide as they go, and asks for headers that need no memory."""
        self._transport = cast("asyncio.Transport", transport)
        settings = struct.pack(">HIHI", _SETTING_TABLE_SIZE, 0, _SETTING_WINDOW, _WINDOW_MAX)
        widen = struct.pack(">I", _WINDOW_MAX - _WINDOW_DEFAULT)
        self._transport.write(_PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW_UPDATE, 0, 0, widen))

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody waits for ever."""
        for stream in list(self._streams.values()):
            self._end(stream, CallFailed(f"connection lost: {error}"))

    def open(self, headers: bytes) -> Stream:
        """Begins a call."""
        stream = self._streams[self._next] = Stream(self._next, self._stream_window)
        self._next += 2
        self._transport.write(_frame(_HEADERS, _END_HEADERS, stream.number, headers))
        return stream

    def send(self, stream: Stream, data: bytes, *, is_last: bool) -> None:
        """Sends messages as soon as the windows are wide enough."""
        self._unsent.append((stream, data, is_last))
        self._send_what_fits()

    async def call(self, headers: bytes, data: bytes) -> bytes:
        """One request, one response. Raises CallFailed."""
        stream = self.open(headers)
        self.send(stream, data, is_last=True)
        await stream.done
        answer = stream.take()
        if answer is None:
            raise CallFailed("an answer without a message")
        return answer

    def close(self) -> None:
        """Ends everything."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Whole frames, one after the other."""
        buffer, at = self._input, 0
        buffer += data
        while len(buffer) - at >= 9:
            length = int.from_bytes(buffer[at : at + 3])
            if len(buffer) - at < 9 + length:
                break
            kind, flags, number = buffer[at + 3], buffer[at + 4], int.from_bytes(buffer[at + 5 : at + 9])
            self._on_frame(kind, flags, number, bytes(buffer[at + 9 : at + 9 + length]))
            at += 9 + length
        del buffer[:at]

    def _on_frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        stream = self._streams.get(number)
        if kind == _DATA and stream is not None:
            stream.body += payload
            stream.arrived.set()
        elif kind == _HEADERS and stream is not None and flags & _END_STREAM:
            self._end(stream, None if _OK in payload else CallFailed(repr(payload)))
        elif kind == _RST_STREAM and stream is not None:
            self._end(stream, CallFailed(f"reset: {payload.hex()}"))
        elif kind == _SETTINGS and not flags & _ACK:
            self._on_settings(payload)
        elif kind == _PING and not flags & _ACK:
            self._transport.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW_UPDATE:
            self._widen(stream, number, int.from_bytes(payload))

    def _on_settings(self, payload: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", payload):
            if name == _SETTING_WINDOW:
                for stream in self._streams.values():
                    stream.window += value - self._stream_window
                self._stream_window = value
        self._transport.write(_frame(_SETTINGS, _ACK, 0, b""))
        self._send_what_fits()

    def _widen(self, stream: Stream | None, number: int, by: int) -> None:
        if number == 0:
            self._window += by
        elif stream is not None:
            stream.window += by
        self._send_what_fits()

    def _send_what_fits(self) -> None:
        for _ in range(len(self._unsent)):
            stream, data, is_last = self._unsent.popleft()
            fits = min(len(data), self._window, stream.window)
            self._window -= fits
            stream.window -= fits
            is_whole = fits == len(data)
            if fits or not data:
                self._transport.write(self._frames(stream.number, data[:fits], is_last and is_whole))
            if not is_whole:
                self._unsent.append((stream, data[fits:], is_last))

    @staticmethod
    def _frames(number: int, data: bytes, is_last: bool) -> bytes:
        starts = range(0, len(data) or 1, _FRAME_MAX)
        return b"".join(
            _frame(_DATA, _END_STREAM if is_last and start + _FRAME_MAX >= len(data) else 0, number, chunk)
            for start in starts
            for chunk in (data[start : start + _FRAME_MAX],)
        )

    def _end(self, stream: Stream, error: Exception | None) -> None:
        self._streams.pop(stream.number, None)
        if not stream.done.done():
            stream.done.set_result(None) if error is None else stream.done.set_exception(error)
        stream.arrived.set()


async def connect(address: str) -> Connection:
    """A connection to host:port."""
    host, _, port = address.rpartition(":")
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host, int(port))
    return connection
