"""Every effect and every rule of campaigns, through the API and down to the rows."""

import grpc
import pytest

from quittance.vouchers.v1 import campaign_pb2, codes_pb2, vouchers_pb2
from services.runtime.ids import new_id
from tests.vouchers.requests import Order, Shop, amount_off, credit_grant, in_days, lines, refused, some_id

WALK, DRINK, HAT = some_id(), some_id(), some_id()


def line(number: int, product_id: str, quantity: int, amount_minor: int, *categories: str) -> vouchers_pb2.OrderLine:
    return vouchers_pb2.OrderLine(
        line_number=number,
        product_id=product_id,
        quantity=quantity,
        amount_minor=amount_minor,
        categories=categories,
    )


def products(*product_ids: str, categories: tuple[str, ...] = ()) -> campaign_pb2.ProductSelection:
    return campaign_pb2.ProductSelection(product_ids=product_ids, categories=categories)


def percent_off(basis_points: int, ceiling_minor: int = 0) -> campaign_pb2.PercentOffEffect:
    return campaign_pb2.PercentOffEffect(basis_points=basis_points, currency="OMR", ceiling_minor=ceiling_minor)


def facts(orders_placed: int, *tags: str) -> vouchers_pb2.CustomerFacts:
    return vouchers_pb2.CustomerFacts(orders_placed=orders_placed, tags=tags)


async def shares(shop: Shop, order: Order) -> list[list[int]]:
    """Line by line, one list per voucher."""
    response = await shop.redeem(order)
    assert response.discount_minor == sum(redemption.discount_minor for redemption in response.redemptions)
    for redemption in response.redemptions:
        assert redemption.discount_minor == sum(share.discount_minor for share in redemption.line_discounts)
    return [[share.discount_minor for share in redemption.line_discounts] for redemption in response.redemptions]


# Effects


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        ({"percent_off": percent_off(1_500)}, [4_500, 1_350, 150]),
        ({"percent_off": percent_off(1_500, 1_000)}, [750, 225, 25]),
        ({"percent_off": percent_off(10_000)}, [30_000, 9_001, 1_000]),
        ({"free_item": campaign_pb2.FreeItemEffect(products=products(DRINK), currency="OMR")}, [0, 3_000, 0]),
        (
            {"free_item": campaign_pb2.FreeItemEffect(products=products(DRINK), pieces_max=2, currency="OMR")},
            [0, 6_000, 0],
        ),
        (
            {
                "free_item": campaign_pb2.FreeItemEffect(
                    products=products(categories=("thing",)), pieces_max=9, currency="OMR"
                )
            },
            [0, 9_001, 1_000],
        ),
        ({"cheapest_free": campaign_pb2.CheapestFreeEffect(currency="OMR")}, [0, 0, 1_000]),
        ({"cheapest_free": campaign_pb2.CheapestFreeEffect(pieces=3, currency="OMR")}, [0, 6_000, 1_000]),
        (
            {"buy_get": campaign_pb2.BuyGetEffect(buy_pieces=2, get_pieces=1, times_max=1, currency="OMR")},
            [0, 0, 1_000],
        ),
        (
            {
                "buy_get": campaign_pb2.BuyGetEffect(
                    buy_products=products(WALK),
                    buy_pieces=1,
                    get_products=products(DRINK),
                    get_pieces=1,
                    basis_points=5_000,
                    currency="OMR",
                )
            },
            [0, 3_000, 0],
        ),
    ],
)
async def test_redeem_each_effect_takes_off_what_it_says(
    shop: Shop, effect: dict[str, object], expected: list[int]
) -> None:
    """V7, V-5: two walks for 15, three drinks that do not divide, a hat."""
    order_lines = [line(1, WALK, 2, 30_000), line(2, DRINK, 3, 9_001, "thing"), line(3, HAT, 1, 1_000, "thing")]
    assert await shares(shop, Order([await shop.code(**effect)], lines=order_lines)) == [expected]


async def test_redeem_repeated_gets_first_answer_of_every_effect(shop: Shop) -> None:
    """K-2: the stored benefit is read back as it was."""
    buy_get = campaign_pb2.BuyGetEffect(buy_pieces=1, get_pieces=1, currency="OMR")
    codes = [
        await shop.code(percent_off=percent_off(5_000)),
        await shop.code(cheapest_free=campaign_pb2.CheapestFreeEffect(currency="OMR")),
        await shop.code(free_item=campaign_pb2.FreeItemEffect(products=products(HAT), currency="OMR")),
        await shop.code(buy_get=buy_get),
        await shop.code(credit_grant=credit_grant(1)),
    ]
    order = Order(codes, lines=[line(1, WALK, 4, 40_000), line(2, HAT, 2, 9_000)], facts=facts(1, "friend"))
    first = await shop.redeem(order)
    assert await shop.redeem(order) == first
    assert [redemption.campaign_revision for redemption in first.redemptions] == [1] * 5


async def test_redeem_effect_without_enough_pieces_refused(shop: Shop) -> None:
    code = await shop.code(cheapest_free=campaign_pb2.CheapestFreeEffect(pieces_min=3, currency="OMR"))
    async with refused("PIECES_MISSING", grpc.StatusCode.FAILED_PRECONDITION, pieces=2, pieces_min=3):
        await shop.redeem(Order([code], lines=[line(1, WALK, 2, 10_000)]))


async def test_redeem_nothing_left_to_take_off_refused_and_no_use_is_burnt(shop: Shop) -> None:
    codes = [await shop.code(percent_off=percent_off(10_000)), await shop.code(amount_off=amount_off())]
    async with refused("NOTHING_TO_DISCOUNT", grpc.StatusCode.FAILED_PRECONDITION):
        await shop.redeem(Order(codes))
    assert [await shop.uses(code) for code in codes] == [(0, 0)] * 2


# Products and customers


async def test_redeem_discount_is_taken_off_eligible_lines_only(shop: Shop) -> None:
    code = await shop.code(
        amount_off=amount_off(5_000),
        included_products=products(WALK, categories=("thing",)),
        excluded_products=products(HAT),
    )
    order = Order([code], lines=[line(1, WALK, 1, 3_000), line(2, DRINK, 1, 1_000, "thing"), line(3, HAT, 1, 9_000)])
    assert await shares(shop, order) == [[3_000, 1_000, 0]]
    async with refused("NO_ELIGIBLE_PRODUCT", grpc.StatusCode.FAILED_PRECONDITION):
        await shop.redeem(Order([code], lines=[line(1, HAT, 1, 9_000, "thing")]))


async def test_redeem_free_item_that_is_not_in_the_order_refused(shop: Shop) -> None:
    code = await shop.code(free_item=campaign_pb2.FreeItemEffect(products=products(HAT), currency="OMR"))
    async with refused("NO_ELIGIBLE_PRODUCT"):
        await shop.redeem(Order([code], lines=[line(1, WALK, 1, 3_000)]))


async def test_redeem_by_customer_who_is_not_meant_refused(shop: Shop) -> None:
    friend, foe = some_id(), some_id()
    code = await shop.code(included_customer_ids=[friend, foe], excluded_customer_ids=[foe])
    await shop.redeem(Order([code], friend))
    async with refused("CUSTOMER_NOT_ELIGIBLE", grpc.StatusCode.FAILED_PRECONDITION, cause="excluded"):
        await shop.redeem(Order([code], foe))
    async with refused("CUSTOMER_NOT_ELIGIBLE", cause="not_included"):
        await shop.redeem(Order([code]))


async def test_redeem_code_of_another_customer_refused(shop: Shop) -> None:
    campaign_id, owner, code = await shop.campaign(), some_id(), f"OWN-{new_id().hex[-12:]}"
    voucher = codes_pb2.Voucher(voucher_id=some_id(), campaign_id=campaign_id, code=code, customer_id=owner)
    await shop.stub.codes.CreateVoucher(codes_pb2.CreateVoucherRequest(voucher=voucher))
    async with refused("VOUCHER_OF_OTHER_CUSTOMER", grpc.StatusCode.FAILED_PRECONDITION, voucher_id=voucher.voucher_id):
        await shop.redeem(Order([code]))
    await shop.redeem(Order([code], owner))


async def test_redeem_for_first_orders_only(shop: Shop) -> None:
    """V7."""
    code = await shop.code(first_order_only=True)
    async with refused("CUSTOMER_FACTS_MISSING", grpc.StatusCode.FAILED_PRECONDITION):
        await shop.redeem(Order([code]))
    async with refused("NOT_FIRST_ORDER", grpc.StatusCode.FAILED_PRECONDITION, orders_placed=1):
        await shop.redeem(Order([code], facts=facts(1)))
    await shop.redeem(Order([code], facts=facts(0)))


async def test_redeem_with_other_facts_under_the_same_ids_refused(shop: Shop) -> None:
    """K-3."""
    order = Order([await shop.code()], facts=facts(1))
    await shop.redeem(order)
    order.facts = facts(2)
    async with refused("REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD", field="facts"):
        await shop.redeem(order)


# Uses and budget


async def test_redeem_period_limit_counts_what_was_made_within_the_period(shop: Shop, owner_connection: object) -> None:
    code = await shop.code(uses_per_customer_max=9, uses_per_period_max=2, period_days=7)
    orders = [Order([code], some_id())]
    orders += [Order([code], orders[0].customer_id) for _ in range(3)]
    for order in orders[:2]:
        await shop.redeem(order)
        await shop.confirm(order)
    async with refused("PERIOD_LIMIT_REACHED", uses=2, uses_max=2, period_days=7):
        await shop.redeem(orders[2])
    age = "UPDATE redemptions SET created_at = created_at - interval '7 days' WHERE redemption_id = $1"
    await owner_connection.execute(age, orders[0].redemption_ids[0])
    await shop.redeem(orders[2])
    async with refused("ROLLBACK_IN_PROGRESS"):
        await shop.redeem(orders[3])


async def test_redeem_budget_is_never_passed_and_comes_back(shop: Shop) -> None:
    """V7: 10 a use, 25 to spend."""
    code = await shop.code(amount_off=amount_off(10_000), budget_minor=25_000)
    orders = [Order([code]) for _ in range(4)]
    for order in orders[:2]:
        await shop.redeem(order)
    async with refused(
        "BUDGET_EXHAUSTED",
        grpc.StatusCode.FAILED_PRECONDITION,
        value_minor=10_000,
        spent_minor=20_000,
        budget_minor=25_000,
    ):
        await shop.redeem(orders[2])
    await shop.redeem(Order([code], lines=lines(5_000)))
    await shop.roll_back(orders[0])
    await shop.redeem(orders[3])


async def test_redeem_stack_of_one_campaign_is_counted_against_its_limits_together(shop: Shop) -> None:
    campaign_id = await shop.campaign(amount_off=amount_off(10_000), budget_minor=15_000, uses_per_customer_max=2)
    codes = [await shop.code(campaign_id) for _ in range(2)]
    async with refused("BUDGET_EXHAUSTED", spent_minor=10_000):
        await shop.redeem(Order(codes))
    assert [await shop.uses(code) for code in codes] == [(0, 0)] * 2


async def test_redeem_credits_count_against_the_budget(shop: Shop) -> None:
    code = await shop.code(credit_grant=credit_grant(10_000), budget_minor=10_000)
    await shop.redeem(Order([code]))
    async with refused("BUDGET_EXHAUSTED"):
        await shop.redeem(Order([code]))


# Stacking


async def test_redeem_stack_is_used_by_priority_and_answered_as_asked(shop: Shop) -> None:
    """V7: half of what is left after the fixed amount, although it was asked for first."""
    half = await shop.code(percent_off=percent_off(5_000), stacking_priority=7)
    fixed = await shop.code(amount_off=amount_off(2_000), stacking_priority=3)
    assert await shares(shop, Order([half, fixed], lines=lines(10_000))) == [[4_000], [2_000]]
    assert [one.discount_minor for one in await shop.validate(Order([half, fixed], lines=lines(10_000)))] == [
        4_000,
        2_000,
    ]


@pytest.mark.parametrize("exclusive_first", [True, False])
async def test_redeem_exclusive_voucher_with_another_refused(shop: Shop, exclusive_first: bool) -> None:
    alone = await shop.code(amount_off=amount_off(1_000), stacking=campaign_pb2.STACKING_EXCLUSIVE)
    other = await shop.code(amount_off=amount_off(1_000))
    codes = [alone, other] if exclusive_first else [other, alone]
    alone_id = (await shop.get(alone)).voucher.voucher_id
    async with refused("NOT_COMBINABLE", grpc.StatusCode.FAILED_PRECONDITION, exclusive_voucher_id=alone_id):
        await shop.redeem(Order(codes))
    await shop.redeem(Order([alone]))


async def test_redeem_exclusive_voucher_beside_credit_from_the_wallet(shop: Shop) -> None:
    """V1: what is in the wallet already is no other voucher."""
    kept = Order([await shop.code()])
    await shop.redeem(kept)
    await shop.keep(kept)
    alone = await shop.code(amount_off=amount_off(1_000), stacking=campaign_pb2.STACKING_EXCLUSIVE)
    assert (await shop.redeem(Order([*kept.codes, alone], kept.customer_id))).discount_minor == 1_000


async def test_redeem_stack_of_thirty(shop: Shop) -> None:
    codes = [await shop.code(amount_off=amount_off(number + 1)) for number in range(30)]
    assert (await shop.redeem(Order(codes))).discount_minor == sum(range(1, 31))


# What may be used without a code, and reading


async def test_qualify_names_what_would_be_accepted_highest_value_first(shop: Shop) -> None:
    customer_id, shared = some_id(), {}
    for amount_minor in (300, 700):
        campaign_id = await shop.campaign(amount_off=amount_off(amount_minor, "JOD"), listed=True)
        shared[campaign_id] = await shop.code(campaign_id)
    hidden = await shop.campaign(amount_off=amount_off(900, "JOD"))
    await shop.code(hidden)
    own_campaign = await shop.campaign(amount_off=amount_off(500, "JOD"), stacking=campaign_pb2.STACKING_EXCLUSIVE)
    own = codes_pb2.Voucher(
        voucher_id=some_id(), campaign_id=own_campaign, code=f"OWN-{some_id()[-12:]}", customer_id=customer_id
    )
    await shop.stub.codes.CreateVoucher(codes_pb2.CreateVoucherRequest(voucher=own))
    too_small = await shop.campaign(amount_off=amount_off(999, "JOD"), listed=True, order_minimum_minor=10**9)
    await shop.code(too_small)
    order = Order([], customer_id, currency="JOD")
    found = (await shop.stub.QualifyCampaigns(order.qualify())).campaigns
    assert [(one.assessment.discount_minor, one.assigned) for one in found] == [(700, False), (500, True), (300, False)]
    assert found[1].assessment.voucher_id == own.voucher_id
    assert found[1].stacking == campaign_pb2.STACKING_EXCLUSIVE
    assert {one.campaign_id for one in found} == {*shared, own_campaign}
    others = (await shop.stub.QualifyCampaigns(Order([], currency="JOD").qualify())).campaigns
    assert [one.assessment.discount_minor for one in others] == [700, 300]


async def test_qualify_leaves_out_what_is_used_up_or_ended(shop: Shop) -> None:
    over = await shop.campaign(amount_off=amount_off(1, "BHD"), listed=True, end_time=in_days(-1))
    await shop.code(over)
    scarce = await shop.campaign(amount_off=amount_off(2, "BHD"), listed=True)
    code = await shop.code(scarce, uses_max=2)
    order = Order([code], currency="BHD")
    assert len((await shop.stub.QualifyCampaigns(order.qualify())).campaigns) == 1
    await shop.redeem(order)
    await shop.redeem(Order([code], currency="BHD"))
    assert len((await shop.stub.QualifyCampaigns(Order([], currency="BHD").qualify())).campaigns) == 0


async def test_get_redemption_answers_how_it_stands(shop: Shop) -> None:
    order = Order([await shop.code(amount_off=amount_off(7))])
    (redeemed,) = (await shop.redeem(order)).redemptions
    request = vouchers_pb2.GetRedemptionRequest(redemption_id=order.redemption_ids[0])
    assert (await shop.stub.GetRedemption(request)).redemption == redeemed
    await shop.confirm(order)
    read = (await shop.stub.GetRedemption(request)).redemption
    assert (read.state, read.discount_minor) == (vouchers_pb2.REDEMPTION_STATE_CONFIRMED, 7)


async def test_get_redemption_unknown_or_tombstone_refused(shop: Shop) -> None:
    order = Order([await shop.code()])
    request = vouchers_pb2.GetRedemptionRequest(redemption_id=order.redemption_ids[0])
    for _ in range(2):
        async with refused("REDEMPTION_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            await shop.stub.GetRedemption(request)
        await shop.roll_back(order)


@pytest.mark.parametrize("of", ["customer_id", "voucher_id", "campaign_id"])
async def test_list_redemptions_goes_through_all_pages_newest_first(shop: Shop, of: str) -> None:
    code, customer_id = await shop.code(uses_per_customer_max=9), some_id()
    orders = [Order([code], customer_id) for _ in range(5)]
    for order in orders:
        await shop.redeem(order)
    await shop.roll_back(Order([code], customer_id))
    view = await shop.get(code)
    owners = {
        "customer_id": customer_id,
        "voucher_id": view.voucher.voucher_id,
        "campaign_id": view.voucher.campaign_id,
    }
    pages, token = [], ""
    while True:
        request = vouchers_pb2.ListRedemptionsRequest(**{of: owners[of]}, page_size=2, page_token=token)
        response = await shop.stub.ListRedemptions(request)
        pages.append([redemption.redemption_id for redemption in response.redemptions])
        token = response.next_page_token
        if not token:
            break
    assert [len(page) for page in pages] == [2, 2, 1]
    newest_first = [order.redemption_ids[0] for order in reversed(orders)]
    assert [redemption_id for page in pages for redemption_id in page] == newest_first


async def test_list_redemptions_with_the_token_of_another_list_refused(shop: Shop) -> None:
    code, customer_id = await shop.code(uses_per_customer_max=9), some_id()
    for _ in range(2):
        await shop.redeem(Order([code], customer_id))
    first = vouchers_pb2.ListRedemptionsRequest(customer_id=customer_id, page_size=1)
    token = (await shop.stub.ListRedemptions(first)).next_page_token
    for bad in (token, "nonsense", "AAAA"):
        request = vouchers_pb2.ListRedemptionsRequest(customer_id=some_id(), page_token=bad)
        async with refused("INVALID_PAGE_TOKEN", grpc.StatusCode.INVALID_ARGUMENT):
            await shop.stub.ListRedemptions(request)
