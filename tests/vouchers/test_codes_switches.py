"""Codes switched off and on, alone and together, and what a voucher's history shows of it."""

import asyncio
from collections.abc import Awaitable

import grpc
import pytest

from quittance.vouchers.v1 import codes_pb2
from tests.vouchers.codes_requests import Codes, batch, of_batch, of_campaign, of_voucher
from tests.vouchers.requests import (
    CONFIRMED,
    ROLLED_BACK,
    Order,
    Shop,
    Stub,
    amount_off,
    by_code,
    refused,
    some_id,
)

EVENT = codes_pb2.VoucherEventKind.Name
PREFIX = "VOUCHER_EVENT_KIND_"


@pytest.fixture
def codes(vouchers: Stub) -> Codes:
    return Codes(vouchers)


async def reason_of(call: Awaitable[object]) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.details() if error.code() is grpc.StatusCode.INTERNAL else error.code().name
    return "OK"


async def is_off(shop: Shop, code: str) -> bool:
    """Whether it is refused for being switched off; looked at without using it."""
    (assessment,) = await shop.validate(Order([code]))
    is_shown_off = (await shop.get(code)).voucher.HasField("deactivate_time")
    assert is_shown_off is (assessment.refusal.reason == "VOUCHER_DEACTIVATED")
    return is_shown_off


async def test_deactivated_code_is_refused_with_its_time_and_works_again_when_activated(
    shop: Shop, codes: Codes
) -> None:
    code, other = await shop.code(), await shop.code()
    change = await codes.deactivate(of_voucher(code), note="printed twice")
    view = await shop.get(code)
    assert (change.target_id, change.active, change.note) == (view.voucher.voucher_id, False, "printed twice")
    assert view.voucher.deactivate_time == change.create_time
    async with refused("VOUCHER_DEACTIVATED", voucher_id=view.voucher.voucher_id) as caught:
        await shop.redeem(Order([code]))
    assert caught.metadata["deactivate_time"].startswith(change.create_time.ToDatetime().isoformat(" ")[:19])
    assert not await is_off(shop, other)
    await codes.activate(of_voucher(code))
    await shop.redeem(Order([code]))


async def test_deactivated_code_lets_what_it_has_reserved_go_on(shop: Shop, codes: Codes) -> None:
    code = await shop.code(amount_off=amount_off(), uses_max=9)
    going_on, undone = Order([code]), Order([code])
    await shop.redeem(going_on)
    await shop.redeem(undone)
    await codes.deactivate(of_voucher(code))
    assert await shop.redeem(going_on)
    assert await shop.confirm(going_on) == [CONFIRMED]
    assert await shop.roll_back(undone) == 1
    assert sorted(await shop.states(code)) == [CONFIRMED, ROLLED_BACK]


async def test_kept_credit_stays_its_customers_when_the_code_is_deactivated(shop: Shop, codes: Codes) -> None:
    """V1."""
    order = Order([await shop.code()])
    await shop.redeem(order)
    await shop.keep(order)
    await codes.deactivate(of_voucher(order.codes[0]))
    (assessment,) = await shop.validate(Order(order.codes, customer_id=order.customer_id))
    assert assessment.already_in_wallet


async def test_batch_is_switched_as_a_whole(shop: Shop, codes: Codes) -> None:
    campaign_id = await shop.campaign()
    batch_id, made = await codes.made(campaign_id, 3)
    _, others = await codes.made(campaign_id, 1)
    await codes.deactivate(of_batch(batch_id))
    assert [await is_off(shop, code) for code in (*made, *others)] == [True, True, True, False]
    assert (await codes.get(batch_id)).HasField("deactivate_time")
    await codes.activate(of_batch(batch_id))
    assert [await is_off(shop, code) for code in made] == [False] * 3


async def test_campaigns_codes_are_switched_off_and_later_ones_are_not(shop: Shop, codes: Codes) -> None:
    """Leaked codes are replaced by new ones of the same campaign; a late repetition does not hit the new ones."""
    campaign_id, change_id = await shop.campaign(), some_id()
    old = [await shop.code(campaign_id), *(await codes.made(campaign_id, 2))[1]]
    first = await codes.deactivate(of_campaign(campaign_id), change_id)
    new = [await shop.code(campaign_id), *(await codes.made(campaign_id, 1))[1]]
    assert await codes.deactivate(of_campaign(campaign_id), change_id) == first
    assert [await is_off(shop, code) for code in (*old, *new)] == [True] * 3 + [False] * 2
    await codes.deactivate(of_campaign(campaign_id))
    assert [await is_off(shop, code) for code in (*old, *new)] == [True] * 5
    await codes.activate(of_campaign(campaign_id))
    assert [await is_off(shop, code) for code in (*old, *new)] == [False] * 5


async def test_code_works_only_when_it_its_batch_and_its_campaigns_codes_are_on(shop: Shop, codes: Codes) -> None:
    campaign_id = await shop.campaign()
    batch_id, (code,) = await codes.made(campaign_id, 1)
    targets = [of_voucher(code), of_batch(batch_id), of_campaign(campaign_id)]
    for target in targets:
        await codes.deactivate(target)
    for target in targets:
        assert await is_off(shop, code)
        await codes.activate(target)
    assert not await is_off(shop, code)


async def test_batch_that_is_being_made_is_switched_off_with_all_that_is_to_come(shop: Shop, codes: Codes) -> None:
    created = await codes.create(batch(await shop.campaign(), 100_000))
    await codes.deactivate(of_batch(created.batch_id))
    await codes.finished(created.batch_id)
    exported = await codes.exported(created.batch_id)
    assert [await is_off(shop, each.code) for each in (exported[0], exported[-1])] == [True, True]


@pytest.mark.parametrize("scope", ["voucher", "batch", "campaign"])
async def test_deactivation_and_redemptions_at_once_leave_none_after_it(
    shop: Shop, second_vouchers: Stub, codes: Codes, scope: str
) -> None:
    """Whoever is answered OK came first: no redemption is younger than the switch."""
    shops = [shop, Shop(second_vouchers)]
    for _ in range(5):
        campaign_id = await shop.campaign()
        batch_id, (code,) = await codes.made(campaign_id, 1, uses_max=0)
        target = {"voucher": of_voucher(code), "batch": of_batch(batch_id), "campaign": of_campaign(campaign_id)}
        orders = [Order([code]) for _ in range(40)]
        calls = [reason_of(shops[number % 2].redeem(order)) for number, order in enumerate(orders)]
        calls.insert(20, reason_of(codes.deactivate(target[scope])))
        answers = await asyncio.gather(*calls)
        assert set(answers) <= {"OK", "FAILED_PRECONDITION"}
        view = await shop.get(code)
        assert len(view.redemptions) == answers.count("OK") - 1 == view.voucher.uses
        off_at = view.voucher.deactivate_time.ToDatetime()
        assert all(each.create_time.ToDatetime() <= off_at for each in view.redemptions)
        async with refused("VOUCHER_DEACTIVATED"):
            await shop.redeem(Order([code]))


async def test_same_change_again_is_the_same_and_other_fields_are_refused(shop: Shop, codes: Codes) -> None:
    """K-2, K-3."""
    code, change_id = await shop.code(), some_id()
    change = await codes.deactivate(of_voucher(code), change_id, note="why")
    await codes.activate(of_voucher(code))
    assert await codes.deactivate(of_voucher(code), change_id, note="why") == change
    assert not await is_off(shop, code)
    other = of_voucher(await shop.code())
    for field, call in (
        ("target", codes.deactivate(other, change_id, note="why")),
        ("active", codes.activate(of_voucher(code), change_id, note="why")),
        ("note", codes.deactivate(of_voucher(code), change_id)),
    ):
        async with refused("CODE_CHANGE_EXISTS_WITH_DIFFERENT_FIELD", change_id=change_id, field=field):
            await call


async def test_switching_what_is_unknown_or_cancelled_refused(shop: Shop, codes: Codes) -> None:
    unknown = some_id()
    async with refused("VOUCHER_NOT_FOUND"):
        await codes.deactivate(of_voucher("NO-SUCH-CODE"))
    async with refused("CODE_MISTYPED"):
        await codes.deactivate(of_voucher("000000-000000-000001"))
    async with refused("CODE_BATCH_NOT_FOUND", batch_id=unknown):
        await codes.deactivate(of_batch(unknown))
    async with refused("CAMPAIGN_NOT_FOUND", campaign_id=unknown):
        await codes.deactivate(of_campaign(unknown))
    batch_id, (code,) = await codes.made(await shop.campaign(), 1)
    await codes.cancel(batch_id)
    async with refused("CODE_BATCH_CANCELLED", batch_id=batch_id):
        await codes.activate(of_batch(batch_id))
    assert await is_off(shop, code)


async def test_history_shows_all_that_happened_newest_first(shop: Shop, codes: Codes) -> None:
    """Created, switched at all three levels, and each redemption's way."""
    campaign_id = await shop.campaign(amount_off=amount_off(), uses_per_customer_max=9)
    batch_id, (code,) = await codes.made(campaign_id, 1, uses_max=0)
    confirmed, undone = Order([code]), Order([code])
    await shop.redeem(confirmed)
    await codes.deactivate(of_voucher(code), note="first")
    await shop.confirm(confirmed)
    await codes.activate(of_voucher(code))
    await shop.redeem(undone)
    await shop.roll_back(undone)
    await codes.deactivate(of_campaign(campaign_id))
    await codes.cancel(batch_id)
    view = await shop.get(code)
    told = [EVENT(event.kind).removeprefix(PREFIX) for event in view.events]
    assert told == [
        *("DEACTIVATED", "DEACTIVATED", "ROLLED_BACK", "RESERVED", "ACTIVATED", "CONFIRMED", "DEACTIVATED"),
        *("RESERVED", "CREATED"),
    ]
    scopes = [event.scope for event in view.events if event.change_id]
    assert scopes == [
        codes_pb2.CODE_SCOPE_BATCH,
        codes_pb2.CODE_SCOPE_CAMPAIGN,
        codes_pb2.CODE_SCOPE_VOUCHER,
        codes_pb2.CODE_SCOPE_VOUCHER,
    ]
    assert view.events[-3].note == "first"
    ways = {event.redemption_id for event in view.events if event.redemption_id}
    assert ways == {*confirmed.redemption_ids, *undone.redemption_ids}


async def test_history_comes_page_by_page(shop: Shop, codes: Codes) -> None:
    code = await shop.code(amount_off=amount_off())
    orders = [Order([code]) for _ in range(5)]
    for order in orders:
        await shop.redeem(order)
    request = codes_pb2.GetVoucherRequest(voucher=by_code(code), page_size=2)
    pages = []
    while True:
        pages.append(await codes.stub.GetVoucher(request))
        if not pages[-1].next_page_token:
            break
        request.page_token = pages[-1].next_page_token
    listed = [redemption.redemption_id for page in pages for redemption in page.redemptions]
    assert listed == [order.redemption_ids[0] for order in reversed(orders)]
    assert [len(page.redemptions) for page in pages] == [2, 2, 1]
    created = [sum(event.kind == codes_pb2.VOUCHER_EVENT_KIND_CREATED for event in page.events) for page in pages]
    assert created == [1, 0, 0]
    async with refused("INVALID_PAGE_TOKEN"):
        await codes.stub.GetVoucher(
            codes_pb2.GetVoucherRequest(voucher=by_code(await shop.code()), page_token=request.page_token)
        )


async def test_history_of_a_code_begins_with_itself(shop: Shop, codes: Codes) -> None:
    """Switches of all codes of its campaign before it was made are no part of it."""
    campaign_id = await shop.campaign()
    await shop.code(campaign_id)
    await codes.deactivate(of_campaign(campaign_id))
    view = await shop.get(await shop.code(campaign_id))
    assert [event.kind for event in view.events] == [codes_pb2.VOUCHER_EVENT_KIND_CREATED]
