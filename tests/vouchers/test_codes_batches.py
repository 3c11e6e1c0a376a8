"""Codes by the batch: generated in the background, exported, imported, cancelled (V8)."""

import asyncio
import re
from uuid import UUID

import asyncpg
import grpc
import pytest

from quittance.vouchers.v1 import campaigns_pb2, codes_pb2
from services.vouchers.domain.codes import has_right_check, normalise_code
from tests.vouchers.codes_requests import (
    CANCELLED,
    COMPLETED,
    FAILED,
    PENDING,
    RUNNING,
    Codes,
    batch,
)
from tests.vouchers.requests import Order, Shop, Stub, by_code, in_days, refused, some_id

CODE = re.compile(r"WALK-[0-9A-HJKMNP-TV-Z]{6}-[0-9A-HJKMNP-TV-Z]{6}-[0-9A-HJKMNP-TV-Z]{6}")


@pytest.fixture
def codes(vouchers: Stub) -> Codes:
    return Codes(vouchers)


@pytest.fixture
def second_codes(second_vouchers: Stub) -> Codes:
    return Codes(second_vouchers)


async def issued(shop: Shop, campaign_id: str) -> int:
    """How many codes the campaign's report has."""
    request = campaigns_pb2.GetCampaignReportRequest(campaign_id=campaign_id)
    return (await shop.stub.campaigns.GetCampaignReport(request)).report.codes_issued


async def test_batch_is_answered_at_once_and_made_in_the_background(shop: Shop, codes: Codes) -> None:
    """V8: unique codes in the batch's format, exactly as many as were asked for."""
    asked = batch(await shop.campaign(), 45_000, uses_max=2, format=codes_pb2.CodeFormat(prefix="WALK"))
    created = await codes.create(asked)
    assert (created.state, created.made, created.code_count, created.campaign_id) == (
        PENDING,
        0,
        45_000,
        asked.campaign_id,
    )
    finished = await codes.finished(asked.batch_id)
    assert (finished.state, finished.made) == (COMPLETED, 45_000)
    assert finished.finish_time.ToDatetime() >= finished.create_time.ToDatetime()
    exported = await codes.exported(asked.batch_id)
    assert len({each.code for each in exported}) == len({each.voucher_id for each in exported}) == 45_000
    assert all(CODE.fullmatch(each.code) for each in exported)
    assert all(has_right_check(normalise_code(each.code)) for each in exported[::100])
    view = await shop.get(exported[-1].code.lower().replace("-", ""))
    assert (view.voucher.code, view.voucher.uses_max) == (exported[-1].code, 2)
    assert await issued(shop, asked.campaign_id) == 45_000
    assert view.batch == finished


async def test_codes_can_be_used_while_the_rest_is_being_made(shop: Shop, codes: Codes) -> None:
    created = await codes.create(batch(await shop.campaign(uses_per_customer_max=5), 200_000))
    async with asyncio.timeout(30):
        while not (some := await codes.exported(created.batch_id)):
            await asyncio.sleep(0.01)
    await shop.redeem(Order([some[0].code]))
    assert await shop.uses(some[0].code) == (1, 1)
    assert (await codes.finished(created.batch_id)).made == 200_000
    with pytest.raises(grpc.aio.AioRpcError):
        await shop.redeem(Order([some[0].code]))


async def test_progress_moves_from_pending_over_running_to_completed(shop: Shop, codes: Codes) -> None:
    created = await codes.create(batch(await shop.campaign(), 100_000))
    seen = [(created.state, created.made)]
    while seen[-1][0] != COMPLETED:
        found = await codes.get(created.batch_id)
        seen.append((found.state, found.made))
    states = [state for state, _ in seen]
    made = [count for _, count in seen]
    assert (states, made) == (sorted(states), sorted(made))
    assert {PENDING, RUNNING, COMPLETED} == set(states)


@pytest.mark.parametrize(
    ("printed", "pattern"),
    [
        (codes_pb2.CodeFormat(), r"\w{6}-\w{6}-\w{6}"),
        (codes_pb2.CodeFormat(prefix="SOIL", group_length=9, separator=" "), r"SOIL \w{9} \w{9}"),
        (codes_pb2.CodeFormat(prefix="X1", group_length=18, separator=""), r"X1\w{18}"),
        (codes_pb2.CodeFormat(group_length=4, separator="."), r"\w{4}\.\w{4}\.\w{4}\.\w{4}\.\w{2}"),
    ],
)
async def test_code_is_printed_in_its_batchs_format_and_found_in_any(
    shop: Shop, codes: Codes, printed: codes_pb2.CodeFormat, pattern: str
) -> None:
    """V8: case-insensitively; a prefix with letters that look like digits is found too."""
    batch_id, (code,) = await codes.made(await shop.campaign(), 1, format=printed)
    assert re.fullmatch(pattern, code)
    alike = code.lower().replace("0", "o").replace("1", "l").replace("v", "u")
    assert {(await shop.get(text)).voucher.batch_id for text in (code, alike, f"--{alike}  ")} == {batch_id}


async def test_mistyped_code_is_told_from_an_unknown_one(shop: Shop, codes: Codes) -> None:
    """V8: a clear reason."""
    _, (code,) = await codes.made(await shop.campaign(), 1)
    wrong = code[:-1] + ("0" if code[-1] != "0" else "2")
    swapped = code[:2] + code[3] + code[2] + code[4:] if code[2] != code[3] else wrong
    for text in (wrong, swapped):
        async with refused("CODE_MISTYPED", grpc.StatusCode.INVALID_ARGUMENT):
            await shop.redeem(Order([text]))
        (assessment,) = await shop.validate(Order([text]))
        assert assessment.refusal.reason == "CODE_MISTYPED"
        async with refused("CODE_MISTYPED"):
            await shop.get(text)
    async with refused("VOUCHER_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        await shop.redeem(Order(["000000-000000-000000"]))


async def test_batch_past_its_expiry_refused(shop: Shop, codes: Codes) -> None:
    batch_id, (code,) = await codes.made(await shop.campaign(), 1, expire_time=in_days(-1))
    view = await shop.get(code)
    async with refused("VOUCHER_EXPIRED", grpc.StatusCode.FAILED_PRECONDITION, voucher_id=view.voucher.voucher_id):
        await shop.redeem(Order([code]))
    assert view.voucher.expire_time == (await codes.get(batch_id)).expire_time


async def test_same_batch_again_is_the_same_and_other_fields_are_refused(shop: Shop, codes: Codes) -> None:
    """K-2, K-3."""
    asked = batch(await shop.campaign(), 5)
    await codes.create(asked)
    finished = await codes.finished(asked.batch_id)
    assert await codes.create(asked) == finished
    changes: dict[str, object] = {
        "campaign_id": await shop.campaign(),
        "code_count": 6,
        "uses_max": 2,
        "format": codes_pb2.CodeFormat(prefix="A"),
        "expire_time": in_days(1),
    }
    for field, value in changes.items():
        other = codes_pb2.CodeBatch()
        other.CopyFrom(asked)
        other.ClearField(field)  # type: ignore[arg-type]
        other.MergeFrom(codes_pb2.CodeBatch(**{field: value}))
        async with refused("CODE_BATCH_EXISTS_WITH_DIFFERENT_FIELD", batch_id=asked.batch_id, field=field):
            await codes.create(other)
    assert len(await codes.exported(asked.batch_id)) == 5


async def test_batch_of_unknown_campaign_refused_and_unknown_batch_not_found(codes: Codes) -> None:
    asked = batch(some_id())
    async with refused("CAMPAIGN_NOT_FOUND", campaign_id=asked.campaign_id):
        await codes.create(asked)
    for call in (codes.get(asked.batch_id), codes.exported(asked.batch_id)):
        async with refused("CODE_BATCH_NOT_FOUND", grpc.StatusCode.NOT_FOUND, batch_id=asked.batch_id):
            await call


@pytest.mark.parametrize(
    "fields",
    [
        {"code_count": 0},
        {"code_count": 10_000_001},
        {"format": codes_pb2.CodeFormat(prefix="toolow")},
        {"format": codes_pb2.CodeFormat(prefix="A" * 13)},
        {"format": codes_pb2.CodeFormat(separator="ab")},
        {"format": codes_pb2.CodeFormat(group_length=19)},
        {"batch_id": ""},
    ],
)
async def test_batch_of_a_wrong_shape_refused(shop: Shop, codes: Codes, fields: dict[str, object]) -> None:
    async with refused("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT):
        await codes.create(batch(await shop.campaign(), **fields))


async def test_cancelled_batch_stops_and_all_that_was_made_is_refused(shop: Shop, codes: Codes) -> None:
    created = await codes.create(batch(await shop.campaign(), 2_000_000))
    async with asyncio.timeout(30):
        while not (await codes.get(created.batch_id)).made:
            await asyncio.sleep(0.01)
    cancelled = (await codes.cancel(created.batch_id)).batch
    assert cancelled.state == CANCELLED
    assert 0 < cancelled.made < 2_000_000
    assert (await codes.cancel(created.batch_id)).batch == cancelled
    await asyncio.sleep(1)
    assert await codes.get(created.batch_id) == cancelled
    exported = await codes.exported(created.batch_id)
    assert len(exported) == cancelled.made
    async with refused("VOUCHER_DEACTIVATED", grpc.StatusCode.FAILED_PRECONDITION):
        await shop.redeem(Order([exported[0].code]))
    async with refused("CODE_BATCH_CANCELLED", batch_id=created.batch_id):
        await codes.create(batch(created.campaign_id, 2_000_000, batch_id=created.batch_id))


async def test_cancel_before_create_refuses_the_late_batch(shop: Shop, codes: Codes) -> None:
    """V4's rule for what hangs: undoing something unknown leaves a tombstone."""
    asked = batch(await shop.campaign())
    for _ in range(2):
        assert not (await codes.cancel(asked.batch_id)).HasField("batch")
    async with refused("CODE_BATCH_CANCELLED", grpc.StatusCode.FAILED_PRECONDITION, batch_id=asked.batch_id):
        await codes.create(asked)
    async with refused("CODE_BATCH_NOT_FOUND"):
        await codes.get(asked.batch_id)


async def test_create_and_cancel_at_once_end_in_one_state(shop: Shop, codes: Codes, second_codes: Codes) -> None:
    campaign_id = await shop.campaign()
    for _ in range(10):
        asked = batch(campaign_id, 3)
        created, _ = await asyncio.gather(
            codes.create(asked), second_codes.cancel(asked.batch_id), return_exceptions=True
        )
        if isinstance(created, BaseException):
            async with refused("CODE_BATCH_NOT_FOUND"):
                await codes.get(asked.batch_id)
        else:
            assert (await codes.get(asked.batch_id)).state == CANCELLED


async def test_two_replicas_make_many_batches_exactly(shop: Shop, codes: Codes, second_codes: Codes) -> None:
    campaign_id = await shop.campaign()
    asked = [batch(campaign_id, 20_000 * number + 7) for number in range(1, 6)]
    await asyncio.gather(*([codes, second_codes][number % 2].create(each) for number, each in enumerate(asked)))
    for each in asked:
        assert (await codes.finished(each.batch_id)).made == each.code_count
        assert len(await second_codes.exported(each.batch_id)) == each.code_count


async def test_batches_are_listed_newest_first_page_by_page(shop: Shop, codes: Codes) -> None:
    campaign_id = await shop.campaign()
    made = [(await codes.create(batch(campaign_id, 1))).batch_id for _ in range(5)]
    await codes.create(batch(await shop.campaign(), 1))
    listed: list[str] = []
    request = codes_pb2.ListCodeBatchesRequest(campaign_id=campaign_id, page_size=2)
    while True:
        response = await codes.stub.ListCodeBatches(request)
        listed += [each.batch_id for each in response.batches]
        if not response.next_page_token:
            break
        assert len(response.batches) == 2
        request.page_token = response.next_page_token
    assert listed == made[::-1]
    everywhere = await codes.stub.ListCodeBatches(codes_pb2.ListCodeBatchesRequest(page_size=6))
    assert {*made} < {each.batch_id for each in everywhere.batches}
    async with refused("INVALID_PAGE_TOKEN"):
        await codes.stub.ListCodeBatches(codes_pb2.ListCodeBatchesRequest(page_token=request.page_token))


async def test_export_goes_on_behind_its_cursor(shop: Shop, codes: Codes) -> None:
    batch_id, all_codes = await codes.made(await shop.campaign(), 5_000)
    read: list[str] = []
    async for response in codes.stub.ExportCodes(codes_pb2.ExportCodesRequest(batch_id=batch_id)):
        read += [each.code for each in response.codes]
        break
    assert 0 < len(read) < 5_000
    read += [each.code for each in await codes.exported(batch_id, response.cursor)]
    assert read == all_codes
    assert await codes.exported(batch_id, (await codes.exported(batch_id))[-1].voucher_id) == []


async def test_failing_batch_is_given_up_and_goes_on_when_asked_for_again(
    shop: Shop, codes: Codes, owner_connection: asyncpg.Connection
) -> None:
    """A batch that the database refuses holds up no other one."""
    asked, other = batch(await shop.campaign(), 30), batch(await shop.campaign(), 30)
    await owner_connection.execute(
        f"ALTER TABLE vouchers ADD CONSTRAINT broken CHECK (batch_id <> '{UUID(asked.batch_id)}') NOT VALID"
    )
    await asyncio.gather(codes.create(asked), codes.create(other))
    failed = await codes.finished(asked.batch_id)
    assert (failed.state, failed.made, failed.failure) == (FAILED, 0, "CheckViolationError")
    assert (await codes.finished(other.batch_id)).state == COMPLETED
    await owner_connection.execute("ALTER TABLE vouchers DROP CONSTRAINT broken")
    assert (await codes.create(asked)).state == PENDING
    finished = await codes.finished(asked.batch_id)
    assert (finished.state, finished.made, finished.failure) == (COMPLETED, 30, "")


async def test_import_names_each_codes_outcome_and_can_be_run_again(shop: Shop, codes: Codes) -> None:
    campaign_id, batch_id = await shop.campaign(), some_id()
    taken = await shop.code()
    given = ["CARD 0001", "card-0002", taken.lower(), "no/code", "CARD0001"]

    async def outcomes(**fields: object) -> list[tuple[bool, str]]:
        found = await codes.bring_in(campaign_id, given, batch_id, uses_max=3, **fields)
        return [(each.existed, each.refusal.reason) for each in found]

    first = [(False, ""), (False, ""), (False, "CODE_TAKEN"), (False, "INVALID_REQUEST"), (True, "")]
    assert await outcomes(dry_run=True) == first
    async with refused("CODE_BATCH_NOT_FOUND"):
        await codes.get(batch_id)
    assert await outcomes() == first
    assert await outcomes() == await outcomes(dry_run=True) == [(True, ""), (True, ""), *first[2:]]
    stored = await codes.get(batch_id)
    assert (stored.state, stored.made, stored.code_count) == (COMPLETED, 2, 2)
    assert stored.kind == codes_pb2.CODE_BATCH_KIND_IMPORTED
    assert [each.code for each in await codes.exported(batch_id)] == ["CARD 0001", "card-0002"]
    view = await shop.get("card0001")
    assert (view.voucher.code, view.voucher.uses_max) == ("CARD 0001", 3)
    assert await issued(shop, campaign_id) == 2
    await shop.redeem(Order(["CARD.0002"]))


async def test_import_into_another_batch_or_a_cancelled_one_refused(shop: Shop, codes: Codes) -> None:
    campaign_id, batch_id = await shop.campaign(), some_id()
    code = f"CARD-{some_id()[-12:]}"
    await codes.bring_in(campaign_id, [code], batch_id)
    async with refused("CODE_BATCH_EXISTS_WITH_DIFFERENT_FIELD", field="uses_max"):
        await codes.bring_in(campaign_id, [code], batch_id, uses_max=2)
    (elsewhere,) = await codes.bring_in(campaign_id, [code])
    assert elsewhere.refusal.reason == "CODE_TAKEN"
    assert code not in str(elsewhere)
    async with refused("CODE_BATCH_EXISTS_WITH_DIFFERENT_FIELD", field="kind"):
        await codes.create(batch(campaign_id, 1, batch_id=batch_id, uses_max=0))
    await codes.cancel(batch_id)
    async with refused("CODE_BATCH_CANCELLED"):
        await codes.bring_in(campaign_id, [code], batch_id)
    async with refused("VOUCHER_DEACTIVATED"):
        await shop.redeem(Order([code]))
    async with refused("CAMPAIGN_NOT_FOUND"):
        await codes.bring_in(some_id(), [code], dry_run=True)


async def test_import_of_one_code_into_two_batches_at_once_gives_it_to_one(
    shop: Shop, codes: Codes, second_codes: Codes
) -> None:
    campaign_id = await shop.campaign()
    for _ in range(5):
        names = [f"RACE-{some_id()[-12:]}" for _ in range(20)]
        both = await asyncio.gather(codes.bring_in(campaign_id, names), second_codes.bring_in(campaign_id, names[::-1]))
        first, second = both[0], both[1][::-1]
        for one, other in zip(first, second, strict=True):
            assert sorted([one.refusal.reason, other.refusal.reason]) == ["", "CODE_TAKEN"]


async def test_assigned_code_is_for_its_customer_alone(shop: Shop, codes: Codes) -> None:
    code, customer_id = f"MINE-{some_id()[-8:]}", some_id()
    voucher = codes_pb2.Voucher(
        voucher_id=some_id(), campaign_id=await shop.campaign(), code=code, customer_id=customer_id
    )
    created = (await codes.stub.CreateVoucher(codes_pb2.CreateVoucherRequest(voucher=voucher))).voucher
    assert (await codes.stub.GetVoucher(codes_pb2.GetVoucherRequest(voucher=by_code(code)))).voucher == created
    async with refused("VOUCHER_OF_OTHER_CUSTOMER"):
        await shop.redeem(Order([code]))
    await shop.redeem(Order([code], customer_id=customer_id))
