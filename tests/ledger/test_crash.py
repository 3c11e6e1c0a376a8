"""SIGKILL of PostgreSQL and of replicas under load: what was acknowledged is there, once, and the ledger is sound."""

import asyncio
import random
from pathlib import Path

import asyncpg
import grpc

from quittance.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from tests.ledger.requests import Customer, in_days, post
from tests.ledger.soundness import assert_ledger_sound
from tests.ledger.test_transfer_kinds import CAPTURE, HOLD, RELEASE, REVERSAL, end_of
from tests.replicas import CALL_TIMEOUT_S, RETRY_PAUSE_S, channels_to, kill_at_random, two_replicas, until

CALLERS = 12
LOAD_S = 6.0
# Until the last hold has expired: its time, a restart and a sweep.
EXPIRED_S = 30.0
DEFINITE = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INTERNAL)


class Caller:
    """Makes one transaction after the other and repeats each until it is acknowledged, at any replica."""

    def __init__(self, stubs: list[ledger_pb2_grpc.LedgerServiceStub], dice: random.Random) -> None:
        self._stubs = stubs
        self._dice = dice
        self.acknowledged: dict[str, ledger_pb2.TransactionResult] = {}
        # Holds among them that nobody but the ledger ends.
        self.left: set[str] = set()

    async def run(self, stopped: asyncio.Event) -> None:
        customer = Customer()
        while not stopped.is_set():
            codes = self._dice.sample(["hot", "till", f"purse:{customer.owner_id}"], 2)
            first = customer.transaction((codes[0], codes[1], self._dice.randint(2, 9)))
            first.transfers[0].kind = kind = self._dice.choice([HOLD, ledger_pb2.TRANSFER_KIND_POSTED])
            if kind == HOLD and self._dice.random() < 0.3:
                # Left to the ledger, whichever process of it is alive when the time comes.
                first.transfers[0].expire_time.CopyFrom(in_days(self._dice.uniform(0.5, LOAD_S) / 86_400))
                await self._make(first)
                self.left |= self.acknowledged.keys() & {first.transaction_id}
                continue
            await self._make(first)
            end = self._dice.choice([CAPTURE, RELEASE]) if kind == HOLD else REVERSAL
            await self._make(end_of(first, end, 0 if end == RELEASE else 1))

    async def _make(self, transaction: ledger_pb2.Transaction) -> None:
        while True:
            try:
                stub = self._dice.choice(self._stubs)
                answer = await stub.PostTransactions(post(transaction), timeout=CALL_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                if error.code() in DEFINITE:
                    raise
                await asyncio.sleep(RETRY_PAUSE_S)
            else:
                (result,) = answer.results
                if result.refusal.reason == "EXPIRE_TIME_PASSED":
                    # It took longer than that to find somebody; then it had no effect.
                    return
                assert not result.HasField("refusal"), result
                self.acknowledged[transaction.transaction_id] = result
                return


async def test_kills_under_load_lose_nothing_and_double_nothing(tmp_path: Path, dice: random.Random) -> None:
    """K-1, K-2, C-1, C-2; L4: holds that nobody ends are over in the end, each once."""
    async with (
        two_replicas(tmp_path, "ledger", LEDGER_SWEEP_INTERVAL_S="0.05") as (postgres, replicas),
        channels_to(replicas) as channels,
    ):
        stubs = [ledger_pb2_grpc.LedgerServiceStub(channel) for channel in channels]
        stopped = asyncio.Event()
        callers = [Caller(stubs, random.Random(dice.random())) for _ in range(CALLERS)]
        working = asyncio.gather(*(caller.run(stopped) for caller in callers))
        await kill_at_random(postgres, replicas, dice, LOAD_S)
        await until(lambda: all(len(caller.acknowledged) > 1 and caller.left for caller in callers))
        stopped.set()
        await working
        connection = await asyncpg.connect(postgres.url("ledger", "ledger_owner"))
        await until_nothing_is_left_to_expire(connection)
        await assert_acknowledged_once(connection, callers)
        await assert_ledger_sound(connection)
        await connection.close()


async def until_nothing_is_left_to_expire(connection: asyncpg.Connection) -> None:
    assert await connection.fetchval("SELECT count(*) FROM transfer_expiries") > 0
    async with asyncio.timeout(EXPIRED_S):
        while await connection.fetchval("SELECT count(*) FROM transfer_expiries WHERE ended_at IS NULL"):
            await asyncio.sleep(RETRY_PAUSE_S)


async def assert_acknowledged_once(connection: asyncpg.Connection, callers: list[Caller]) -> None:
    found: dict[str, list[int]] = {}
    made_by_callers = (
        "SELECT t.transaction_id, t.seq FROM transfers AS t"
        " JOIN commands AS c ON c.book_id = t.book_id AND c.command_id = t.transaction_id"
        " WHERE c.kind = 'transaction' ORDER BY t.book_id, t.seq"
    )
    for row in await connection.fetch(made_by_callers):
        found.setdefault(str(row["transaction_id"]), []).append(row["seq"])
    acknowledged = {name: result for caller in callers for name, result in caller.acknowledged.items()}
    assert len(acknowledged) > CALLERS
    assert found == {name: [each.sequence for each in result.transfers] for name, result in acknowledged.items()}
