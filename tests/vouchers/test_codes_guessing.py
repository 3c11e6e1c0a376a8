"""Codes that customers try out: counted across replicas, refused without saying which one was right."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace

import asyncpg
import grpc
import pytest

from services.runtime.grpc_errors import refusal_of
from services.vouchers.main import VouchersSettings
from tests.vouchers.conftest import connected
from tests.vouchers.requests import Order, Shop, Stub, by_id, refused, some_id

LIMIT = 10


@pytest.fixture
def shops(vouchers: Stub, second_vouchers: Stub) -> list[Shop]:
    return [Shop(vouchers), Shop(second_vouchers)]


@pytest.fixture
async def impatient(vouchers_settings: VouchersSettings) -> AsyncIterator[Shop]:
    """A server whose window is short."""
    async with connected(vouchers_settings.model_copy(update={"guesses_window_s": 1.5})) as stub:
        yield Shop(stub)


def wrong_code() -> str:
    return f"WRONG-{some_id()[-8:]}"


async def reason_of(call: Awaitable[object]) -> str:
    """Why it was refused, in whichever way the answer says so."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return refusal_of(error).reason or error.code().name
    assessments = answer if isinstance(answer, list) else []
    return next((each.refusal.reason for each in assessments if each.HasField("refusal")), "OK")


async def lock_out(shop: Shop, customer_id: str) -> None:
    for _ in range(LIMIT):
        assert await reason_of(shop.validate(Order([wrong_code()], customer_id))) == "VOUCHER_NOT_FOUND"


async def test_guesses_beyond_the_limit_are_refused_by_every_replica(shops: list[Shop]) -> None:
    customer_id = some_id()
    answers = []
    for number in range(2 * LIMIT):
        order = Order([wrong_code()], customer_id)
        call = shops[number % 2].validate(order) if number % 4 < 2 else shops[number % 2].redeem(order)
        answers.append(await reason_of(call))
    assert answers == ["VOUCHER_NOT_FOUND"] * LIMIT + ["TOO_MANY_ATTEMPTS"] * LIMIT
    async with refused("TOO_MANY_ATTEMPTS", grpc.StatusCode.RESOURCE_EXHAUSTED, attempts_max=LIMIT) as caught:
        await shops[1].redeem(Order([wrong_code()], customer_id))
    assert caught.refusal is not None
    assert 500 < (caught.refusal.retry_after_s or 0) <= 600
    assert await reason_of(shops[0].validate(Order([wrong_code()]))) == "VOUCHER_NOT_FOUND"


async def test_right_code_during_the_lock_out_is_answered_as_a_wrong_one(shops: list[Shop]) -> None:
    """No oracle: whatever is asked, both get the same answer but for the seconds."""
    shop, customer_id = shops[0], some_id()
    right = await shop.code()
    await lock_out(shop, customer_id)
    answers = []
    for code in (right, wrong_code()):
        order = Order([code], customer_id)
        for call in (shop.stub.ValidateVouchers(order.validate()), shop.stub.RedeemVouchers(order.redeem())):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call
            refusal = refusal_of(error.value)
            values = {**refusal.metadata, "retry_after_s": ""}
            answers.append((refusal.status, refusal.reason, values))
    assert answers == [answers[0]] * 4
    assert await shop.states(right) == []


async def test_voucher_named_by_its_id_is_no_guess(shops: list[Shop]) -> None:
    """Orders on their way name vouchers by their ids: a lock-out neither stops them nor is caused by them."""
    shop, customer_id = shops[0], some_id()
    voucher_id = (await shop.get(await shop.code())).voucher.voucher_id
    for _ in range(LIMIT + 5):
        request = Order(["ANY"], customer_id).validate()
        request.vouchers[0].CopyFrom(by_id(some_id()))
        answer = await shop.stub.ValidateVouchers(request)
        assert answer.assessments[0].refusal.reason == "VOUCHER_NOT_FOUND"
    await lock_out(shop, customer_id)
    redeem = Order(["ANY"], customer_id).redeem()
    redeem.redemptions[0].voucher.CopyFrom(by_id(voucher_id))
    assert len((await shop.stub.RedeemVouchers(redeem)).redemptions) == 1


async def test_retry_is_not_counted_again(shops: list[Shop]) -> None:
    """A caller without an answer sends the same once more: the same wrong code is one guess."""
    order = Order([wrong_code()])
    answers = [await reason_of(shops[number % 2].redeem(order)) for number in range(2 * LIMIT)]
    answers += [await reason_of(shops[number % 2].validate(order)) for number in range(2 * LIMIT)]
    assert set(answers) == {"VOUCHER_NOT_FOUND"}


async def test_lock_out_replays_what_was_redeemed_before(shops: list[Shop]) -> None:
    """K-2: an order whose redemption went through is answered again, kept, confirmed and rolled back."""
    shop, customer_id = shops[0], some_id()
    confirmed, undone = Order([await shop.code()], customer_id), Order([await shop.code()], customer_id)
    first = await shop.redeem(confirmed)
    await shop.redeem(undone)
    await lock_out(shop, customer_id)
    assert await shop.redeem(confirmed) == first
    assert len(await shop.confirm(confirmed)) == 1
    assert await shop.roll_back(undone) == 1


async def test_many_codes_in_one_request_are_no_way_around_the_limit(shops: list[Shop]) -> None:
    """More wrong ones than the limit allows, and nothing is said of the right one among them, now or later."""
    shop, customer_id = shops[0], some_id()
    right = await shop.code()
    codes = [wrong_code() for _ in range(LIMIT + 1)]
    assert await reason_of(shop.validate(Order([*codes[:LIMIT], right, codes[LIMIT]], customer_id))) == (
        "TOO_MANY_ATTEMPTS"
    )
    assert await reason_of(shop.validate(Order([right], customer_id))) == "TOO_MANY_ATTEMPTS"


async def test_guesses_at_once_on_two_replicas_are_counted_exactly(shops: list[Shop]) -> None:
    customer_id = some_id()
    orders = [Order([wrong_code()], customer_id) for _ in range(80)]
    calls = []
    for number, order in enumerate(orders):
        shop = shops[number % 2]
        calls.append(reason_of(shop.validate(order) if number % 4 < 2 else shop.redeem(order)))
    answers = Counter(await asyncio.gather(*calls))
    assert answers == {"VOUCHER_NOT_FOUND": LIMIT, "TOO_MANY_ATTEMPTS": len(orders) - LIMIT}


async def test_lock_out_ends_when_the_window_has_moved_on(impatient: Shop) -> None:
    right, customer_id = await impatient.code(), some_id()
    await lock_out(impatient, customer_id)
    async with refused("TOO_MANY_ATTEMPTS") as caught:
        await impatient.redeem(Order([right], customer_id))
    assert caught.refusal is not None
    await asyncio.sleep((caught.refusal.retry_after_s or 0) + 0.6)
    await impatient.redeem(Order([right], customer_id))


async def test_customer_without_misses_is_only_read(shops: list[Shop], owner_connection: asyncpg.Connection) -> None:
    """A hit writes nothing."""
    code, customer_id = await shops[0].code(), some_id()
    await shops[0].validate(Order([code], customer_id))
    await shops[0].redeem(Order([code], customer_id))
    count = "SELECT count(*) FROM code_misses WHERE customer_id = $1"
    assert await owner_connection.fetchval(count, customer_id) == 0
    await shops[0].validate(Order([wrong_code()], customer_id))
    assert await owner_connection.fetchval(count, customer_id) == 1


async def test_old_misses_are_forgotten_and_no_code_is_kept(
    shops: list[Shop], owner_connection: asyncpg.Connection, app_connection: asyncpg.Connection
) -> None:
    customer_id, code = some_id(), wrong_code()
    await shops[0].validate(Order([code], customer_id))
    row = await owner_connection.fetchrow("SELECT * FROM code_misses WHERE customer_id = $1", customer_id)
    assert code.replace("-", "").upper() not in str(dict(row))
    await owner_connection.execute(
        "UPDATE code_misses SET missed_at = now() - interval '11 minutes' WHERE customer_id = $1", customer_id
    )
    assert await app_connection.fetchval("SELECT forget_code_misses(600)") >= 1
    left = await owner_connection.fetchval("SELECT count(*) FROM code_misses WHERE customer_id = $1", customer_id)
    assert left == 0


async def test_refused_stack_counts_only_its_unknown_codes(shops: list[Shop]) -> None:
    shop, customer_id = shops[0], some_id()
    right = await shop.code()
    for _ in range(LIMIT):
        order = Order([right, wrong_code()], customer_id)
        assert await reason_of(shop.redeem(order)) == "VOUCHER_NOT_FOUND"
        assert await reason_of(shop.redeem(replace(order, codes=[right, right]))) in (
            "VOUCHER_REPEATED",
            "TOO_MANY_ATTEMPTS",
        )
    assert await reason_of(shop.redeem(Order([right], customer_id))) == "TOO_MANY_ATTEMPTS"
    assert await shop.states(right) == []
