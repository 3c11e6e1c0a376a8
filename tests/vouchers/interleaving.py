"""Calls held back at one campaign's lock, let go at once, and what each order of them must lead to.

While the campaign's row is locked from outside, a server's first call gets as far as the queue for that lock and stays
there; commands handed in to the same server after it wait behind it, in their order. Among servers PostgreSQL lets
the first in the queue go first; after its commit the others race for the row's new version.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import permutations
from typing import NamedTuple
from uuid import UUID

import asyncpg
import grpc

from quittance.vouchers.v1 import vouchers_pb2
from services.runtime.database import open_pool
from services.runtime.errors import ServiceError
from services.runtime.group_commit import GroupCommit
from services.runtime.grpc_errors import refusal_of
from services.vouchers.domain.code_guessing import GuessLimit
from services.vouchers.domain.commands import AnyCommand, AnyResult, ExpireRedemptions
from services.vouchers.main import VouchersSettings, serving
from services.vouchers.qualification import qualifies
from services.vouchers.servicer import decode
from services.vouchers.store.vouchers_store import VouchersStore
from services.vouchers.sweeps import Sweeper
from tests.vouchers.requests import Order, Shop, Stub

OK = "OK"
# The sweep offers no codes.
NO_LIMIT = GuessLimit(0, timedelta(seconds=1))
_QUEUED = "SELECT count(*) FROM pg_locks WHERE NOT granted"


class Step(NamedTuple):
    """One call: what is done to which order, by its name in the plan."""

    order: str
    move: str


async def outcome(call: Awaitable[object]) -> str:
    """OK, or the reason; of a call, or of a command handed in without one."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return refusal_of(error).reason or error.code().name
    except ServiceError as error:
        return error.reason
    return OK


@dataclass
class Queue:
    """Calls that wait for one campaign's row."""

    connection: asyncpg.Connection
    length: int = 0

    async def enter(self, call: Awaitable[object]) -> "asyncio.Future[str]":
        """Starts a call on a server that has none waiting, and returns once it stands in the queue for the row."""
        task = asyncio.ensure_future(outcome(call))
        self.length += 1
        async with asyncio.timeout(60):
            while await self.connection.fetchval(_QUEUED) < self.length:
                if task.done():
                    raise AssertionError(f"a call did not wait for the campaign: {task.result()}")
                await asyncio.sleep(0.001)
        return task


@asynccontextmanager
async def queue_for(connection: asyncpg.Connection, campaign_id: str) -> AsyncIterator[Queue]:
    """Holds the campaign's row until the end of the block; then those in the queue are served in its order."""
    async with connection.transaction():
        await connection.execute("SELECT FROM campaigns WHERE campaign_id = $1 FOR UPDATE", UUID(campaign_id))
        yield Queue(connection)


# What a state becomes by a move, and what its caller is told. A state that is not there is "absent".
_UNDONE = {"rolled_back", "tombstone", "expired", "restored"}
_USED = {"reserved", "kept", "confirmed"}


@dataclass
class Model:
    """What must come out when calls are decided one after the other: the rules of one code, said once more.

    uses_max: of the code; 0: no limit. is_credit: the code grants credits, so that it can be kept.
    """

    uses_max: int
    is_credit: bool
    states: dict[str, str] = field(default_factory=dict)

    @property
    def uses(self) -> int:
        """How many of the redemptions count."""
        return sum(map(is_used, self.states.values()))

    @property
    def made(self) -> dict[str, str]:
        """The states of all that left a row."""
        return {name: state for name, state in self.states.items() if state != "absent"}

    def apply(self, step: Step) -> str:
        """The call's answer; the state moves on."""
        state = self.states.get(step.order, "absent")
        new_state, answer = getattr(self, step.move)(state)
        self.states[step.order] = new_state
        return str(answer)

    def redeem(self, state: str) -> tuple[str, str]:
        if state in _UNDONE:
            return state, "REDEMPTION_ALREADY_UNDONE"
        if state == "absent":
            is_full = self.uses_max and self.uses >= self.uses_max
            return ("absent", "VOUCHER_EXHAUSTED") if is_full else ("reserved", OK)
        return state, OK

    def keep(self, state: str) -> tuple[str, str]:
        if state == "reserved":
            return ("kept" if self.is_credit else "reserved"), OK
        return self._moved_on(state)

    def confirm(self, state: str) -> tuple[str, str]:
        if state in ("reserved", "kept"):
            return "confirmed", OK
        return self._moved_on(state)

    def roll_back(self, state: str) -> tuple[str, str]:
        after = {"absent": "tombstone", "reserved": "rolled_back"}.get(state, state)
        refusals = {"kept": "REDEMPTION_KEPT", "confirmed": "REDEMPTION_ALREADY_CONFIRMED"}
        return after, refusals.get(state, OK)

    def expire(self, state: str) -> tuple[str, str]:
        return "expired" if state == "reserved" else state, OK

    def restore(self, state: str) -> tuple[str, str]:
        """By somebody's decision, which no campaign's rule can forbid; only a credit stays used."""
        if state in ("absent", "reserved", "kept"):
            return state, "REDEMPTION_NOT_FOUND" if state == "absent" else "REDEMPTION_NOT_CONFIRMED"
        is_given_back = state == "confirmed" and not self.is_credit
        return "restored" if is_given_back else state, OK

    def _moved_on(self, state: str) -> tuple[str, str]:
        if state in _UNDONE:
            return state, "REDEMPTION_ALREADY_UNDONE"
        return state, "REDEMPTION_NOT_FOUND" if state == "absent" else OK

    def copy(self) -> "Model":
        """One that moves on by itself."""
        return replace(self, states=dict(self.states))


def endings_of(
    start: Model, steps: Sequence[Step], *, first: int | None = None
) -> Iterator[tuple[list[str], dict[str, str]]]:
    """What the calls may be answered, and the states left: one for each order, or for those with one call at its head.

    The answers are in the order of `steps`.
    """
    for order_of_calls in permutations(range(len(steps))):
        if first in (None, order_of_calls[0]):
            model = start.copy()
            answers = {number: model.apply(steps[number]) for number in order_of_calls}
            yield [answers[number] for number in range(len(steps))], model.made


def is_used(state: str) -> bool:
    """Whether a redemption in this state counts as a use."""
    return state in _USED


def _expire(order: Order) -> ExpireRedemptions:
    return ExpireRedemptions(redemptions=decode.rollback_redemptions(order.roll_back()).redemptions)


_COMMANDS: Mapping[str, Callable[[Order], AnyCommand]] = {
    "redeem": lambda order: decode.redeem_vouchers(order.redeem()),
    "keep": lambda order: decode.keep_redemptions(order.keep()),
    "confirm": lambda order: decode.confirm_redemptions(order.confirm()),
    "roll_back": lambda order: decode.rollback_redemptions(order.roll_back()),
    "restore": lambda order: decode.restore_redemptions(order.restore(vouchers_pb2.RESTORE_CAUSE_DECISION)),
    "expire": _expire,
}


class SweptShop(Shop):
    """A shop whose server's sweep comes when it is told to, and which can hand commands in without a call."""

    def __init__(
        self, stub: Stub, group: GroupCommit[AnyCommand, AnyResult], sweep: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(stub)
        self._group = group
        self._sweep = sweep

    async def expire(self, _: Order) -> None:
        """Ends all reservations whose time has come."""
        await self._sweep()

    async def submit(self, order: Order, move: str) -> None:
        """Hands the step's command in: in the order in which these are begun, they are decided."""
        await self._group.submit(_COMMANDS[move](order))

    async def decide_to_restore(self, order: Order) -> list[int]:
        """The states after it."""
        return await self.restore(order, vouchers_pb2.RESTORE_CAUSE_DECISION)


@asynccontextmanager
async def swept_shop(settings: VouchersSettings) -> AsyncIterator[SweptShop]:
    """A server that does not sweep by itself, and its sweep."""
    settings = settings.model_copy(update={"sweep_interval_s": 0})
    async with (
        serving(settings) as server,
        grpc.aio.insecure_channel(server.address) as channel,
        open_pool(settings, "tests") as pool,
        GroupCommit[AnyCommand, AnyResult](pool, store := VouchersStore(pool, qualifies, NO_LIMIT)) as group,
    ):
        yield SweptShop(Stub(channel), group, Sweeper(store, group).sweep)


_CALLS = {"restore": "decide_to_restore"}


def call(shop: SweptShop, orders: Mapping[str, Order], step: Step) -> Awaitable[object]:
    """The call of one step."""
    made: Awaitable[object] = getattr(shop, _CALLS.get(step.move, step.move))(orders[step.order])
    return made


async def stored_states(connection: asyncpg.Connection, orders: Mapping[str, Order]) -> dict[str, str]:
    """What became of the orders' redemptions, by the plan's names."""
    names = {UUID(order.redemption_ids[0]): name for name, order in orders.items()}
    records = await connection.fetch(
        "SELECT redemption_id, state FROM redemptions WHERE redemption_id = ANY ($1)", list(names)
    )
    return {names[record["redemption_id"]]: record["state"] for record in records}
