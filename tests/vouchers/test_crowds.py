"""V5: a thousand callers at once, on two servers of one database, for what only one of them can have.

Never one too many; and never one too few, also when what is taken comes back meanwhile.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Sequence

import asyncpg
import pytest

from tests.vouchers.interleaving import outcome
from tests.vouchers.requests import Order, Shop, Stub, amount_off, some_id
from tests.vouchers.soundness import assert_vouchers_sound

CALLERS = 1000
# Those who come while others give back what they have.
WAVE = 200


@pytest.fixture
def shops(shop: Shop, second_vouchers: Stub) -> Sequence[Shop]:
    """One per server."""
    return shop, Shop(second_vouchers)


async def crowd(shops: Sequence[Shop], orders: Sequence[Order]) -> Counter[str]:
    """All at once, in turns on each server."""
    calls: list[Awaitable[object]] = [shops[number % 2].redeem(order) for number, order in enumerate(orders)]
    return Counter(await asyncio.gather(*map(outcome, calls)))


LIMITS = {
    "the last use of a code": ({}, {"uses_max": 1}, "VOUCHER_EXHAUSTED"),
    "the last use of a campaign": ({"uses_max": 1}, {}, "CAMPAIGN_EXHAUSTED"),
    # Enough for one and a half.
    "the last of a budget": ({"budget_minor": 15_000}, {}, "BUDGET_EXHAUSTED"),
}


@pytest.mark.parametrize(("campaign", "code", "reason"), LIMITS.values(), ids=LIMITS.keys())
async def test_crowd_for_the_last_use_one_gets_it(
    shops: Sequence[Shop],
    owner_connection: asyncpg.Connection,
    campaign: dict[str, int],
    code: dict[str, int],
    reason: str,
) -> None:
    wanted = await shops[0].code(await shops[0].campaign(amount_off=amount_off(), **campaign), **code)
    assert await crowd(shops, [Order([wanted]) for _ in range(CALLERS)]) == {"OK": 1, reason: CALLERS - 1}
    assert await shops[0].uses(wanted) == (1, 1)
    await assert_vouchers_sound(owner_connection)


async def test_crowd_of_one_customer_gets_his_last_use_once(
    shops: Sequence[Shop], owner_connection: asyncpg.Connection
) -> None:
    code, customer_id = await shops[0].code(amount_off=amount_off()), some_id()
    outcomes = await crowd(shops, [Order([code], customer_id) for _ in range(CALLERS)])
    assert outcomes == {"OK": 1, "ROLLBACK_IN_PROGRESS": CALLERS - 1}
    assert await shops[0].uses(code) == (1, 1)
    await assert_vouchers_sound(owner_connection)


@pytest.mark.parametrize("limited", ["code", "campaign", "budget", "customer"])
async def test_crowd_while_uses_come_back_takes_each_of_them_at_most_once_and_leaves_none_lost(
    shops: Sequence[Shop], owner_connection: asyncpg.Connection, dice: random.Random, limited: str
) -> None:
    """All uses are taken; half of them are given back while a crowd wants them, some of it giving back again."""
    cap = 20
    limits = {"campaign": {"uses_max": cap}, "budget": {"budget_minor": cap * 10_000 + 9_999}}
    campaign_id = await shops[0].campaign(
        amount_off=amount_off(), uses_per_customer_max=cap if limited == "customer" else 1, **limits.get(limited, {})
    )
    code = await shops[0].code(campaign_id, uses_max=cap if limited == "code" else 0)
    customer = [some_id()] if limited == "customer" else []
    taken = [Order([code], *customer) for _ in range(cap)]
    assert await crowd(shops, taken) == {"OK": cap}

    async def come_and_perhaps_leave(number: int) -> tuple[int, int]:
        """Uses taken and given back."""
        order = Order([code], *customer)
        if await outcome(shops[number % 2].redeem(order)) != "OK":
            return 0, 0
        returned = await shops[(number + 1) % 2].roll_back(order) if number % 3 == 0 else 0
        return 1, returned

    leaving = [shops[dice.randrange(2)].roll_back(order) for order in taken[: cap // 2]]
    moved, returned = await asyncio.gather(
        asyncio.gather(*map(come_and_perhaps_leave, range(WAVE))), asyncio.gather(*leaving)
    )
    assert sum(returned) == cap // 2
    free = sum(returned) + sum(back for _, back in moved) - sum(took for took, _ in moved)
    assert free >= 0
    await assert_vouchers_sound(owner_connection)
    late = await crowd(shops, [Order([code], *customer) for _ in range(WAVE)])
    assert late["OK"] == free
    assert await shops[0].uses(code) == (cap, cap)
    await assert_vouchers_sound(owner_connection)
