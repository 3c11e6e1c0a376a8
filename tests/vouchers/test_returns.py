"""Uses that come back by themselves or after the order was placed: expiry and restoring."""

import asyncio
from uuid import UUID

import asyncpg
import grpc
import pytest

from quittance.vouchers.v1 import campaign_pb2, vouchers_pb2
from tests.vouchers.requests import CONFIRMED, KEPT, RESERVED, ROLLED_BACK, Order, Shop, amount_off, in_days, refused
from tests.vouchers.requests import some_id as fresh_id

EXPIRED = vouchers_pb2.REDEMPTION_STATE_EXPIRED
RESTORED = vouchers_pb2.REDEMPTION_STATE_RESTORED
REFUND = vouchers_pb2.RESTORE_CAUSE_REFUND
CANCELLATION = vouchers_pb2.RESTORE_CAUSE_CANCELLATION
DECISION = vouchers_pb2.RESTORE_CAUSE_DECISION
KEEP, RESTORE = campaign_pb2.USE_RULE_KEEP, campaign_pb2.USE_RULE_RESTORE


async def confirmed(shop: Shop, **campaign: object) -> Order:
    order = Order([await shop.code(**{"amount_off": amount_off(), "uses_max": 1, **campaign})])
    await shop.redeem(order)
    await shop.confirm(order)
    return order


async def eventually(shop: Shop, order: Order, state: int) -> None:
    """Until the sweep has been there."""
    async with asyncio.timeout(60):
        while await shop.states(order.codes[0]) != [state]:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("campaign", "cause", "state"),
    [
        ({}, REFUND, CONFIRMED),
        ({}, CANCELLATION, RESTORED),
        ({}, DECISION, RESTORED),
        ({"on_refund": RESTORE, "on_cancel": KEEP}, REFUND, RESTORED),
        ({"on_refund": RESTORE, "on_cancel": KEEP}, CANCELLATION, CONFIRMED),
        ({"on_refund": KEEP, "on_cancel": KEEP}, DECISION, RESTORED),
    ],
)
async def test_restore_does_what_the_campaign_says_of_the_cause(
    shop: Shop, campaign: dict[str, object], cause: int, state: int
) -> None:
    """The table of ends: refunded in full, the campaign's rule. Twice is once."""
    order = await confirmed(shop, **campaign)
    for _ in range(2):
        assert await shop.restore(order, cause) == [state]
        assert await shop.uses(order.codes[0]) == ((0, 0) if state == RESTORED else (1, 1))


async def test_restore_gives_use_and_budget_back(shop: Shop) -> None:
    order = await confirmed(shop, budget_minor=10_000, on_refund=RESTORE)
    async with refused("VOUCHER_EXHAUSTED"):
        await shop.redeem(Order(order.codes))
    await shop.restore(order)
    assert (await shop.redeem(Order(order.codes))).discount_minor == 10_000


async def test_restore_leaves_credit_vouchers_confirmed(shop: Shop) -> None:
    """Their credits go back to the grants, which stay the customer's; V-6."""
    order = Order([await shop.code(on_refund=RESTORE)])
    await shop.redeem(order)
    await shop.confirm(order)
    for cause in (REFUND, CANCELLATION, DECISION):
        assert await shop.restore(order, cause) == [CONFIRMED]
    assert await shop.uses(order.codes[0]) == (1, 1)


async def test_restore_before_the_order_is_placed_refused(shop: Shop) -> None:
    order = Order([await shop.code()])
    await shop.redeem(order)
    async with refused("REDEMPTION_NOT_CONFIRMED", grpc.StatusCode.FAILED_PRECONDITION, state="reserved"):
        await shop.restore(order)
    await shop.keep(order)
    async with refused("REDEMPTION_NOT_CONFIRMED", state="kept"):
        await shop.restore(order)
    assert await shop.states(order.codes[0]) == [KEPT]


async def test_restore_of_what_is_undone_already_changes_nothing(shop: Shop) -> None:
    order = Order([await shop.code()])
    await shop.redeem(order)
    await shop.roll_back(order)
    assert await shop.restore(order, DECISION) == [ROLLED_BACK]


async def test_restore_of_what_never_came_is_told_as_rolled_back(shop: Shop) -> None:
    known, unknown = Order([await shop.code()]), Order(["NO-SUCH-CODE"])
    for order in (known, unknown):
        await shop.roll_back(order)
        assert await shop.restore(order, DECISION) == [ROLLED_BACK]


async def test_restore_unknown_or_foreign_refused(shop: Shop) -> None:
    order = await confirmed(shop)
    unknown = Order(order.codes, order.customer_id)
    async with refused("REDEMPTION_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        await shop.restore(unknown)
    async with refused("REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD", field="customer_id"):
        await shop.restore(Order(order.codes, fresh_id(), redemption_ids=order.redemption_ids))


async def test_restore_of_a_stack_is_all_or_nothing(shop: Shop) -> None:
    one = await confirmed(shop, on_refund=RESTORE)
    other = Order([await shop.code(amount_off=amount_off())], one.customer_id)
    await shop.redeem(other)
    both = Order(
        [*one.codes, *other.codes], one.customer_id, redemption_ids=[*one.redemption_ids, *other.redemption_ids]
    )
    async with refused("REDEMPTION_NOT_CONFIRMED"):
        await shop.restore(both)
    assert await shop.states(one.codes[0]) == [CONFIRMED]


async def test_restored_redemption_can_neither_be_confirmed_nor_made_again(shop: Shop) -> None:
    """V-4."""
    order = await confirmed(shop)
    await shop.restore(order, DECISION)
    for call in (shop.confirm, shop.keep, shop.redeem):
        async with refused("REDEMPTION_ALREADY_UNDONE", grpc.StatusCode.FAILED_PRECONDITION, state="restored"):
            await call(order)
    assert await shop.roll_back(order) == 0


async def test_reservation_past_its_expiry_is_ended_and_its_use_and_budget_come_back(shop: Shop) -> None:
    code = await shop.code(amount_off=amount_off(), uses_max=1, budget_minor=10_000)
    order = Order([code], expire_time=in_days(-1))
    await shop.redeem(order)
    await eventually(shop, order, EXPIRED)
    assert await shop.uses(code) == (0, 0)
    assert (await shop.redeem(Order([code]))).discount_minor == 10_000


async def test_expired_reservation_can_neither_be_confirmed_nor_made_again(shop: Shop) -> None:
    """V-4: and undoing it has nothing left to do."""
    order = Order([await shop.code()], expire_time=in_days(-1))
    await shop.redeem(order)
    await eventually(shop, order, EXPIRED)
    for call in (shop.confirm, shop.keep, shop.redeem):
        async with refused("REDEMPTION_ALREADY_UNDONE", state="expired"):
            await call(order)
    assert await shop.roll_back(order) == 0
    assert await shop.restore(order, DECISION) == [EXPIRED]


async def test_kept_confirmed_and_later_reservations_never_expire(
    shop: Shop, owner_connection: asyncpg.Connection
) -> None:
    """V-3: only what is reserved and due."""
    kept, done, later = [Order([await shop.code()]) for _ in range(3)]
    for order in (kept, done, later):
        await shop.redeem(order)
    await shop.keep(kept)
    await shop.confirm(done)
    due = [UUID(order.redemption_ids[0]) for order in (kept, done)]
    past = "UPDATE redemptions SET expires_at = now() - interval '1 day' WHERE redemption_id = ANY ($1::uuid[])"
    await owner_connection.execute(past, due)
    sentinel = Order([await shop.code()], expire_time=in_days(-1))
    await shop.redeem(sentinel)
    await eventually(shop, sentinel, EXPIRED)
    assert [await shop.states(order.codes[0]) for order in (kept, done, later)] == [[KEPT], [CONFIRMED], [RESERVED]]
