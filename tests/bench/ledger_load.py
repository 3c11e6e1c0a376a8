"""`python -m tests.bench.ledger_load ADDRESS SHAPE CALLERS SIZE HOT OWNERS ACCOUNTS SECONDS`: load on one ledger.

A process of its own, so that it takes no turns with what measures. Prints how much was done in how many seconds.
Requests are put together from serialized pieces: an id is all that is new in each.
"""

import asyncio
import itertools
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID, uuid5

import uvloop

from quittance.ledger.v1 import ledger_pb2
from tests.bench.http2 import Connection, Stream, connect, header_block, message

_SERVICE = "/quittance.ledger.v1.LedgerService/"
_POST = header_block(_SERVICE + "PostTransactions")
_STREAM = header_block(_SERVICE + "StreamTransactions")
_BALANCES = header_block(_SERVICE + "GetBalances")
Piece = TypeVar("Piece")

_NOBODY = UUID(int=0)
_ID_HOLDER = "00000000-0000-7000-8000-000000000000"
# So many different requests at least, and enough to meet most of many accounts.
_PIECES_MIN = 4096
_PIECES_MAX = 300_000
# Messages that a stream sends before it waits for answers: as many as the server reads ahead of them.
_IN_FLIGHT = 64


def owners(count: int) -> list[str]:
    """The same customers in every run; they are spread over all books."""
    return [str(uuid5(_NOBODY, f"owner {number}")) for number in range(count)]


class Requests:
    """Serialized requests with fresh ids."""

    def __init__(self, *, hot: bool, owner_count: int, account_count: int) -> None:
        dice = random.Random(1)
        names, codes = owners(owner_count), [f"account:{number}" for number in range(account_count)]
        self._pieces = []
        self._reads = []
        self._count = min(max(_PIECES_MIN, 8 * account_count), _PIECES_MAX)
        for _ in range(self._count):
            owner = names[0] if hot else dice.choice(names)
            debit, credit = dice.sample(codes, 2)
            transfer = ledger_pb2.TransferRequest(
                debit_account=debit, credit_account="hot" if hot else credit, amount_minor=1
            )
            transaction = ledger_pb2.Transaction(
                transaction_id=_ID_HOLDER, owner_id=owner, currency="OMR", transfers=[transfer], reason="bench.move"
            )
            request = ledger_pb2.PostTransactionsRequest(transactions=[transaction]).SerializeToString()
            head, _, tail = request.partition(_ID_HOLDER.encode())
            self._pieces.append((head, tail))
            name = ledger_pb2.AccountName(owner_id=owner, currency="OMR", account=debit)
            self._reads.append(ledger_pb2.GetBalancesRequest(accounts=[name]).SerializeToString())
        self._numbers = itertools.count(random.SystemRandom().getrandbits(40) << 20)
        self._at = 0

    def post(self, size: int) -> bytes:
        """A message with so many transactions of one transfer each, ids in the order of time."""
        moment = f"{int(time.time() * 1000):012x}"
        prefix = f"{moment[:8]}-{moment[8:]}-7000-8{os.getpid() & 0xFFF:03x}-"
        parts = []
        for head, tail in self._next(self._pieces, size):
            number = next(self._numbers) & 0xFFFFFFFFFFFF
            parts += (head, f"{prefix}{number:012x}".encode(), tail)
        return message(b"".join(parts))

    def read(self, size: int) -> bytes:
        """A message that asks for so many balances."""
        return message(b"".join(self._next(self._reads, size)))

    def _next(self, pieces: list[Piece], size: int) -> list[Piece]:
        start, self._at = self._at, (self._at + size) % self._count
        found = pieces[start : start + size]
        return found + pieces[: size - len(found)]


async def _unary(connection: Connection, headers: bytes, make: Callable[[int], bytes], size: int, end: float) -> int:
    count = 0
    while time.perf_counter() < end:
        await connection.call(headers, make(size))
        count += size
    return count


async def _stream(connection: Connection, make: Callable[[int], bytes], size: int, end: float) -> int:
    stream: Stream = connection.open(_STREAM)
    sent = answered = 0
    while time.perf_counter() < end or answered < sent:
        while sent - answered < _IN_FLIGHT and time.perf_counter() < end:
            connection.send(stream, make(size), is_last=False)
            sent += 1
        answered += ledger_pb2.StreamTransactionsResponse.FromString(await stream.next()).message_count
    connection.send(stream, b"", is_last=True)
    await stream.done
    return answered * size


async def load(
    address: str, shape: str, callers: int, size: int, requests: Requests, seconds: float
) -> dict[str, float]:
    """The work of all callers: they share a few connections, as services do."""
    connections = [await connect(address) for _ in range(min(16, callers))]
    started = time.perf_counter()
    end = started + seconds

    def caller(number: int) -> Awaitable[int]:
        connection = connections[number % len(connections)]
        if shape == "stream":
            return _stream(connection, requests.post, size, end)
        if shape == "balances":
            return _unary(connection, _BALANCES, requests.read, size, end)
        return _unary(connection, _POST, requests.post, size, end)

    counts = await asyncio.gather(*(caller(number) for number in range(callers)))
    spent_s = time.perf_counter() - started
    for connection in connections:
        connection.close()
    cpu = time.process_time()
    return {"count": sum(counts), "seconds": spent_s, "cpu_s": cpu}


def main() -> None:
    """The command line."""
    address, shape, callers, size, hot, owner_count, account_count, seconds = sys.argv[1:]
    requests = Requests(hot=hot == "hot", owner_count=int(owner_count), account_count=int(account_count))
    print(json.dumps(uvloop.run(load(address, shape, int(callers), int(size), requests, float(seconds)))))


if __name__ == "__main__":
    main()
