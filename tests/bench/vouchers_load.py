"""`python -m tests.bench.vouchers_load ADDRESS SHAPE CODE CALLERS RATE SECONDS`: load on one code.

A process of its own, so that it takes no turns with what measures. Prints how much was done in how many seconds, and
how long each call took. Every redemption is of a new customer's order of three lines; requests are put together from
serialized pieces, ids are all that is new in each.
"""

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import uvloop
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from quittance.vouchers.v1 import vouchers_pb2
from tests.bench.http2 import Connection, connect, header_block, message

_SERVICE = "/quittance.vouchers.v1.VouchersService/"
_REDEEM = header_block(_SERVICE + "RedeemVouchers")
_CONFIRM = header_block(_SERVICE + "ConfirmRedemptions")
_VALIDATE = header_block(_SERVICE + "ValidateVouchers")
# What stands for an id that is new in each request.
_CUSTOMER, _ORDER, _REDEMPTION = (f"{number:08x}-0000-7000-8000-000000000000" for number in (1, 2, 3))
_LINES = (30_000, 15_500, 4_999)
_PERCENTILES = (50, 95, 99)


class Template:
    """A serialized request with places for ids."""

    def __init__(self, request: Message, places: Sequence[str]) -> None:
        serialized = request.SerializeToString()
        found = sorted((serialized.index(place.encode()), place) for place in places)
        self._order = [place for _, place in found]
        self._pieces = []
        rest = serialized
        for place in self._order:
            head, _, rest = rest.partition(place.encode())
            self._pieces.append(head)
        self._pieces.append(rest)

    def filled(self, ids: dict[str, bytes]) -> bytes:
        """The message on a stream, with these ids."""
        parts = [self._pieces[0]]
        for place, piece in zip(self._order, self._pieces[1:], strict=True):
            parts += (ids[place], piece)
        return message(b"".join(parts))


class Requests:
    """Requests for one code, each of a customer who never came before."""

    def __init__(self, code: str) -> None:
        voucher = vouchers_pb2.VoucherReference(code=code)
        product = "00000000-0000-7000-8000-00000000000a"
        lines = [
            vouchers_pb2.OrderLine(line_number=number, product_id=product, quantity=1, amount_minor=amount)
            for number, amount in enumerate(_LINES, start=1)
        ]
        expires = Timestamp()
        expires.FromDatetime(datetime.now(UTC) + timedelta(days=30))
        redemption = vouchers_pb2.RedemptionRequest(redemption_id=_REDEMPTION, voucher=voucher)
        self._redeem = Template(
            vouchers_pb2.RedeemVouchersRequest(
                order_id=_ORDER,
                customer_id=_CUSTOMER,
                currency="OMR",
                lines=lines,
                redemptions=[redemption],
                expire_time=expires,
            ),
            (_ORDER, _CUSTOMER, _REDEMPTION),
        )
        reference = vouchers_pb2.RedemptionReference(redemption_id=_REDEMPTION, voucher=voucher)
        self._confirm = Template(
            vouchers_pb2.ConfirmRedemptionsRequest(customer_id=_CUSTOMER, redemptions=[reference]),
            (_CUSTOMER, _REDEMPTION),
        )
        self._validate = Template(
            vouchers_pb2.ValidateVouchersRequest(
                customer_id=_CUSTOMER, currency="OMR", lines=lines, vouchers=[voucher]
            ),
            (_CUSTOMER,),
        )
        self._numbers = itertools.count()

    def calls(self, shape: str) -> Iterable[tuple[bytes, bytes]]:
        """The calls of one customer: header block and message."""
        ids = self._ids()
        if shape == "validate":
            yield _VALIDATE, self._validate.filled(ids)
            return
        yield _REDEEM, self._redeem.filled(ids)
        if shape == "redeem_confirm":
            yield _CONFIRM, self._confirm.filled(ids)

    def _ids(self) -> dict[str, bytes]:
        """In the order of time, as callers make them."""
        moment = f"{int(time.time() * 1000):012x}"
        head = f"{moment[:8]}-{moment[8:]}-7"
        tail = f"8{os.getpid() & 0xFFF:03x}-{next(self._numbers) & 0xFFFFFFFFFFFF:012x}"
        return {
            place: f"{head}00{number}-{tail}".encode() for number, place in enumerate((_CUSTOMER, _ORDER, _REDEMPTION))
        }


async def _serve_customer(connection: Connection, requests: Requests, shape: str) -> None:
    for headers, data in requests.calls(shape):
        await connection.call(headers, data)


async def _closed(connections: Sequence[Connection], requests: Requests, shape: str, callers: int, end: float) -> int:
    """Callers who come again as soon as they are answered; how many customers they served."""

    async def caller(connection: Connection) -> int:
        count = 0
        while time.perf_counter() < end:
            await _serve_customer(connection, requests, shape)
            count += 1
        return count

    return sum(await asyncio.gather(*(caller(connections[n % len(connections)]) for n in range(callers))))


async def _open(
    connections: Sequence[Connection], requests: Requests, shape: str, rate: float, seconds: float
) -> list[float]:
    """Customers who come at their own time, answered or not: milliseconds from that time to the answer."""
    started = time.perf_counter()

    async def customer(number: int) -> float:
        due = started + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await _serve_customer(connections[number % len(connections)], requests, shape)
        return (time.perf_counter() - due) * 1000

    return list(await asyncio.gather(*(customer(number) for number in range(int(rate * seconds)))))


def _percentiles(latencies_ms: list[float]) -> dict[str, float]:
    ordered = sorted(latencies_ms)
    return {f"p{part}_ms": ordered[min(len(ordered) - 1, len(ordered) * part // 100)] for part in _PERCENTILES}


async def load(address: str, shape: str, code: str, callers: int, rate: float, seconds: float) -> dict[str, float]:
    """The work of all callers, over a few connections, as services do. `rate` 0: as fast as they are answered."""
    connections = [await connect(address) for _ in range(4)]
    requests = Requests(code)
    started = time.perf_counter()
    if rate:
        latencies_ms = await _open(connections, requests, shape, rate, seconds)
        done = {"count": len(latencies_ms), **_percentiles(latencies_ms)}
    else:
        done = {"count": await _closed(connections, requests, shape, callers, started + seconds)}
    spent_s = time.perf_counter() - started
    for connection in connections:
        connection.close()
    return {**done, "seconds": spent_s, "cpu_s": time.process_time()}


def main() -> None:
    """The command line."""
    address, shape, code, callers, rate, seconds = sys.argv[1:]
    print(json.dumps(uvloop.run(load(address, shape, code, int(callers), float(rate), float(seconds)))))


if __name__ == "__main__":
    main()
