"""Making campaigns and codes, and reading them, through the API."""

from collections.abc import Callable

import grpc
import pytest

from quittance.vouchers.v1 import campaign_pb2, campaigns_pb2, codes_pb2
from tests.vouchers.requests import (
    ACTIVE,
    CONFIRMED,
    RESERVED,
    Order,
    Shop,
    amount_off,
    by_id,
    campaign,
    credit_grant,
    in_days,
    money,
    refused,
    some_id,
)


def create(message: campaign_pb2.Campaign) -> campaigns_pb2.CreateCampaignRequest:
    return campaigns_pb2.CreateCampaignRequest(campaign=message)


def new_voucher(campaign_id: str, **fields: object) -> codes_pb2.CreateVoucherRequest:
    defaults = {"voucher_id": some_id(), "campaign_id": campaign_id, "code": f"WALK-{some_id()[-12:]}"}
    return codes_pb2.CreateVoucherRequest(voucher=codes_pb2.Voucher(**{**defaults, **fields}))


async def test_create_campaign_answers_what_is_stored(shop: Shop) -> None:
    asked = campaign(
        uses_max=100,
        uses_per_customer_max=3,
        start_time=in_days(-1),
        end_time=in_days(1),
        order_minimum_minor=5_000,
        uses_per_period_max=2,
        period_days=7,
        budget_minor=500_000,
        included_products=campaign_pb2.ProductSelection(product_ids=[some_id()], categories=["shoes"]),
        excluded_customer_ids=sorted([some_id(), some_id()]),
        first_order_only=True,
        qualification="order.quantity > 1",
        stacking=campaign_pb2.STACKING_EXCLUSIVE,
        stacking_priority=3,
        on_refund=campaign_pb2.USE_RULE_RESTORE,
        on_cancel=campaign_pb2.USE_RULE_KEEP,
        listed=True,
        uses=77,
    )
    stored = (await shop.stub.campaigns.CreateCampaign(create(asked))).campaign
    assert (stored.uses, stored.spent_minor, stored.state, stored.revision) == (0, 0, ACTIVE, 1)
    assert stored.create_time.seconds > 0
    for output_only in ("create_time", "state", "revision"):
        stored.ClearField(output_only)
    asked.ClearField("uses")
    for moment in (asked.start_time, asked.end_time):
        moment.nanos -= moment.nanos % 1_000
    assert stored == asked


async def test_create_campaign_without_limit_per_customer_means_one(shop: Shop) -> None:
    stored = (await shop.stub.campaigns.CreateCampaign(create(campaign()))).campaign
    assert (stored.uses_max, stored.uses_per_customer_max) == (0, 1)
    assert not stored.HasField("start_time")
    assert not stored.HasField("end_time")


async def test_create_campaign_repeated_is_created_once(shop: Shop) -> None:
    """K-2."""
    request = create(campaign(amount_off=amount_off()))
    assert await shop.stub.campaigns.CreateCampaign(request) == await shop.stub.campaigns.CreateCampaign(request)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("name", {"name": "Run"}),
        ("effect", {"credit_grant": credit_grant(1)}),
        ("effect", {"credit_grant": credit_grant(priority=1)}),
        ("effect", {"amount_off": amount_off()}),
        ("uses_max", {"uses_max": 1}),
        ("uses_per_customer_max", {"uses_per_customer_max": 2}),
        ("start_time", {"start_time": in_days(1)}),
        ("end_time", {"end_time": in_days(1)}),
        ("order_minimum_minor", {"order_minimum_minor": 1}),
        ("budget_minor", {"budget_minor": 1}),
        ("qualification", {"qualification": "true"}),
        ("listed", {"listed": True}),
    ],
)
async def test_create_campaign_same_id_other_field_refused(shop: Shop, field: str, change: dict[str, object]) -> None:
    """K-3."""
    campaign_id = await shop.campaign()
    async with refused(
        "CAMPAIGN_EXISTS_WITH_DIFFERENT_FIELD", grpc.StatusCode.ALREADY_EXISTS, campaign_id=campaign_id, field=field
    ):
        await shop.campaign(campaign_id=campaign_id, **change)


async def test_create_campaign_same_id_as_a_draft_refused(shop: Shop) -> None:
    request = create(campaign())
    await shop.stub.campaigns.CreateCampaign(request)
    request.draft = True
    async with refused("CAMPAIGN_EXISTS_WITH_DIFFERENT_FIELD", field="draft"):
        await shop.stub.campaigns.CreateCampaign(request)


async def test_create_campaign_that_ends_before_it_starts_refused(shop: Shop) -> None:
    moment = in_days(1)
    async with refused("INVALID_WINDOW", grpc.StatusCode.INVALID_ARGUMENT) as caught:
        await shop.campaign(start_time=moment, end_time=moment)
    assert set(caught.metadata) == {"start_time", "end_time"}


@pytest.mark.parametrize(
    "fields",
    [
        {"credit_grant": credit_grant(0)},
        {"amount_off": amount_off(0)},
        {"credit_grant": campaign_pb2.CreditGrantEffect(amount=money(1, "omr"))},
        {"name": ""},
        {"uses_max": -1},
        {"campaign_id": ""},
    ],
)
async def test_create_campaign_of_bad_shape_refused(shop: Shop, fields: dict[str, object]) -> None:
    async with refused("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT):
        await shop.campaign(**fields)


async def test_create_campaign_with_impossible_time_refused(shop: Shop) -> None:
    message = campaign()
    message.end_time.seconds = 2**62
    async with refused("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT):
        await shop.stub.campaigns.CreateCampaign(create(message))


async def test_create_voucher_answers_what_is_stored_and_repeats_it(shop: Shop) -> None:
    request = new_voucher(await shop.campaign(), uses_max=3)
    first = await shop.stub.codes.CreateVoucher(request)
    assert await shop.stub.codes.CreateVoucher(request) == first
    first.voucher.ClearField("create_time")
    assert first.voucher == request.voucher


@pytest.mark.parametrize("field", ["campaign_id", "code", "uses_max"])
async def test_create_voucher_same_id_other_field_refused(shop: Shop, field: str) -> None:
    """K-3."""
    request = new_voucher(await shop.campaign())
    await shop.stub.codes.CreateVoucher(request)
    changes = {"campaign_id": await shop.campaign(), "code": "OTHER-CODE", "uses_max": 5}
    setattr(request.voucher, field, changes[field])
    async with refused("VOUCHER_EXISTS_WITH_DIFFERENT_FIELD", field=field, voucher_id=request.voucher.voucher_id):
        await shop.stub.codes.CreateVoucher(request)


async def test_create_voucher_of_unknown_campaign_refused(shop: Shop) -> None:
    campaign_id = some_id()
    async with refused("CAMPAIGN_NOT_FOUND", grpc.StatusCode.NOT_FOUND, campaign_id=campaign_id):
        await shop.stub.codes.CreateVoucher(new_voucher(campaign_id))


@pytest.mark.parametrize("spelling", [str, str.lower, lambda code: code.replace("-", "")])
async def test_create_voucher_with_taken_code_refused(shop: Shop, spelling: Callable[[str], str]) -> None:
    """Also in another campaign and another spelling."""
    code = await shop.code()
    async with refused("CODE_TAKEN", grpc.StatusCode.ALREADY_EXISTS) as caught:
        await shop.stub.codes.CreateVoucher(new_voucher(await shop.campaign(), code=spelling(code)))
    assert code[5:] not in str(caught.refusal)


async def test_get_voucher_shows_uses_and_redemptions_newest_first(shop: Shop) -> None:
    code = await shop.code()
    orders = [Order([code]) for _ in range(3)]
    for order in orders:
        await shop.redeem(order)
    await shop.confirm(orders[0])
    await shop.roll_back(Order([code]))
    view = await shop.get(code)
    shown = [(redemption.redemption_id, redemption.state) for redemption in view.redemptions]
    states = [CONFIRMED, RESERVED, RESERVED]
    made = [(order.redemption_ids[0], state) for order, state in zip(orders, states, strict=True)]
    assert shown == made[::-1]
    assert (view.voucher.uses, view.campaign.uses, view.voucher.campaign_id) == (3, 3, view.campaign.campaign_id)
    request = codes_pb2.GetVoucherRequest(voucher=by_id(view.voucher.voucher_id))
    assert await shop.stub.codes.GetVoucher(request) == view


async def test_get_unknown_voucher_refused(shop: Shop) -> None:
    async with refused("VOUCHER_NOT_FOUND", voucher="NO…H"):
        await shop.get("NO-SUCH-UCH")
