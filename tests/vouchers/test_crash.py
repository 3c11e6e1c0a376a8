"""SIGKILL of PostgreSQL and of replicas under load: what was acknowledged is there, once, and the counters fit."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import grpc

from services.runtime.grpc_errors import refusal_of
from tests.replicas import CALL_TIMEOUT_S, RETRY_PAUSE_S, channels_to, kill_at_random, two_replicas, until
from tests.vouchers.requests import Order, Shop, Stub, amount_off
from tests.vouchers.soundness import assert_vouchers_sound

CALLERS = 12
LOAD_S = 6.0
MAYBE = {"DATABASE_UNAVAILABLE", "DEADLINE_PASSED", "OVERLOADED", None}
ENDS = {"confirmed", "rolled_back"}
# Uses of the scarce code: fewer than are asked for at any time.
SCARCE = 3


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


async def test_kills_under_load_lose_no_redemption_and_double_none(tmp_path: Path, dice: random.Random) -> None:
    """K-1, K-2, C-1, C-2, V-1."""
    async with two_replicas(tmp_path, "vouchers") as (postgres, replicas), channels_to(replicas) as channels:
        await channels[0].channel_ready()
        stubs = [Stub(channel) for channel in channels]
        shop = Shop(stubs[0])
        codes = [await shop.code(uses_max=SCARCE), await shop.code(amount_off=amount_off())]
        callers = [Caller(stubs, codes, random.Random(dice.random())) for _ in range(CALLERS)]
        stopped = asyncio.Event()
        working = asyncio.gather(*(caller.run(stopped) for caller in callers))
        await kill_at_random(postgres, replicas, dice, LOAD_S)
        await until(lambda: all(caller.undone and set(caller.states.values()) == ENDS for caller in callers))
        stopped.set()
        await working
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
