"""Keeping, confirming and undoing redemptions through the API."""

from dataclasses import replace

import asyncpg
import grpc
import pytest
from google.protobuf.message import Message

from tests.vouchers.requests import (
    ALREADY_IN_WALLET,
    CONFIRMED,
    KEPT,
    RESERVED,
    ROLLED_BACK,
    Order,
    Shop,
    amount_off,
    by_id,
    refused,
    some_id,
)


async def reserved(shop: Shop, **fields: object) -> Order:
    """An order with one reserved voucher of a campaign with these fields."""
    order = Order([await shop.code(**fields)])
    await shop.redeem(order)
    return order


async def test_keep_credit_voucher_is_kept_and_discount_stays_reserved(shop: Shop) -> None:
    """V1: an abandoned cart keeps the credit, not the discount."""
    order = Order([await shop.code(), await shop.code(amount_off=amount_off())])
    await shop.redeem(order)
    assert await shop.keep(order) == [KEPT, RESERVED]
    assert await shop.keep(order) == [KEPT, RESERVED]
    assert [await shop.uses(code) for code in order.codes] == [(1, 1), (1, 1)]


async def test_keep_after_confirm_stays_confirmed(shop: Shop) -> None:
    order = await reserved(shop)
    await shop.confirm(order)
    assert await shop.keep(order) == [CONFIRMED]


async def test_confirm_reserved_and_kept_twice_is_once(shop: Shop) -> None:
    """V1: a placed order keeps its redemptions."""
    order = Order([await shop.code(), await shop.code(amount_off=amount_off())])
    await shop.redeem(order)
    await shop.keep(order)
    assert await shop.confirm(order) == [CONFIRMED, CONFIRMED]
    first = await shop.stub.ConfirmRedemptions(order.confirm())
    assert await shop.stub.ConfirmRedemptions(order.confirm()) == first
    assert [await shop.uses(code) for code in order.codes] == [(1, 1), (1, 1)]


@pytest.mark.parametrize("move", ["keep", "confirm"])
async def test_move_unknown_redemption_refused(shop: Shop, move: str) -> None:
    order = Order([await shop.code()])
    async with refused("REDEMPTION_NOT_FOUND", grpc.StatusCode.NOT_FOUND, redemption_id=order.redemption_ids[0]):
        await getattr(shop, move)(order)


@pytest.mark.parametrize("move", ["keep", "confirm"])
@pytest.mark.parametrize("redeemed", [True, False])
async def test_move_undone_redemption_refused(shop: Shop, move: str, redeemed: bool) -> None:
    """V-4: rolled back, or a tombstone."""
    order = Order([await shop.code()])
    if redeemed:
        await shop.redeem(order)
    await shop.roll_back(order)
    async with refused("REDEMPTION_ALREADY_UNDONE", redemption_id=order.redemption_ids[0]):
        await getattr(shop, move)(order)


@pytest.mark.parametrize("move", ["keep", "confirm", "roll_back"])
async def test_move_with_other_customer_or_voucher_refused_and_changes_nothing(shop: Shop, move: str) -> None:
    """V4: redemption id, customer and code must match."""
    order, other = await reserved(shop), await reserved(shop)
    redemption_id = order.redemption_ids[0]
    for field, changed in (
        ("customer_id", replace(order, customer_id=some_id())),
        ("voucher", replace(order, codes=other.codes)),
        ("voucher", replace(order, codes=["NO-SUCH-CODE"])),
    ):
        async with refused(
            "REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD",
            grpc.StatusCode.ALREADY_EXISTS,
            redemption_id=redemption_id,
            field=field,
        ):
            await getattr(shop, move)(changed)
    assert await shop.states(order.codes[0]) == [RESERVED]
    assert await shop.uses(order.codes[0]) == (1, 1)


@pytest.mark.parametrize("move", ["keep", "confirm", "roll_back"])
async def test_move_same_redemption_twice_in_a_request_refused(shop: Shop, move: str) -> None:
    order = await reserved(shop)
    twice = replace(order, codes=list(order.codes) * 2, redemption_ids=order.redemption_ids * 2)
    async with refused("VOUCHER_REPEATED", grpc.StatusCode.INVALID_ARGUMENT, repeated=order.redemption_ids[0]):
        await getattr(shop, move)(twice)


@pytest.mark.parametrize("move", ["keep", "confirm", "roll_back"])
async def test_move_of_several_is_all_or_nothing(shop: Shop, move: str) -> None:
    good, bad = await reserved(shop), await reserved(shop)
    both = replace(good, codes=[*good.codes, *bad.codes], redemption_ids=[*good.redemption_ids, *bad.redemption_ids])
    async with refused("REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD", redemption_id=bad.redemption_ids[0]):
        await getattr(shop, move)(both)
    assert await shop.states(good.codes[0]) == [RESERVED]
    assert await shop.uses(good.codes[0]) == (1, 1)


async def test_rollback_returns_uses_of_voucher_campaign_and_customer(shop: Shop) -> None:
    """V3: marked and counted down together; the use is free for anybody, also for the same customer."""
    campaign_id = await shop.campaign(uses_max=1)
    order = Order([await shop.code(campaign_id, uses_max=1)])
    await shop.redeem(order)
    assert await shop.uses(order.codes[0]) == (1, 1)
    assert await shop.roll_back(order) == 1
    assert await shop.uses(order.codes[0]) == (0, 0)
    assert await shop.states(order.codes[0]) == [ROLLED_BACK]
    await shop.redeem(Order(order.codes, order.customer_id))


async def test_rollback_of_several_returns_all_their_uses(shop: Shop) -> None:
    order = Order([await shop.code(), await shop.code(amount_off=amount_off())])
    await shop.redeem(order)
    assert await shop.roll_back(order) == 2
    assert [await shop.uses(code) for code in order.codes] == [(0, 0), (0, 0)]


async def test_rollback_twice_is_once(shop: Shop) -> None:
    """V4: twice is once."""
    order, other = await reserved(shop), None
    other = Order(order.codes)
    await shop.redeem(other)
    assert [await shop.roll_back(order) for _ in range(3)] == [1, 0, 0]
    assert await shop.uses(order.codes[0]) == (1, 1)


async def test_rollback_of_nothing_is_success(shop: Shop) -> None:
    """V4: nothing to undo is success."""
    order = Order([await shop.code()])
    assert await shop.roll_back(order) == 0
    assert await shop.uses(order.codes[0]) == (0, 0)


async def test_rollback_before_redeem_makes_the_late_redemption_refuse(shop: Shop) -> None:
    """V4: no hanging redemption."""
    order = Order([await shop.code(), await shop.code()])
    assert await shop.roll_back(order) == 0
    async with refused("REDEMPTION_ALREADY_UNDONE", redemption_id=order.redemption_ids[0]):
        await shop.redeem(order)
    assert await shop.roll_back(order) == 0
    assert [await shop.uses(code) for code in order.codes] == [(0, 0), (0, 0)]
    assert await shop.states(order.codes[0]) == []


async def test_rollback_of_part_of_a_stack_before_redeem_makes_all_of_it_refuse(shop: Shop) -> None:
    order = Order([await shop.code(), await shop.code()])
    await shop.roll_back(replace(order, codes=order.codes[1:], redemption_ids=order.redemption_ids[1:]))
    async with refused("REDEMPTION_ALREADY_UNDONE", redemption_id=order.redemption_ids[1]):
        await shop.redeem(order)
    assert await shop.uses(order.codes[0]) == (0, 0)


async def test_rollback_with_unknown_code_leaves_a_tombstone(shop: Shop) -> None:
    """V4: also when the code is created afterwards."""
    campaign_id = await shop.campaign()
    order = Order([f"LATER-{some_id()[-8:]}"])
    assert await shop.roll_back(order) == 0
    assert await shop.roll_back(order) == 0
    late = replace(order, codes=[await shop.code(campaign_id)])
    async with refused("REDEMPTION_ALREADY_UNDONE"):
        await shop.redeem(late)
    assert await shop.roll_back(late) == 0


async def test_rollback_with_unknown_voucher_id_leaves_a_tombstone(shop: Shop) -> None:
    order = Order(["ANY"])
    request = order.roll_back()
    request.redemptions[0].voucher.CopyFrom(by_id(some_id()))
    assert (await shop.stub.RollbackRedemptions(request)).rolled_back == 0
    async with refused("REDEMPTION_ALREADY_UNDONE"):
        await shop.redeem(replace(order, codes=[await shop.code()]))


async def test_rollback_of_tombstone_with_other_customer_or_voucher_refused(shop: Shop) -> None:
    """V4, K-3."""
    order = Order([await shop.code()])
    await shop.roll_back(order)
    async with refused("REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD", field="customer_id"):
        await shop.roll_back(replace(order, customer_id=some_id()))
    async with refused("REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD", field="voucher"):
        await shop.roll_back(replace(order, codes=[await shop.code()]))


async def test_rollback_of_confirmed_refused(shop: Shop) -> None:
    """V-4: roll-back after confirm has no effect."""
    order = await reserved(shop)
    await shop.confirm(order)
    async with refused(
        "REDEMPTION_ALREADY_CONFIRMED", grpc.StatusCode.FAILED_PRECONDITION, redemption_id=order.redemption_ids[0]
    ):
        await shop.roll_back(order)
    assert await shop.uses(order.codes[0]) == (1, 1)


async def test_rollback_of_kept_refused(shop: Shop) -> None:
    """V1: a credit whose pay page was handed over stays with its customer."""
    order = await reserved(shop)
    await shop.keep(order)
    async with refused("REDEMPTION_KEPT", grpc.StatusCode.FAILED_PRECONDITION, redemption_id=order.redemption_ids[0]):
        await shop.roll_back(order)
    assert await shop.states(order.codes[0]) == [KEPT]


async def test_rollback_of_discount_after_keep_returns_its_use(shop: Shop) -> None:
    """V1: an abandoned cart gives the discount's use back."""
    order = await reserved(shop, amount_off=amount_off(), uses_max=1)
    await shop.keep(order)
    assert await shop.roll_back(order) == 1
    assert await shop.uses(order.codes[0]) == (0, 0)


async def test_rollback_of_answer_from_the_wallet_changes_nothing(shop: Shop) -> None:
    kept = await reserved(shop)
    await shop.keep(kept)
    order = Order(kept.codes, kept.customer_id)
    await shop.redeem(order)
    assert await shop.roll_back(order) == 0
    assert await shop.uses(kept.codes[0]) == (1, 1)
    assert sorted(await shop.states(kept.codes[0])) == [KEPT, ALREADY_IN_WALLET]


@pytest.mark.parametrize("field", ["customer_id", "redemption_id", "voucher", "redemptions"])
async def test_rollback_with_empty_field_refused_and_touches_nothing(
    shop: Shop, field: str, owner_connection: asyncpg.Connection
) -> None:
    """V4: redemption id, customer and code are required; an empty one is an INVALID_ARGUMENT."""
    order = await reserved(shop)
    request = order.roll_back()
    emptied: Message = request if field in ("customer_id", "redemptions") else request.redemptions[0]
    emptied.ClearField(field)
    rows = "SELECT redemptions::text FROM redemptions ORDER BY redemption_id"
    before = await owner_connection.fetch(rows)
    async with refused("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT):
        await shop.stub.RollbackRedemptions(request)
    assert await owner_connection.fetch(rows) == before
