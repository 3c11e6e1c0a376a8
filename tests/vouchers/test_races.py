"""Callers at once, on two servers of one database: every race ends in one state."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import replace

import asyncpg
import grpc
import pytest

from quittance.vouchers.v1 import codes_pb2
from services.runtime.grpc_errors import refusal_of
from tests.vouchers.requests import CONFIRMED, RESERVED, ROLLED_BACK, Order, Shop, Stub, amount_off, some_id
from tests.vouchers.soundness import assert_vouchers_sound

ROUNDS = 8


@pytest.fixture
def shops(shop: Shop, second_vouchers: Stub) -> Sequence[Shop]:
    """One per server."""
    return shop, Shop(second_vouchers)


async def outcome(call: Awaitable[object]) -> str:
    """OK, or the reason."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return refusal_of(error).reason or error.code().name
    return "OK"


async def race(*calls: Awaitable[object]) -> Counter[str]:
    return Counter(await asyncio.gather(*map(outcome, calls)))


@pytest.mark.parametrize("limited", ["voucher", "campaign"])
@pytest.mark.parametrize(("customers", "cap"), [(120, 30), (20, 30), (40, 1)])
async def test_race_for_a_code_gives_exactly_the_smaller_of_customers_and_cap(
    shops: Sequence[Shop], limited: str, customers: int, cap: int, owner_connection: asyncpg.Connection
) -> None:
    """V5."""
    campaign_id = await shops[0].campaign(uses_max=cap if limited == "campaign" else 0)
    code = await shops[0].code(campaign_id, uses_max=cap if limited == "voucher" else 0)
    outcomes = await race(*(shops[number % 2].redeem(Order([code])) for number in range(customers)))
    expected = {"OK": min(customers, cap), f"{limited.upper()}_EXHAUSTED": max(customers - cap, 0)}
    assert outcomes == Counter(expected)
    assert await shops[0].uses(code) == (min(customers, cap),) * 2
    await assert_vouchers_sound(owner_connection)


@pytest.mark.parametrize("limit", [1, 3])
async def test_race_of_one_customer_gives_exactly_his_limit(shops: Sequence[Shop], limit: int) -> None:
    """V5: n per customer."""
    code, customer_id = await shops[0].code(uses_per_customer_max=limit), some_id()
    outcomes = await race(*(shops[number % 2].redeem(Order([code], customer_id)) for number in range(30)))
    assert outcomes == {"OK": limit, "ROLLBACK_IN_PROGRESS": 30 - limit}
    assert await shops[0].uses(code) == (limit, limit)


async def test_race_for_uses_that_come_back_gives_none_too_many_and_none_too_few(shops: Sequence[Shop]) -> None:
    """V5: as long as reservations come back, somebody gets them."""
    cap = 5
    code = await shops[0].code(uses_max=cap)
    first = [Order([code]) for _ in range(cap)]
    for order in first:
        await shops[0].redeem(order)

    async def insist(shop: Shop) -> str:
        order = Order([code])
        for _ in range(25):
            if (answer := await outcome(shop.redeem(order))) == "OK":
                return answer
        return answer

    undone = (shops[number % 2].roll_back(order) for number, order in enumerate(first))
    insisting = (insist(shops[number % 2]) for number in range(20))
    answers = await asyncio.gather(*insisting, *map(outcome, undone))
    assert Counter(answers[:20]) == {"OK": cap, "VOUCHER_EXHAUSTED": 20 - cap}
    assert await shops[0].uses(code) == (cap, cap)


async def test_redeem_and_rollback_at_once_leave_nothing_reserved(shops: Sequence[Shop]) -> None:
    """V4: whichever comes first."""
    for number in range(ROUNDS):
        order = Order([await shops[0].code(), await shops[0].code(amount_off=amount_off())])
        undo, do = shops[number % 2], shops[(number // 2) % 2]
        outcomes = await race(do.redeem(order), undo.roll_back(order))
        assert outcomes in ({"OK": 2}, {"OK": 1, "REDEMPTION_ALREADY_UNDONE": 1})
        assert [await shops[0].uses(code) for code in order.codes] == [(0, 0), (0, 0)]


async def test_rollback_twice_at_once_returns_one_use(shops: Sequence[Shop]) -> None:
    """V4: twice is once."""
    for _ in range(ROUNDS):
        order = Order([await shops[0].code()])
        await shops[0].redeem(order)
        await shops[0].redeem(Order(order.codes))
        assert sorted(await asyncio.gather(*(shop.roll_back(order) for shop in shops))) == [0, 1]
        assert await shops[0].uses(order.codes[0]) == (1, 1)


async def test_confirm_and_rollback_at_once_one_of_them_wins(shops: Sequence[Shop]) -> None:
    for number in range(ROUNDS):
        order = Order([await shops[0].code()])
        await shops[0].redeem(order)
        outcomes = await race(shops[number % 2].confirm(order), shops[(number // 2) % 2].roll_back(order))
        (state,) = await shops[0].states(order.codes[0])
        loser = {CONFIRMED: "REDEMPTION_ALREADY_CONFIRMED", ROLLED_BACK: "REDEMPTION_ALREADY_UNDONE"}[state]
        assert outcomes == {"OK": 1, loser: 1}
        assert await shops[0].uses(order.codes[0]) == ((1, 1) if state == CONFIRMED else (0, 0))


async def test_redeem_twice_at_once_is_once(shops: Sequence[Shop]) -> None:
    """K-1, K-2."""
    for _ in range(ROUNDS):
        order = Order([await shops[0].code()])
        first, *others = await asyncio.gather(*(shop.redeem(order) for shop in shops * 2))
        assert others == [first] * 3
        assert await shops[0].uses(order.codes[0]) == (1, 1)


async def test_one_redemption_id_for_two_campaigns_at_once_is_taken_once(shops: Sequence[Shop]) -> None:
    """K-1: no lock is shared, so the database's key decides."""
    for _ in range(ROUNDS):
        order = Order([await shops[0].code()])
        other = replace(order, codes=[await shops[0].code()])
        outcomes = await race(shops[0].redeem(order), shops[1].redeem(other))
        assert outcomes == {"OK": 1, "REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD": 1}


async def test_tombstone_of_unknown_code_and_redeem_at_once_leave_one_row(shops: Sequence[Shop]) -> None:
    """A tombstone without a campaign takes no lock at all."""
    for _ in range(ROUNDS):
        order = Order([await shops[0].code()])
        outcomes = await race(shops[0].redeem(order), shops[1].roll_back(replace(order, codes=["NO-SUCH-CODE"])))
        assert outcomes in (
            {"OK": 1, "REDEMPTION_ALREADY_UNDONE": 1},
            {"OK": 1, "REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD": 1},
        )


async def test_stacks_in_crossing_order_never_block_each_other(shops: Sequence[Shop]) -> None:
    """Campaigns are locked in id order whatever the stack's order is."""
    codes = [await shops[0].code() for _ in range(3)]
    stacks = [codes, codes[::-1], [codes[1], codes[2], codes[0]]]
    orders = [Order(stacks[number % 3]) for number in range(30)]
    assert await race(*(shops[number % 2].redeem(order) for number, order in enumerate(orders))) == {"OK": 30}
    assert [await shops[0].uses(code) for code in codes] == [(30, 30)] * 3


async def test_campaign_and_code_created_at_once_are_created_once(shops: Sequence[Shop]) -> None:
    campaign_id, other_id = some_id(), await shops[0].campaign()
    await asyncio.gather(*(shop.campaign(campaign_id=campaign_id) for shop in shops * 2))
    code = f"RACE-{some_id()[-8:]}"
    voucher = {"code": code, "uses_max": 0}
    request = [
        (shops[0], {"voucher_id": some_id(), "campaign_id": campaign_id, **voucher}),
        (shops[1], {"voucher_id": some_id(), "campaign_id": other_id, **voucher}),
    ]
    outcomes = await race(
        *(shop.stub.codes.CreateVoucher(codes_pb2.CreateVoucherRequest(voucher=fields)) for shop, fields in request)
    )
    assert outcomes == {"OK": 1, "CODE_TAKEN": 1}


async def test_random_traffic_on_two_servers_stays_sound(
    shops: Sequence[Shop], dice: random.Random, owner_connection: asyncpg.Connection
) -> None:
    """V-1, V-4, V-5: doubled, late and crossing calls of the same orders."""
    campaign_id = await shops[0].campaign(uses_max=6, uses_per_customer_max=2)
    codes = [await shops[0].code(campaign_id, uses_max=4), await shops[0].code(campaign_id)]
    codes.append(await shops[0].code(amount_off=amount_off(12_345), uses_max=5))
    customers = [some_id() for _ in range(6)]
    orders = [Order(dice.sample(codes, dice.randint(1, 3)), dice.choice(customers)) for _ in range(60)]
    moves = ["redeem", "redeem", "keep", "confirm", "roll_back"]
    calls = [getattr(dice.choice(shops), dice.choice(moves))(dice.choice(orders)) for _ in range(500)]
    outcomes = await race(*calls)
    assert outcomes["OK"] > 50
    assert outcomes["INTERNAL"] + outcomes["DATABASE_UNAVAILABLE"] == 0
    await assert_vouchers_sound(owner_connection)


async def test_caller_gone_before_its_turn_drops_redeem_but_never_rollback(
    shop: Shop, owner_connection: asyncpg.Connection
) -> None:
    """V2: an undo is carried out although nobody waits for it any more."""
    blocking, dropped, undone = [Order([await shop.code()]) for _ in range(3)]
    await shop.redeem(undone)
    async with owner_connection.transaction():
        await owner_connection.fetch("SELECT FROM campaigns FOR UPDATE")
        first = asyncio.create_task(shop.redeem(blocking))
        await asyncio.sleep(0.05)
        late = (shop.stub.RedeemVouchers(dropped.redeem(), timeout=0.1),)
        late += (shop.stub.RollbackRedemptions(undone.roll_back(), timeout=0.1),)
        assert await race(*late) == {"DEADLINE_EXCEEDED": 2}
    await first
    assert await shop.redeem(blocking)
    assert [await shop.states(order.codes[0]) for order in (blocking, dropped, undone)] == [
        [RESERVED],
        [],
        [ROLLED_BACK],
    ]
