"""V4, V-4: calls for one code in every order, on several servers: each order ends in its one state.

What an order must lead to says a model of its own (tests/vouchers/interleaving.py); the counters are recomputed from
the rows after every try.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import permutations
from typing import Self

import asyncpg
import pytest

from deploy.local.postgres import EmbeddedPostgres
from services.runtime.migrations import migrate_up, migrations_of
from services.vouchers.main import VouchersSettings
from tests.vouchers.interleaving import (
    Model,
    Step,
    SweptShop,
    call,
    endings_of,
    is_used,
    outcome,
    queue_for,
    stored_states,
    swept_shop,
)
from tests.vouchers.requests import Order, amount_off, in_days
from tests.vouchers.soundness import assert_vouchers_sound

DATABASE = "vouchers_interleavings"
SERVERS = 4
RANDOM_TRIES = 40

# Orders by their first letter, moves after it. What stands before the bar has been done when the race begins.
PLANS = {
    "redeem and roll back": "| A.redeem A.roll_back",
    "rolled back twice": "A.redeem | A.roll_back A.roll_back",
    "redeemed twice and rolled back twice": "| A.redeem A.redeem A.roll_back A.roll_back",
    "confirm and roll back": "A.redeem | A.confirm A.roll_back",
    "confirm twice and roll back": "A.redeem | A.confirm A.confirm A.roll_back",
    "redeem, confirm and roll back": "| A.redeem A.confirm A.roll_back",
    "keep and roll back": "A.redeem | A.keep A.roll_back",
    "redeem, keep, confirm and roll back": "| A.redeem A.keep A.confirm A.roll_back",
    "the last use comes back while another wants it": "A.redeem | A.roll_back B.redeem",
    "the last use comes back or not": "A.redeem | A.roll_back A.confirm B.redeem",
    "the last use is wanted, given back and wanted": "| A.redeem A.roll_back B.redeem B.confirm",
    "three want the last use": "| A.redeem B.redeem C.redeem",
    "two give back what a third wants": "A.redeem | A.roll_back B.redeem B.roll_back C.redeem",
    "restored twice": "A.redeem A.confirm | A.restore A.restore",
    "confirm and restore": "A.redeem | A.confirm A.restore",
    "restore and roll back": "A.redeem A.confirm | A.restore A.roll_back",
    "restore, confirm again and redeem again": "A.redeem A.confirm | A.restore A.confirm A.redeem",
    "a use is restored while another wants it": "A.redeem A.confirm | A.restore B.redeem",
    "confirm, restore, roll back and keep": "A.redeem | A.confirm A.restore A.roll_back A.keep",
}
# With A's reservation past its expiry. The sweep is a caller like the others.
EXPIRIES = {
    "expire and confirm": "A.redeem | A.expire A.confirm",
    "expire and roll back": "A.redeem | A.expire A.roll_back",
    "expire and keep": "A.redeem | A.expire A.keep",
    "expired by two sweeps": "A.redeem | A.expire A.expire",
    "expire and redeem again": "A.redeem | A.expire A.redeem",
    "expire, confirm and roll back": "A.redeem | A.expire A.confirm A.roll_back",
    "a use expires while another wants it": "A.redeem | A.expire B.redeem",
    "a use expires or not while another wants it": "A.redeem | A.expire A.confirm B.redeem",
}


@pytest.fixture(scope="module")
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[EmbeddedPostgres]:
    """One that no other test's server sweeps."""
    await asyncio.to_thread(postgres.create_database, DATABASE, "vouchers")
    await migrate_up(postgres.url(DATABASE, "vouchers_owner"), migrations_of("vouchers"), "vouchers_app")
    yield postgres
    await asyncio.to_thread(postgres.drop_database, DATABASE)


@pytest.fixture(scope="module")
async def shops(database: EmbeddedPostgres) -> AsyncIterator[Sequence[SweptShop]]:
    """Servers of one database: calls on different ones share nothing but it."""
    settings = VouchersSettings(
        database_url=database.url(DATABASE, "vouchers_app"),
        address="127.0.0.1:0",
        log_level="WARNING",
        verify_interval_s=0,
        codes_interval_s=0,
    )
    async with AsyncExitStack() as exits:
        yield [await exits.enter_async_context(swept_shop(settings)) for _ in range(SERVERS)]


@pytest.fixture
async def owner_connection(database: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.url(DATABASE, "vouchers_owner"))
    yield connection
    await connection.close()


def steps_of(text: str) -> list[Step]:
    return [Step(*word.split(".")) for word in text.split()]


async def code_for_one(shop: SweptShop, *, is_credit: bool) -> str:
    """A code for one use."""
    return await shop.code(uses_max=1, **({} if is_credit else {"amount_off": amount_off()}))


@dataclass
class Race:
    """A code for one use, orders that want it, and what has been done with them before the race."""

    code: str
    campaign_id: str
    orders: dict[str, Order]
    model: Model
    connection: asyncpg.Connection

    @classmethod
    async def prepared(
        cls, shop: SweptShop, connection: asyncpg.Connection, before: str, *, is_credit: bool, expires: bool = False
    ) -> Self:
        code = await code_for_one(shop, is_credit=is_credit)
        campaign_id = (await shop.get(code)).campaign.campaign_id
        orders = {name: Order([code]) for name in "ABC"}
        if expires:
            orders["A"].expire_time = in_days(-0.001)
        race = cls(code, campaign_id, orders, Model(1, is_credit), connection)
        for step in steps_of(before):
            assert await outcome(call(shop, race.orders, step)) == race.model.apply(step) == "OK"
        return race

    async def ending(self, shop: SweptShop) -> dict[str, str]:
        """The states that are left, once it is sure that the counters are theirs."""
        states = await stored_states(self.connection, self.orders)
        uses = sum(map(is_used, states.values()))
        assert await shop.uses(self.code) == (uses, uses)
        return states


@pytest.mark.parametrize("is_credit", [True, False], ids=["credit", "discount"])
@pytest.mark.parametrize("is_first_alone", [True, False], ids=["first alone", "in one group"])
@pytest.mark.parametrize("plan", [*PLANS.values(), *EXPIRIES.values()], ids=[*PLANS, *EXPIRIES])
async def test_commands_of_one_server_end_as_their_order_says(
    shops: Sequence[SweptShop],
    owner_connection: asyncpg.Connection,
    plan: str,
    is_first_alone: bool,
    is_credit: bool,
) -> None:
    """In one transaction, or the first in one of its own and the others behind it, which it makes wait."""
    before, _, raced = plan.partition("|")
    expires = "expire" in plan
    for steps in sorted(set(permutations(steps_of(raced)))):
        race = await Race.prepared(shops[0], owner_connection, before, is_credit=is_credit, expires=expires)
        commands = [shops[0].submit(race.orders[step.order], step.move) for step in steps]
        if is_first_alone:
            async with queue_for(owner_connection, race.campaign_id) as queue:
                first = await queue.enter(commands[0])
                others = [asyncio.ensure_future(outcome(command)) for command in commands[1:]]
                await asyncio.sleep(0)
            answers = await asyncio.gather(first, *others)
        else:
            answers = await asyncio.gather(*map(outcome, commands))
        assert answers == [race.model.apply(step) for step in steps], steps
        assert await race.ending(shops[0]) == race.model.made
    await assert_vouchers_sound(owner_connection)


@pytest.mark.parametrize("is_credit", [True, False], ids=["credit", "discount"])
@pytest.mark.parametrize("plan", [*PLANS.values(), *EXPIRIES.values()], ids=[*PLANS, *EXPIRIES])
async def test_calls_of_many_servers_end_as_an_order_says_that_begins_with_the_first(
    shops: Sequence[SweptShop], owner_connection: asyncpg.Connection, plan: str, is_credit: bool
) -> None:
    """Each has read what it could before the lock, which by then is out of date."""
    before, _, raced = plan.partition("|")
    for steps in sorted(set(permutations(steps_of(raced)))):
        expires = "expire" in plan
        race = await Race.prepared(shops[0], owner_connection, before, is_credit=is_credit, expires=expires)
        async with queue_for(owner_connection, race.campaign_id) as queue:
            waiting = [
                await queue.enter(call(shop, race.orders, step)) for shop, step in zip(shops, steps, strict=False)
            ]
        answers = await asyncio.gather(*waiting)
        assert (answers, await race.ending(shops[0])) in list(endings_of(race.model, steps, first=0)), steps
    await assert_vouchers_sound(owner_connection)


async def test_calls_at_once_end_as_some_order_says(
    shops: Sequence[SweptShop], owner_connection: asyncpg.Connection, dice: random.Random
) -> None:
    """Nobody says in which order they come; what they are answered, and what is left, must fit to one."""
    for _ in range(RANDOM_TRIES):
        race = await Race.prepared(shops[0], owner_connection, "", is_credit=dice.random() < 0.5)
        moves = ["redeem", "redeem", "keep", "confirm", "roll_back", "restore"]
        steps = [Step(dice.choice("AAB"), dice.choice(moves)) for _ in range(dice.randint(3, 6))]
        servers = [dice.choice(shops) for _ in steps]
        answers = await asyncio.gather(
            *(outcome(call(shop, race.orders, step)) for shop, step in zip(servers, steps, strict=True))
        )
        assert (answers, await race.ending(shops[0])) in list(endings_of(race.model, steps)), (steps, answers)
    await assert_vouchers_sound(owner_connection)


def test_endings_that_no_order_explains_are_told() -> None:
    steps = steps_of("A.redeem B.redeem")
    endings = list(endings_of(Model(uses_max=1, is_credit=True), steps))
    assert (["OK", "OK"], {"A": "reserved", "B": "reserved"}) not in endings
    assert (["OK", "VOUCHER_EXHAUSTED"], {"B": "reserved"}) not in endings
    late = (["VOUCHER_EXHAUSTED", "OK"], {"B": "reserved"})
    assert late in endings
    assert late not in list(endings_of(Model(uses_max=1, is_credit=True), steps, first=0))
