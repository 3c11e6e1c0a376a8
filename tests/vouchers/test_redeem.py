"""Reserving vouchers through the API: what is given, what is refused, and repetitions."""

from collections.abc import Callable
from dataclasses import replace

import grpc
import pytest

from tests.vouchers.requests import (
    ALREADY_IN_WALLET,
    RESERVED,
    Order,
    Shop,
    amount_off,
    by_id,
    credit_grant,
    in_days,
    lines,
    refused,
    some_id,
)


async def test_redeem_credit_voucher_reserves_credits_and_no_discount(shop: Shop) -> None:
    campaign_id = await shop.campaign(credit_grant=credit_grant(10_000, priority=7, valid_days=30))
    order = Order([await shop.code(campaign_id)])
    response = await shop.redeem(order)
    (redemption,) = response.redemptions
    grant = redemption.credit_grant
    assert (redemption.state, redemption.discount_minor, response.discount_minor) == (RESERVED, 0, 0)
    assert (grant.amount_minor, grant.priority) == (10_000, 7)
    assert grant.source_account == f"campaign:{campaign_id}"
    assert grant.expire_time.seconds - redemption.create_time.seconds == 30 * 86_400
    assert (redemption.order_id, redemption.customer_id) == (order.order_id, order.customer_id)
    assert redemption.redemption_id == order.redemption_ids[0]
    assert await shop.uses(order.codes[0]) == (1, 1)


async def test_redeem_credit_voucher_without_valid_days_never_expires(shop: Shop) -> None:
    order = Order([await shop.code(credit_grant=credit_grant(valid_days=0))])
    (redemption,) = (await shop.redeem(order)).redemptions
    assert not redemption.credit_grant.HasField("expire_time")


async def test_redeem_amount_off_spreads_discount_over_lines(shop: Shop) -> None:
    """V6: voucher 10, order 50: 40 are left."""
    order = Order([await shop.code(amount_off=amount_off(10_000))], lines=lines(33_333, 16_667))
    response = await shop.redeem(order)
    (redemption,) = response.redemptions
    shares = [(share.line_number, share.discount_minor) for share in redemption.line_discounts]
    assert shares == [(1, 6_667), (2, 3_333)]
    assert (redemption.discount_minor, response.discount_minor) == (10_000, 10_000)
    assert not redemption.HasField("credit_grant")


async def test_redeem_amount_off_more_than_subtotal_takes_subtotal(shop: Shop) -> None:
    """V6."""
    order = Order([await shop.code(amount_off=amount_off(10_000))], lines=lines(4_000, 2_500))
    assert (await shop.redeem(order)).discount_minor == 6_500


async def test_redeem_stack_computes_each_on_what_those_before_leave(shop: Shop) -> None:
    """V6: the parts always add up to the total."""
    codes = [await shop.code(amount_off=amount_off(amount)) for amount in (7_000, 2_000, 4_000)]
    response = await shop.redeem(Order(codes, lines=lines(5_000, 5_000)))
    assert [redemption.discount_minor for redemption in response.redemptions] == [7_000, 2_000, 1_000]
    assert response.discount_minor == 10_000
    per_line = [
        sum(redemption.line_discounts[index].discount_minor for redemption in response.redemptions) for index in (0, 1)
    ]
    assert per_line == [5_000, 5_000]


async def test_redeem_stack_with_one_refused_reserves_nothing(shop: Shop) -> None:
    """All or nothing: the first refusal in the order asked is the answer."""
    good, over = await shop.code(), await shop.code(end_time=in_days(-1))
    order = Order([good, over, "UNKNOWN-CODE"])
    async with refused("CAMPAIGN_ENDED"):
        await shop.redeem(order)
    assert await shop.uses(good) == (0, 0)
    assert await shop.states(good) == []
    retry = Order([good], redemption_ids=order.redemption_ids[:1])
    assert len((await shop.redeem(retry)).redemptions) == 1


@pytest.mark.parametrize("spelling", [str.lower, lambda code: code.replace("-", ""), lambda code: f" {code} "])
async def test_redeem_code_in_other_spelling_is_the_same_code(shop: Shop, spelling: Callable[[str], str]) -> None:
    """V8: case and separators do not matter."""
    code = await shop.code()
    await shop.redeem(Order([spelling(code)]))
    assert await shop.uses(code) == (1, 1)


async def test_redeem_by_voucher_id_is_the_same_as_by_code(shop: Shop) -> None:
    order = Order([await shop.code()])
    first = await shop.redeem(order)
    request = order.redeem()
    request.redemptions[0].voucher.CopyFrom(by_id(first.redemptions[0].voucher_id))
    assert await shop.stub.RedeemVouchers(request) == first


async def test_redeem_unknown_code_refused_with_masked_code(shop: Shop) -> None:
    async with refused("VOUCHER_NOT_FOUND", grpc.StatusCode.NOT_FOUND, voucher="NO…DE"):
        await shop.redeem(Order(["NO-SUCH-CODE-CODE"]))


async def test_redeem_unknown_voucher_id_refused(shop: Shop) -> None:
    request = Order(["ANY"]).redeem()
    voucher_id = some_id()
    request.redemptions[0].voucher.CopyFrom(by_id(voucher_id))
    async with refused("VOUCHER_NOT_FOUND", voucher=voucher_id):
        await shop.stub.RedeemVouchers(request)


async def test_redeem_before_start_refused(shop: Shop) -> None:
    async with refused("CAMPAIGN_NOT_STARTED", grpc.StatusCode.FAILED_PRECONDITION) as caught:
        await shop.redeem(Order([await shop.code(start_time=in_days(1))]))
    assert set(caught.metadata) == {"campaign_id", "start_time"}


async def test_redeem_after_end_refused(shop: Shop) -> None:
    async with refused("CAMPAIGN_ENDED", grpc.StatusCode.FAILED_PRECONDITION) as caught:
        await shop.redeem(Order([await shop.code(start_time=in_days(-2), end_time=in_days(-1))]))
    assert set(caught.metadata) == {"campaign_id", "end_time"}


async def test_redeem_within_window_works(shop: Shop) -> None:
    await shop.redeem(Order([await shop.code(start_time=in_days(-1), end_time=in_days(1))]))


async def test_redeem_order_in_other_currency_refused(shop: Shop) -> None:
    order = Order([await shop.code()], currency="USD")
    async with refused("CURRENCY_MISMATCH", grpc.StatusCode.FAILED_PRECONDITION, currency="OMR", order_currency="USD"):
        await shop.redeem(order)


async def test_redeem_order_below_minimum_refused_at_minimum_taken(shop: Shop) -> None:
    code = await shop.code(order_minimum_minor=20_000)
    async with refused("ORDER_BELOW_MINIMUM", subtotal_minor=19_999, order_minimum_minor=20_000):
        await shop.redeem(Order([code], lines=lines(19_999)))
    await shop.redeem(Order([code], lines=lines(20_000)))


async def test_redeem_minimum_looks_at_list_prices_not_at_what_other_vouchers_leave(shop: Shop) -> None:
    first, second = await shop.code(amount_off=amount_off(15_000)), await shop.code(order_minimum_minor=20_000)
    await shop.redeem(Order([first, second], lines=lines(20_000)))


async def test_redeem_exhausted_voucher_refused(shop: Shop) -> None:
    code = await shop.code(uses_max=1)
    await shop.redeem(Order([code]))
    async with refused("VOUCHER_EXHAUSTED", grpc.StatusCode.FAILED_PRECONDITION, uses=1, uses_max=1):
        await shop.redeem(Order([code]))


async def test_redeem_exhausted_campaign_refused_by_any_of_its_codes(shop: Shop) -> None:
    campaign_id = await shop.campaign(uses_max=1)
    first, second = await shop.code(campaign_id), await shop.code(campaign_id)
    await shop.redeem(Order([first]))
    async with refused("CAMPAIGN_EXHAUSTED", campaign_id=campaign_id, uses=1, uses_max=1):
        await shop.redeem(Order([second]))


async def test_redeem_again_after_confirmed_order_refused_by_customer_limit(shop: Shop) -> None:
    """V5: one per customer unless the campaign says otherwise."""
    order = Order([await shop.code()])
    await shop.redeem(order)
    await shop.confirm(order)
    async with refused("CUSTOMER_LIMIT_REACHED", grpc.StatusCode.FAILED_PRECONDITION, uses=1, uses_max=1):
        await shop.redeem(Order(order.codes, order.customer_id))


async def test_redeem_n_per_customer_allows_n(shop: Shop) -> None:
    """V5: n per customer."""
    code, customer_id = await shop.code(uses_per_customer_max=2), some_id()
    for _ in range(2):
        order = Order([code], customer_id)
        await shop.redeem(order)
        await shop.confirm(order)
    async with refused("CUSTOMER_LIMIT_REACHED", uses=2, uses_max=2):
        await shop.redeem(Order([code], customer_id))
    await shop.redeem(Order([code]))


async def test_redeem_two_codes_of_one_campaign_in_a_stack_count_twice(shop: Shop) -> None:
    campaign_id = await shop.campaign()
    codes = [await shop.code(campaign_id), await shop.code(campaign_id)]
    async with refused("CUSTOMER_LIMIT_REACHED", uses=1, uses_max=1):
        await shop.redeem(Order(codes))
    assert await shop.uses(codes[0]) == (0, 0)


async def test_redeem_stack_does_not_exceed_campaign_uses(shop: Shop) -> None:
    campaign_id = await shop.campaign(uses_max=1, uses_per_customer_max=5)
    codes = [await shop.code(campaign_id), await shop.code(campaign_id)]
    async with refused("CAMPAIGN_EXHAUSTED", uses=1, uses_max=1):
        await shop.redeem(Order(codes))


async def test_redeem_while_own_reservation_takes_the_use_asks_to_retry(shop: Shop) -> None:
    """A code just being rolled back answers ABORTED with a retry time; once it is, the code is free again."""
    order = Order([await shop.code(uses_max=1)])
    await shop.redeem(order)
    second = Order(order.codes, order.customer_id)
    async with refused("ROLLBACK_IN_PROGRESS", grpc.StatusCode.ABORTED) as caught:
        await shop.redeem(second)
    assert caught.refusal is not None
    assert caught.refusal.retry_after_s == 1.0
    await shop.roll_back(order)
    await shop.redeem(second)


async def test_redeem_while_own_reservation_exhausts_voucher_or_campaign_asks_to_retry(shop: Shop) -> None:
    for limits in ({"uses_max": 1}, {}):
        campaign_id = await shop.campaign(uses_per_customer_max=5, **limits)
        code = await shop.code(campaign_id, uses_max=0 if limits else 1)
        customer_id = some_id()
        await shop.redeem(Order([code], customer_id))
        async with refused("ROLLBACK_IN_PROGRESS"):
            await shop.redeem(Order([code], customer_id))
        async with refused("CAMPAIGN_EXHAUSTED" if limits else "VOUCHER_EXHAUSTED"):
            await shop.redeem(Order([code]))


async def test_redeem_kept_credit_voucher_is_answered_from_the_wallet(shop: Shop) -> None:
    """V1: the code offered again is answered from the wallet, and the order goes on with its other vouchers."""
    kept = Order([await shop.code(uses_max=1)])
    await shop.redeem(kept)
    await shop.keep(kept)
    other = await shop.code(amount_off=amount_off(1_000))
    order = Order([kept.codes[0], other], kept.customer_id)
    response = await shop.redeem(order)
    assert [redemption.state for redemption in response.redemptions] == [ALREADY_IN_WALLET, RESERVED]
    assert not response.redemptions[0].HasField("credit_grant")
    assert response.discount_minor == 1_000
    assert await shop.uses(kept.codes[0]) == (1, 1)
    assert await shop.redeem(order) == response
    assert await shop.keep(order) == [ALREADY_IN_WALLET, RESERVED]
    assert (await shop.confirm(order))[0] == ALREADY_IN_WALLET
    assert await shop.uses(kept.codes[0]) == (1, 1)


async def test_redeem_code_kept_by_another_customer_is_not_in_the_wallet(shop: Shop) -> None:
    kept = Order([await shop.code(uses_max=1)])
    await shop.redeem(kept)
    await shop.keep(kept)
    async with refused("VOUCHER_EXHAUSTED"):
        await shop.redeem(Order(kept.codes))


async def test_redeem_same_voucher_twice_in_a_stack_refused(shop: Shop) -> None:
    code = await shop.code(uses_per_customer_max=5)
    async with refused("VOUCHER_REPEATED", grpc.StatusCode.INVALID_ARGUMENT):
        await shop.redeem(Order([code, code.lower()]))


async def test_redeem_same_redemption_id_twice_refused(shop: Shop) -> None:
    repeated = some_id()
    order = Order([await shop.code(), await shop.code()], redemption_ids=[repeated, repeated])
    async with refused("VOUCHER_REPEATED", repeated=repeated):
        await shop.redeem(order)


async def test_redeem_lines_with_one_number_refused(shop: Shop) -> None:
    order = Order([await shop.code()], lines=[*lines(100), *lines(200)])
    async with refused("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT, field="lines.line_number"):
        await shop.redeem(order)


async def test_redeem_repeated_gets_first_answer(shop: Shop) -> None:
    """K-2: also after the redemption moved on."""
    order = Order([await shop.code(), await shop.code(amount_off=amount_off())])
    first = await shop.redeem(order)
    assert await shop.redeem(order) == first
    await shop.keep(order)
    assert await shop.redeem(order) == first
    await shop.confirm(order)
    assert await shop.redeem(order) == first
    assert await shop.uses(order.codes[0]) == (1, 1)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("customer_id", lambda order: replace(order, customer_id=some_id())),
        ("order_id", lambda order: replace(order, order_id=some_id())),
        ("currency", lambda order: replace(order, currency="USD")),
        ("lines", lambda order: replace(order, lines=lines(1))),
        ("voucher", lambda order: replace(order, codes=order.codes[::-1])),
        ("voucher", lambda order: replace(order, codes=["NO-SUCH-CODE", order.codes[1]])),
        (
            "redemptions",
            lambda order: replace(order, codes=order.codes[:1], redemption_ids=order.redemption_ids[:1]),
        ),
        (
            "redemptions",
            lambda order: replace(order, redemption_ids=[order.redemption_ids[0], some_id()]),
        ),
    ],
)
async def test_redeem_same_id_with_other_field_refused_naming_it(
    shop: Shop, field: str, change: Callable[[Order], Order]
) -> None:
    """K-3."""
    order = Order([await shop.code(), await shop.code()])
    await shop.redeem(order)
    async with refused(
        "REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD",
        grpc.StatusCode.ALREADY_EXISTS,
        redemption_id=order.redemption_ids[0],
        field=field,
    ):
        await shop.redeem(change(order))
    assert await shop.uses(order.codes[0]) == (1, 1)


async def test_redeem_repeated_after_rollback_refused(shop: Shop) -> None:
    """V-4: a redemption that was undone stays undone."""
    order = Order([await shop.code()])
    await shop.redeem(order)
    await shop.roll_back(order)
    async with refused(
        "REDEMPTION_ALREADY_UNDONE", grpc.StatusCode.FAILED_PRECONDITION, redemption_id=order.redemption_ids[0]
    ):
        await shop.redeem(order)
    assert await shop.uses(order.codes[0]) == (0, 0)


async def test_redeem_precedence_of_refusals_is_the_documented_one(shop: Shop) -> None:
    """Window, currency, minimum, wallet, customer, voucher, campaign: each is lifted in turn."""
    campaign_id = await shop.campaign(uses_max=1, order_minimum_minor=1_000)
    code, customer_id = await shop.code(campaign_id, uses_max=1), some_id()
    order = Order([code], customer_id)
    await shop.redeem(order)
    await shop.confirm(order)
    async with refused("CURRENCY_MISMATCH"):
        await shop.redeem(Order([code], customer_id, currency="USD", lines=lines(1)))
    async with refused("ORDER_BELOW_MINIMUM"):
        await shop.redeem(Order([code], customer_id, lines=lines(1)))
    async with refused("CUSTOMER_LIMIT_REACHED"):
        await shop.redeem(Order([code], customer_id))
    async with refused("VOUCHER_EXHAUSTED"):
        await shop.redeem(Order([code]))
    async with refused("CAMPAIGN_EXHAUSTED"):
        await shop.redeem(Order([await shop.code(campaign_id)]))
