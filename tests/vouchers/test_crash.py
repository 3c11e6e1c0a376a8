"""SIGKILL of PostgreSQL and of replicas under load: what was acknowledged is there, once, and the counters fit."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import grpc

from deploy.local.ports import free_port
from deploy.local.postgres import EmbeddedPostgres
from services.runtime.grpc_errors import refusal_of
from services.runtime.migrations import migrate_up, migrations_of
from tests.vouchers.requests import Order, Shop, Stub, amount_off
from tests.vouchers.soundness import assert_vouchers_sound

CALLERS = 12
LOAD_S = 6.0
CALL_TIMEOUT_S = 3.0
# A caller comes again soon, and so does his connection.
RETRY_PAUSE_S = 0.05
RECONNECT = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
MAYBE = {"DATABASE_UNAVAILABLE", "DEADLINE_PASSED", "OVERLOADED", None}
# Uses of the scarce code: fewer than are asked for at any time.
SCARCE = 3


class Replica:
    """One process, always at the same address."""

    def __init__(self, database_url: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        settings = {"VOUCHERS_DATABASE_URL": database_url, "VOUCHERS_ADDRESS": self.address, "LOG_LEVEL": "ERROR"}
        self._environment = {**os.environ, **settings}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", "services.vouchers.main"], env=self._environment)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Caller:
    """Takes one order after the other to its end, and repeats each call until it is answered, at any replica."""

    def __init__(self, stubs: list[Stub], codes: list[str], dice: random.Random) -> None:
        self._stubs = stubs
        self._codes = codes
        self._dice = dice
        # What each redemption must be in the end; those that were refused are not there.
        self.states: dict[str, str] = {}
        # Rolled back without an answer to the redemption, or after a refusal: an earlier try may still have landed.
        self.undone: set[str] = set()

    async def run(self, stopped: asyncio.Event) -> None:
        while not stopped.is_set():
            order = Order([self._dice.choice(self._codes)])
            (redemption_id,) = order.redemption_ids
            answer = "VOUCHER_EXHAUSTED" if self._dice.random() < 0.1 else await self._redeem(order)
            if answer == "OK":
                self.states[redemption_id] = await self._end(order)
            else:
                assert answer == "VOUCHER_EXHAUSTED"
                await self._roll_back(order)
                self.undone.add(redemption_id)

    async def _end(self, order: Order) -> str:
        """One way or the other; a use of the scarce code always comes back, so that others find it."""
        is_scarce = order.codes[0] == self._codes[0]
        if is_scarce or self._dice.random() < 0.5:
            await self._roll_back(order)
            return "rolled_back"
        confirm = order.confirm()
        answer = await self._sure(lambda stub: stub.ConfirmRedemptions(confirm, timeout=CALL_TIMEOUT_S))
        assert answer == "OK"
        return "confirmed"

    async def _redeem(self, order: Order) -> str:
        redeem = order.redeem()
        return await self._sure(lambda stub: stub.RedeemVouchers(redeem, timeout=CALL_TIMEOUT_S))

    async def _roll_back(self, order: Order) -> None:
        undo = order.roll_back()
        answer = await self._sure(lambda stub: stub.RollbackRedemptions(undo, timeout=CALL_TIMEOUT_S))
        assert answer == "OK"

    async def _sure(self, call: Callable[[Stub], Awaitable[object]]) -> str:
        """OK or a definite reason."""
        while True:
            try:
                await call(self._dice.choice(self._stubs))
            except grpc.aio.AioRpcError as error:
                reason = refusal_of(error).reason
                if reason not in MAYBE:
                    return reason
                await asyncio.sleep(RETRY_PAUSE_S)
            else:
                return "OK"


async def kill_at_random(postgres: EmbeddedPostgres, replicas: list[Replica], dice: random.Random) -> None:
    """Until the time is over; what was killed is started again."""
    end = asyncio.get_running_loop().time() + LOAD_S
    while asyncio.get_running_loop().time() < end:
        await asyncio.sleep(dice.uniform(0.2, 0.8))
        if dice.random() < 0.4:
            await asyncio.to_thread(postgres.kill)
            await asyncio.to_thread(postgres.start_server)
        else:
            victim = dice.choice(replicas)
            await asyncio.to_thread(victim.kill)
            victim.start()


@asynccontextmanager
async def two_replicas(directory: Path) -> AsyncIterator[tuple[EmbeddedPostgres, list[Replica]]]:
    postgres = EmbeddedPostgres(directory)
    await asyncio.to_thread(postgres.start)
    await migrate_up(postgres.url("vouchers", "vouchers_owner"), migrations_of("vouchers"), "vouchers_app")
    replicas = [Replica(postgres.url("vouchers")) for _ in range(2)]
    for replica in replicas:
        replica.start()
    try:
        yield postgres, replicas
    finally:
        for replica in replicas:
            replica.kill()
        await asyncio.to_thread(postgres.remove)


async def test_kills_under_load_lose_no_redemption_and_double_none(tmp_path: Path, dice: random.Random) -> None:
    """K-1, K-2, C-1, C-2, V-1."""
    async with two_replicas(tmp_path) as (postgres, replicas):
        channels = [grpc.aio.insecure_channel(replica.address, options=RECONNECT) for replica in replicas]
        await channels[0].channel_ready()
        stubs = [Stub(channel) for channel in channels]
        shop = Shop(stubs[0])
        codes = [await shop.code(uses_max=SCARCE), await shop.code(amount_off=amount_off())]
        callers = [Caller(stubs, codes, random.Random(dice.random())) for _ in range(CALLERS)]
        stopped = asyncio.Event()
        working = asyncio.gather(*(caller.run(stopped) for caller in callers))
        await kill_at_random(postgres, replicas, dice)
        stopped.set()
        await working
        for channel in channels:
            await channel.close()
        connection = await asyncpg.connect(postgres.url("vouchers", "vouchers_owner"))
        await assert_acknowledged_once(connection, callers)
        await assert_vouchers_sound(connection)
        await connection.close()


async def assert_acknowledged_once(connection: asyncpg.Connection, callers: list[Caller]) -> None:
    """All that was acknowledged is there, and nothing else."""
    found = {str(row["redemption_id"]): row["state"] for row in await connection.fetch("SELECT * FROM redemptions")}
    acknowledged = {name: state for caller in callers for name, state in caller.states.items()}
    undone = {name for caller in callers for name in caller.undone}
    assert len(acknowledged) > CALLERS
    assert {name: found.get(name) for name in acknowledged} == acknowledged
    assert {found[name] for name in undone} <= {"tombstone", "rolled_back"}
    assert found.keys() == acknowledged.keys() | undone
    assert {"confirmed", "rolled_back", "tombstone"} <= set(found.values())
