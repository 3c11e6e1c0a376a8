"""ValidateVouchers: what a redemption would do, said without doing it."""

import asyncpg
import grpc

from tests.vouchers.requests import Order, Shop, amount_off, credit_grant, in_days, lines, refused, some_id


async def test_validate_says_what_each_voucher_of_a_stack_would_do(shop: Shop) -> None:
    """V6: each is computed on what those before it leave; a refused one leaves everything."""
    over = await shop.code(end_time=in_days(-1))
    discounts = [await shop.code(amount_off=amount_off(amount)) for amount in (7_000, 9_000)]
    credit = await shop.code(credit_grant=credit_grant(4_000))
    order = Order([discounts[0], over, "NO-SUCH-CODE", credit, discounts[1]], lines=lines(6_000, 4_000))
    assessments = await shop.validate(order)
    assert [one.discount_minor for one in assessments] == [7_000, 0, 0, 0, 3_000]
    assert [one.credit_minor for one in assessments] == [0, 0, 0, 4_000, 0]
    assert [one.refusal.reason for one in assessments] == ["", "CAMPAIGN_ENDED", "VOUCHER_NOT_FOUND", "", ""]
    shares = [[share.discount_minor for share in one.line_discounts] for one in assessments]
    assert shares == [[4_200, 2_800], [], [], [], [1_800, 1_200]]


async def test_validate_agrees_with_redeem(shop: Shop) -> None:
    order = Order([await shop.code(amount_off=amount_off(3_333)), await shop.code()], lines=lines(1_000, 1_000, 5_000))
    assessments, redeemed = await shop.validate(order), await shop.redeem(order)
    assert [list(one.line_discounts) for one in assessments] == [
        list(redemption.line_discounts) for redemption in redeemed.redemptions
    ]
    assert [one.credit_minor for one in assessments] == [
        redemption.credit_grant.amount_minor for redemption in redeemed.redemptions
    ]


async def test_validate_refusal_carries_rule_and_values_and_masks_the_code(shop: Shop) -> None:
    code = await shop.code(order_minimum_minor=90_000)
    (assessment,) = await shop.validate(Order([code]))
    refusal = assessment.refusal
    assert refusal.reason == "ORDER_BELOW_MINIMUM"
    assert (refusal.metadata["subtotal_minor"], refusal.metadata["order_minimum_minor"]) == ("50000", "90000")
    assert refusal.message
    assert assessment.voucher_id == (await shop.get(code)).voucher.voucher_id
    assert assessment.masked_code == f"WA…{code[-2:].upper()}"


async def test_validate_unknown_code_has_no_voucher_id(shop: Shop) -> None:
    (assessment,) = await shop.validate(Order(["NO-SUCH-CODE"]))
    assert (assessment.voucher_id, assessment.masked_code) == ("", "NO…E")


async def test_validate_kept_voucher_is_already_in_wallet(shop: Shop) -> None:
    """V1."""
    order = Order([await shop.code(uses_max=1)])
    await shop.redeem(order)
    await shop.keep(order)
    (assessment,) = await shop.validate(Order(order.codes, order.customer_id))
    assert (assessment.already_in_wallet, assessment.credit_minor, assessment.HasField("refusal")) == (True, 0, False)


async def test_validate_same_voucher_twice_refuses_the_second(shop: Shop) -> None:
    code = await shop.code()
    first, second = await shop.validate(Order([code, code.lower()]))
    assert (first.refusal.reason, second.refusal.reason) == ("", "VOUCHER_REPEATED")


async def test_validate_used_up_voucher_refused_as_redeem_would(shop: Shop) -> None:
    order = Order([await shop.code(uses_max=1)])
    await shop.redeem(order)
    reasons = [
        (await shop.validate(Order(order.codes, customer_id)))[0].refusal.reason
        for customer_id in (order.customer_id, some_id())
    ]
    assert reasons == ["ROLLBACK_IN_PROGRESS", "VOUCHER_EXHAUSTED"]


async def test_validate_changes_nothing(shop: Shop, owner_connection: asyncpg.Connection) -> None:
    code = await shop.code()
    before = await owner_connection.fetchval("SELECT count(*) FROM redemptions")
    await shop.validate(Order([code, "NO-SUCH-CODE"]))
    assert await shop.uses(code) == (0, 0)
    assert await owner_connection.fetchval("SELECT count(*) FROM redemptions") == before


async def test_validate_lines_with_one_number_refused(shop: Shop) -> None:
    async with refused("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT):
        await shop.validate(Order([await shop.code()], lines=[*lines(1), *lines(2)]))
